"""How far a study is, on the screen: a bar for all jobs, and one for each that is at work.

In: jobs that begin, advance and end. Out: bars on a terminal, else a line when a job ends and now
and then one for those under way; failures as they come.
"""

import sys
import time
from typing import Any

from hopgym.cli.display import console, say
from hopgym_agents.studies.plan import Job, JobKind

_LINE_EVERY = 15.0


class Board:
    """Shows the jobs of a study while the block runs.

    Args:
        jobs: How many there are.
        done: How many of them are done already.
    """

    def __init__(self, jobs: int, done: int) -> None:
        self._jobs, self._done = jobs, done
        self._began: dict[str, float] = {}
        self._told: dict[str, float] = {}
        self._tasks: dict[str, Any] = {}
        self._bars: Any = None
        if sys.stderr.isatty():
            self._bars = _bars()
            self._all = self._bars.add_task("jobs", total=jobs, completed=done)

    def __enter__(self) -> "Board":
        if self._bars:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars:
            self._bars.stop()

    def start(self, job: Job) -> None:
        """Show that a job has begun."""
        self._began[job.name] = self._told[job.name] = time.monotonic()
        if self._bars:
            self._tasks[job.name] = self._bars.add_task(job.name, total=None)

    def advance(self, job: Job, done: int, total: int) -> None:
        """Show how far a job is."""
        if self._bars:
            self._bars.update(self._tasks[job.name], completed=done, total=total or None)
        elif time.monotonic() - self._told[job.name] >= _LINE_EVERY:
            self._told[job.name] = time.monotonic()
            of = f" of {total:,}" if total else ""  # A run that only a limit ends has no total.
            say(f"{job.name}: {done:,}{of}", style="quiet")

    def finish(self, job: Job, error: str) -> None:
        """Show that a job has ended, and why it failed if it did."""
        self._done += 1
        if self._bars:
            self._bars.remove_task(self._tasks.pop(job.name))
            self._bars.advance(self._all)
        if error:
            say(f"{job.name}: {error}", style="error")
        elif not self._bars or job.kind is JobKind.TRAIN:
            took = time.monotonic() - self._began[job.name]
            say(f"[{self._done:,}/{self._jobs:,}] {job.name}, {took:.0f} s", style="quiet")


def _bars() -> Any:
    from rich import progress

    return progress.Progress(
        progress.SpinnerColumn(),
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TimeElapsedColumn(),
        console=console(stderr=True),
        transient=True,
    )
