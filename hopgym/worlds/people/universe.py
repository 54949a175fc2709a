"""The entities of a world by number, and their facts by the names of relations and attributes."""

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from functools import cached_property

from hopgym.errors import DataError
from hopgym.worlds.people.name_pools import NamePool
from hopgym.worlds.people.population import NOBODY, Population
from hopgym.worlds.people.vocabulary import EMPLOYER, LEADS, PERSON, TOWN

_LETTERS = {PERSON: "p", TOWN: "t", EMPLOYER: "e"}


class Universe:
    """All entities, numbered from 0: first the people, then the towns, then the employers.

    Args:
        people: The population.
        pool: The name pool that it was generated from.
    """

    def __init__(self, people: Population, pool: NamePool) -> None:
        self.people = people
        self._towns = len(people.names)
        self._employers = self._towns + len(people.towns)
        self._count = self._employers + len(people.employers)
        # Functions instead of lists, so that inverse relations are only built if they are used.
        self._related: dict[str, Callable[[int], Sequence[int]]] = {
            "mother": lambda e: _as_tuple(people.mother[e]),
            "father": lambda e: _as_tuple(people.father[e]),
            "husband": lambda e: _as_tuple(people.spouse[e]) if people.female[e] else (),
            "wife": lambda e: () if people.female[e] else _as_tuple(people.spouse[e]),
            "son": lambda e: [c for c in people.children[e] if not people.female[c]],
            "daughter": lambda e: [c for c in people.children[e] if people.female[c]],
            "friend": lambda e: people.friends[e],
            "home_town": lambda e: _as_tuple(people.home_town[e], self._towns),
            "employer": lambda e: _as_tuple(people.employer[e], self._employers),
            "company": lambda e: self._companies.get(e, ()),
            "resident": lambda e: self._residents.get(e - self._towns, ()),
            "town": lambda e: (self._towns + people.town[e - self._employers],),
            "founder": lambda e: _as_tuple(people.founder[e - self._employers]),
            "employee": lambda e: self._employees.get(e - self._employers, ()),
        }
        self._literal: dict[str, Callable[[int], str]] = {
            "gender": lambda e: "female" if people.female[e] else "male",
            "birth_date": lambda e: iso_date(people.birth[e]),
            "job": lambda e: pool.jobs[people.job[e]],
            "hobby": lambda e: pool.hobbies[people.hobby[e]],
            "region": lambda e: pool.regions[people.region[e - self._towns]],
            "founding_year": lambda e: str(people.founding_year[e - self._towns]),
            "river": lambda e: pool.rivers[people.river[e - self._towns]],
            "trade": lambda e: pool.trades[people.trade[e - self._employers]],
        }

    def __len__(self) -> int:
        """Return the number of entities, each of which has a page."""
        return self._count

    @property
    def size(self) -> int:
        """Number of people that questions may start from, which are the first entities."""
        return self.people.size

    def kind(self, entity: int) -> str:
        """Return ``person``, ``town`` or ``employer``."""
        if entity < self._towns:
            return PERSON
        return TOWN if entity < self._employers else EMPLOYER

    def of_kind(self, kind: str) -> range:
        """Return the entities of a kind, without the distractors among the people."""
        if kind == PERSON:
            return range(self.people.size)
        if kind == TOWN:
            return range(self._towns, self._employers)
        return range(self._employers, self._count)

    def name(self, entity: int) -> str:
        """Return an entity's name, unique in the world."""
        if entity < self._towns:
            return self.people.names[entity]
        if entity < self._employers:
            return self.people.towns[entity - self._towns]
        return self.people.employers[entity - self._employers]

    def entity(self, name: str) -> int:
        """Return the entity with a name.

        Raises:
            DataError: When no entity of the world has the name.
        """
        if name not in self._by_name:
            raise DataError(f"expected the name of an entity of this world, got {name!r}")
        return self._by_name[name]

    def is_female(self, person: int) -> bool:
        """Return whether a person is female."""
        return self.people.female[person]

    def related(self, relation: str, entity: int) -> Sequence[int]:
        """Return the values of a stated relation, in page order; empty if it does not apply."""
        if LEADS[relation][0] != self.kind(entity):
            return ()
        return self._related[relation](entity)

    def literal(self, attribute: str, entity: int) -> str | None:
        """Return the value of an attribute, or None if it does not apply."""
        if attribute in _ATTRIBUTE_KINDS and _ATTRIBUTE_KINDS[attribute] == self.kind(entity):
            return self._literal[attribute](entity)
        return None

    def values(self, name: str, entity: int) -> Sequence[int] | Sequence[str]:
        """Return the values of a stated relation or attribute that applies to an entity."""
        if name in self._related:
            return self._related[name](entity)
        return (self._literal[name](entity),)

    def having(self, attribute: str, value: str) -> Sequence[int]:
        """Return the people with a value of ``birth_date``, ``job`` or ``hobby``, in order."""
        return self._holders[attribute].get(value, ())

    def document_id(self, entity: int) -> str:
        """Return the id of an entity's page: a letter for the kind, and a number within it."""
        kind = self.kind(entity)
        first = {PERSON: 0, TOWN: self._towns, EMPLOYER: self._employers}[kind]
        return f"{_LETTERS[kind]}{entity - first}"

    def entity_of(self, document_id: str) -> int:
        """Return the entity with a page id; `KeyError` for an unknown one."""
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
    """Return a day number as ``1931-05-12``, which is one token for the search."""
    return date.fromordinal(day).isoformat()


def _as_tuple(number: int, first: int = 0) -> tuple[int, ...]:
    return () if number == NOBODY else (first + number,)


def _inverse(values: Iterable[int]) -> dict[int, list[int]]:
    holders: dict[int, list[int]] = {}
    for holder, value in enumerate(values):
        if value != NOBODY:
            holders.setdefault(value, []).append(holder)
    return holders
