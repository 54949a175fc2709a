"""The folder of a training run: its identity, log and checkpoints; consistent after any kill.

A checkpoint counts once its record is written, which comes last. Resuming removes log lines and
episodes that came after the checkpoint.
"""

import json
import os
import shutil
import warnings
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hopgym.errors import ArgumentError, DataError, RunFileError
from hopgym.runs.json_file import read_checked_json, write_checked_json
from hopgym.runs.line_file import lock, replace_lines, unlock
from hopgym_agents.training.budget import Limits, Spent, read_spent

PROGRESS = "progress.jsonl"
"""The log: one JSON object per line, with ``step`` and everything spent so far."""
MODEL = "model"
"""Folder of the trained model."""
CHECKPOINTS = "checkpoints"
ROUNDS = "rounds"
"""Folder of the episodes that were played for states, one file per round."""

_RUN = "run.json"
_CHECKPOINT = "checkpoint.json"
_RESULT = "result.json"
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A point from which a run can resume."""

    path: Path
    step: int
    spent: Spent
    state: Mapping[str, Any]
    """Where the method was, such as which tasks come next."""
    limits: Mapping[str, Any]
    """The limits of the run when the checkpoint was written."""


class RunFolder:
    """A training run on disk.

    Args:
        path: The folder; it is created when first written to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.model = path / MODEL
        self.checkpoints = path / CHECKPOINTS
        self.progress = path / PROGRESS
        self.rounds = path / ROUNDS

    def check(self, identity: Mapping[str, Any]) -> None:
        """Check that the folder is new, empty, or that of the run with this identity.

        Raises:
            RunFileError: When it holds another run or something else.
            DataError: When another version of hopgym wrote it, or its identity is damaged.
        """
        if not is_leader():  # The leader may be writing to it.
            return
        before = read_checked_json(self.path / _RUN)
        if before is None:
            self._check_empty()
            return
        now = json.loads(json.dumps(identity))
        changed = [name for name in {**now, **before} if now.get(name) != before.get(name)]
        if changed:
            changes = "; ".join(f"{n} {before.get(n)!r}, not {now.get(n)!r}" for n in changed)
            raise RunFileError(
                f"{self.path} must hold the run that is resumed, got another one: {changes}; give "
                "another --out, or the options it was started with"
            )

    def _check_empty(self) -> None:
        files = [file.name for file in self.path.iterdir()] if self.path.is_dir() else []
        held = sorted(name for name in files if not name.endswith((".lock", ".tmp")))
        if held or (self.path.exists() and not self.path.is_dir()):
            raise RunFileError(
                f"{self.path} must be a new or empty folder, or that of the same run, got one "
                f"with {', '.join(held) or 'a file'}; give another --out"
            )

    @contextmanager
    def opened(self, identity: Mapping[str, Any]) -> Iterator[None]:
        """Hold the folder as its only writer, for the run with this identity.

        Raises:
            RunFileError: As `check` does, and when another process has it open.
        """
        if not is_leader():
            yield
            return
        self.path.mkdir(parents=True, exist_ok=True)
        lock_file = lock(self.progress)
        try:
            self.check(identity)
            write_checked_json(self.path / _RUN, identity)
            yield
        finally:
            unlock(self.progress, lock_file)

    def last_checkpoint(self) -> Checkpoint | None:
        """Return the last complete checkpoint whose files are undamaged."""
        for path in sorted(self.checkpoints.glob("checkpoint-*"), key=_step_of, reverse=True):
            if not (path / _CHECKPOINT).is_file():
                continue
            try:
                record = read_checked_json(path / _CHECKPOINT) or {}
                files = record["files"]
                damaged = [name for name, crc in files.items() if _crc(path / name) != crc]
            except DataError:
                damaged = [_CHECKPOINT]
            if damaged:
                warnings.warn(
                    f"{path} is damaged ({', '.join(damaged)}); the checkpoint before it is used, "
                    "or the run starts again",
                    stacklevel=2,
                )
                continue
            spent = read_spent(record["spent"])
            return Checkpoint(path, _step_of(path), spent, record["state"], record["limits"])
        return None

    def rewind(self, checkpoint: Checkpoint | None) -> None:
        """Remove what came after a checkpoint, or everything if there is none."""
        step = checkpoint.step if checkpoint else 0
        for path in self.checkpoints.glob("*"):
            if not (path / _CHECKPOINT).is_file() or _step_of(path) > step:
                shutil.rmtree(path, ignore_errors=True)
        # A checkpoint may precede a round whose episodes are then continued.
        latest = checkpoint.state.get("round", 0) + 1 if checkpoint else 0
        for file in self.rounds.glob("*.jsonl"):
            if int(file.stem) > latest:
                file.unlink()
        points = [point for point in self.points() if point["step"] <= step]
        replace_lines(self.progress, map(_line, points))

    def round_file(self, number: int) -> Path:
        """Return the trajectory file of a round."""
        self.rounds.mkdir(exist_ok=True)
        return self.rounds / f"{number:05d}.jsonl"

    def points(self) -> list[dict[str, Any]]:
        """Return the points of the log, as `read_log` does."""
        return read_log(self.progress)

    def log(self, point: Mapping[str, Any]) -> None:
        """Append a point to the log."""
        with self.progress.open("ab", buffering=0) as file:
            file.write(_line(point))

    def complete_checkpoint(
        self, step: int, spent: Spent, state: Mapping[str, Any], limits: Limits
    ) -> None:
        """Record that all files of a step's checkpoint are written, with their checksums."""
        path = self.checkpoints / f"checkpoint-{step}"
        # Each process writes its random state by itself, at its own pace.
        files = sorted(
            file
            for file in path.rglob("*")
            if file.is_file() and not file.name.startswith("rng_state")
        )
        record = {
            "spent": spent.to_dict(),
            "state": dict(state),
            "limits": asdict(limits),
            "files": {file.relative_to(path).as_posix(): _crc(file) for file in files},
        }
        write_checked_json(path / _CHECKPOINT, record)

    def result(self, limits: Limits) -> dict[str, Any] | None:
        """Return the result of the run if it has finished within the same limits."""
        stored = read_checked_json(self.path / _RESULT) if self.model.is_dir() else None
        if stored is None or stored["limits"] != asdict(limits):
            return None
        result: dict[str, Any] = stored["result"]
        return result

    def check_limits(self, limits: Limits, last: Checkpoint | None) -> None:
        """Check that no limit is below what the run has spent under a larger one.

        The model that the smaller limit would have produced can no longer be recovered.

        Args:
            limits: Of the run now.
            last: The last checkpoint.

        Raises:
            ArgumentError: When one is.
        """
        if last is None:
            return
        for name, limit in asdict(limits).items():
            before = last.limits.get(name)
            spent = getattr(last.spent, name, None)
            smaller = limit is not None and (before is None or limit < before)
            if smaller and spent is not None and limit < spent:
                raise ArgumentError(
                    f"limits.{name} must be at least the {spent:,} that the run in {self.path} has "
                    f"spent, got {limit:,}; give a larger one, or another --out"
                )

    def discard_result(self) -> None:
        """Remove the result of smaller limits, which must not stay beside a newer model."""
        (self.path / _RESULT).unlink(missing_ok=True)

    def finish(self, limits: Limits, result: Mapping[str, Any]) -> None:
        """Write the result of the finished run."""
        write_checked_json(self.path / _RESULT, {"limits": asdict(limits), "result": dict(result)})


