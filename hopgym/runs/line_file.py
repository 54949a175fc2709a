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
    """Put a new file in the place of an old one at one instant; a kill leaves the one or the other.

    The lock is a file of its own, so that it outlasts the rename. The temporary file may have one
    name, as only the holder of the lock writes it, and a stale one is overwritten.
    """
    temporary = path.with_name(f"{path.name}.tmp")
    with temporary.open("wb") as file:
        file.writelines(lines)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def lock(path: Path) -> IO[bytes]:
    """Return the lock of a file, held until it is closed or the process ends, however it does."""
    beside = path.with_name(f"{path.name}.lock")
    while True:
        file = beside.open("ab")
        try:
            _try_lock(file)
        except BlockingIOError as error:
            file.close()
            raise RunFileError(
                f"{path} must have one writer at a time, another has it open; wait for its end or "
                "give another file"
            ) from error
        # The last holder may have removed the lock between the two calls: then it locks nothing.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), beside.stat()):
                return file
        file.close()


def unlock(path: Path, file: IO[bytes]) -> None:
    """Let a lock go."""
    beside = path.with_name(f"{path.name}.lock")
    with suppress(OSError):  # Windows keeps a file that is open; the next holder takes it over.
        # Where the folder was moved away, the lock of that name may be another's by now.
        if os.path.samestat(os.fstat(file.fileno()), beside.stat()):
            beside.unlink()
    file.close()


class LineWriter(Generic[_T]):
    """Appends lines to a file, as its only writer while it is open; a context manager.

    Args:
        path: The file, made with its folders. While it is open, ``<path>.lock`` stands beside it.
        take_up: Makes the file ready to be appended to, under its lock; returns what is ``kept``.

    Raises:
        RunFileError: When another writer has the file open.
    """

    def __init__(self, path: str | os.PathLike[str], take_up: Callable[[Path], _T]) -> None:
        # Through a link, the file it names is meant: a rename would put a file in the link's place.
        self.path = Path(path).resolve()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = lock(self.path)
        try:
            self.kept = take_up(self.path)
            # Unbuffered: each line is one write to the system, whole or not there.
            self._file = self.path.open("ab", buffering=0)
        except BaseException:
            unlock(self.path, self._lock)
            raise

    def close(self) -> None:
        """Close the file and let other writers have it; closing twice is harmless."""
        if not self._file.closed:
            self._file.close()
            unlock(self.path, self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _append(self, line: bytes) -> None:
        """Append a line; when this returns, no kill of the process can lose it.

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
            # What comes after half a line would make the file corrupt, not just short.
            self._file.truncate(self._file.tell() - written)
            raise RunFileError(
                f"{self.path} must take {len(line)} bytes, took {written}; make room on its disk"
            )


@contextmanager
def whole_file(path: Path, option: str, inputs: Iterable[Path] = ()) -> Iterator[IO[bytes]]:
    """Open a file that gets its name once the block has ended well, and else is gone.

    Folders are made; a link stays, and the file that it names is written.

    Args:
        path: The file.
        option: What names it on the command line, for messages.
        inputs: The files that are read, none of which it may be.

    Raises:
        ArgumentError: When it is one of the inputs, a folder or a device.
    """
    target = path.resolve()
    if target in {each.resolve() for each in inputs}:
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
