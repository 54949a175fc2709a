"""Kept keys and values: what a model has computed for an episode, for the episode's next turn.

In: token ids with the states behind them. Out: how many tokens at the head of other ids need not be
encoded again. What is reused is decided by the tokens alone, so a key can cost time but never
change a result.
"""

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

States = tuple[tuple["Tensor", "Tensor"], ...]
"""Keys and values of each layer, each of shape (heads, tokens, size)."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The head of a sequence whose states are at hand."""

    tokens: int = 0
    states: States = ()
    """Of ``tokens`` tokens or more; empty for none."""


class StateCache:
    """States of the sequences seen last, least recently used ones dropped first.

    Args:
        capacity: Most tokens kept, over all sequences; 0 keeps nothing.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.tokens = 0
        """Tokens whose states are kept now."""
        self._kept: OrderedDict[Hashable, tuple[list[int], States]] = OrderedDict()

    def find(self, key: Hashable, ids: Sequence[int]) -> Kept:
        """Return the longest kept head of ``ids``, one token short of all of them.

        The last token is always left to be encoded: what follows it is read from its output.
        """
        if key not in self._kept:
            return Kept()
        self._kept.move_to_end(key)
        held, states = self._kept[key]
        tokens = min(_common(held, ids), len(ids) - 1)
        return Kept(tokens, states) if tokens else Kept()

    def put(self, key: Hashable, ids: list[int], states: States) -> None:
        """Keep the states of ``ids`` in place of what the key stood for."""
        if key in self._kept:
            self.tokens -= len(self._kept.pop(key)[0])
        if len(ids) > self.capacity:
            return
        self._kept[key] = (ids, states)
        self.tokens += len(ids)
        while self.tokens > self.capacity:
            _, (dropped, _) = self._kept.popitem(last=False)
            self.tokens -= len(dropped)

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
        self.tokens = 0


def _common(held: list[int], ids: Sequence[int]) -> int:
    """Return the length of the longest common head."""
    if list(ids[: len(held)]) == held:
        return len(held)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(held, ids, strict=False)))