def read_log(path: Path) -> list[dict[str, Any]]:
    """Return the points of a run's log; empty if there is none.

    A line that a kill cut short is skipped, and so, with a warning, is a damaged one.
    """
    if not path.is_file():
        return []
    points: list[dict[str, Any]] = []
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], start=1):
        try:
            point = json.loads(line)
            checksum = point.pop("checksum")
        except (ValueError, KeyError, AttributeError, TypeError):
            point, checksum = {}, None
        if checksum != _checksum(point):
            warnings.warn(f"{path}, line {number} is damaged and left out", stacklevel=2)
            continue
        points.append(point)
    return points


def is_leader() -> bool:
    """Return whether this is the process that writes, among those that train together."""
    return os.environ.get("RANK", "0") == "0"


def _step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def _crc(path: Path) -> str:
    """Return the checksum of a file as 8 hex digits; empty if there is none."""
    if not path.is_file():
        return ""
    crc = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            crc = zlib.crc32(chunk, crc)
    return f"{crc:08x}"


def _line(point: Mapping[str, Any]) -> bytes:
    """Return a point of the log as a line, with its checksum."""
    return json.dumps({**point, "checksum": _checksum(point)}).encode() + b"\n"


def _checksum(point: Mapping[str, Any]) -> str:
    return f"{zlib.crc32(json.dumps(point, sort_keys=True).encode()):08x}"
