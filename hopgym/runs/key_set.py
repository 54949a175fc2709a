"""A compact set of (task index, sample) keys."""

from collections.abc import Iterable, Iterator, MutableSet
from numbers import Integral

_BITS = 1_024

Key = tuple[int, int]
"""(task index, sample), which is unique for each episode of a run."""


class KeySet(MutableSet[Key]):
    """A set of (task index, sample) that takes about one bit per key.

    A set of a million tuples would take 200 MB. Keys of a run are close to each other, so that bit
    masks are small.

    Args:
        keys: The initial keys.
    """

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        # A bit for each index, by sample and index // _BITS.
        self._blocks: dict[Key, int] = {}
        for key in keys:
            self.add(key)

    def add(self, value: Key) -> None:
        """Add a key."""
        block, bit = _locate(value)
        self._blocks[block] = self._blocks.get(block, 0) | bit

    def discard(self, value: Key) -> None:
        """Remove a key if it is present."""
        block, bit = _locate(value)
        if rest := self._blocks.get(block, 0) & ~bit:
            self._blocks[block] = rest
        else:
            self._blocks.pop(block, None)

    def __contains__(self, value: object) -> bool:
        match value:
            # As a pattern `tuple(...)` would leave up to 250 KB of names in Python's own memory.
            case (Integral() as index, Integral() as sample) if isinstance(value, tuple):
                block, bit = _locate((int(index), int(sample)))
            case _:
                return False
        return bool(self._blocks.get(block, 0) & bit)

    def __len__(self) -> int:
        return sum(block.bit_count() for block in self._blocks.values())

    def __iter__(self) -> Iterator[Key]:
        """Yield the keys in no particular order."""
        for (sample, block), bits in self._blocks.items():
            for position in range(bits.bit_length()):
                if bits >> position & 1:
                    yield block * _BITS + position, sample


def _locate(key: Key) -> tuple[Key, int]:
    """Return the block of a key, and the bit in it."""
    index, sample = key
    block, position = divmod(index, _BITS)
    return (sample, block), 1 << position
