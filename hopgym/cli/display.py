"""Prints results on stdout and everything else on stderr.

Colors and progress bars appear only on a terminal; the variable ``NO_COLOR`` turns colors off.
"""

import json
import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hopgym.progress import Advance

_STYLES = {"error": "bold red", "warning": "yellow", "quiet": "dim", "good": "green"}
_PIPED_WIDTH = 160
_FIRST_LINE = 2.0
_LINE_EVERY = 5.0


def console(*, stderr: bool = False, markup: bool = True) -> Console:
    """Return a console on stdout or stderr. Outside a terminal it is 160 columns wide.

    Args:
        stderr: Whether it is on stderr.
        markup: Whether ``[bold]`` in a string is a style; False for strings from users.
    """
    stream = sys.stderr if stderr else sys.stdout
    terminal = stream.isatty()
    plain = not terminal or bool(os.environ.get("NO_COLOR"))
    return Console(
        file=stream,
        highlight=False,
        markup=markup,
        emoji=False,
        color_system=None if plain else "auto",
        force_terminal=None if terminal else False,
        width=None if terminal else _PIPED_WIDTH,
    )


def say(text: str, *, style: str = "") -> None:
    """Print a line on stderr; the style is ``error``, ``warning``, ``quiet``, ``good`` or empty."""
    line = Text(text)
    if style in ("error", "warning"):
        line = Text.assemble((f"{style}: ", _STYLES[style]), text)
    elif style:
        line.stylize(_STYLES[style])
    err = console(stderr=True)
    err.print(line, soft_wrap=not err.is_terminal)


def say_wrote(paths: Mapping[str, Path], next_commands: Mapping[str, str]) -> None:
    """Print the files that were written, and commands to continue with.

    Args:
        paths: Description of each file to its path.
        next_commands: Description of each command to the command.
    """
    err = console(stderr=True)
    width = max(map(len, [*paths, *next_commands]), default=0)
    for description, path in paths.items():
        line = Text.assemble(f"  {description:<{width}}  ", (str(path), "bold"))
        err.print(line, soft_wrap=True)
    for description, command in next_commands.items():
        line = Text.assemble((f"  {description:<{width}}  ", "dim"), (command, "cyan"))
        err.print(line, soft_wrap=True)


def print_json(value: object) -> None:
    """Print a value as one line of JSON on stdout."""
    print(json.dumps(value, ensure_ascii=False))


def new_table(title: str, *columns: str, caption: str = "") -> Table:
    """Return an empty table; all columns but the first are aligned to the right."""
    # A title may contain brackets, as a path does: Text takes it literally.
    heading = Text(title, "bold") if title else None
    table = Table(title=heading, caption=caption or None, box=box.SIMPLE_HEAD)
    table.title_justify = "left"
    table.caption_justify = "left"
    table.show_edge = False
    table.pad_edge = False
    for number, column in enumerate(columns):
        table.add_column(Text(column), justify="right" if number else "left")
    return table


def this_command(ctx: Any) -> str:
    """Return the running command line, ready to be pasted into a shell.

    Args:
        ctx: The verb's ``typer.Context``.
    """
    return shlex.join(["hopgym", *(ctx.find_root().obj or ())])


@contextmanager
def progress(what: str, total: int | None = None, done: int = 0) -> Iterator[Advance]:
    """Show a progress bar on stderr while the block runs, or plain lines outside a terminal.

    The first plain line comes after two seconds. This is a `hopgym.progress.Progress`.

    Args:
        what: What is counted, as a noun.
        total: How many there are; None if unknown.
        done: How many are already done.
    """
    if not sys.stderr.isatty():
        yield _PlainLines(what, total, done)
        return
    from rich import progress as bars

    columns: list[bars.ProgressColumn] = [
        bars.SpinnerColumn(),
        bars.TextColumn("{task.description}", markup=False),
    ]
    if total is not None:
        columns += [bars.BarColumn(), bars.MofNCompleteColumn(), bars.TimeRemainingColumn()]
    with bars.Progress(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total, completed=done)

        def advance(count: int) -> None:
            bar.advance(task, count)
            if total is None:
                bar.update(task, description=f"{what}: {bar.tasks[0].completed:,.0f}")

        yield advance


class _PlainLines:
    def __init__(self, what: str, total: int | None, done: int) -> None:
        self._what = what
        self._total = total
        self._done = done
        self._next = time.monotonic() + _FIRST_LINE

    def __call__(self, count: int) -> None:
        self._done += count
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _LINE_EVERY
            total = f" of {self._total:,}" if self._total is not None else ""
            say(f"{self._what}: {self._done:,}{total}")


class InterruptCounter:
    """Counts how often the user pressed Ctrl-C."""

    count = 0

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal: announce the first one, raise `KeyboardInterrupt` at the second."""
        self.count += 1
        if self.count > 1:
            raise KeyboardInterrupt
        say("Writing the figures of what is there; Ctrl-C once more leaves them out.")


@contextmanager
def interrupts_deferred() -> Iterator[InterruptCounter]:
    """Let the block finish after one Ctrl-C; a second one ends it."""
    interrupts = InterruptCounter()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts  # Python delivers signals to the main thread only.
        return
    previous = signal.signal(signal.SIGINT, interrupts.handle)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, previous)
