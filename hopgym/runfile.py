"""Trajectory files: one header line, then one finished episode a line, as JSON.

In: finished trajectories, in the order they end. Out: the same ones, read back. A run that was
killed leaves a file that the same run goes on with: no episode is lost, none stands there twice.
"""

import hashlib
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, TypeVar

import msgspec

from hopgym import __version__
from hopgym.errors import ArgumentError, DataError, RunFileError, require
from hopgym.linefile import lock, replace_lines, unlock
from hopgym.trajectory import ERROR_REASONS, Trajectory

SCHEMA = 1
"""Version of the layout of a line."""

_T = TypeVar("_T")
_NOT_JSON = (msgspec.MsgspecError, ValueError, RecursionError)


@dataclass(frozen=True, slots=True)
class Header:
    """The first line of a trajectory file: what its records have in common."""

    schema: int
    """`SCHEMA` of the code that began the file."""
    config: str
    """Hex digest of all that decides the episodes beside the tasks."""
    source: str
    """`hopgym.tasks.TaskSource.fingerprint` of the tasks."""
    code: str
    """Version of hopgym that began the file."""

    @classmethod
    def of(cls, config: object, source: str) -> "Header":
        """Return the header of a run of this version of hopgym.

        Args:
            config: What decides the episodes beside the tasks: JSON values and dataclasses.
            source: Fingerprint of the tasks.
        """
        text = msgspec.json.encode(config, order="sorted")
        return cls(SCHEMA, hashlib.sha256(text).hexdigest(), source, __version__)


def read_header(path: str | os.PathLike[str]) -> Header:
    """Return the header of a trajectory file.

    Raises:
        DataError: When the file does not exist, is no trajectory file, or has another schema.
    """
    with _open(Path(path)) as file:
        return _decode_header(Path(path), file.readline())


def read_trajectories(path: str | os.PathLike[str]) -> Iterator[Trajectory]:
    """Yield the records of a trajectory file in the order they were written.

    A half-written last line, as a killed run leaves it, is passed over.

    Raises:
        DataError: When the file is no trajectory file, or a line is corrupt or holds the task and
            sample of an earlier one.
    """
    for _, trajectory in _records(Path(path)):
        yield trajectory


def as_recorded(value: _T) -> _T:
    """Return a record, or a part of one, as it will be read back.

    Raises:
        ArgumentError: When it holds what JSON cannot: NaN, infinities, lone surrogates, or values
            of types that the record does not declare.
    """
    try:
        return msgspec.json.decode(msgspec.json.encode(value), type=type(value))
    except (TypeError, *_NOT_JSON) as error:
        raise ArgumentError(
            f"{type(value).__name__} must hold plain finite JSON values of its declared types, "
            f"got one that does not: {error}"
        ) from error


