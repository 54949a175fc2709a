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
from hopgym.runs.line_file import lock, replace_lines, unlock
from hopgym_agents.training.budget import Limits, Spent, read_spent

PROGRESS = "progress.jsonl"
"""The log: one JSON object per line, with ``step`` and everything spent so far."""
MODEL = "model"
"""Folder of the trained model."""
CHECKPOINTS = "checkpoints"
ROUNDS = "rounds"
"""Folder of the episodes that were played for states, one file per round."""
SCHEMA = 2
"""Version of the layout of a run folder."""

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
            DataError: When another version of hopgym wrote it.
        """
        if not is_leader():  # The leader may be writing to it.
            return
        file = self.path / _RUN
        if not file.is_file():
            self._check_empty()
            return
        stored = _read(file)
        if stored.get("schema") != SCHEMA:
            raise DataError(
                f"{file}: expected schema {SCHEMA}, got {stored.get('schema', 1)}; give another "
                "--out, or use the version of hopgym that wrote it"
            )
        before = stored["identity"]
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
            _write(self.path / _RUN, {"schema": SCHEMA, "identity": identity})
            yield
        finally:
            unlock(self.progress, lock_file)

    def last_checkpoint(self) -> Checkpoint | None:
        """Return the last complete checkpoint whose files are undamaged."""
        complete = [p for p in self.checkpoints.glob("checkpoint-*") if (p / _CHECKPOINT).is_file()]
        for path in sorted(complete, key=_step_of, reverse=True):
            record = _read(path / _CHECKPOINT)
            damaged = [name for name, crc in record["files"].items() if _crc(path / name) != crc]
            if damaged:
                warnings.warn(
                    f"{path} is damaged ({', '.join(damaged)}); an earlier checkpoint is used",
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
        replace_lines(self.progress, [json.dumps(point).encode() + b"\n" for point in points])

    def round_file(self, number: int) -> Path:
        """Return the trajectory file of a round."""
        self.rounds.mkdir(exist_ok=True)
        return self.rounds / f"{number:05d}.jsonl"

    def points(self) -> list[dict[str, Any]]:
        """Return the points of the log; a line that a kill cut short is skipped."""
        if not self.progress.is_file():
            return []
        lines = self.progress.read_bytes().split(b"\n")
        return [json.loads(line) for line in lines[:-1]]

    def log(self, point: Mapping[str, Any]) -> None:
        """Append a point to the log."""
        with self.progress.open("ab", buffering=0) as file:
            file.write(json.dumps(point).encode() + b"\n")

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
        _write(path / _CHECKPOINT, record)

    def result(self, limits: Limits) -> dict[str, Any] | None:
        """Return the result of the run if it has finished within the same limits."""
        file = self.path / _RESULT
        stored = _read(file) if file.is_file() and self.model.is_dir() else {}
        result: dict[str, Any] | None = stored.get("result")
        return result if stored.get("limits") == asdict(limits) else None

    def check_limits(self, limits: Limits) -> None:
        """Check that no limit is below what the run has spent under a larger one.

        The model that the smaller limit would have produced can no longer be recovered.

        Raises:
            ArgumentError: When one is.
        """
        last = self.last_checkpoint()
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
        _write(self.path / _RESULT, {"limits": asdict(limits), "result": dict(result)})


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


def _write(path: Path, value: Mapping[str, Any]) -> None:
    replace_lines(path, [json.dumps(value, indent=1).encode() + b"\n"])


def _read(path: Path) -> dict[str, Any]:
    try:
        value: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: expected a JSON object, got none ({error})") from error
    return value
