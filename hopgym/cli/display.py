"""What the verbs print: results on stdout, all else on stderr, plain where it is no terminal.

In: words, tables, plain values. Out: text; colours and bars only on a terminal, and no colours
where the variable ``NO_COLOR`` is set.
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
from typing import TYPE_CHECKING, Any

from hopgym.progress import Advance

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_STYLES = {"error": "bold red", "warning": "yellow", "quiet": "dim", "good": "green"}
_PIPED_WIDTH = 160
_FIRST_LINE, _LINE_EVERY = 2.0, 5.0


def console(*, stderr: bool = False, markup: bool = True) -> "Console":
    """Return a console on stdout or stderr; where that is no terminal, nothing is wrapped early.

    Args:
        stderr: Whether it is on stderr.
        markup: Whether ``[bold]`` in a string is a style; False where strings are the users'.
    """
    from rich.console import Console

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
    """Print a line to the user on stderr: ``error``, ``warning``, ``quiet``, ``good`` or plain."""
    from rich.text import Text

    line = Text(text)
    if style in ("error", "warning"):
        line = Text.assemble((f"{style}: ", _STYLES[style]), text)
    elif style:
        line.stylize(_STYLES[style])
    err = console(stderr=True)
    err.print(line, soft_wrap=not err.is_terminal)


def say_wrote(paths: Mapping[str, Path], then: Mapping[str, str]) -> None:
    """Print the paths that were written, and the commands to go on with.

    Args:
        paths: What each file holds, to its path.
        then: What each command does, to the command.
    """
    from rich.text import Text

    err = console(stderr=True)
    width = max(map(len, [*paths, *then]), default=0)
    for what, path in paths.items():
        line = Text.assemble(f"  {what:<{width}}  ", (str(path), "bold"))
        err.print(line, soft_wrap=True)
    for what, command in then.items():
        line = Text.assemble((f"  {what:<{width}}  ", "dim"), (command, "cyan"))
        err.print(line, soft_wrap=True)


def print_json(value: object) -> None:
    """Print one JSON value on stdout, on one line."""
    print(json.dumps(value, ensure_ascii=False))


def new_table(title: str, *columns: str, caption: str = "") -> "Table":
    """Return an empty table; all columns but the first are figures, to the right."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    heading = Text(title, "bold") if title else None  # A title may hold brackets, as a path does.
    table = Table(title=heading, caption=caption or None, box=box.SIMPLE_HEAD)
    table.title_justify = table.caption_justify = "left"
    table.show_edge, table.pad_edge = False, False
    for number, column in enumerate(columns):
        table.add_column(Text(column), justify="right" if number else "left")
    return table


def this_command(ctx: Any) -> str:
    """Return the command line that is running, as one would type it again.

    Args:
        ctx: The verb's ``typer.Context``.
    """
    return shlex.join(["hopgym", *(ctx.find_root().obj or ())])


@contextmanager
def progress(what: str, total: int | None = None, done: int = 0) -> Iterator[Advance]:
    """Show how far something is, on stderr, while the block runs; the bar is gone afterwards.

    Where stderr is no terminal, a plain line comes now and then once it takes over a second.

    Args:
        what: What is done, as a noun or a participle.
        total: How many there are; None where that is unknown.
        done: How many of them are done already.
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
    """Progress as lines of their own, few of them."""

    def __init__(self, what: str, total: int | None, done: int) -> None:
        self._what, self._total, self._done = what, total, done
        self._next = time.monotonic() + _FIRST_LINE

    def __call__(self, count: int) -> None:
        self._done += count
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + _LINE_EVERY
            total = f" of {self._total:,}" if self._total is not None else ""
            say(f"{self._what}: {self._done:,}{total}")


class Interrupts:
    """How often Ctrl-C came."""

    count = 0

    def note(self, number: int, frame: FrameType | None) -> None:
        """Take a signal: tell of the first one, raise `KeyboardInterrupt` at the second."""
        self.count += 1
        if self.count > 1:
            raise KeyboardInterrupt
        say("Writing the figures of what is there; Ctrl-C once more leaves them out.")


@contextmanager
def held_back() -> Iterator[Interrupts]:
    """Let the block go on to its end after one Ctrl-C; a second one ends it."""
    interrupts = Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts  # Only the main thread gets signals, and may say what they do.
        return
    before = signal.signal(signal.SIGINT, interrupts.note)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, before)
