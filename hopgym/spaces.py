"""UnicodeText: the text space of every hopgym observation and action."""

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector.utils import create_shared_memory

from hopgym.errors import require

_SAMPLE_CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ <>/"
_SAMPLE_LENGTH = 64
_UNICODE_SIZE = 0x110000


class _CodePoints(Sequence[str]):
    """All of Unicode in code point order, computed on access."""

    def __len__(self) -> int:
        return _UNICODE_SIZE

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [chr(i) for i in range(*index.indices(_UNICODE_SIZE))]
        return chr(index)

    def __contains__(self, character: object) -> bool:
        return isinstance(character, str) and len(character) == 1


class UnicodeText(spaces.Text):
    """The space of all strings of at most ``max_length`` characters, including the empty string.

    `gymnasium.spaces.Text` has an explicit character set: the default one lacks the space, and one
    with all of Unicode takes two seconds to build. Here a character's index is its code point, and
    membership is a length check. ``sample`` returns up to 64 ASCII characters.

    Args:
        max_length: Maximum length in characters (code points), at least 1.

    Raises:
        ArgumentError: When ``max_length`` is below 1.
    """

    def __init__(self, max_length: int, *, seed: int | None = None) -> None:
        require(max_length >= 1, "max_length", "at least 1", max_length)
        super().__init__(max_length, min_length=0, charset=_SAMPLE_CHARACTERS, seed=seed)

    def contains(self, x: Any) -> bool:
        """Return whether ``x`` is a string of at most ``max_length`` characters."""
        return isinstance(x, str) and len(x) <= self.max_length

    def sample(self, mask: Any = None, probability: Any = None) -> str:
        """Return a random ASCII string of 0 to 64 characters; masks are not supported.

        Raises:
            ArgumentError: When a mask is given.
        """
        require(mask is None and probability is None, "mask", "None for UnicodeText", mask)
        length = int(self.np_random.integers(min(self.max_length, _SAMPLE_LENGTH) + 1))
        indices = self.np_random.integers(len(_SAMPLE_CHARACTERS), size=length)
        return "".join(_SAMPLE_CHARACTERS[i] for i in indices)

    @property
    def character_set(self) -> Any:
        """All of Unicode, as a lazy collection."""
        return _CodePoints()

    @property
    def character_list(self) -> Any:
        """All of Unicode in code point order, as a lazy sequence."""
        return _CodePoints()

    def character_index(self, char: str) -> Any:
        """Return the code point of a character as a NumPy integer."""
        return np.int32(ord(char))

    @property
    def characters(self) -> str:
        """The characters that ``sample`` uses, as one string."""
        return _SAMPLE_CHARACTERS

    def __eq__(self, other: object) -> bool:
        """Return whether the other space is a `UnicodeText` of the same length."""
        return isinstance(other, UnicodeText) and self.max_length == other.max_length

    def __hash__(self) -> int:
        """Return a hash in step with equality."""
        return self.max_length

    def __repr__(self) -> str:
        """Return the constructor call."""
        return f"UnicodeText({self.max_length})"


@create_shared_memory.register(UnicodeText)
def _refuse_shared_memory(space: UnicodeText, n: int = 1, ctx: Any = None) -> Any:
    # AsyncVectorEnv reads Text from shared memory only once, at construction, and would return that
    # first (empty) text on every step; refusing is the only safe option.
    raise gymnasium.error.CustomSpaceError(
        "text observations cannot live in shared memory; pass "
        "vector_kwargs={'shared_memory': False} to gymnasium.make_vec, or use the sync mode"
    )
