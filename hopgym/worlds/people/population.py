"""Generates the population of a world: families, friendships, towns and employers.

A `Population` holds plain lists that are indexed by the number of a person, town or employer.
"""

from collections import deque
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np

from hopgym.errors import WorldError
from hopgym.worlds.people.name_pools import NamePool, in_names_split
from hopgym.worlds.randomness import BufferedRandom

NOBODY = -1

_YEAR = 365.25
_FIRST_BIRTH = date(1820, 1, 1).toordinal()
_FOUNDERS_SPAN = 40 * _YEAR
_CHILDREN = (0, 1, 1, 2, 2, 2, 3, 3, 4, 5)
_MARRIES = 0.75
_FAMILY = (18, 42)
"""Range of the target number of members of a family."""
_FRIENDSHIPS = 1.5
"""Friendships per person; the average number of friends is twice this."""
_WITHOUT_EMPLOYER = 0.12
_WITHOUT_HOME_TOWN = 0.12
_WITHOUT_FOUNDER = 0.12

_MIN_VALUES = 20
_VALUES_PER_PERSON = 1.5
# Minimums that keep towns and employers hard to guess even in the smallest world.
_MIN_TOWNS = 14
_PEOPLE_PER_TOWN = 12
_MIN_EMPLOYERS = 12
_PEOPLE_PER_EMPLOYER = 14

_FOUNDING_YEARS = (1100, 1800)
_NAME_TRIES = 200


@dataclass(slots=True)
class Population:
    """The facts of a world as lists by person, town or employer number; `NOBODY` means none."""

    size: int
    """Number of people that questions start from; the rest are distractors."""
    names: list[str] = field(default_factory=list)
    female: list[bool] = field(default_factory=list)
    birth: list[int] = field(default_factory=list)
    """Proleptic Gregorian day numbers."""
    mother: list[int] = field(default_factory=list)
    father: list[int] = field(default_factory=list)
    spouse: list[int] = field(default_factory=list)
    children: list[list[int]] = field(default_factory=list)
    friends: list[list[int]] = field(default_factory=list)
    job: list[int] = field(default_factory=list)
    hobby: list[int] = field(default_factory=list)
    home_town: list[int] = field(default_factory=list)
    employer: list[int] = field(default_factory=list)
    towns: list[str] = field(default_factory=list)
    region: list[int] = field(default_factory=list)
    founding_year: list[int] = field(default_factory=list)
    river: list[int] = field(default_factory=list)
    employers: list[str] = field(default_factory=list)
    town: list[int] = field(default_factory=list)
    trade: list[int] = field(default_factory=list)
    founder: list[int] = field(default_factory=list)


def populate(
    size: int, distractors: int, pool: NamePool, names_split: str, rng: np.random.Generator
) -> Population:
    """Generate ``size`` people, and ``distractors`` more with families and friends of their own.

    Raises:
        WorldError: When the pool has too few names.
    """
    total = size + distractors
    # Genders are random, so one of them can need more than half of the names.
    capacity = pool.name_count(names_split)
    if total > 1.6 * capacity:
        raise WorldError(
            f"size + distractors must be at most {int(1.6 * capacity)} with these names "
            f"(names_split={names_split!r}), got {total}; take name_pool='full' or fewer people"
        )
    people = Population(size)
    families = _FamilyBuilder(people, pool, names_split, BufferedRandom(rng))
    families.add_people(size)
    families.add_people(distractors)
    people.friends = [[] for _ in range(total)]
    _befriend(people.friends, 0, size, rng)
    _befriend(people.friends, size, total, rng)
    people.job = _shared_values(len(pool.jobs), total, rng)
    people.hobby = _shared_values(len(pool.hobbies), total, rng)
    _add_towns(people, pool, total, rng)
    _add_employers(people, pool, total, rng)
    return people


