"""The folder of a run: what it is of, its log, its checkpoints; whole after any kill.

In: a folder, and what decides the run. Out: where to go on from. A checkpoint counts only once what
it had cost stands in it, which is written last; lines of the log behind it are done again.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hopgym.errors import ArgumentError, DataError, RunFileError
from hopgym.runs.line_file import lock, replace_lines, unlock
from hopgym_agents.training.budget import Limits, Spent, read_spent

PROGRESS = "progress.jsonl"
"""The log: a JSON object a line, with ``step`` and all that had been spent."""
MODEL = "model"
"""Folder of what came of the run."""
CHECKPOINTS = "checkpoints"
ROUNDS = "rounds"
"""Folder of the episodes that were played for states, a file a round."""

_RUN, _SPENT, _RESULT = "run.json", "spent.json", "result.json"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A point that a run goes on from."""

    path: Path
    step: int
    spent: Spent
    state: Mapping[str, Any]
    """Where its method was: which tasks come next."""
    limits: Mapping[str, Any]
    """Those that the run had; empty where it does not say."""


class RunFolder:
    """A run on disk.

    Args:
        path: The folder, made when it is first written to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.model = path / MODEL
        self.checkpoints = path / CHECKPOINTS
        self.progress = path / PROGRESS
        self.rounds = path / ROUNDS

    def check(self, identity: Mapping[str, Any]) -> None:
        """Raise unless the folder is new, empty, or of the very run that a mapping describes.

        Raises:
            RunFileError: When it is another run's, or holds something else.
        """
        file = self.path / _RUN
        if not is_leader():  # The leader may be writing to it.
            return
        if not file.is_file():
            kept = [each.name for each in self.path.iterdir()] if self.path.is_dir() else []
            held = sorted(name for name in kept if not name.endswith((".lock", ".tmp")))
            if held or (self.path.exists() and not self.path.is_dir()):
                raise RunFileError(
                    f"{self.path} must be a new or empty folder, or that of the same run, got one "
                    f"with {', '.join(held) or 'a file'}; give another --out"
                )
            return
        there = _read(file)
        plain = json.loads(json.dumps(identity))
        names = [name for name in {**plain, **there} if plain.get(name) != there.get(name)]
        if names:
            told = "; ".join(f"{n} {there.get(n)!r}, not {plain.get(n)!r}" for n in names)
            raise RunFileError(
                f"{self.path} must be of the run that is to go on, got that of another: {told}; "
                "give another --out, or the options it was begun with"
            )

    @contextmanager
    def opened(self, identity: Mapping[str, Any]) -> Iterator[None]:
        """Hold the folder as its only writer, for the run that a mapping describes.

        Raises:
            RunFileError: As `check` does, and when another process has it open.
        """
        if not is_leader():
            yield
            return
        self.path.mkdir(parents=True, exist_ok=True)
        held = lock(self.progress)
        try:
            self.check(identity)
            _write(self.path / _RUN, identity)
            yield
        finally:
            unlock(self.progress, held)

    def last(self) -> Checkpoint | None:
        """Return the last whole checkpoint."""
        whole = [
            each for each in self.checkpoints.glob("checkpoint-*") if (each / _SPENT).is_file()
        ]
        if not whole:
            return None
        path = max(whole, key=_step_of)
        kept = _read(path / _SPENT)
        state, limits = kept.get("state", {}), kept.get("limits", {})
        return Checkpoint(path, _step_of(path), read_spent(kept), state, limits)

    def go_back(self, checkpoint: Checkpoint | None) -> None:
        """Take what came behind a checkpoint, or all where there is none, off folder and log."""
        step = checkpoint.step if checkpoint else 0
        for each in self.checkpoints.glob("*"):
            if not (each / _SPENT).is_file():
                shutil.rmtree(each, ignore_errors=True)
        # A checkpoint may stand before a round, whose episodes are then to be gone on with.
        latest = checkpoint.state.get("round", 0) + 1 if checkpoint else 0
        for each in self.rounds.glob("*.jsonl"):
            if int(each.stem) > latest:
                each.unlink()
        points = [each for each in self.points() if each["step"] <= step]
        replace_lines(self.progress, [json.dumps(each).encode() + b"\n" for each in points])

    def round_file(self, number: int) -> Path:
        """Return where the episodes of a round are kept."""
        self.rounds.mkdir(exist_ok=True)
        return self.rounds / f"{number:05d}.jsonl"

    def points(self) -> list[dict[str, Any]]:
        """Return the log; a line half written by a kill is passed over."""
        if not self.progress.is_file():
            return []
        lines = self.progress.read_bytes().split(b"\n")
        return [json.loads(line) for line in lines[:-1]]

    def log(self, point: Mapping[str, Any]) -> None:
        """Add a point to the log."""
        with self.progress.open("ab", buffering=0) as file:
            file.write(json.dumps(point).encode() + b"\n")

    def mark(
        self, step: int, spent: Spent, state: Mapping[str, Any], limits: Mapping[str, Any]
    ) -> None:
        """Say that the checkpoint of a step is whole."""
        kept = {**spent.to_dict(), "state": dict(state), "limits": dict(limits)}
        _write(self.checkpoints / f"checkpoint-{step}" / _SPENT, kept)

    def result(self, limits: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the result of the run, where it has ended within the same limits."""
        file = self.path / _RESULT
        kept = _read(file) if file.is_file() and self.model.is_dir() else {}
        found: dict[str, Any] | None = kept.get("result")
        return found if kept.get("limits") == dict(limits) else None

    def check_limits(self, limits: Limits) -> None:
        """Raise an `ArgumentError` where a limit is below what a run with a larger one has spent.

        The run that ended there cannot be had from it any more.
        """
        last = self.last()
        if last is None or not last.limits:
            return
        for name, limit in asdict(limits).items():
            before, spent = last.limits.get(name), getattr(last.spent, name, None)
            smaller = limit is not None and (before is None or limit < before)
            if smaller and spent is not None and limit < spent:
                raise ArgumentError(
                    f"limits.{name} must be at least the {spent:,} that the run in {self.path} has "
                    f"spent, got {limit:,}; give a larger one, or another --out"
                )

    def reopen(self) -> None:
        """Forget the result of smaller limits: a kill must not leave it beside a newer model."""
        (self.path / _RESULT).unlink(missing_ok=True)

    def finish(self, limits: Mapping[str, Any], result: Mapping[str, Any]) -> None:
        """Keep the result; the run has ended."""
        _write(self.path / _RESULT, {"limits": dict(limits), "result": dict(result)})


def is_leader() -> bool:
    """Return whether this process is the one that writes, of those that train together."""
    return os.environ.get("RANK", "0") == "0"


def _step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def _write(path: Path, value: Mapping[str, Any]) -> None:
    replace_lines(path, [json.dumps(value, indent=1).encode() + b"\n"])


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: expected a JSON object, got none ({error})") from error
    return found
