"""The live table: how each run stands while it is played.

In: finished trajectories, one at a time. Out: on a terminal a table on stderr, drawn anew four
times a second by a thread of its own; on a pipe a plain line now and then.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hopgym.cli.display import console, new_table, say
from hopgym.evaluation.progress import Share, Standing

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

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
        self.standing = Standing()
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


def _share(share: Share | None) -> str:
    """Return a share with its interval in percent, as ``71.2% (68.9–73.4)``."""
    if share is None:
        return _ABSENT
    return f"{100 * share.mean:.1f}% ({100 * share.low:.1f}–{100 * share.high:.1f})"


def _tokens(total: int, standing: Standing) -> str:
    if not total:
        return _ABSENT
    return f"{short(total)} sum\n{short(total / max(1, standing.episodes))} mean"
