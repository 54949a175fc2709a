"""The word lists that worlds are named from, as package data."""

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from hopgym.errors import require

POOLS = ("full", "small")
NAMES_SPLITS = ("all", "train", "heldout")

_SMALL_FIRST, _SMALL_LAST, _SMALL_PART = 20, 40, 8
_HELDOUT_SHARE = 5
"""One in so many (first name, last name) pairs is held out."""


@dataclass(frozen=True, slots=True)
class Words:
    """One pool of words; compounds are joined once, in a fixed order."""

    first: tuple[tuple[str, ...], tuple[str, ...]]
    """Male, then female first names."""
    last: tuple[str, ...]
    towns: tuple[str, ...]
    employers: tuple[str, ...]
    regions: tuple[str, ...]
    rivers: tuple[str, ...]
    jobs: tuple[str, ...]
    hobbies: tuple[str, ...]
    trades: tuple[str, ...]

    def names(self, split: str) -> int:
        """Return how many full names of one gender a split can give, the scarcer gender's."""
        pairs = min(map(len, self.first)) * len(self.last)
        shares = {"all": 1.0, "train": 1 - 1 / _HELDOUT_SHARE, "heldout": 1 / _HELDOUT_SHARE}
        return int(pairs * shares[split])


def in_names_split(first: int, last: int, split: str) -> bool:
    """Return whether a pair of positions in the lists may name somebody in a split.

    ``train`` and ``heldout`` share every first and last name but no pair of them.
    """
    if split == "all":
        return True
    return ((first + last) % _HELDOUT_SHARE == 0) == (split == "heldout")


@lru_cache(maxsize=2)
def load_words(pool: str) -> Words:
    """Return the words of the ``full`` pool or of its ``small`` part, for tiny vocabularies.

    Raises:
        ArgumentError: When the pool is unknown.
    """
    require(pool in POOLS, "name_pool", f"one of {', '.join(POOLS)}", pool)
    small = pool == "small"
    firsts, lasts = (_SMALL_FIRST, _SMALL_LAST) if small else (None, None)
    part = _SMALL_PART if small else None
    return Words(
        first=(_read("first_male")[:firsts], _read("first_female")[:firsts]),
        last=_read("last")[:lasts],
        towns=_compounds("town", "", part),
        employers=_compounds("employer", "", part),
        regions=_read("region")[:part],
        rivers=_read("river")[:part],
        jobs=_compounds("job", "-", part),
        hobbies=_compounds("hobby", "-", part),
        trades=_read("trade")[:part],
    )


def _read(name: str) -> tuple[str, ...]:
    path = files("hopgym").joinpath("data", "words", f"{name}.txt")
    return tuple(path.read_text(encoding="utf-8").split())


def _compounds(name: str, joint: str, part: int | None) -> tuple[str, ...]:
    starts, ends = _read(f"{name}_start")[:part], _read(f"{name}_end")[:part]
    return tuple(f"{start}{joint}{end}" for start in starts for end in ends)
