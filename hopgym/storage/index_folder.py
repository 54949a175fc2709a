"""The folders of indexes: named after the content of the indexed file, complete or absent."""

import hashlib
import json
import os
import secrets
import shutil
import stat
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from hopgym.errors import DataError

VERSION = 2
"""Version of the index format. Indexes of other versions are not read but built anew."""
SUFFIX = f"-v{VERSION}"
"""Ends the name of an index folder, after the SHA-256 of the indexed file."""

_SETTLED_NS = 2_000_000_000
_ABANDONED_SECONDS = 86_400
_PART = ".part"
_CONTENTS = "contents.json"
_SOURCES = "sources.json"
_BLOCK = 1 << 20
_VERIFIED_BLOCKS = 16
"""Blocks of each file whose checksum is verified on opening: at most 16 MiB per file."""

_verified: dict[Path, tuple[tuple[int, int, int], ...]] = {}
"""Size, modification time and inode of the files of the indexes that this process verified."""


@dataclass(frozen=True, slots=True)
class FileState:
    """What the file system says of a file; while it stays the same, so does the content."""

    path: str
    """Absolute, with links resolved."""
    size: int
    modified_ns: int
    inode: int


class FileRecord(msgspec.Struct, frozen=True):
    """What ``contents.json`` records of a file of an index."""

    size: int
    """In bytes."""
    checksums: list[int]
    """CRC-32 of each block of 1 MiB."""


_CONTENTS_DECODER = msgspec.json.Decoder(dict[str, FileRecord])


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
    """Raise a `DataError` if the state of a file has changed."""
    if file_state(path) != state:
        raise DataError(
            f"{path!r}: expected a file that stays as it is, got one that was changed while it "
            "was read; try again when it is written"
        )


def corpora_folder(cache: str | os.PathLike[str] | None) -> Path:
    """Return the folder of all indexes in a cache folder; None selects the user's default."""
    root = cache or os.environ.get("HOPGYM_CACHE")
    if root is None or root == "":
        base = os.environ.get("XDG_CACHE_HOME", "")
        # The XDG specification says to ignore a relative path.
        root = os.path.join(base if os.path.isabs(base) else "~/.cache", "hopgym")
    return Path(os.path.abspath(os.path.expanduser(root)), "corpora")


def digest_of(corpora: Path, path: str, state: FileState) -> str:
    """Return the SHA-256 of a file in hex; the file is read only if its state is not on record."""
    for sources in corpora.glob(f"*{SUFFIX}/{_SOURCES}"):
        if _read_sources(sources).get(state.path) == _numbers(state):
            return sources.parent.name.removesuffix(SUFFIX)
    try:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path!r}: expected a readable file, got {error.strerror}") from error
    check_unchanged(path, state)
    return digest


def note_source(index: Path, state: FileState) -> None:
    """Record in an index which file it was built from; skipped where writing is not allowed."""
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


def find_damage(index: Path) -> str:
    """Return what is wrong with the first damaged file of an index; empty if nothing is.

    Sizes are compared always. Checksums are verified once per process, and again when a file has
    changed: all blocks of files up to 16 MiB, and evenly spaced ones of larger files.
    """
    try:
        records = _CONTENTS_DECODER.decode((index / _CONTENTS).read_bytes())
        states = {name: (index / name).stat() for name in records}
    except OSError as error:
        return f"{error.filename} cannot be read ({error.strerror})"
    except msgspec.MsgspecError as error:
        return f"{index / _CONTENTS} cannot be decoded ({error})"
    for name, record in records.items():
        if states[name].st_size != record.size:
            return f"{index / name} has {states[name].st_size:,} bytes, expected {record.size:,}"
    # Reading takes time, so files are only verified again after they were written to.
    marks = tuple((s.st_size, s.st_mtime_ns, s.st_ino) for s in states.values())
    if _verified.get(index) == marks:
        return ""
    for name, record in records.items():
        block = _damaged_block(index / name, record.checksums)
        if block is not None:
            return f"{index / name} fails its checksum at byte {block * _BLOCK:,}"
    _verified[index] = marks
    return ""


def _damaged_block(path: Path, checksums: list[int]) -> int | None:
    """Return the number of the first verified block that does not match its checksum, or None."""
    count = len(checksums)
    verified = min(count, _VERIFIED_BLOCKS)
    # The first and the last block are always among them.
    spread = {round(i * (count - 1) / max(verified - 1, 1)) for i in range(verified)}
    with open(path, "rb") as file:
        for number in sorted(spread):
            file.seek(number * _BLOCK)
            if zlib.crc32(file.read(_BLOCK)) != checksums[number]:
                return number
    return None


def _record_of(path: Path) -> FileRecord:
    with open(path, "rb") as file:
        checksums = [zlib.crc32(block) for block in iter(lambda: file.read(_BLOCK), b"")]
    return FileRecord(path.stat().st_size, checksums)


@contextmanager
def new_index(index: Path) -> Iterator[Path]:
    """Yield a folder to write an index into, and move it into place at the end of the block.

    An interrupted block leaves nothing, and of several processes that write the same index the
    first one wins. Checksums are recorded before the folder is moved.

    Args:
        index: The final path; a damaged index there is replaced.

    Raises:
        DataError: When the folder cannot be written.
    """
    part = index.with_name(f"{index.name}.{secrets.token_hex(8)}{_PART}")
    try:
        part.mkdir(parents=True)
        _sweep(index.parent)
        yield part
        records = {file.name: _record_of(file) for file in part.iterdir()}
        (part / _CONTENTS).write_bytes(msgspec.json.encode(records))
        try:
            if index.exists() and find_damage(index):
                index.rename(part.with_suffix(f".old{_PART}"))
            part.rename(index)
        except OSError:
            # Another process may have moved its index into place first.
            if find_damage(index):
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
            if time.time() - part.stat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(part)
        except OSError:
            continue
