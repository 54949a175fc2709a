"""Universe: the entities of a world by number, and their facts by name.

In: a population. Out: names, relations and attribute values; nothing about pages.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from functools import cached_property

from hopgym.errors import DataError
from hopgym.worlds.people.population import NOBODY, Population
from hopgym.worlds.people.vocabulary import EMPLOYER, LEADS, PERSON, TOWN
from hopgym.worlds.people.words import Words

_LETTERS = {PERSON: "p", TOWN: "t", EMPLOYER: "e"}


class Universe:
    """People, then towns, then employers, numbered from 0.

    Args:
        people: The population.
        words: The pool that it was named from.
    """

    def __init__(self, people: Population, words: Words) -> None:
        self.people = people
        self._words = words
        self._towns = len(people.names)
        self._employers = self._towns + len(people.towns)
        self._count = self._employers + len(people.employers)
        self._related: dict[str, Callable[[int], Sequence[int]]] = {
            "mother": lambda e: _some(people.mother[e]),
            "father": lambda e: _some(people.father[e]),
            "husband": lambda e: _some(people.spouse[e]) if people.female[e] else (),
            "wife": lambda e: () if people.female[e] else _some(people.spouse[e]),
            "son": lambda e: [c for c in people.children[e] if not people.female[c]],
            "daughter": lambda e: [c for c in people.children[e] if people.female[c]],
            "friend": lambda e: people.friends[e],
            "home_town": lambda e: _some(people.home_town[e], self._towns),
            "employer": lambda e: _some(people.employer[e], self._employers),
            "company": lambda e: self._companies.get(e, ()),
            "resident": lambda e: self._residents.get(e - self._towns, ()),
            "town": lambda e: (self._towns + people.town[e - self._employers],),
            "founder": lambda e: _some(people.founder[e - self._employers]),
            "employee": lambda e: self._employees.get(e - self._employers, ()),
        }
        self._literal: dict[str, Callable[[int], str]] = {
            "gender": lambda e: "female" if people.female[e] else "male",
            "birth_date": lambda e: iso_date(people.birth[e]),
            "job": lambda e: words.jobs[people.job[e]],
            "hobby": lambda e: words.hobbies[people.hobby[e]],
            "region": lambda e: words.regions[people.region[e - self._towns]],
            "founding_year": lambda e: str(people.founding_year[e - self._towns]),
            "river": lambda e: words.rivers[people.river[e - self._towns]],
            "trade": lambda e: words.trades[people.trade[e - self._employers]],
        }

    def __len__(self) -> int:
        """Return the number of entities, each of which has a page."""
        return self._count

    @property
    def size(self) -> int:
        """People that questions may start from: the first ones."""
        return self.people.size

    def kind(self, entity: int) -> str:
        """Return ``person``, ``town`` or ``employer``."""
        if entity < self._towns:
            return PERSON
        return TOWN if entity < self._employers else EMPLOYER

    def of_kind(self, kind: str) -> range:
        """Return the entities of a kind, distractors among the people left out."""
        if kind == PERSON:
            return range(self.people.size)
        towns, employers = range(self._towns, self._employers), range(self._employers, self._count)
        return towns if kind == TOWN else employers

    def name(self, entity: int) -> str:
        """Return an entity's name, unique in the world."""
        if entity < self._towns:
            return self.people.names[entity]
        if entity < self._employers:
            return self.people.towns[entity - self._towns]
        return self.people.employers[entity - self._employers]

    def entity(self, name: str) -> int:
        """Return the entity of a name.

        Raises:
            DataError: When nothing in the world has the name.
        """
        if name not in self._by_name:
            raise DataError(f"expected the name of an entity of this world, got {name!r}")
        return self._by_name[name]

    def is_female(self, person: int) -> bool:
        """Return whether a person is female."""
        return self.people.female[person]

    def related(self, relation: str, entity: int) -> Sequence[int]:
        """Return what a stated relation leads to, in page order; empty where it does not apply."""
        if LEADS[relation][0] != self.kind(entity):
            return ()
        return self._related[relation](entity)

    def literal(self, attribute: str, entity: int) -> str | None:
        """Return the value of an attribute, or None where it does not apply."""
        if attribute in _ATTRIBUTE_KINDS and _ATTRIBUTE_KINDS[attribute] == self.kind(entity):
            return self._literal[attribute](entity)
        return None

    def values(self, name: str, entity: int) -> Sequence[int] | Sequence[str]:
        """Return the values of a stated relation or attribute that applies to an entity."""
        if name in self._related:
            return self._related[name](entity)
        return (self._literal[name](entity),)

    def having(self, attribute: str, value: str) -> Sequence[int]:
        """Return the people with a value of an attribute (birth date, job or hobby), in order."""
        return self._holders[attribute].get(value, ())

    def document_id(self, entity: int) -> str:
        """Return the id of an entity's page: kind and number."""
        kind = self.kind(entity)
        first = {PERSON: 0, TOWN: self._towns, EMPLOYER: self._employers}[kind]
        return f"{_LETTERS[kind]}{entity - first}"

    def entity_of(self, document_id: str) -> int:
        """Return the entity of a page id; `KeyError` for an unknown one."""
        first = {"p": 0, "t": self._towns, "e": self._employers}[document_id[:1]]
        number = document_id[1:]
        entity = first + int(number) if number.isdecimal() else self._count
        if entity >= self._count or self.document_id(entity) != document_id:
            raise KeyError(document_id)
        return entity

    @cached_property
    def _by_name(self) -> dict[str, int]:
        return {self.name(entity): entity for entity in range(self._count)}

    @cached_property
    def _residents(self) -> dict[int, list[int]]:
        return _inverse(self.people.home_town)

    @cached_property
    def _employees(self) -> dict[int, list[int]]:
        return _inverse(self.people.employer)

    @cached_property
    def _companies(self) -> dict[int, list[int]]:
        founded = _inverse(self.people.founder)
        return {p: [self._employers + e for e in firms] for p, firms in founded.items()}

    @cached_property
    def _holders(self) -> dict[str, dict[str, list[int]]]:
        people = self.people
        numbers = {"birth_date": people.birth, "job": people.job, "hobby": people.hobby}
        return {
            attribute: {self._literal[attribute](h[0]): h for h in _inverse(values).values()}
            for attribute, values in numbers.items()
        }


_ATTRIBUTE_KINDS = {
    **dict.fromkeys(("gender", "birth_date", "job", "hobby"), PERSON),
    **dict.fromkeys(("region", "founding_year", "river"), TOWN),
    "trade": EMPLOYER,
}


def iso_date(day: int) -> str:
    """Return a day number as ``1931-05-12``, one token for the search."""
    return date.fromordinal(day).isoformat()


def _some(number: int, first: int = 0) -> tuple[int, ...]:
    return () if number == NOBODY else (first + number,)


def _inverse(values: Iterable[int]) -> dict[int, list[int]]:
    holders: dict[int, list[int]] = {}
    for holder, value in enumerate(values):
        if value != NOBODY:
            holders.setdefault(value, []).append(holder)
    return holders
