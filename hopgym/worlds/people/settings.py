"""The arguments of `PeopleSource`: its worlds, and the questions about them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hopgym.errors import ArgumentError, did_you_mean, require
from hopgym.worlds.people.name_pools import NAMES_SPLITS, POOLS
from hopgym.worlds.people.pages import STYLES
from hopgym.worlds.people.vocabulary import canonical, vocabulary

SPLITS = ("train", "dev", "test")
KINDS = (
    *("chain", "attribute", "count", "intersection", "comparison", "superlative", "yesno"),
    "unanswerable",
)
FEWEST_HOPS: Mapping[str, int] = {"superlative": 2}
"""Kind to the fewest hops of its questions, if that is not 1."""

_DEFAULT_KINDS = tuple(kind for kind in KINDS if kind != "yesno")


@dataclass(frozen=True, slots=True)
class WorldSettings:
    """Size, number, facts and page style of the worlds."""

    size: int = 25
    """People that questions start from, at least 1."""
    worlds: int = 100_000
    """Number of worlds, at least 1."""
    relations: str | tuple[str, ...] = "direct"
    """``direct``; ``all``, with derived family relations and inverses; or names of relations and
    attributes, to which pages and questions are restricted."""
    page_style: str = "prose"
    """``prose`` (phrasings and order varied) or ``brief`` (``key: value`` in fixed order)."""
    distractors: int = 0
    """Further people, with their own pages and relations, that no question starts from."""
    name_pool: str = "full"
    """``full``, or ``small`` for tiny vocabularies."""
    names_split: str = "all"
    """``all``, ``train`` or ``heldout``; the last two share no full name."""
    world_seed: int = 0
    """Seed of all worlds, at least 0."""
    split: str = "train"
    """``train``, ``dev`` or ``test``; no two splits share a world."""

    def __post_init__(self) -> None:
        for name, least in (("size", 1), ("worlds", 1), ("distractors", 0), ("world_seed", 0)):
            _check_integer(name, getattr(self, name), least)
        for name, known in (
            ("page_style", STYLES),
            ("name_pool", POOLS),
            ("names_split", NAMES_SPLITS),
            ("split", SPLITS),
        ):
            value = getattr(self, name)
            hint = did_you_mean(str(value), known)
            require(value in known, name, f"one of {', '.join(known)}{hint}", value)
        vocabulary(self.relations)
        if not isinstance(self.relations, str):
            object.__setattr__(self, "relations", canonical(self.relations))


@dataclass(frozen=True, slots=True)
class QuestionSettings:
    """Number, kinds and bounds of the questions."""

    questions_per_world: int = 50
    """Questions about each world, at least 1."""
    hops: tuple[int, int] = (1, 4)
    """Fewest and most hops, both inclusive, at least 1."""
    kinds: tuple[str, ...] = _DEFAULT_KINDS
    """Kinds of question, sampled with equal probability."""
    max_answers: int = 3
    """Most answers of a question, at least 1; also the largest count asked for, up to 5."""
    max_oracle_steps: int = 12
    """Most steps of the oracle, including its answer; at least 2."""

    def __post_init__(self) -> None:
        for name, least in (
            ("questions_per_world", 1),
            ("max_answers", 1),
            ("max_oracle_steps", 2),
        ):
            _check_integer(name, getattr(self, name), least)
        object.__setattr__(self, "hops", _hops(self.hops))
        object.__setattr__(self, "kinds", _kinds(self.kinds))
        possible = any(FEWEST_HOPS.get(kind, 1) <= self.hops[1] for kind in self.kinds)
        require(possible, "hops", f"at least {FEWEST_HOPS} for those kinds", self.hops)


def _check_integer(name: str, value: object, least: int) -> None:
    ok = isinstance(value, int) and not isinstance(value, bool) and value >= least
    require(ok, name, f"a whole number from {least}", value)


def _hops(hops: object) -> tuple[int, int]:
    expected = "two whole numbers (fewest, most) with 1 <= fewest <= most"
    if isinstance(hops, int) and not isinstance(hops, bool):
        hops = (hops, hops)
    pair = tuple(hops) if isinstance(hops, list | tuple) else ()
    integers = len(pair) == 2 and all(isinstance(h, int) and not isinstance(h, bool) for h in pair)
    require(integers and 1 <= pair[0] <= pair[1], "hops", expected, hops)
    return pair[0], pair[1]


def _kinds(kinds: object) -> tuple[str, ...]:
    names = (kinds,) if isinstance(kinds, str) else kinds
    if not isinstance(names, Iterable) or not (names := tuple(names)):
        raise ArgumentError(f"kinds must hold at least one of {', '.join(KINDS)}, got {kinds!r}")
    for kind in names:
        hint = did_you_mean(str(kind), KINDS)
        require(kind in KINDS, "kinds", f"among {', '.join(KINDS)}{hint}", kind)
    return tuple(kind for kind in KINDS if kind in names)
