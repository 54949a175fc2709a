"""Plays the episodes that a run still lacks, and shows its progress in a live table.

On a terminal, the table is on stderr and redrawn four times a second by its own thread. Otherwise
a plain line is printed now and then. Ctrl-C leaves a file that can be resumed. Episodes are handled
one at a time, so memory does not grow with their number.
"""

import sys
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager, redirect_stdout
from typing import TYPE_CHECKING, cast

import typer

from hopgym.cli.display import console, new_table, say
from hopgym.errors import HopgymError
from hopgym.evaluation.progress import MAX_LEADING_ERRORS, Proportion, RunProgress
from hopgym.rollout import run_episodes
from hopgym.runs.reader import RunPlan
from hopgym.runs.trajectory_file import read_trajectories
from hopgym.trajectory import ERROR_REASONS, Trajectory

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

    from hopgym.env import HopEnv
    from hopgym.rollout import Policy

REFRESHES = 4
"""Redraws of the table per second."""

DEFAULT_TASKS = 400
"""Number of tasks taken from a generated world if no number is given."""

_FIRST_LINE = 2.0
_LINE_EVERY = 5.0
_LINE_AT_LEAST_EVERY = 60.0
_ABSENT = "–"


class RunRow:
    """One run in the live table.

    Args:
        table: The table that the row belongs to.
        name: Name of the run.
        total: Number of episodes of the complete run.
    """

    def __init__(self, table: "LiveTable", name: str, total: int) -> None:
        self.name = name
        self.total = total
        self.progress = RunProgress()
        self.stored = 0
        """Number of episodes that were already in the file."""
        self._table = table
        self._started: float | None = None
        self._seconds = 0.0

    def add_stored(self, trajectory: Trajectory) -> None:
        """Count an episode that was already in the file."""
        self.stored += 1
        self.progress.add(trajectory)

    def add(self, trajectory: Trajectory) -> None:
        """Count an episode that has just finished."""
        self.progress.add(trajectory)
        self._table.tick(self)

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Count the time of the block as time spent on playing."""
        self._started = time.monotonic()
        try:
            yield
        finally:
            self._seconds = self.seconds
            self._started = None

    @property
    def played(self) -> int:
        """Number of episodes that finished since the table was opened."""
        return self.progress.episodes - self.stored

    @property
    def seconds(self) -> float:
        """Seconds spent on playing them."""
        return self._seconds if self._started is None else time.monotonic() - self._started

    @property
    def rate(self) -> float:
        """Episodes per second; 0.0 before the first one finishes."""
        return self.played / self.seconds if self.played and self.seconds else 0.0

    def line(self) -> str:
        """Return the row as one line of text."""
        progress = self.progress
        parts = [f"{progress.episodes:,} of {self.total:,}"]
        parts.append(f"success {_percent(progress.success)}")
        if progress.generated:
            parts.append(f"{short_count(progress.generated)} tokens generated")
        parts.append(f"{self.rate:.1f} a second, {self._time_left()} left")
        parts += [f"{progress.errors:,} errors"] if progress.errors else []
        return f"{self.name} episodes: {', '.join(parts)}"

    def cells(self, with_tokens: bool) -> list[str]:
        """Return the cells of the row, two lines each."""
        progress = self.progress
        count = progress.evaluated
        mean = f"{100 * progress.reward / count:.1f}%" if count else _ABSENT
        value, _, interval = _percent(progress.success).partition(" ")
        cells = [self.name, f"{progress.episodes:,}\nof {self.total:,}"]
        cells += [f"{value}\n{interval.strip('()')}", mean]
        if with_tokens:
            cells += [_tokens(progress.generated, progress), _tokens(progress.prompted, progress)]
        return [*cells, f"{self.rate:.1f}", self._time_left(), f"{progress.errors:,}"]

    def _time_left(self) -> str:
        missing = self.total - self.progress.episodes
        if missing <= 0:
            return "0:00"
        if not self.rate:
            return _ABSENT
        minutes, seconds = divmod(round(missing / self.rate), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


class LiveTable:
    """The table of runs, a context manager; it disappears from the terminal at the end.

    Args:
        reward: How episodes are scored: ``f1`` or ``em``.
    """

    def __init__(self, reward: str = "f1") -> None:
        self.rows: list[RunRow] = []
        self._reward = reward
        self._live: Live | None = None
        self._next = 0.0
        self._wait = 0.0

    def __enter__(self) -> "LiveTable":
        if sys.stderr.isatty():
            from rich.live import Live

            self._live = Live(
                get_renderable=self.render,
                console=console(stderr=True),
                refresh_per_second=REFRESHES,
                transient=True,
            )
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def add_row(self, name: str, total: int) -> RunRow:
        """Add a run and return its row.

        Args:
            name: Name of the run.
            total: Number of episodes of the complete run.
        """
        row = RunRow(self, name, total)
        self.rows.append(row)
        self._next = time.monotonic() + _FIRST_LINE
        self._wait = _LINE_EVERY
        return row

    def tick(self, row: RunRow) -> None:
        """Print the row as a line if there is no terminal and the last line is old enough."""
        if self._live is None and time.monotonic() >= self._next:
            # The pauses grow, so that a long run does not fill a log.
            self._next = time.monotonic() + self._wait
            self._wait = min(1.5 * self._wait, _LINE_AT_LEAST_EVERY)
            say(row.line())

    def render(self) -> "Table":
        """Return the current table: sums of tokens, and their means per episode."""
        with_tokens = any(row.progress.generated or row.progress.prompted for row in self.rows)
        columns = ["run", "done", "success\n(95%)", {"f1": "F1", "em": "EM"}[self._reward]]
        columns += ["generated\ntokens", "prompt\ntokens"] if with_tokens else []
        table = new_table("", *columns, "per s", "left", "errors")
        table.padding = 0  # With padding, it would not fit into 80 columns.
        for row in self.rows:
            table.add_row(*row.cells(with_tokens))
        return table


def first_tasks(env: "HopEnv", requested: int | None) -> int:
    """Return the number of tasks to take; warn if fewer are available than requested.

    None takes all tasks of a benchmark, whose files may be sorted, and `DEFAULT_TASKS` of a
    generated world.
    """
    available = len(env.source)
    if requested is None:
        return available if env.source.has_script else min(DEFAULT_TASKS, available)
    if requested > available:
        say(f"there are {available:,} tasks, {requested:,} were asked for", style="warning")
    return min(requested, available)


def play(
    env: "HopEnv", policy: "Policy", run: RunPlan, table: LiveTable, *, restart_option: str = ""
) -> RunRow:
    """Play the episodes that a run still lacks; return its row in the live table.

    Args:
        env: The environment.
        policy: The policy that plays.
        run: The episodes, and the file for them.
        table: The table that gets a row.
        restart_option: The verb's option that plays stored episodes again, to be mentioned if there
            are any.

    Raises:
        HopgymError: When the file belongs to another run, or the first `MAX_LEADING_ERRORS`
            episodes all ended in an error of the policy.
    """
    row = table.add_row(run.policy, run.episodes)
    for trajectory in _stored_episodes(run):
        row.add_stored(trajectory)
    if row.stored and restart_option:
        stored = f"{row.stored:,} of {run.episodes:,} episodes of {run.policy}"
        say(f"{stored} are there from before; {restart_option} plays them again.")
    # stdout is for results; what an agent prints is none.
    with redirect_stdout(sys.stderr), row.timed():
        episodes = run_episodes(
            env,
            policy,
            range(run.tasks),
            slots=run.slots,
            samples=run.samples,
            seed=run.seed,
            out=run.out,
        )
        with closing(cast("Generator[Trajectory]", episodes)):
            for trajectory in episodes:
                row.add(trajectory)
                _check_errors(row)
    return row


def warn_of_serial_policy(ctx: typer.Context, policy: "Policy", run: RunPlan) -> None:
    """Warn if the user set ``--slots``, but the policy is a function that takes one call at a time.

    Args:
        ctx: Context of a verb with an option ``slots``.
        policy: The policy that plays.
        run: The run.
    """
    source = ctx.get_parameter_source("slots")
    is_set = source is not None and source.name == "COMMANDLINE"
    serial = not getattr(policy, "batched", True) and getattr(policy, "concurrency", 1) == 1
    if is_set and run.slots > 1 and serial:
        say(
            f"{run.policy} takes one call at a time; set its attribute concurrency to {run.slots} "
            f"to have {run.slots} at once",
            style="warning",
        )


def report_errors(progress: RunProgress) -> None:
    """Report the episodes of a run that ended in an error, or before the first step.

    Raises:
        typer.Exit: With code 1, if no episode could be played.
    """
    failed = progress.errors
    evaluated = progress.evaluated
    oversized = progress.oversized
    if oversized and oversized == evaluated:
        text = f"in {oversized:,} of {progress.episodes:,} episodes not even the first prompt fits"
        fix = "raise max_context, or serve the model with a longer context"
        say(f"{text} into the policy's context, and no other was played; {fix}", style="error")
    if failed and evaluated:
        text = f"{failed:,} of {progress.episodes:,} episodes ended in an error of the policy"
        say(
            f"{text}; resuming does them again. The first is {progress.first_error}",
            style="warning",
        )
    elif failed:
        text = f"all {failed:,} episodes ended in an error of the policy"
        say(f"{text}. The first is {progress.first_error}", style="error")
    if failed + oversized and oversized == evaluated:
        raise typer.Exit(1)


def short_count(count: float) -> str:
    """Return a count with three digits, such as ``950``, ``12.3k`` or ``4.56M``."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.3g}{letter}" if count < 999.5 * size else f"{count / size:.0f}"
    return f"{count:.3g}" if count < 100 else f"{count:.0f}"


