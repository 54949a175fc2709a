"""Who lives in a world: a forest of families, friendships, towns and employers.

In: sizes, words and a generator. Out: a `Population`, plain lists by number. People come first,
then towns, then employers.
"""

from collections import deque
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np

from hopgym.errors import WorldError
from hopgym.worlds.people.words import Words, in_names_split
from hopgym.worlds.randomness import Dice

NOBODY = -1

_YEAR = 365.25
_FIRST_BIRTH = date(1820, 1, 1).toordinal()
_FOUNDERS_SPAN = 40 * _YEAR
_CHILDREN = (0, 1, 1, 2, 2, 2, 3, 3, 4, 5)
_MARRIES = 0.75
_FAMILY = (18, 42)
"""Fewest and most members that a family aims for."""
_FRIENDSHIPS = 1.5
"""Friendships per person; each person has twice as many friends on average."""
_UNEMPLOYED, _HOMELESS, _SELF_MADE = 0.12, 0.12, 0.12
"""Shares of people without employer and without home town, and of employers without founder."""

_VALUES, _VALUES_PER_PERSON = 20, 1.5
_TOWNS, _TOWN_PEOPLE = 14, 12
_EMPLOYERS, _EMPLOYER_PEOPLE = 12, 14
"""Towns and employers of any world, so that none is easily guessed, and people for each more."""

_FOUNDED = (1100, 1800)
_NAME_TRIES = 200


@dataclass(slots=True)
class Population:
    """The facts of a world as lists by person, town or employer number; `NOBODY` for none."""

    size: int
    """People that questions start from; the others are distractors."""
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
    size: int, distractors: int, words: Words, names_split: str, rng: np.random.Generator
) -> Population:
    """Return a new population of ``size`` people and ``distractors`` more with ties of their own.

    Raises:
        WorldError: When the words cannot name so many people.
    """
    total = size + distractors
    # Genders fall as they may, so one of them can need more than half of the names.
    capacity = words.names(names_split)
    if total > 1.6 * capacity:
        raise WorldError(
            f"size + distractors must be at most {int(1.6 * capacity)} with these names "
            f"(names_split={names_split!r}), got {total}; take name_pool='full' or fewer people"
        )
    people = Population(size)
    settlers = _Settlers(people, words, names_split, Dice(rng))
    settlers.settle(size)
    settlers.settle(distractors)
    people.friends = [[] for _ in range(total)]
    _befriend(people.friends, 0, size, rng)
    _befriend(people.friends, size, total, rng)
    people.job = _shared_values(len(words.jobs), total, rng)
    people.hobby = _shared_values(len(words.hobbies), total, rng)
    _found_towns(people, words, total, rng)
    _found_employers(people, words, total, rng)
    return people