class TrajectoryWriter:
    """Appends finished trajectories to a file, as its only writer while it is open.

    Opening takes up a file where a killed run left it: a half-written last line is cut, and error
    records are dropped to be done again. Use it as a context manager, or call `close`.

    Args:
        path: The file, made with its folders where it does not exist. While it is open,
            ``<path>.lock`` stands beside it.
        header: What the records have in common.

    Raises:
        RunFileError: When another writer has the file open, or the file belongs to another config
            or source. A file begun by another version of hopgym is warned of.
        DataError: When the file is no trajectory file or a line is corrupt.
    """

    def __init__(self, path: str | os.PathLike[str], header: Header) -> None:
        # Through a link, the file it names is meant: a rename would put a file in the link's place.
        self.path = Path(path).resolve()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = lock(self.path)
        try:
            self._keys = _take_up(self.path, header)
            # Unbuffered: each record is one write to the system, whole or not there.
            self._file = self.path.open("ab", buffering=0)
        except BaseException:
            unlock(self.path, self._lock)
            raise

    @property
    def finished(self) -> frozenset[tuple[str, int]]:
        """The keys of the records in the file."""
        return frozenset(self._keys)

    def write(self, trajectory: Trajectory) -> None:
        """Append a finished trajectory; when this returns, no kill of the process can lose it.

        Raises:
            ArgumentError: When the trajectory has not ended, or could not be read back.
            RunFileError: When the file holds its task and sample already, or the disk is full.
        """
        require(bool(trajectory.reason), "trajectory", "one that has ended", trajectory.key)
        if trajectory.key in self._keys:
            raise RunFileError(
                f"{self.path} must hold each task and sample once, got {trajectory.key} again; "
                "leave out what is in finished"
            )
        as_recorded(trajectory)
        line = msgspec.json.encode(trajectory) + b"\n"
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
        self._keys.add(trajectory.key)

    def close(self) -> None:
        """Close the file and let other writers have it; closing twice is harmless."""
        if not self._file.closed:
            self._file.close()
            unlock(self.path, self._lock)

    def __enter__(self) -> "TrajectoryWriter":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _take_up(path: Path, header: Header) -> set[tuple[str, int]]:
    """Make a file ready to be appended to, under its lock; return the keys of its records."""
    if not path.exists() or not path.stat().st_size:
        replace_lines(path, [msgspec.json.encode(header) + b"\n"])
        return set()
    with path.open("rb") as file:
        first = file.readline().removesuffix(b"\n") + b"\n"
    _refuse_another(path, _decode_header(path, first), header)
    keys, kept_bytes = set(), len(first)
    for line, trajectory in _records(path):
        if trajectory.reason not in ERROR_REASONS:
            keys.add(trajectory.key)
            kept_bytes += len(line)
    if kept_bytes != path.stat().st_size:
        kept = (line for line, each in _records(path) if each.reason not in ERROR_REASONS)
        replace_lines(path, chain([first], kept))
    return keys


def _refuse_another(path: Path, found: Header, wanted: Header) -> None:
    config, source = "environment argument, seed or policy", "version or arguments of the tasks"
    for name, cause in (("config", config), ("source", source)):
        expected, actual = getattr(wanted, name), getattr(found, name)
        if expected != actual:
            raise RunFileError(
                f"{path} was written with another {name}: another {cause} (hash {actual[:8]}, now "
                f"{expected[:8]}); give the old arguments again or another file (--out)"
            )
    if found.code != wanted.code:
        text = f"{path} was begun by hopgym {found.code} and goes on with {wanted.code}"
        warnings.warn(text, stacklevel=4)


def _records(path: Path) -> Iterator[tuple[bytes, Trajectory]]:
    """Yield each whole line, with its newline, and its record."""
    keys = set()
    with _open(path) as file:
        _decode_header(path, file.readline())
        for number, line in enumerate(file, start=2):
            try:
                trajectory = msgspec.json.decode(line, type=Trajectory)
            except _NOT_JSON as error:
                if not line.endswith(b"\n"):
                    return
                raise DataError(
                    f"{path}, line {number}: expected a trajectory, got {line[:80]!r} "
                    f"({error}); remove the line"
                ) from error
            if trajectory.key in keys:
                raise DataError(
                    f"{path}, line {number}: expected each task and sample once, got "
                    f"{trajectory.key} again; remove one of the lines"
                )
            keys.add(trajectory.key)
            yield line.removesuffix(b"\n") + b"\n", trajectory


def _decode_header(path: Path, line: bytes) -> Header:
    try:
        header = msgspec.json.decode(line, type=Header)
    except _NOT_JSON as error:
        raise DataError(
            f"{path}, line 1: expected the header of a trajectory file, got {line[:80]!r} "
            f"({error}); give a file that hopgym wrote"
        ) from error
    if header.schema != SCHEMA:
        raise DataError(
            f"{path}, line 1: expected schema {SCHEMA}, got {header.schema}; use the version of "
            f"hopgym that wrote it ({header.code})"
        )
    return header


def _open(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        raise DataError(f"{path}: expected a trajectory file, got no such file") from error
