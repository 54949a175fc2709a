"""Progress of long work: what library code reports to, and the silent default."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

Advance = Callable[[int], None]
"""Called with the number of items finished since the last call."""


class Progress(Protocol):
    """Opens a progress display for the length of a ``with`` block."""

    def __call__(self, what: str, total: int | None = None, /) -> AbstractContextManager[Advance]:
        """Return a context manager that yields an `Advance`.

        Args:
            what: What is counted, as a noun.
            total: How many there are; None when unknown.
        """


@contextmanager
def no_progress(what: str, total: int | None = None) -> Iterator[Advance]:
    """Show nothing."""
    yield lambda count: None
