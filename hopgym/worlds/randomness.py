"""Fast scalar random numbers: floats that a NumPy generator draws in blocks."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")

_BLOCK = 512


class BufferedRandom:
    """Draws single random numbers from blocks of floats, which is much faster than single calls.

    Args:
        rng: The generator. Nothing else may draw from it afterwards.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._floats: list[float] = []

    def random(self) -> float:
        """Return a float in [0, 1)."""
        if not self._floats:
            self._floats = self._rng.random(_BLOCK).tolist()
        return self._floats.pop()

    def below(self, limit: int) -> int:
        """Return an integer in [0, limit)."""
        return int(self.random() * limit)

    def choice(self, items: Sequence[T]) -> T:
        """Return one of the items; there must be at least one."""
        return items[int(self.random() * len(items))]

    def shuffled(self, items: Sequence[T]) -> Iterator[T]:
        """Yield the items in random order, each drawn only when it is consumed."""
        remaining = list(items)
        while remaining:
            i = int(self.random() * len(remaining))
            item = remaining.pop()
            if i < len(remaining):
                item, remaining[i] = remaining[i], item
            yield item
