"""The live table: how each run stands while it is played.

In: finished trajectories, one at a time. Out: on a terminal a table on stderr, drawn anew four
times a second by a thread of its own; on a pipe a plain line now and then.
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
from hopgym.runs.reader import Run

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

    from hopgym.env import HopEnv
    from hopgym.rollout import Policy
    from hopgym.trajectory import Trajectory

REFRESHES = 4
"""A second."""

_FIRST_LINE, _LINE_EVERY, _LINE_AT_LEAST_EVERY = 2.0, 5.0, 60.0
_ABSENT = "–"


class Row:
    """One run of the table.

    Args:
        board: What it stands in.
        name: Of the run.
        total: Episodes that it is to have.
    """

    def __init__(self, board: "Board", name: str, total: int) -> None:
        self.name, self.total = name, total
        self.standing = RunProgress()
        self.kept = 0
        """Episodes from before."""
        self._board = board
        self._began: float | None = None
        self._seconds = 0.0

    def keep(self, trajectory: "Trajectory") -> None:
        """Take in an episode from before."""
        self.kept += 1
        self.standing.add(trajectory)

    def add(self, trajectory: "Trajectory") -> None:
        """Take in an episode that has just ended."""
        self.standing.add(trajectory)
        self._board.tick(self)

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Count the block's time as that of playing."""
        self._began = time.monotonic()
        try:
            yield
        finally:
            self._seconds, self._began = self.seconds, None

    @property
    def played(self) -> int:
        """Episodes that ended while the table stood."""
        return self.standing.episodes - self.kept

    @property
    def seconds(self) -> float:
        """How long they took."""
        return self._seconds if self._began is None else time.monotonic() - self._began

    @property
    def rate(self) -> float:
        """Episodes a second; 0.0 before the first."""
        return self.played / self.seconds if self.played and self.seconds else 0.0

    def line(self) -> str:
        """Return how it stands on one line."""
        now = self.standing
        parts = [f"{now.episodes:,} of {self.total:,}", f"success {_share(now.success)}"]
        if now.generated:
            parts.append(f"{short(now.generated)} tokens generated")
        parts.append(f"{self.rate:.1f} a second, {self._left()} left")
        parts += [f"{now.errors:,} errors"] if now.errors else []
        return f"{self.name} episodes: {', '.join(parts)}"

    def cells(self, with_tokens: bool) -> list[str]:
        """Return the cells of the table, two lines each."""
        now = self.standing
        mean = f"{100 * now.reward / now.evaluated:.1f}%" if now.evaluated else _ABSENT
        value, _, interval = _share(now.success).partition(" ")
        cells = [self.name, f"{now.episodes:,}\nof {self.total:,}"]
        cells += [f"{value}\n{interval.strip('()')}", mean]
        if with_tokens:
            cells += [_tokens(now.generated, now), _tokens(now.prompted, now)]
        return [*cells, f"{self.rate:.1f}", self._left(), f"{now.errors:,}"]

    def _left(self) -> str:
        if self.standing.episodes >= self.total:
            return "0:00"
        if not self.rate:
            return _ABSENT
        minutes, seconds = divmod(round((self.total - self.standing.episodes) / self.rate), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


class Board:
    """The table of runs, a context manager; it is gone from the terminal afterwards.

    Args:
        reward: What episodes are paid by: ``f1`` or ``em``.
    """

    def __init__(self, reward: str = "f1") -> None:
        self.rows: list[Row] = []
        self._reward = reward
        self._live: Live | None = None
        self._next = self._wait = 0.0

    def __enter__(self) -> "Board":
        if sys.stderr.isatty():
            from rich.live import Live

            self._live = Live(
                get_renderable=self.table,
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

    def row(self, name: str, total: int) -> Row:
        """Add a run and return its row.

        Args:
            name: Of the run.
            total: Episodes that it is to have.
        """
        row = Row(self, name, total)
        self.rows.append(row)
        self._next, self._wait = time.monotonic() + _FIRST_LINE, _LINE_EVERY
        return row

    def tick(self, row: Row) -> None:
        """Print a line on a row where there is no terminal and it is time for one."""
        if self._live is None and time.monotonic() >= self._next:
            # A long run shall not fill a log.
            self._next = time.monotonic() + self._wait
            self._wait = min(1.5 * self._wait, _LINE_AT_LEAST_EVERY)
            say(row.line())

    def table(self) -> "Table":
        """Return the table as it stands; tokens are summed, and their means are per episode."""
        with_tokens = any(row.standing.generated or row.standing.prompted for row in self.rows)
        columns = ["run", "done", "success\n(95%)", {"f1": "F1", "em": "EM"}[self._reward]]
        columns += ["generated\ntokens", "prompt\ntokens"] if with_tokens else []
        table = new_table("", *columns, "per s", "left", "errors")
        table.padding = 0  # So that it fits 80 columns.
        for row in self.rows:
            table.add_row(*row.cells(with_tokens))
        return table


def short(count: float) -> str:
    """Return a count in few characters, as ``950``, ``12.3k`` or ``4.56M``."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.3g}{letter}" if count < 999.5 * size else f"{count / size:.0f}"
    return f"{count:.3g}" if count < 100 else f"{count:.0f}"


def _share(share: Proportion | None) -> str:
    """Return a share with its interval in percent, as ``71.2% (68.9–73.4)``."""
    if share is None:
        return _ABSENT
    return f"{100 * share.mean:.1f}% ({100 * share.low:.1f}–{100 * share.high:.1f})"


def _tokens(total: int, standing: RunProgress) -> str:
    if not total:
        return _ABSENT
    return f"{short(total)} sum\n{short(total / max(1, standing.episodes))} mean"


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
        HopgymError: On a file of another run, or when the first `MAX_LEADING_ERRORS` episodes all
            ended in an error of the policy.
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
    if now.errors == now.episodes == MAX_LEADING_ERRORS < row.total:
        raise HopgymError(
            f"the first {MAX_LEADING_ERRORS} of {row.total:,} episodes of {row.name} all ended in "
            f"an error of the policy, so the run was stopped. The first is {now.first_error}. Mend "
            "what that names (the agent, its options, its server), then give the same command again"
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