class _FamilyBuilder:
    """Adds families to a population, generation by generation."""

    def __init__(
        self, people: Population, pool: NamePool, names_split: str, random: BufferedRandom
    ) -> None:
        self._people = people
        self._pool = pool
        self._names_split = names_split
        self._random = random
        self._used_names: set[tuple[bool, int, int]] = set()
        self._last_names: list[int] = []

    def add_people(self, count: int) -> None:
        end = len(self._last_names) + count
        low, high = _FAMILY
        while len(self._last_names) < end:
            self._add_family(min(end, len(self._last_names) + low + self._random.below(high - low)))

    def _add_family(self, end: int) -> None:
        birth = _FIRST_BIRTH + self._random.below(int(_FOUNDERS_SPAN))
        couples = deque([self._add_person(self._random.random() < 0.5, birth)])
        while couples and len(self._last_names) < end:
            self._add_children(couples.popleft(), end, couples)

    def _add_children(self, person: int, end: int, couples: deque[int]) -> None:
        people = self._people
        random = self._random
        mother, father = self._marry(person)
        birth = people.birth[mother] + int((18 + 12 * random.random()) * _YEAR)
        # The first couple of a family has at least one child, or the family would end with it.
        founders = people.mother[person] == NOBODY
        for _ in range(max(random.choice(_CHILDREN), int(founders))):
            if len(self._last_names) >= end:
                return
            child = self._add_person(random.random() < 0.5, birth, mother, father)
            people.children[mother].append(child)
            people.children[father].append(child)
            if random.random() < _MARRIES:
                couples.append(child)
            birth += int((0.9 + 3 * random.random()) * _YEAR)

    def _marry(self, person: int) -> tuple[int, int]:
        people = self._people
        years_apart = int((8 * self._random.random() - 2) * _YEAR)
        female = people.female[person]
        birth = people.birth[person] + (-years_apart if female else years_apart)
        spouse = self._add_person(not female, birth)
        people.spouse[person] = spouse
        people.spouse[spouse] = person
        return (person, spouse) if female else (spouse, person)

    def _add_person(
        self, female: bool, birth: int, mother: int = NOBODY, father: int = NOBODY
    ) -> int:
        people = self._people
        first, last = self._choose_name(female, self._last_names[father] if father >= 0 else NOBODY)
        self._last_names.append(last)
        people.names.append(f"{self._pool.first[female][first]} {self._pool.last[last]}")
        people.female.append(female)
        people.birth.append(birth)
        people.mother.append(mother)
        people.father.append(father)
        people.spouse.append(NOBODY)
        people.children.append([])
        return len(self._last_names) - 1

    def _choose_name(self, female: bool, last: int) -> tuple[int, int]:
        """Return an unused first and last name, if possible with the last name ``last``."""
        firsts = len(self._pool.first[female])
        lasts = len(self._pool.last)
        for attempt in range(_NAME_TRIES):
            family = last if last >= 0 and attempt < _NAME_TRIES // 2 else self._random.below(lasts)
            first = self._random.below(firsts)
            key = (female, first, family)
            if key not in self._used_names and in_names_split(first, family, self._names_split):
                self._used_names.add(key)
                return first, family
        raise WorldError(
            f"size={self._people.size} must be smaller: the names (names_split="
            f"{self._names_split!r}) have run out; take name_pool='full' or fewer people"
        )


def _befriend(friends: list[list[int]], start: int, end: int, rng: np.random.Generator) -> None:
    count = end - start
    if count < 2:
        return
    sampled = rng.integers(start, end, size=(int(_FRIENDSHIPS * count), 2))
    sampled.sort(axis=1)
    pairs = sampled[sampled[:, 0] != sampled[:, 1]]
    # A dict instead of a set: it drops repeated pairs and keeps the order reproducible.
    for one, other in dict.fromkeys(map(tuple, pairs.tolist())):
        friends[one].append(other)
        friends[other].append(one)


def _shared_values(available: int, total: int, rng: np.random.Generator) -> list[int]:
    """Return a value for each person, from few enough values that many people share theirs."""
    count = min(available, _MIN_VALUES + int(_VALUES_PER_PERSON * total))
    chosen = rng.choice(available, size=count, replace=False)
    values: list[int] = chosen[rng.integers(count, size=total)].tolist()
    return values


def _add_towns(people: Population, pool: NamePool, total: int, rng: np.random.Generator) -> None:
    count = min(len(pool.towns), _MIN_TOWNS + total // _PEOPLE_PER_TOWN)
    chosen = rng.choice(len(pool.towns), size=count, replace=False)
    people.towns = [pool.towns[i] for i in chosen.tolist()]
    people.region = _spread(len(pool.regions), count, rng)
    people.river = _spread(len(pool.rivers), count, rng)
    people.founding_year = rng.integers(*_FOUNDING_YEARS, size=count).tolist()
    people.home_town = _remove_share(rng.integers(count, size=total), _WITHOUT_HOME_TOWN, rng)


def _add_employers(
    people: Population, pool: NamePool, total: int, rng: np.random.Generator
) -> None:
    count = min(len(pool.employers), _MIN_EMPLOYERS + total // _PEOPLE_PER_EMPLOYER)
    chosen = rng.choice(len(pool.employers), size=count, replace=False)
    people.employers = [pool.employers[i] for i in chosen.tolist()]
    people.town = rng.integers(len(people.towns), size=count).tolist()
    people.trade = _spread(len(pool.trades), count, rng)
    people.founder = _remove_share(rng.integers(people.size, size=count), _WITHOUT_FOUNDER, rng)
    people.employer = _remove_share(rng.integers(count, size=total), _WITHOUT_EMPLOYER, rng)


def _spread(available: int, count: int, rng: np.random.Generator) -> list[int]:
    """Return values that repeat as rarely as possible, so that none is easily guessed."""
    values: list[int] = np.resize(rng.permutation(available), count).tolist()
    return values


def _remove_share(
    numbers: np.ndarray[Any, np.dtype[np.int64]], share: float, rng: np.random.Generator
) -> list[int]:
    numbers[rng.random(len(numbers)) < share] = NOBODY
    values: list[int] = numbers.tolist()
    return values