def _percent(share: Proportion | None) -> str:
    """Return a proportion with its interval in percent, such as ``71.2% (68.9–73.4)``."""
    if share is None:
        return _ABSENT
    return f"{100 * share.mean:.1f}% ({100 * share.low:.1f}–{100 * share.high:.1f})"


def _tokens(total: int, progress: RunProgress) -> str:
    if not total:
        return _ABSENT
    return f"{short_count(total)} sum\n{short_count(total / max(1, progress.episodes))} mean"


def _check_errors(row: RunRow) -> None:
    progress = row.progress
    if progress.errors == progress.episodes == MAX_LEADING_ERRORS < row.total:
        raise HopgymError(
            f"the first {MAX_LEADING_ERRORS} of {row.total:,} episodes of {row.name} all ended in "
            f"an error of the policy, so the run was stopped. The first is {progress.first_error}. "
            "Fix the cause (the agent, its options, its server), then give the same command again"
        )


def _stored_episodes(run: RunPlan) -> Iterator[Trajectory]:
    """Yield the episodes of a run that are in its file and did not end in an error."""
    if not run.out.exists() or not run.out.stat().st_size:
        return
    for trajectory in read_trajectories(run.out, skip_damaged=True):
        belongs = trajectory.index < run.tasks and trajectory.sample < run.samples
        if belongs and trajectory.stop_reason not in ERROR_REASONS:
            yield trajectory
