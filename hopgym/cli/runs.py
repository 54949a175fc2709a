"""Running policies for the verbs: episodes with a progress display, kept in a file or not.

In: an environment and the name of a policy. Out: finished trajectories; what Ctrl-C leaves can be
taken up again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from hopgym.cli.policies import policy_named
from hopgym.cli.screen import progress, say

if TYPE_CHECKING:
    from hopgym.env import HopEnv
    from hopgym.trajectory import Trajectory


@dataclass(frozen=True, slots=True)
class Run:
    """Which episodes to play, and where to keep them."""

    policy: str
    """Name of the policy."""
    tasks: int
    """The first so many tasks of the environment are played, at least 1."""
    samples: int = 1
    """Attempts at each."""
    slots: int = 64
    """Episodes under way at a time."""
    seed: int = 0
    """Of the policy."""
    out: Path | None = None
    """Trajectory file; None keeps the episodes in memory."""


def first_tasks(env: "HopEnv", wanted: int) -> int:
    """Return how many tasks to take, at most those there are; say so where they are fewer."""
    available = len(env.source)
    if wanted > available:
        say(f"there are {available:,} tasks, {wanted:,} were asked for", style="warning")
    return min(wanted, available)


def new_episodes(env: "HopEnv", run: Run, kept: int) -> Iterator["Trajectory"]:
    """Play what a run still lacks; yield its episodes as they end.

    Args:
        env: What to play in.
        run: Which episodes.
        kept: How many of them its file holds, for the progress display.

    Raises:
        HopgymError: On an unknown policy, or a file of another run.
    """
    from hopgym.rollout import run_episodes

    policy = policy_named(run.policy, env)
    playing = run_episodes(
        env,
        policy,
        range(run.tasks),
        slots=run.slots,
        samples=run.samples,
        seed=run.seed,
        out=run.out,
    )
    with progress(f"{run.policy} episodes", run.tasks * run.samples, kept) as advance:
        for trajectory in playing:
            yield trajectory
            advance(1)


def kept_episodes(run: Run) -> Iterator["Trajectory"]:
    """Yield those of a run's episodes that its file holds, errors of the policy left out."""
    from hopgym.runfile import read_trajectories
    from hopgym.trajectory import ERROR_REASONS

    if run.out is None or not run.out.exists() or not run.out.stat().st_size:
        return
    for trajectory in read_trajectories(run.out):
        wanted = trajectory.index < run.tasks and trajectory.sample < run.samples
        if wanted and trajectory.reason not in ERROR_REASONS:
            yield trajectory


def all_episodes(env: "HopEnv", run: Run) -> list["Trajectory"]:
    """Return a run's episodes: those of its file, and those played now."""
    kept = list(kept_episodes(run))
    episodes = [*kept, *new_episodes(env, run, len(kept))]
    if kept:
        say(f"{len(episodes):,} episodes of {run.policy}, {len(kept):,} of them from before.")
    return episodes


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
