"""Tokens remembered: what a text was tokenised to, up to a number of tokens over all texts.

In: what makes token ids, and from what. Out: the ids, made once as long as they are remembered.
Least recently used ones are dropped first. A bound in texts would be none: a page may hold
thousands of tokens, or three.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import ParamSpec

Tokens = tuple[int, ...]

_P = ParamSpec("_P")


class TokenMemory:
    """Remembers the results of functions of texts; threads may share it.

    Args:
        capacity: Most tokens remembered. One takes about 45 bytes: its place, its number, and the
            four letters or so that it was made from.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.tokens = 0
        """Tokens remembered now."""
        self._lock = Lock()
        self._kept: OrderedDict[Hashable, Tokens] = OrderedDict()

    def recall(self, make: Callable[_P, Tokens], *given: _P.args, **named: _P.kwargs) -> Tokens:
        """Return what a function makes of its arguments, which must be hashable."""
        key = make, given, tuple(named.items())
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = make(*given, **named)
        with self._lock:
            if key not in self._kept:
                self._kept[key] = made
                self.tokens += len(made)
            while self.tokens > self.capacity:
                _, dropped = self._kept.popitem(last=False)
                self.tokens -= len(dropped)
        return made
