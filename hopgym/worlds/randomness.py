"""Cheap scalar draws from a NumPy generator, taken from it in blocks."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")

_BLOCK = 512


class Dice:
    """Uniform draws; a block of floats at a time is far cheaper than a call for each.

    Args:
        rng: The generator; it belongs to the dice from here on.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._floats: list[float] = []

    def unit(self) -> float:
        """Return a float in [0, 1)."""
        if not self._floats:
            self._floats = self._rng.random(_BLOCK).tolist()
        return self._floats.pop()

    def below(self, limit: int) -> int:
        """Return a whole number in [0, limit)."""
        return int(self.unit() * limit)

    def pick(self, items: Sequence[T]) -> T:
        """Return one of the items, which must not be empty."""
        return items[int(self.unit() * len(items))]

    def shuffled(self, items: Sequence[T]) -> Iterator[T]:
        """Yield the items in random order; each is drawn when it is asked for."""
        left = list(items)
        while left:
            i = int(self.unit() * len(left))
            drawn = left.pop()
            if i < len(left):
                drawn, left[i] = left[i], drawn
            yield drawn
