"""Runs of the verbs: which episodes they are of, playing what is missing, reading what there is.

In: an environment, a policy and a trajectory file. Out: finished trajectories in the file; what
Ctrl-C leaves can be taken up again. At no time are all episodes in memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from hopgym.cli.screen import say

if TYPE_CHECKING:
    from hopgym.cli.live import Board, Row
    from hopgym.env import HopEnv
    from hopgym.rollout import Policy
    from hopgym.trajectory import Step, Trajectory


@dataclass(frozen=True, slots=True)
class Run:
    """Which episodes to play, and where to keep them."""

    policy: str
    """Name of the policy."""
    tasks: int
    """The first so many tasks of the environment are played, at least 1."""
    out: Path
    """Trajectory file."""
    samples: int = 1
    """Attempts at each."""
    slots: int = 64
    """Episodes under way at a time."""
    seed: int = 0
    """Of the policy."""

    @property
    def episodes(self) -> int:
        """How many there are to play."""
        return self.tasks * self.samples


class Episodes:
    """A run's episodes in its file, in the order of the tasks, read anew at each pass.

    Only where each record stands is kept in memory. In this order every world is made once. Token
    ids and log-probabilities are left out: no figure needs them, and they are most of a record.

    Args:
        run: Has been played, so that its file is known to be sound. Records of other tasks or
            samples in it are passed over.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._places = _places(run) if run.out.exists() else []

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> "Iterator[Trajectory]":
        import msgspec

        from hopgym.trajectory import Trajectory

        if not self._places:
            return
        with self._run.out.open("rb") as file:
            for *_, offset in self._places:
                file.seek(offset)
                whole = msgspec.json.decode(file.readline(), type=Trajectory)
                yield replace(whole, steps=tuple(map(_lean, whole.steps)))


DEFAULT_TASKS = 400
"""Tasks of a generated world that are taken where no number is given."""


def first_tasks(env: "HopEnv", wanted: int | None) -> int:
    """Return how many tasks to take, at most those there are; say so where they are fewer.

    None takes all of a benchmark, whose files may be sorted, and `DEFAULT_TASKS` of endless ones.
    """
    available = len(env.source)
    if wanted is None:
        return available if env.source.has_script else min(DEFAULT_TASKS, available)
    if wanted > available:
        say(f"there are {available:,} tasks, {wanted:,} were asked for", style="warning")
    return min(wanted, available)


def play(env: "HopEnv", policy: "Policy", run: Run, board: "Board", *, again: str = "") -> "Row":
    """Play what a run still lacks into its file; return its row of the live table.

    Args:
        env: What to play in.
        policy: What plays.
        run: Which episodes, and where they go.
        board: Gets a row.
        again: How to have the episodes from before played again, for those who are told of them.

    Raises:
        HopgymError: On a file of another run.
    """
    from hopgym.rollout import run_episodes

    row = board.row(run.policy, run.episodes)
    for trajectory in _kept(run):
        row.keep(trajectory)
    if row.kept and again:
        kept = f"{row.kept:,} of {run.episodes:,} episodes of {run.policy} are there from before"
        say(f"{kept}; {again} plays them again.")
    playing = run_episodes(
        env,
        policy,
        range(run.tasks),
        slots=run.slots,
        samples=run.samples,
        seed=run.seed,
        out=run.out,
    )
    with row.timed():
        for trajectory in playing:
            row.add(trajectory)
    return row


def say_errors(failed: int, first: str, evaluated: int) -> None:
    """Tell of the episodes that ended in an error of the policy, if any.

    Args:
        failed: How many did.
        first: Task and message of the first of them.
        evaluated: How many did not.

    Raises:
        typer.Exit: With code 1, when all of them did.
    """
    if failed and evaluated:
        words = f"{failed:,} of {failed + evaluated:,} episodes ended in an error of the policy"
        say(f"{words}; resuming does them again. The first is {first}", style="warning")
    elif failed:
        words = f"all {failed:,} episodes ended in an error of the policy"
        say(f"{words}. The first is {first}", style="error")
        raise typer.Exit(1)


def _lean(step: "Step") -> "Step":
    if step.completion is None or not step.completion.token_ids:
        return step
    return replace(step, completion=replace(step.completion, token_ids=(), logprobs=()))


def _kept(run: Run) -> "Iterator[Trajectory]":
    """Yield those of a run's episodes that its file holds, errors of the policy left out."""
    from hopgym.runfile import read_trajectories
    from hopgym.trajectory import ERROR_REASONS

    if not run.out.exists() or not run.out.stat().st_size:
        return
    for trajectory in read_trajectories(run.out):
        wanted = trajectory.index < run.tasks and trajectory.sample < run.samples
        if wanted and trajectory.reason not in ERROR_REASONS:
            yield trajectory


def _places(run: Run) -> list[tuple[int, int, int]]:
    """Return (index, sample, offset in the file) of a run's records, sorted."""
    import msgspec

    class Key(msgspec.Struct):
        index: int
        sample: int

    places, offset = [], 0
    with run.out.open("rb") as file:
        for number, line in enumerate(file):
            # The first line is the header; a killed run leaves its last one half-written.
            if number and line.endswith(b"\n"):
                key = msgspec.json.decode(line, type=Key)
                if key.index < run.tasks and key.sample < run.samples:
                    places.append((key.index, key.sample, offset))
            offset += len(line)
    return sorted(places)
