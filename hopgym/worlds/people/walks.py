"""Random walks over a world: the paths that questions are made of.

In: a world and dice. Out: walks, each a query with the set of entities it leads to. A walk never
comes back to an entity, and every set on it stays small enough to be read.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hopgym.worlds.people.vocabulary import EMPLOYER, LEADS, PERSON, TOWN
from hopgym.worlds.people.world import World
from hopgym.worlds.queries import Follow, Having, Name, Query
from hopgym.worlds.randomness import Dice

_BY_ATTRIBUTE = 0.25
_PLACE = 0.15
_KEPT_BACK = 50_000
_PATIENCE = 4
"""Tries per hop, steps back among them, before a walk is given up."""

_ENTRY_ATTRIBUTES = ("birth_date", "job", "hobby")

_NEIGHBOURS: Mapping[str, tuple[str, ...]] = {
    PERSON: ("mother", "father", "husband", "wife", "son", "daughter", "friend", "company"),
    TOWN: ("resident",),
    EMPLOYER: ("employee", "founder"),
}
"""Relations to all who could lead back to an entity, whether pages state them or not."""


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
        self._back: dict[int, list[tuple[int, str]]] = {}
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
        most = 1 if single else self._most
        onward = [iter((self._entry(hops),))]
        for _ in range(_PATIENCE * (hops + 1)):
            walk = next(onward[-1], None)
            if walk is None:
                onward.pop()
                if not onward:
                    return None
            elif walk.hops == hops:
                return walk
            else:
                onward.append(self._extensions(walk, most))
        return None

    def walk_to(self, end: int, hops: int) -> Walk | None:
        """Return a walk of so many hops, each to one entity, that leads to an entity, or None."""
        if hops and self._dice.unit() < _BY_ATTRIBUTE:
            walk = self._walk_back(end, hops - 1, by_attribute=True)
            if walk is not None:
                return walk
        return self._walk_back(end, hops, by_attribute=False)

    def _walk_back(self, end: int, hops: int, *, by_attribute: bool) -> Walk | None:
        """Find the way backwards, then go it forwards."""
        way: list[tuple[int, str]] = []
        back = [self._steps_back(end)] if hops else []
        for _ in range(_PATIENCE * hops):
            if not back or len(way) == hops:
                break
            step = next(back[-1], None)
            if step is None:
                back.pop()
                if way:
                    way.pop()
            elif step[0] != end and all(step[0] != passed for passed, _ in way):
                way.append(step)
                back.append(self._steps_back(step[0]))
        if len(way) < hops:
            return None
        return self._forwards(way[-1][0] if way else end, way, by_attribute)

    def _forwards(
        self, start: int, way: Sequence[tuple[int, str]], by_attribute: bool
    ) -> Walk | None:
        person = self._world.universe.kind(start) == PERSON
        if person and start >= self._world.universe.size:
            return None
        if by_attribute and not (person and self._entry_attributes):
            return None
        walk = self._by_attribute(start) if by_attribute else self.named(start)
        for _, relation in reversed(way):
            if walk is None:
                return None
            walk = self.along(walk, relation, self.reach(walk, relation))
        return walk

    def _steps_back(self, entity: int) -> Iterator[tuple[int, str]]:
        """Yield (other entity, relation that leads from it to this one alone), in random order."""
        steps = self._back.get(entity)
        if steps is None:
            if len(self._back) >= _KEPT_BACK:
                self._back.clear()
            steps = self._back[entity] = self._all_steps_back(entity)
        return self._dice.shuffled(steps)

    def _all_steps_back(self, entity: int) -> list[tuple[int, str]]:
        universe = self._world.universe
        around = (universe.related(near, entity) for near in _NEIGHBOURS[universe.kind(entity)])
        others = dict.fromkeys(other for near in around for other in near)
        return [
            (other, relation)
            for other in others
            for relation in self._relations[universe.kind(other)]
            if self._follow(relation, other) == (entity,)
        ]

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
        return next(self._extensions(walk, most), None)

    def _extensions(self, walk: Walk, most: int) -> Iterator[Walk]:
        for relation in self.relations_from(walk):
            ends = self.reach(walk, relation)
            if ends and len(ends) <= most and walk.visited.isdisjoint(ends):
                yield self.along(walk, relation, ends)

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
