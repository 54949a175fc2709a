"""The name pools of worlds: lists of names and values, read from package data."""

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from hopgym.errors import require

POOLS = ("full", "small")
NAMES_SPLITS = ("all", "train", "heldout")

_SMALL_FIRST = 20
_SMALL_LAST = 40
_SMALL_PART = 8
_HELDOUT_SHARE = 5
"""One of this number of (first name, last name) pairs is held out."""


@dataclass(frozen=True, slots=True)
class NamePool:
    """The names and values that worlds are built from; the order of each list is fixed."""

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

    def name_count(self, split: str) -> int:
        """Return the number of full names in a split for the gender that has fewer."""
        pairs = min(map(len, self.first)) * len(self.last)
        shares = {"all": 1.0, "train": 1 - 1 / _HELDOUT_SHARE, "heldout": 1 / _HELDOUT_SHARE}
        return int(pairs * shares[split])


def in_names_split(first: int, last: int, split: str) -> bool:
    """Return whether a pair of positions in the lists belongs to a split.

    ``train`` and ``heldout`` share all first and last names, but no pair of them.
    """
    if split == "all":
        return True
    return ((first + last) % _HELDOUT_SHARE == 0) == (split == "heldout")


@lru_cache(maxsize=2)
def load_name_pool(pool: str) -> NamePool:
    """Return the ``full`` pool, or ``small``, a part of it for tiny vocabularies.

    Raises:
        ArgumentError: When the pool is unknown.
    """
    require(pool in POOLS, "name_pool", f"one of {', '.join(POOLS)}", pool)
    small = pool == "small"
    firsts, lasts = (_SMALL_FIRST, _SMALL_LAST) if small else (None, None)
    part = _SMALL_PART if small else None
    return NamePool(
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


def _compounds(name: str, separator: str, part: int | None) -> tuple[str, ...]:
    starts = _read(f"{name}_start")[:part]
    ends = _read(f"{name}_end")[:part]
    return tuple(f"{start}{separator}{end}" for start in starts for end in ends)
