"""Cache of attention keys and values, which lets the next turn of an episode reuse the last one.

Token ids alone decide what is reused: a wrong key costs time and never changes a result.
"""

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

States = tuple[tuple["Tensor", "Tensor"], ...]
"""Keys and values of each layer, each of shape (heads, tokens, head size)."""


@dataclass(frozen=True, slots=True)
class CachedPrefix:
    """The states that a sequence can reuse."""

    tokens: int = 0
    """Number of leading tokens that need not be encoded again."""
    states: States = ()
    """States of at least ``tokens`` tokens; empty for none."""


class StateCache:
    """States of recent sequences; the least recently used ones are dropped first.

    Args:
        capacity: Maximum number of tokens over all sequences; 0 disables the cache.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.tokens = 0
        """Number of tokens in the cache."""
        self._entries: OrderedDict[Hashable, tuple[list[int], States]] = OrderedDict()

    def find(self, key: Hashable, ids: Sequence[int]) -> CachedPrefix:
        """Return the longest cached prefix of ``ids``, at most all tokens but the last.

        The last token is always encoded again: its output predicts the next token.
        """
        if key not in self._entries:
            return CachedPrefix()
        self._entries.move_to_end(key)
        cached_ids, states = self._entries[key]
        tokens = min(_common_length(cached_ids, ids), len(ids) - 1)
        return CachedPrefix(tokens, states) if tokens else CachedPrefix()

    def put(self, key: Hashable, ids: list[int], states: States) -> None:
        """Store the states of ``ids`` in place of the previous entry of the key."""
        if key in self._entries:
            self.tokens -= len(self._entries.pop(key)[0])
        if len(ids) > self.capacity:
            return
        self._entries[key] = (ids, states)
        self.tokens += len(ids)
        while self.tokens > self.capacity:
            _, (dropped_ids, _) = self._entries.popitem(last=False)
            self.tokens -= len(dropped_ids)

    def clear(self) -> None:
        """Remove all entries."""
        self._entries.clear()
        self.tokens = 0


def _common_length(cached_ids: list[int], ids: Sequence[int]) -> int:
    if list(ids[: len(cached_ids)]) == cached_ids:
        return len(cached_ids)
    pairs = zip(cached_ids, ids, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
