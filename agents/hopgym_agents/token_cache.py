"""A cache of tokenized texts, limited by the number of tokens.

The least recently used texts are dropped first. A limit on the number of texts would not bound the
memory: a page may have thousands of tokens, or three.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import ParamSpec

Tokens = tuple[int, ...]

_P = ParamSpec("_P")


class TokenCache:
    """Results of functions that tokenize texts; it can be shared by threads.

    Args:
        capacity: Maximum number of tokens. A token takes about 45 bytes: its place, its number,
            and the four letters or so of its text.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.tokens = 0
        """Number of tokens in the cache."""
        self._lock = Lock()
        self._entries: OrderedDict[Hashable, Tokens] = OrderedDict()

    def get_or_compute(
        self, function: Callable[_P, Tokens], *args: _P.args, **kwargs: _P.kwargs
    ) -> Tokens:
        """Return the result of a function for hashable arguments, computed once while cached."""
        key = function, args, tuple(kwargs.items())
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
                return self._entries[key]
        tokens = function(*args, **kwargs)
        with self._lock:
            if key not in self._entries:
                self._entries[key] = tokens
                self.tokens += len(tokens)
            while self.tokens > self.capacity:
                _, dropped = self._entries.popitem(last=False)
                self.tokens -= len(dropped)
        return tokens
