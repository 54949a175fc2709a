"""Where indexes stand: folders named after their file's content, whole or not there at all."""

import hashlib
import json
import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hopgym.errors import DataError

VERSION = 1
"""Changes whenever an index written before can no longer be read, or would be written otherwise."""

_SETTLED_NS = 2_000_000_000
_LEFT_BEHIND_S = 86_400
_PART = ".part"
_CONTENTS = "contents.json"
_SOURCES = "sources.json"


@dataclass(frozen=True, slots=True)
class FileState:
    """What the system tells of a file: as long as it stays the same, so does the content."""

    path: str
    """Without links."""
    size: int
    modified_ns: int
    inode: int


def file_state(path: str) -> FileState:
    """Return the state of a regular file.

    Raises:
        DataError: When there is no such file, or it is a directory or a device.
    """
    try:
        state = os.stat(path)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise DataError(
            f"{path!r}: expected a .json or .jsonl file of paragraphs, got {why}; check the path"
        ) from error
    if not stat.S_ISREG(state.st_mode):
        kind = "a directory" if stat.S_ISDIR(state.st_mode) else "a device"
        raise DataError(f"{path!r}: expected a file of paragraphs, got {kind}; name a file")
    return FileState(os.path.realpath(path), state.st_size, state.st_mtime_ns, state.st_ino)


def check_unchanged(path: str, state: FileState) -> None:
    """Raise a `DataError` where a file is no longer in a state."""
    if file_state(path) != state:
        raise DataError(
            f"{path!r}: expected a file that stays as it is, got one that was changed while it "
            "was read; try again when it is written"
        )


def corpora_folder(cache: str | os.PathLike[str] | None) -> Path:
    """Return the folder of all indexes under a cache folder; None stands for the user's own."""
    root = cache or os.environ.get("HOPGYM_CACHE")
    if root is None or root == "":
        base = os.environ.get("XDG_CACHE_HOME", "")
        # A relative one is to be ignored, says the XDG specification.
        root = os.path.join(base if os.path.isabs(base) else "~/.cache", "hopgym")
    return Path(os.path.abspath(os.path.expanduser(root)), "corpora")


def digest_of(corpora: Path, path: str, state: FileState) -> str:
    """Return a file's SHA-256, hex, read anew only where its state is not known."""
    for sources in corpora.glob(f"*-v{VERSION}/{_SOURCES}"):
        if _read_sources(sources).get(state.path) == _numbers(state):
            return sources.parent.name.removesuffix(f"-v{VERSION}")
    try:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path!r}: expected a readable file, got {error.strerror}") from error
    check_unchanged(path, state)
    return digest


def note_source(index: Path, state: FileState) -> None:
    """Note in an index which file it was made from, where there is leave to write."""
    # Time stamps are coarse: a file just written may change without a new one.
    settled = time.time_ns() - state.modified_ns > _SETTLED_NS
    sources = _read_sources(index / _SOURCES)
    if not settled or sources.get(state.path) == _numbers(state):
        return
    part = index / f"{secrets.token_hex(8)}{_PART}"
    try:
        part.write_text(json.dumps(sources | {state.path: _numbers(state)}), encoding="utf-8")
        part.replace(index / _SOURCES)
    except OSError:
        part.unlink(missing_ok=True)


def _numbers(state: FileState) -> list[int]:
    return [state.size, state.modified_ns, state.inode]


def _read_sources(path: Path) -> dict[str, list[int]]:
    try:
        sources = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return sources if isinstance(sources, dict) else {}


def has_all_files(index: Path) -> bool:
    """Return whether every file of an index is there in the size it was written with."""
    try:
        sizes = json.loads((index / _CONTENTS).read_bytes())
        return all((index / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, AttributeError):
        return False


@contextmanager
def new_index(index: Path, is_usable: Callable[[Path], bool]) -> Iterator[Path]:
    """Give a folder to write an index into, which takes its place when the block is through.

    Until then it stands beside it, so that an interrupted block leaves nothing, and of several
    processes that write the same index the first one wins.

    Args:
        index: The place; what stands there is replaced unless it is usable.
        is_usable: Whether a folder holds a whole index.

    Raises:
        DataError: When the folder cannot be written.
    """
    part = index.with_name(f"{index.name}.{secrets.token_hex(8)}{_PART}")
    try:
        part.mkdir(parents=True)
        _sweep(index.parent)
        yield part
        sizes = {file.name: file.stat().st_size for file in part.iterdir()}
        (part / _CONTENTS).write_text(json.dumps(sizes), encoding="utf-8")
        try:
            if index.exists() and not is_usable(index):
                index.rename(part.with_suffix(f".old{_PART}"))
            part.rename(index)
        except OSError:
            if not is_usable(index):
                raise
    except OSError as error:
        raise DataError(
            f"{str(index.parent)!r}: expected a folder to keep an index in, got "
            f"{error.strerror or error}; free some room there, or name another folder with "
            "cache= or the environment variable HOPGYM_CACHE"
        ) from error
    finally:
        for rest in (part, part.with_suffix(f".old{_PART}")):
            shutil.rmtree(rest, ignore_errors=True)


def _sweep(corpora: Path) -> None:
    """Remove what killed processes left behind."""
    for part in corpora.glob(f"*{_PART}"):
        try:
            if time.time() - part.stat().st_mtime > _LEFT_BEHIND_S:
                shutil.rmtree(part)
        except OSError:
            continue
