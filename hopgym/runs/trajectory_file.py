"""Trajectory files: a header line, then one finished episode per line, as JSON with a checksum.

A run that was killed leaves a file that the same run resumes: no finished episode is lost, and none
is written twice.
"""

import hashlib
import json
import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import IO, Any, TypeVar

import msgspec

from hopgym.errors import ArgumentError, DataError, RunFileError, require
from hopgym.runs.json_file import SCHEMA, check_schema
from hopgym.runs.key_set import Key, KeySet
from hopgym.runs.line_file import LineWriter, replace_lines
from hopgym.runs.records import RecordFormat
from hopgym.trajectory import ERROR_REASONS, Trajectory
from hopgym.version import __version__

EPISODE_FORMAT = RecordFormat("episode", Trajectory, "a trajectory")
"""Lines of trajectory files: ``{"checksum": ..., "episode": {...}}``."""

_OPENING = {")": "(", "]": "[", "}": "{"}
_CLOSING = {opening: closing for closing, opening in _OPENING.items()}
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
        return _decode_header(Path(path), file.readline())


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
    for _, trajectory in _records(Path(path), _ignore_damage if skip_damaged else None):
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


class TrajectoryWriter(LineWriter[KeySet]):
    """Appends finished trajectories to a file, as its only writer while it is open.

    Opening resumes the file of a killed run: a half-written last line is cut off, and records of
    errors and damaged ones are dropped, to be played again. A warning names each damaged line. Use
    it as a context manager, or call `close`.

    Args:
        path: The file, created with its folders if it does not exist. While it is open,
            ``<path>.lock`` exists too.
        header: Header of the run. If the file was started by another version of hopgym, a warning
            says so.

    Raises:
        RunFileError: When another writer has the file open, or the file belongs to another config
            or source.
        DataError: When the file is no trajectory file, or has another schema.
    """

    def __init__(self, path: str | os.PathLike[str], header: Header) -> None:
        super().__init__(path, partial(_resume, header=header))

    @property
    def finished(self) -> Set[Key]:
        """Task index and sample of the records in the file: a live view, not to be changed."""
        return self.contents

    def write(self, trajectory: Trajectory) -> None:
        """Append a finished trajectory; once this returns, killing the process cannot lose it.

        Raises:
            ArgumentError: When the trajectory has not ended, or could not be read back.
            RunFileError: When the file already holds its task and sample, or the disk is full.
        """
        require(bool(trajectory.stop_reason), "trajectory", "one that has ended", trajectory.key)
        key = trajectory.index, trajectory.sample
        if key in self.contents:
            raise RunFileError(
                f"{self.path} must hold each task and sample once, got {trajectory.key}, of index "
                f"{trajectory.index}, again; leave out what is in finished"
            )
        as_recorded(trajectory)
        self._append(EPISODE_FORMAT.encode(trajectory))
        self.contents.add(key)


def _resume(path: Path, header: Header) -> KeySet:
    """Make a file ready for appending, under its lock, and return the keys of its records."""
    if not path.exists() or not path.stat().st_size:
        as_recorded(header)
        replace_lines(path, [msgspec.json.encode(header) + b"\n"])
        return KeySet()
    with path.open("rb") as file:
        first = file.readline().removesuffix(b"\n") + b"\n"
    _refuse_another(path, _decode_header(path, first), header)
    keys = KeySet()
    size = len(first)
    for line, trajectory in _records(path, _warn_of_damage):
        if trajectory.stop_reason not in ERROR_REASONS:
            keys.add((trajectory.index, trajectory.sample))
            size += len(line)
    # Another pass instead of a list of lines, as the file may be larger than memory.
    if size != path.stat().st_size:
        lines = (
            line
            for line, trajectory in _records(path, _ignore_damage)
            if trajectory.stop_reason not in ERROR_REASONS
        )
        replace_lines(path, chain([first], lines))
    return keys


def _fingerprint_text(policy: object) -> str:
    if isinstance(policy, str):
        return policy
    plain = msgspec.to_builtins(policy, str_keys=True, order="sorted")
    return "" if plain is None else json.dumps(plain)


def describe_difference(then: str, now: str) -> str:
    """Return the words that are in only one of two fingerprints, for messages."""
    old = then.split()
    new = now.split()
    removed = _trim_brackets(word for word in old if word not in new)
    added = _trim_brackets(word for word in new if word not in old)
    return f"then {removed or 'nothing more':.200}, now {added or 'nothing more':.200}"


def _trim_brackets(tokens: Iterable[str]) -> str:
    """Join words into a text without unmatched brackets at its ends."""
    text = " ".join(tokens).strip(",;")
    while (end := text[-1:]) in _OPENING and text.count(end) > text.count(_OPENING[end]):
        text = text[:-1]
    while (start := text[:1]) in _CLOSING and text.count(start) > text.count(_CLOSING[start]):
        text = text[1:]
    return text


def _refuse_another(path: Path, stored: Header, header: Header) -> None:
    """Raise if a file belongs to another run; warn if another version of hopgym started it."""
    if stored.source != header.source:
        cause = "source: another version or arguments of the tasks"
        change = f"hash {stored.source[:8]}, now {header.source[:8]}"
    elif stored.config == header.config:
        if stored.version != header.version:
            warnings.warn(
                f"{path} was started by hopgym {stored.version} and is resumed by {header.version}",
                stacklevel=5,
            )
        return
    elif stored.policy == header.policy or not (stored.policy and header.policy):
        cause = "config: another environment argument, seed or policy"
        change = f"hash {stored.config[:8]}, now {header.config[:8]}"
    else:
        cause = "policy: its name, options, seed, or the code of an agent has changed since"
        change = describe_difference(stored.policy, header.policy)
    raise RunFileError(
        f"{path} was written with another {cause} ({change}); give the old ones again or another "
        "file (--out)"
    )


def _ignore_damage(message: str) -> None:
    """Skip a damaged line without a warning."""


def _warn_of_damage(message: str) -> None:
    warnings.warn(f"a damaged episode is dropped and played again: {message}", stacklevel=6)


def _records(
    path: Path, dropped: Callable[[str], None] | None = None
) -> Iterator[tuple[bytes, Trajectory]]:
    """Yield line and record as `RecordFormat.read` does; raise on a key that occurs twice."""
    keys = KeySet()
    with _open(path) as file:
        _decode_header(path, file.readline())
        for number, line, trajectory in EPISODE_FORMAT.read(path, file, dropped):
            key = trajectory.index, trajectory.sample
            if key in keys:
                raise DataError(
                    f"{path}, line {number}: expected each task and sample once, got "
                    f"{trajectory.key}, of index {trajectory.index}, again; remove one of the lines"
                )
            keys.add(key)
            yield line, trajectory


def _decode_header(path: Path, line: bytes) -> Header:
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
