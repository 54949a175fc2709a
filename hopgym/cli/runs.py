"""Runs of the verbs: which episodes they are of, playing what is missing, reading what there is.

In: an environment, a policy and a trajectory file. Out: finished trajectories in the file; what
Ctrl-C leaves can be taken up again. At no time are all episodes in memory.
"""

import sys
from array import array
from collections.abc import Generator, Iterator
from contextlib import closing, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import typer

from hopgym.cli.display import say
from hopgym.errors import HopgymError

if TYPE_CHECKING:
    from numpy.typing import NDArray

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
        self._offsets = _offsets(run) if run.out.exists() else np.zeros(0, np.int64)

    def __len__(self) -> int:
        return len(self._offsets)

    def __iter__(self) -> "Iterator[Trajectory]":
        import msgspec

        from hopgym.trajectory import Trajectory

        if not len(self):
            return
        with self._run.out.open("rb") as file:
            for offset in self._offsets:
                file.seek(int(offset))
                whole = msgspec.json.decode(file.readline(), type=Trajectory)
                yield replace(whole, steps=tuple(map(_lean, whole.steps)))


HOPELESS = 20
"""A run whose first so many episodes all ended in an error of the policy is stopped."""

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
        HopgymError: On a file of another run, or when the first `HOPELESS` episodes all ended in an
            error of the policy.
    """
    from hopgym.rollout import run_episodes

    row = board.row(run.policy, run.episodes)
    for trajectory in _kept(run):
        row.keep(trajectory)
    if row.kept and again:
        kept = f"{row.kept:,} of {run.episodes:,} episodes of {run.policy} are there from before"
        say(f"{kept}; {again} plays them again.")
    # What an agent prints is no result, which alone goes to stdout.
    with redirect_stdout(sys.stderr), row.timed():
        playing = run_episodes(
            env,
            policy,
            range(run.tasks),
            slots=run.slots,
            samples=run.samples,
            seed=run.seed,
            out=run.out,
        )
        with closing(cast("Generator[Trajectory]", playing)):
            for trajectory in playing:
                row.add(trajectory)
                _refuse_hopeless(row)
    return row


def say_one_at_a_time(ctx: typer.Context, policy: "Policy", run: Run) -> None:
    """Warn where slots were asked for, and an agent of one's own takes one call at a time.

    Args:
        ctx: Of a verb with an option ``slots``.
        policy: What plays.
        run: Of it.
    """
    source = ctx.get_parameter_source("slots")
    typed = source is not None and source.name == "COMMANDLINE"
    alone = not getattr(policy, "batched", True) and getattr(policy, "concurrency", 1) == 1
    if typed and run.slots > 1 and alone:
        words = f"{run.policy} takes one call at a time; set its attribute concurrency to"
        say(f"{words} {run.slots} to have {run.slots} at once", style="warning")


def say_errors(failed: int, first: str, evaluated: int, unfit: int = 0) -> None:
    """Tell of the episodes that ended in an error of the policy, or all before they began.

    Args:
        failed: How many ended in an error.
        first: Task and message of the first of them.
        evaluated: How many did not.
        unfit: How many of these ended as the first prompt was longer than the policy's context.

    Raises:
        typer.Exit: With code 1, when all of them ended in an error, or all others were unfit.
    """
    if unfit and unfit == evaluated:
        words = f"in {unfit:,} of {failed + evaluated:,} episodes not even the first prompt fits"
        mend = "raise max_context, or serve the model with a longer context"
        say(f"{words} into the policy's context, and no other was played; {mend}", style="error")
    if failed and evaluated:
        words = f"{failed:,} of {failed + evaluated:,} episodes ended in an error of the policy"
        say(f"{words}; resuming does them again. The first is {first}", style="warning")
    elif failed:
        words = f"all {failed:,} episodes ended in an error of the policy"
        say(f"{words}. The first is {first}", style="error")
    if failed + unfit and unfit == evaluated:
        raise typer.Exit(1)


def _refuse_hopeless(row: "Row") -> None:
    """Raise a `HopgymError` where nothing has succeeded so far, and more is to come."""
    now = row.standing
    if now.errors == now.episodes == HOPELESS < row.total:
        raise HopgymError(
            f"the first {HOPELESS} of {row.total:,} episodes of {row.name} all ended in an error "
            f"of the policy, so the run was stopped. The first is {now.first_error}. Mend what "
            "that names (the agent, its options, its server), then give the same command again"
        )


def _lean(step: "Step") -> "Step":
    if step.completion is None or not step.completion.token_ids:
        return step
    return replace(step, completion=replace(step.completion, token_ids=(), logprobs=()))


def _kept(run: Run) -> "Iterator[Trajectory]":
    """Yield those of a run's episodes that its file holds, errors of the policy left out."""
    from hopgym.runs.trajectory_file import read_trajectories
    from hopgym.trajectory import ERROR_REASONS

    if not run.out.exists() or not run.out.stat().st_size:
        return
    for trajectory in read_trajectories(run.out):
        wanted = trajectory.index < run.tasks and trajectory.sample < run.samples
        if wanted and trajectory.reason not in ERROR_REASONS:
            yield trajectory


def _offsets(run: Run) -> "NDArray[np.int64]":
    """Return where a run's records stand in its file, by index and sample."""
    import msgspec

    class Key(msgspec.Struct):
        index: int
        sample: int

    indices, samples, offsets, offset = array("q"), array("q"), array("q"), 0
    with run.out.open("rb") as file:
        for number, line in enumerate(file):
            # The first line is the header; a killed run leaves its last one half-written.
            if number and line.endswith(b"\n"):
                key = msgspec.json.decode(line, type=Key)
                if key.index < run.tasks and key.sample < run.samples:
                    indices.append(key.index)
                    samples.append(key.sample)
                    offsets.append(offset)
            offset += len(line)
    order = np.lexsort((np.array(samples, np.int64), np.array(indices, np.int64)))
    return np.array(offsets, np.int64)[order]
