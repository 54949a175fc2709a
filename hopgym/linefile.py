"""Files of lines that outlive a kill: one writer at a time, and whole files put in place at once.

In: a path. Out: its lock, held until it is let go or the process ends; or new lines in its place.
"""

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import IO

from hopgym.errors import RunFileError

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
    with suppress(OSError):  # Windows keeps a file that is open; the next holder takes it over.
        path.with_name(f"{path.name}.lock").unlink()
    file.close()
