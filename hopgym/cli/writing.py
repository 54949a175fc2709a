"""Files that are written whole or not at all."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from hopgym.errors import ArgumentError

_PARTIAL = ".partial"


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