class _Settlers:
    """Adds families to a population, generation by generation."""

    def __init__(self, people: Population, words: Words, names_split: str, dice: Dice) -> None:
        self._people, self._words, self._dice = people, words, dice
        self._names_split = names_split
        self._taken: set[tuple[bool, int, int]] = set()
        self._last: list[int] = []

    def settle(self, count: int) -> None:
        end = len(self._last) + count
        low, high = _FAMILY
        while len(self._last) < end:
            self._family(min(end, len(self._last) + low + self._dice.below(high - low)))

    def _family(self, end: int) -> None:
        birth = _FIRST_BIRTH + self._dice.below(int(_FOUNDERS_SPAN))
        couples = deque([self._person(self._dice.unit() < 0.5, birth)])
        while couples and len(self._last) < end:
            self._raise_children(couples.popleft(), end, couples)

    def _raise_children(self, person: int, end: int, couples: deque[int]) -> None:
        people, dice = self._people, self._dice
        mother, father = self._marry(person)
        birth = people.birth[mother] + int((18 + 12 * dice.unit()) * _YEAR)
        founders = people.mother[person] == NOBODY
        for _ in range(max(dice.pick(_CHILDREN), int(founders))):
            if len(self._last) >= end:
                return
            child = self._person(dice.unit() < 0.5, birth, mother, father)
            people.children[mother].append(child)
            people.children[father].append(child)
            if dice.unit() < _MARRIES:
                couples.append(child)
            birth += int((0.9 + 3 * dice.unit()) * _YEAR)

    def _marry(self, person: int) -> tuple[int, int]:
        people = self._people
        years_apart = int((8 * self._dice.unit() - 2) * _YEAR)
        female = people.female[person]
        birth = people.birth[person] + (-years_apart if female else years_apart)
        spouse = self._person(not female, birth)
        people.spouse[person], people.spouse[spouse] = spouse, person
        return (person, spouse) if female else (spouse, person)

    def _person(self, female: bool, birth: int, mother: int = NOBODY, father: int = NOBODY) -> int:
        people = self._people
        first, last = self._name(female, self._last[father] if father >= 0 else NOBODY)
        self._last.append(last)
        people.names.append(f"{self._words.first[female][first]} {self._words.last[last]}")
        people.female.append(female)
        people.birth.append(birth)
        people.mother.append(mother)
        people.father.append(father)
        people.spouse.append(NOBODY)
        people.children.append([])
        return len(self._last) - 1

    def _name(self, female: bool, last: int) -> tuple[int, int]:
        """Return a free first and last name; the given last one where it has any left."""
        firsts, lasts = len(self._words.first[female]), len(self._words.last)
        for attempt in range(_NAME_TRIES):
            family = last if last >= 0 and attempt < _NAME_TRIES // 2 else self._dice.below(lasts)
            first = self._dice.below(firsts)
            key = (female, first, family)
            if key not in self._taken and in_names_split(first, family, self._names_split):
                self._taken.add(key)
                return first, family
        raise WorldError(
            f"size={self._people.size} must be smaller: the names (names_split="
            f"{self._names_split!r}) have run out; take name_pool='full' or fewer people"
        )


def _befriend(friends: list[list[int]], start: int, end: int, rng: np.random.Generator) -> None:
    count = end - start
    if count < 2:
        return
    drawn = rng.integers(start, end, size=(int(_FRIENDSHIPS * count), 2))
    drawn.sort(axis=1)
    pairs = drawn[drawn[:, 0] != drawn[:, 1]]
    for one, other in dict.fromkeys(map(tuple, pairs.tolist())):
        friends[one].append(other)
        friends[other].append(one)


def _shared_values(known: int, total: int, rng: np.random.Generator) -> list[int]:
    """Return a value for each person from so few that many share theirs with somebody."""
    count = min(known, _VALUES + int(_VALUES_PER_PERSON * total))
    chosen = rng.choice(known, size=count, replace=False)
    values: list[int] = chosen[rng.integers(count, size=total)].tolist()
    return values


def _found_towns(people: Population, words: Words, total: int, rng: np.random.Generator) -> None:
    count = min(len(words.towns), _TOWNS + total // _TOWN_PEOPLE)
    chosen = rng.choice(len(words.towns), size=count, replace=False)
    people.towns = [words.towns[i] for i in chosen.tolist()]
    people.region = _spread(len(words.regions), count, rng)
    people.river = _spread(len(words.rivers), count, rng)
    people.founding_year = rng.integers(*_FOUNDED, size=count).tolist()
    people.home_town = _some_without(rng.integers(count, size=total), _HOMELESS, rng)


def _found_employers(
    people: Population, words: Words, total: int, rng: np.random.Generator
) -> None:
    count = min(len(words.employers), _EMPLOYERS + total // _EMPLOYER_PEOPLE)
    chosen = rng.choice(len(words.employers), size=count, replace=False)
    people.employers = [words.employers[i] for i in chosen.tolist()]
    people.town = rng.integers(len(people.towns), size=count).tolist()
    people.trade = _spread(len(words.trades), count, rng)
    people.founder = _some_without(rng.integers(people.size, size=count), _SELF_MADE, rng)
    people.employer = _some_without(rng.integers(count, size=total), _UNEMPLOYED, rng)


def _spread(known: int, count: int, rng: np.random.Generator) -> list[int]:
    """Return values that repeat as little as they can, so that none is easily guessed."""
    values: list[int] = np.resize(rng.permutation(known), count).tolist()
    return values


def _some_without(
    numbers: np.ndarray[Any, np.dtype[np.int64]], share: float, rng: np.random.Generator
) -> list[int]:
    numbers[rng.random(len(numbers)) < share] = NOBODY
    values: list[int] = numbers.tolist()
    return values
