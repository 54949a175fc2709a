"""Ctrl-C while something is being finished: once is noted, twice ends it."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from hopgym.cli.display import say


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
