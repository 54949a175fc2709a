"""Random walks over a world: the paths that questions are made of.

In: a world and dice. Out: walks, each a query with the set of entities it leads to. A walk never
comes back to an entity, and every set on it stays small enough to be read.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hopgym.worlds.dice import Dice
from hopgym.worlds.people.vocabulary import EMPLOYER, LEADS, PERSON, TOWN
from hopgym.worlds.people.world import World
from hopgym.worlds.queries import Follow, Having, Name, Query

_BY_ATTRIBUTE = 0.25
_PLACE = 0.15
_ENTRY_ATTRIBUTES = ("birth_date", "job", "hobby")


@dataclass(frozen=True, slots=True)
class Walk:
    """A path from an entry over relations."""

    query: Query
    ends: tuple[int, ...]
    """The entities that it leads to."""
    visited: frozenset[int]
    """All entities on it."""
    path: tuple[str, ...]
    """Its entry and relations, to tell walks apart."""
    hops: int
    """Relations, an entry by attribute counting one."""

    @property
    def end(self) -> int:
        """The first entity that it leads to."""
        return self.ends[0]


class Walker:
    """Draws walks.

    Args:
        world: Where to walk.
        dice: What decides.
        most: Most entities that a walk may have side by side.
    """

    def __init__(self, world: World, dice: Dice, most: int) -> None:
        self._world, self._dice, self._most = world, dice, most
        vocabulary = world.vocabulary
        self._relations = {k: vocabulary.followed_from(k) for k in (PERSON, TOWN, EMPLOYER)}
        self._follow = world.evaluator.follow
        self._entry_attributes = tuple(a for a in _ENTRY_ATTRIBUTES if a in vocabulary.attributes)
        self._has_places = bool(
            vocabulary.followed_from(EMPLOYER)
            or vocabulary.followed_from(TOWN)
            or vocabulary.attributes_of(TOWN)
            or vocabulary.attributes_of(EMPLOYER)
        )

    def person(self) -> Walk:
        """Return a walk of no hops: a person by name."""
        return self.named(self._dice.below(self._world.universe.size))

    def named(self, entity: int) -> Walk:
        """Return a walk of no hops: an entity by name."""
        name = self._world.name(entity)
        return Walk(Name(name), (entity,), frozenset((entity,)), (name,), 0)

    def walk(self, hops: int, *, single: bool = False) -> Walk | None:
        """Return a walk of exactly so many hops from a random entry, or None when one got stuck.

        Args:
            hops: Relations, an entry by attribute counting one.
            single: Whether it must lead to one entity at each hop.
        """
        walk: Walk | None = self._entry(hops)
        while walk is not None and walk.hops < hops:
            walk = self.extend(walk, 1 if single else self._most)
        return walk

    def one_person(self, hops: int) -> Walk | None:
        """Return a walk of so many hops that leads to one person, or None."""
        walk = self.walk(hops, single=True) if hops else self.person()
        if walk is None or self._world.universe.kind(walk.end) != PERSON:
            return None
        return walk

    def crowd(self, hops: int) -> Walk | None:
        """Return a walk to at least two people side by side, its last hop from one entity."""
        base = self.walk(hops, single=True)
        if base is None:
            return None
        for relation in self.relations_from(base):
            ends = self.reach(base, relation)
            if len(ends) >= 2 and leads_to_people(relation) and base.visited.isdisjoint(ends):
                return self.along(base, relation, ends)
        return None

    def extend(self, walk: Walk, most: int) -> Walk | None:
        """Return the walk one hop on, over a relation with 1 to ``most`` new entities, or None."""
        kind = self._world.universe.kind(walk.end)
        for relation in self._dice.shuffled(self._relations[kind]):
            ends = self.reach(walk, relation)
            if ends and len(ends) <= most and walk.visited.isdisjoint(ends):
                return self.along(walk, relation, ends)
        return None

    def reach(self, walk: Walk, relation: str) -> tuple[int, ...]:
        """Return the entities that a relation leads to from the ends of a walk."""
        if len(walk.ends) == 1:
            return self._follow(relation, walk.end)
        return tuple(dict.fromkeys(v for e in walk.ends for v in self._follow(relation, e)))

    def along(self, walk: Walk, relation: str, ends: Sequence[int]) -> Walk:
        """Return the walk one hop on."""
        return Walk(
            Follow(relation, walk.query),
            tuple(ends),
            walk.visited.union(ends),
            (*walk.path, relation),
            walk.hops + 1,
        )

    def relations_from(self, walk: Walk) -> Iterator[str]:
        """Yield the relations that questions follow from a walk's ends, in random order."""
        return self._dice.shuffled(self._relations[self._world.universe.kind(walk.end)])

    def _entry(self, hops: int) -> Walk:
        dice, universe = self._dice, self._world.universe
        if hops >= 1 and self._entry_attributes and dice.unit() < _BY_ATTRIBUTE:
            entry = self._by_attribute(dice.below(universe.size))
            if entry is not None:
                return entry
        if self._has_places and dice.unit() < _PLACE:
            people = len(universe.people.names)
            return self.named(people + dice.below(len(universe) - people))
        return self.person()

    def _by_attribute(self, person: int) -> Walk | None:
        """Return an entry by an attribute whose value nobody else in the corpus has, or None."""
        attribute = self._dice.pick(self._entry_attributes)
        value = self._world.attribute(attribute, person)
        if value is None or len(self._world.having(attribute, value)) != 1:
            return None
        query = Having(attribute, value)
        return Walk(query, (person,), frozenset((person,)), (str(query),), 1)


def leads_to_people(relation: str) -> bool:
    """Return whether a relation leads to people."""
    return LEADS[relation][1] == PERSON
