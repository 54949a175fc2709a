"""Random walks over a world: the paths that questions are built from.

A walk is a query with the set of entities that it leads to. It never returns to an entity, and the
set stays small enough to be read within the oracle's steps.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hopgym.worlds.people.vocabulary import EMPLOYER, LEADS, PERSON, TOWN
from hopgym.worlds.people.world import PeopleWorld
from hopgym.worlds.queries import Follow, Having, Name, Query
from hopgym.worlds.randomness import BufferedRandom

_ENTRY_BY_ATTRIBUTE = 0.25
"""Probability that a walk starts from an attribute's value instead of a name."""
_ENTRY_PLACE = 0.15
"""Probability that it starts from a town or employer instead of a person."""
_CACHED_STEPS_BACK = 50_000
_TRIES_PER_HOP = 4
"""Tries per hop, backtracking included, before a walk is abandoned."""

_ENTRY_ATTRIBUTES = ("birth_date", "job", "hobby")

_NEIGHBOURS: Mapping[str, tuple[str, ...]] = {
    PERSON: ("mother", "father", "husband", "wife", "son", "daughter", "friend", "company"),
    TOWN: ("resident",),
    EMPLOYER: ("employee", "founder"),
}
"""Relations to every entity that could lead back to one of this kind, stated on pages or not."""


@dataclass(frozen=True, slots=True)
class Walk:
    """A path from an entry over relations."""

    query: Query
    ends: tuple[int, ...]
    """The entities that it leads to."""
    visited: frozenset[int]
    """All entities on the path."""
    path: tuple[str, ...]
    """The entry and the relations, which identify the walk."""
    hops: int
    """Number of relations; an entry by attribute counts as one."""

    @property
    def end(self) -> int:
        """The first entity that it leads to."""
        return self.ends[0]


