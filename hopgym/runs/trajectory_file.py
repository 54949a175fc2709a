"""Trajectory files: a header line, then one finished episode per line, as JSON with a checksum.

`hopgym.runs.writer` appends to them, `hopgym.runs.resume` decides what stays of an unfinished one.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, TypeVar

import msgspec

from hopgym.errors import ArgumentError, DataError
from hopgym.runs.json_file import SCHEMA, check_schema
from hopgym.runs.key_set import KeySet
from hopgym.runs.records import RecordFormat
from hopgym.trajectory import Trajectory
from hopgym.version import __version__

EPISODE_FORMAT = RecordFormat("episode", Trajectory, "a trajectory")
"""Lines of trajectory files: ``{"checksum": ..., "episode": {...}}``."""

_T = TypeVar("_T")
_NOT_JSON = (msgspec.MsgspecError, ValueError, RecursionError)


@dataclass(frozen=True, slots=True)
class RunEnvironment:
    """An environment of a run."""

    source: str
    """`hopgym.tasks.TaskSource.fingerprint` of its tasks."""
    id: str = ""
    """Its registered id; empty when it was not made by id."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Arguments it was made with."""


@dataclass(frozen=True, slots=True)
class Header:
    """The first line of a trajectory file: what its records have in common."""

    schema: int
    """`SCHEMA` of the code that started the file."""
    version: str
    """Version of hopgym that started the file."""
    config: str
    """Hex digest of everything that decides the episodes besides the tasks."""
    environments: tuple[RunEnvironment, ...]
    """The environments of the run; each record names its own."""
    policy: str = ""
    """Fingerprint of the policy, only for messages; empty when it has none."""

    @classmethod
    def of(
        cls, config: object, environments: Sequence[RunEnvironment], policy: object = ""
    ) -> "Header":
        """Return the header of a run of this version of hopgym.

        Args:
            config: What decides the episodes besides the tasks: JSON values and dataclasses.
            environments: The environments of the run, at least one.
            policy: Fingerprint of the policy, which the config contains as well: a string or
                another JSON value.
        """
        text = msgspec.json.encode(config, order="sorted")
        digest = hashlib.sha256(text).hexdigest()
        return cls(SCHEMA, __version__, digest, tuple(environments), _fingerprint_text(policy))

    @property
    def source(self) -> str:
        """Fingerprint of the tasks of all environments."""
        sources = [environment.source for environment in self.environments]
        if len(sources) == 1:
            return sources[0]
        return hashlib.sha256("\n".join(sources).encode()).hexdigest()


def read_header(path: str | os.PathLike[str]) -> Header:
    """Return the header of a trajectory file.

    Raises:
        DataError: When the file does not exist, is no trajectory file, or has another schema.
    """
    with _open(Path(path)) as file:
        return decode_header(Path(path), file.readline())


def read_trajectories(
    path: str | os.PathLike[str], *, skip_damaged: bool = False
) -> Iterator[Trajectory]:
    """Yield the records of a trajectory file in the order they were written.

    A half-written last line, as a killed run leaves it, is skipped.

    Args:
        path: The file.
        skip_damaged: Whether damaged lines are skipped instead of raising, for runs that are to be
            resumed: `TrajectoryWriter` drops these lines with a warning.

    Raises:
        DataError: When the file is no trajectory file, or a line is damaged or holds the task and
            sample of an earlier one.
    """
    for _, trajectory in read_lines(Path(path), ignore_damage if skip_damaged else None):
        yield trajectory


def as_recorded(value: _T) -> _T:
    """Return a record, or a part of one, as it is read back from a file.

    Raises:
        ArgumentError: When it holds a value that JSON cannot represent (NaN, infinities, lone
            surrogates), or of a type that the record does not declare.
    """
    try:
        return msgspec.json.decode(msgspec.json.encode(value), type=type(value))
    except (TypeError, *_NOT_JSON) as error:
        raise ArgumentError(
            f"{type(value).__name__} must hold plain finite JSON values of its declared types, "
            f"got one that does not: {error}"
        ) from error


def _fingerprint_text(policy: object) -> str:
    if isinstance(policy, str):
        return policy
    plain = msgspec.to_builtins(policy, str_keys=True, order="sorted")
    return "" if plain is None else json.dumps(plain)


def read_lines(
    path: Path, dropped: Callable[[str], None] | None = None
) -> Iterator[tuple[bytes, Trajectory]]:
    """Yield line and record as `RecordFormat.read` does; raise on a key that occurs twice."""
    keys = KeySet()
    with _open(path) as file:
        decode_header(path, file.readline())
        for number, line, trajectory in EPISODE_FORMAT.read(path, file, dropped):
            key = trajectory.index, trajectory.sample
            if key in keys:
                raise DataError(
                    f"{path}, line {number}: expected each task and sample once, got "
                    f"{trajectory.key}, of index {trajectory.index}, again; remove one of the lines"
                )
            keys.add(key)
            yield line, trajectory


def decode_header(path: Path, line: bytes) -> Header:
    """Return the header in a first line; `DataError` if it holds none, or another schema."""
    try:
        content = msgspec.json.decode(line)
        if isinstance(content, dict) and ("schema" in content or "code" in content):
            check_schema(f"{path}, line 1", content)
        return msgspec.convert(content, Header)
    except DataError:
        raise
    except _NOT_JSON as error:
        raise DataError(
            f"{path}, line 1: expected the header of a trajectory file, got {line[:80]!r} "
            f"({error}); give a file that hopgym wrote"
        ) from error


def _open(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        raise DataError(f"{path}: expected a trajectory file, got no such file") from error


def ignore_damage(message: str) -> None:
    """Skip a damaged line without a warning."""
