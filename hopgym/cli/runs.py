"""Runs of the verbs: which episodes they are of, playing what is missing, reading what there is.

In: an environment, a policy and a trajectory file. Out: finished trajectories in the file; what
Ctrl-C leaves can be taken up again. At no time are all episodes in memory.
"""

import sys
from collections.abc import Generator, Iterator
from contextlib import closing, redirect_stdout
from typing import TYPE_CHECKING, cast

import typer

from hopgym.cli.display import say
from hopgym.errors import HopgymError
from hopgym.evaluation.progress import HOPELESS
from hopgym.runs.reader import Run

if TYPE_CHECKING:
    from hopgym.cli.live import Board, Row
    from hopgym.env import HopEnv
    from hopgym.rollout import Policy
    from hopgym.trajectory import Trajectory


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