class WalkSampler:
    """Samples random walks.

    Args:
        world: The world to walk in.
        random: Source of all choices.
        max_ends: Most entities that a walk may lead to at any hop.
    """

    def __init__(self, world: PeopleWorld, random: BufferedRandom, max_ends: int) -> None:
        self._world = world
        self._random = random
        self._max_ends = max_ends
        vocabulary = world.vocabulary
        self._relations = {k: vocabulary.followed_from(k) for k in (PERSON, TOWN, EMPLOYER)}
        self._follow = world.evaluator.follow
        self._steps_back_cache: dict[int, list[tuple[int, str]]] = {}
        self._entry_attributes = tuple(a for a in _ENTRY_ATTRIBUTES if a in vocabulary.attributes)
        self._has_places = bool(
            vocabulary.followed_from(EMPLOYER)
            or vocabulary.followed_from(TOWN)
            or vocabulary.attributes_of(TOWN)
            or vocabulary.attributes_of(EMPLOYER)
        )

    def person(self) -> Walk:
        """Return a walk without hops that starts from the name of a random person."""
        return self.named(self._random.below(self._world.universe.size))

    def named(self, entity: int) -> Walk:
        """Return a walk without hops that starts from the name of an entity."""
        name = self._world.name(entity)
        return Walk(Name(name), (entity,), frozenset((entity,)), (name,), 0)

    def walk(self, hops: int, *, single: bool = False) -> Walk | None:
        """Return a walk of exactly ``hops`` hops from a random entry, or None if it got stuck.

        Args:
            hops: Number of relations; an entry by attribute counts as one.
            single: Whether each hop must lead to one entity.
        """
        max_ends = 1 if single else self._max_ends
        # Depth-first search: each level holds the untried extensions of the walk above it.
        candidates = [iter((self._entry(hops),))]
        for _ in range(_TRIES_PER_HOP * (hops + 1)):
            walk = next(candidates[-1], None)
            if walk is None:
                candidates.pop()
                if not candidates:
                    return None
            elif walk.hops == hops:
                return walk
            else:
                candidates.append(self._extensions(walk, max_ends))
        return None

    def walk_to(self, end: int, hops: int) -> Walk | None:
        """Return a walk of ``hops`` hops that leads to ``end``, each to one entity, or None."""
        if hops and self._random.random() < _ENTRY_BY_ATTRIBUTE:
            walk = self._walk_back(end, hops - 1, by_attribute=True)
            if walk is not None:
                return walk
        return self._walk_back(end, hops, by_attribute=False)

    def _walk_back(self, end: int, hops: int, *, by_attribute: bool) -> Walk | None:
        """Search the steps backwards from the end, then walk them forwards."""
        # Starting from the end finds the few walks to it, which forward walks would rarely hit.
        steps: list[tuple[int, str]] = []
        candidates = [self._steps_back(end)] if hops else []
        for _ in range(_TRIES_PER_HOP * hops):
            if not candidates or len(steps) == hops:
                break
            step = next(candidates[-1], None)
            if step is None:
                candidates.pop()
                if steps:
                    steps.pop()
            elif step[0] != end and all(step[0] != entity for entity, _ in steps):
                steps.append(step)
                candidates.append(self._steps_back(step[0]))
        if len(steps) < hops:
            return None
        return self._walk_forwards(steps[-1][0] if steps else end, steps, by_attribute)

    def _walk_forwards(
        self, start: int, steps: Sequence[tuple[int, str]], by_attribute: bool
    ) -> Walk | None:
        person = self._world.universe.kind(start) == PERSON
        if person and start >= self._world.universe.size:
            return None
        if by_attribute and not (person and self._entry_attributes):
            return None
        walk = self._by_attribute(start) if by_attribute else self.named(start)
        for _, relation in reversed(steps):
            if walk is None:
                return None
            walk = self.along(walk, relation, self.reach(walk, relation))
        return walk

    def _steps_back(self, entity: int) -> Iterator[tuple[int, str]]:
        """Yield (entity, relation) of which the relation leads to this entity only, shuffled."""
        steps = self._steps_back_cache.get(entity)
        if steps is None:
            if len(self._steps_back_cache) >= _CACHED_STEPS_BACK:
                self._steps_back_cache.clear()
            steps = self._steps_back_cache[entity] = self._find_steps_back(entity)
        return self._random.shuffled(steps)

    def _find_steps_back(self, entity: int) -> list[tuple[int, str]]:
        universe = self._world.universe
        relations = _NEIGHBOURS[universe.kind(entity)]
        neighbours = dict.fromkeys(n for r in relations for n in universe.related(r, entity))
        return [
            (neighbour, relation)
            for neighbour in neighbours
            for relation in self._relations[universe.kind(neighbour)]
            if self._follow(relation, neighbour) == (entity,)
        ]

    def one_person(self, hops: int) -> Walk | None:
        """Return a walk of ``hops`` hops that leads to one person, or None."""
        walk = self.walk(hops, single=True) if hops else self.person()
        if walk is None or self._world.universe.kind(walk.end) != PERSON:
            return None
        return walk

    def crowd(self, hops: int) -> Walk | None:
        """Return a walk of ``hops`` hops to one entity, and one more to at least two people."""
        base = self.walk(hops, single=True)
        if base is None:
            return None
        for relation in self.relations_from(base):
            ends = self.reach(base, relation)
            if len(ends) >= 2 and leads_to_people(relation) and base.visited.isdisjoint(ends):
                return self.along(base, relation, ends)
        return None

    def extend(self, walk: Walk, max_ends: int) -> Walk | None:
        """Return the walk with one more hop to 1 to ``max_ends`` new entities, or None."""
        return next(self._extensions(walk, max_ends), None)

    def _extensions(self, walk: Walk, max_ends: int) -> Iterator[Walk]:
        for relation in self.relations_from(walk):
            ends = self.reach(walk, relation)
            if ends and len(ends) <= max_ends and walk.visited.isdisjoint(ends):
                yield self.along(walk, relation, ends)

    def reach(self, walk: Walk, relation: str) -> tuple[int, ...]:
        """Return the entities that a relation leads to from the ends of a walk."""
        if len(walk.ends) == 1:
            return self._follow(relation, walk.end)
        return tuple(dict.fromkeys(v for e in walk.ends for v in self._follow(relation, e)))

    def along(self, walk: Walk, relation: str, ends: Sequence[int]) -> Walk:
        """Return the walk with one more hop, over ``relation`` to ``ends``."""
        return Walk(
            Follow(relation, walk.query),
            tuple(ends),
            walk.visited.union(ends),
            (*walk.path, relation),
            walk.hops + 1,
        )

    def relations_from(self, walk: Walk) -> Iterator[str]:
        """Yield the relations that questions follow from a walk's ends, in random order."""
        return self._random.shuffled(self._relations[self._world.universe.kind(walk.end)])

    def _entry(self, hops: int) -> Walk:
        random = self._random
        universe = self._world.universe
        if hops >= 1 and self._entry_attributes and random.random() < _ENTRY_BY_ATTRIBUTE:
            entry = self._by_attribute(random.below(universe.size))
            if entry is not None:
                return entry
        if self._has_places and random.random() < _ENTRY_PLACE:
            people = len(universe.people.names)
            return self.named(people + random.below(len(universe) - people))
        return self.person()

    def _by_attribute(self, person: int) -> Walk | None:
        """Return an entry by an attribute value that no other person of the world has, or None."""
        attribute = self._random.choice(self._entry_attributes)
        value = self._world.attribute(attribute, person)
        if value is None or len(self._world.having(attribute, value)) != 1:
            return None
        query = Having(attribute, value)
        return Walk(query, (person,), frozenset((person,)), (str(query),), 1)


def leads_to_people(relation: str) -> bool:
    """Return whether a relation leads to people."""
    return LEADS[relation][1] == PERSON
