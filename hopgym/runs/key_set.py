"""A set of episodes by task index and sample, at about a bit each.

In: pairs of whole numbers, near to each other as those of a run are. Out: whether a pair was
there. A million tuples would take 200 MB; a run must fit into memory however long it is.
"""

from collections.abc import Iterable, Iterator, MutableSet
from numbers import Integral

_BITS = 1_024

Key = tuple[int, int]
"""What makes an episode unique in a run: (task index, sample)."""


class KeySet(MutableSet[Key]):
    """A set of (task index, sample).

    Args:
        keys: What it holds to begin with.
    """

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        # By sample and index // _BITS, a bit for each index.
        self._blocks: dict[Key, int] = {}
        for key in keys:
            self.add(key)

    def add(self, value: Key) -> None:
        """Add a key; one that is there stays."""
        block, bit = _place(value)
        self._blocks[block] = self._blocks.get(block, 0) | bit

    def discard(self, value: Key) -> None:
        """Take a key out, if it is there."""
        block, bit = _place(value)
        if left := self._blocks.get(block, 0) & ~bit:
            self._blocks[block] = left
        else:
            self._blocks.pop(block, None)

    def __contains__(self, value: object) -> bool:
        match value:
            # As a pattern `tuple(...)` would leave up to 250 KB of names in Python's own memory.
            case (Integral() as index, Integral() as sample) if isinstance(value, tuple):
                block, bit = _place((int(index), int(sample)))
            case _:
                return False
        return bool(self._blocks.get(block, 0) & bit)

    def __len__(self) -> int:
        return sum(block.bit_count() for block in self._blocks.values())

    def __iter__(self) -> Iterator[Key]:
        """Yield the keys, in no order to be relied on."""
        for (sample, block), bits in self._blocks.items():
            for at in range(bits.bit_length()):
                if bits >> at & 1:
                    yield block * _BITS + at, sample


def _place(key: Key) -> tuple[Key, int]:
    index, sample = key
    block, at = divmod(index, _BITS)
    return (sample, block), 1 << at
