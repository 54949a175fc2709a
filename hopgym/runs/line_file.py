"""Files that survive a kill: locks, a writer that appends whole lines, and atomic replacement."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Generic, Self, TypeVar

from hopgym.errors import ArgumentError, RunFileError

_PARTIAL = ".partial"

_T = TypeVar("_T")

if sys.platform == "win32":
    import msvcrt

    def _try_lock(file: IO[bytes]) -> None:
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError from error
else:
    import fcntl

    def _try_lock(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def replace_lines(path: Path, lines: Iterable[bytes]) -> None:
    """Replace a file atomically; after a kill either the old or the new file is there.

    Only the holder of the file's lock may call this. The lock is a separate file, so that it
    survives the rename.
    """
    # One name is enough, as only the holder of the lock writes it; a stale file is overwritten.
    temporary = path.with_name(f"{path.name}.tmp")
    with temporary.open("wb") as file:
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def lock(path: Path) -> IO[bytes]:
    """Lock a file and return the lock, which is held until it is closed or the process ends.

    Raises:
        RunFileError: When another process holds the lock.
    """
    lock_path = path.with_name(f"{path.name}.lock")
    while True:
        file = lock_path.open("ab")
        try:
            _try_lock(file)
        except BlockingIOError as error:
            file.close()
            raise RunFileError(
                f"{path} must have one writer at a time, another has it open; wait for its end or "
                "give another file"
            ) from error
        # The last holder may have removed the lock file in between; then it locks nothing.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), lock_path.stat()):
                return file
        file.close()


def unlock(path: Path, file: IO[bytes]) -> None:
    """Release a lock that `lock` returned, and remove its file."""
    lock_path = path.with_name(f"{path.name}.lock")
    with suppress(OSError):  # Windows keeps an open file; the next holder reuses it.
        # If the folder was moved, a lock of the same name may belong to another process by now.
        if os.path.samestat(os.fstat(file.fileno()), lock_path.stat()):
            lock_path.unlink()
    file.close()


class LineWriter(Generic[_T]):
    """Appends lines to a file, as its only writer while it is open; a context manager.

    Args:
        path: The file, created with its folders. While it is open, ``<path>.lock`` exists too.
        resume: Called under the lock to make the file ready for appending; it returns the
            `contents`.

    Raises:
        RunFileError: When another writer has the file open.
    """

    def __init__(self, path: str | os.PathLike[str], resume: Callable[[Path], _T]) -> None:
        # A rename would replace a link by a file, so the file that it points to is used.
        self.path = Path(path).resolve()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = lock(self.path)
        try:
            self.contents = resume(self.path)
            """What the file holds, as ``resume`` returned it."""
            # Unbuffered, so that each line is one system call that writes all of it or nothing.
            self._file = self.path.open("ab", buffering=0)
        except BaseException:
            unlock(self.path, self._lock)
            raise

    def close(self) -> None:
        """Close the file and release its lock; closing twice is harmless."""
        if not self._file.closed:
            self._file.close()
            unlock(self.path, self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _append(self, line: bytes) -> None:
        """Append a line; once this returns, killing the process cannot lose it.

        Raises:
            RunFileError: When the disk is full.
        """
        try:
            written = self._file.write(line)
        except OSError as error:
            raise RunFileError(
                f"{self.path} must take {len(line)} bytes, the system took none ({error.strerror})"
                "; make room on its disk, and run the same command again"
            ) from error
        if written != len(line):
            # A further line after half a line would corrupt the file.
            self._file.truncate(self._file.tell() - written)
            raise RunFileError(
                f"{self.path} must take {len(line)} bytes, took {written}; make room on its disk"
            )


@contextmanager
def whole_file(path: Path, option: str, inputs: Iterable[Path] = ()) -> Iterator[IO[bytes]]:
    """Open a file for writing that appears under its name only if the block succeeds.

    Folders are created. If the path is a link, the file that it points to is written.

    Args:
        path: The file.
        option: Its command-line option, for messages.
        inputs: Files that are read and must not be overwritten.

    Raises:
        ArgumentError: When the path is one of the inputs, a folder or a device.
    """
    target = path.resolve()
    if target in {file.resolve() for file in inputs}:
        raise ArgumentError(f"{option} must be another file than those read, got {str(path)!r}")
    if target.exists() and not target.is_file():
        raise ArgumentError(f"{option} must be a file, got the folder or device {str(path)!r}")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + _PARTIAL)
    try:
        with partial.open("wb") as file:
            yield file
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
