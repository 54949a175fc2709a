"""Drafts of questions: queries of each kind, built from random walks.

Each kind has one function that returns a `Draft` for a number of hops, or None if the random
choices led to no question.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hopgym.worlds.people.vocabulary import ATTRIBUTES, LEADS, PERSON, SCHEMA
from hopgym.worlds.people.walks import Walk, WalkSampler, leads_to_people
from hopgym.worlds.people.world import PeopleWorld
from hopgym.worlds.queries import (
    Attribute,
    Compare,
    Count,
    Having,
    Intersect,
    Member,
    Name,
    Query,
    Superlative,
)
from hopgym.worlds.randomness import BufferedRandom

_WALK_TRIES = 4
_COUNTED_ENTITIES = 2_000
"""Entities that are inspected for the counts and absences of a relation."""
_AGES = ("older", "younger")
_SIZES = ("larger", "smaller")
_STRANGERS = 8
_SHARER_TRIES = 16
_SHARED: Mapping[str, str] = {"home_town": "resident", "employer": "employee"}
"""Relations with values that two people can share, and their inverses."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A query to ask, and the paths that no other question may lie on."""

    query: Query
    paths: tuple[tuple[str, ...], ...]


class Drafter:
    """Drafts questions of every kind.

    Args:
        world: The world that is asked about.
        walks: Samples the walks.
        random: Source of all other choices.
        max_answers: Most answers of a question.
    """

    def __init__(
        self, world: PeopleWorld, walks: WalkSampler, random: BufferedRandom, max_answers: int
    ) -> None:
        self._world = world
        self._walks = walks
        self._random = random
        self._max_answers = max_answers
        self._attributes = world.vocabulary.attributes
        self._people_attributes = world.vocabulary.attributes_of(PERSON)
        self._counted = tuple(r for r in world.vocabulary.followed if is_countable(r))
        self._pairs = PairDrafter(world, walks, random, max_answers)
        self._count_cache: dict[str, dict[int, list[int]]] = {}
        self.by_kind: Mapping[str, Callable[[int, int], Draft | None]] = {
            "chain": self._chain,
            "attribute": self._attribute,
            "count": self._count,
            "intersection": self._intersection,
            "comparison": self._pairs.comparison,
            "superlative": self._superlative,
            "yesno": self._pairs.yesno,
            "unanswerable": self._unanswerable,
        }
        """Kind to the function that drafts it from (hops, target); only counts use the target."""

    def _chain(self, hops: int, target: int) -> Draft | None:
        walk = self._walks.walk(hops)
        if walk is None or len(walk.ends) > self._max_answers:
            return None
        return Draft(walk.query, (walk.path,))

    def _attribute(self, hops: int, target: int) -> Draft | None:
        walk = self._walks.walk(hops - 1)
        if walk is None:
            return None
        kind = self._world.universe.kind(walk.end)
        attributes = [
            a for a in self._attributes if ATTRIBUTES[a] == kind and a != _entry_attribute(walk)
        ]
        if not attributes:
            return None
        attribute = self._random.choice(attributes)
        values = {self._world.attribute(attribute, e) for e in walk.ends}
        if len(values) > self._max_answers:
            return None
        return Draft(Attribute(attribute, walk.query), ((*walk.path, attribute),))

    def _count(self, hops: int, target: int) -> Draft | None:
        # The relation is chosen first: chosen last, it would reveal much about the target.
        relation = self._random.choice(self._counted) if self._counted else ""
        matches = self._by_count(relation).get(target, []) if relation else []
        for _ in range(_WALK_TRIES if matches else 0):
            walk = self._walks.walk_to(self._random.choice(matches), hops - 1)
            if walk is None:
                continue
            if walk.visited.isdisjoint(self._walks.reach(walk, relation)):
                return Draft(Count(relation, walk.query), ((*walk.path, relation, "count"),))
        return None

    def _by_count(self, relation: str) -> dict[int, list[int]]:
        """Return entities by the number of values that a relation has for them."""
        if relation not in self._count_cache:
            counts: dict[int, list[int]] = {}
            follow = self._world.evaluator.follow
            entities = self._world.universe.of_kind(LEADS[relation][0])
            for entity in entities[:_COUNTED_ENTITIES]:
                counts.setdefault(len(follow(relation, entity)), []).append(entity)
            self._count_cache[relation] = counts
        return self._count_cache[relation]

    def _intersection(self, hops: int, target: int) -> Draft | None:
        if hops >= 2 and self._people_attributes and self._random.random() < 0.5:
            return self._filter(hops)
        return self._pairs.both(hops)

    def _filter(self, hops: int) -> Draft | None:
        crowd = self._walks.crowd(hops - 2)
        if crowd is None:
            return None
        attribute = self._random.choice(self._people_attributes)
        value = self._world.attribute(attribute, self._random.choice(crowd.ends))
        assert value is not None, "every person has every attribute of people"
        matching = sum(self._world.attribute(attribute, e) == value for e in crowd.ends)
        elsewhere = len(self._world.having(attribute, value)) > matching
        # A value that nobody else has would lead to the answer without the crowd.
        if not elsewhere or matching == len(crowd.ends) or matching > self._max_answers:
            return None
        query = Intersect(crowd.query, Having(attribute, value))
        return Draft(query, ((*crowd.path, f"{attribute}={value}"),))

    def _superlative(self, hops: int, target: int) -> Draft | None:
        if hops < 2 or "birth_date" not in self._attributes:
            return None
        crowd = self._walks.crowd(hops - 2)
        if crowd is None:
            return None
        op = self._random.choice(("oldest", "youngest"))
        births = sorted(self._world.universe.people.birth[e] for e in crowd.ends)
        is_tie = births[0] == births[1] if op == "oldest" else births[-1] == births[-2]
        if is_tie:
            return None
        return Draft(Superlative(op, "birth_date", crowd.query), ((*crowd.path, op),))

    def _unanswerable(self, hops: int, target: int) -> Draft | None:
        # The relation is chosen first here too: it must not reveal whether there is an answer.
        relations = [r for r in self._world.vocabulary.followed if self._can_be_absent(r)]
        relation = self._random.choice(relations) if relations else ""
        without = self._by_count(relation)[0] if relation else []
        for _ in range(_WALK_TRIES if without else 0):
            walk = self._walks.walk_to(self._random.choice(without), hops - 1)
            if walk is not None and self._applies(relation, walk.end):
                full_walk = self._walks.along(walk, relation, ())
                return Draft(full_walk.query, (full_walk.path,))
        return None

    def _can_be_absent(self, relation: str) -> bool:
        """Return whether some entities have values of a relation and others have none."""
        counts = self._by_count(relation)
        return 0 in counts and len(counts) > 1

    def _applies(self, relation: str, entity: int) -> bool:
        """Return whether an absence is plausible: only women have husbands here, and men wives."""
        if relation not in ("husband", "wife"):
            return True
        return self._world.universe.is_female(entity) == (relation == "husband")


class PairDrafter:
    """Drafts questions about two entities or sets: intersections, comparisons and yes/no.

    Args:
        world: The world that is asked about.
        walks: Samples the walks.
        random: Source of all other choices.
        max_answers: Most answers of a question.
    """

    def __init__(
        self, world: PeopleWorld, walks: WalkSampler, random: BufferedRandom, max_answers: int
    ) -> None:
        self._world = world
        self._walks = walks
        self._random = random
        self._max_answers = max_answers
        self._attributes = world.vocabulary.attributes
        self._people_attributes = world.vocabulary.attributes_of(PERSON)
        self._counted = tuple(r for r in world.vocabulary.followed_from(PERSON) if is_countable(r))

    def both(self, hops: int) -> Draft | None:
        """Draft a question for the people who belong to two sets."""
        left = self._walks.crowd(hops - 1)
        right = self._other_crowd(left) if left else None
        if left is None or right is None:
            return None
        return Draft(Intersect(left.query, right.query), (left.path, right.path))

    def _other_crowd(self, left: Walk) -> Walk | None:
        """Return a walk of one hop that shares some of its people, but not all, with ``left``."""
        for person in self._random.shuffled(left.ends):
            start = self._walks.named(person)
            for back in self._walks.relations_from(start):
                for origin in self._walks.reach(start, back):
                    right = self._overlapping_walk(origin, left)
                    if right is not None:
                        return right
        return None

    def _overlapping_walk(self, start: int, left: Walk) -> Walk | None:
        person = self._world.universe.kind(start) == PERSON
        if start in left.visited or (person and not self._is_eligible(start)):
            return None
        base = self._walks.named(start)
        for relation in self._walks.relations_from(base):
            ends = self._walks.reach(base, relation)
            # Neither side may reveal the answer by itself.
            common = len(set(left.ends) & set(ends))
            reveals = common in (0, len(left.ends), len(ends)) or common > self._max_answers
            if not reveals and leads_to_people(relation) and start not in ends:
                return self._walks.along(base, relation, ends)
        return None

    def comparison(self, hops: int, target: int) -> Draft | None:
        """Draft a question that compares two people by age or by the size of a relation."""
        left = self._walks.one_person(hops - 1)
        right = self._walks.one_person(self._random.below(hops))
        if left is None or right is None or not left.visited.isdisjoint(right.visited):
            return None
        criterion = self._criterion(left.end, right.end)
        if criterion is None:
            return None
        if self._random.random() < 0.5:
            left, right = right, left
        return self._draft_of_two(Compare(*criterion, left.query, right.query), left, right)

    def _criterion(self, one: int, other: int) -> tuple[str, str] | None:
        """Return an (op, by) for which two people differ, or None."""
        counted = self._counted
        if "birth_date" in self._attributes and (not counted or self._random.random() < 0.5):
            birth = self._world.universe.people.birth
            if birth[one] == birth[other]:
                return None
            return self._random.choice(_AGES), "birth_date"
        if not counted:
            return None
        by = self._random.choice(counted)
        follow = self._world.evaluator.follow
        if len(follow(by, one)) == len(follow(by, other)):
            return None
        return self._random.choice(_SIZES), by

    def yesno(self, hops: int, target: int) -> Draft | None:
        """Draft a question for a membership or a shared value; yes and no are equally likely."""
        holds = self._random.random() < 0.5
        return self._same(hops, holds) if self._random.random() < 0.5 else self._member(hops, holds)

    def _member(self, hops: int, holds: bool) -> Draft | None:
        base = self._walks.one_person(hops - 1)
        if base is None:
            return None
        for relation in self._walks.relations_from(base):
            ends = self._walks.reach(base, relation)
            if not SCHEMA.direct(relation) or not leads_to_people(relation):
                continue
            if not ends or not base.visited.isdisjoint(ends):
                continue
            member = self._random.choice(ends) if holds else self._relative(base, ends)
            if member is not None:
                group = self._walks.along(base, relation, ends)
                entry = self._walks.named(member)
                path = (*group.path, "member", *entry.path)
                return Draft(Member(entry.query, group.query), (path,))
        return None

    def _relative(self, base: Walk, excluded: tuple[int, ...]) -> int | None:
        """Return a person near the end of a walk who is not among the excluded, or None.

        The gender is that of one of the excluded, so that it does not reveal the answer.
        """
        female = self._world.universe.is_female(self._random.choice(excluded))
        near = self._walks.extend(base, 100)
        close = near.ends if near and leads_to_people(near.path[-1]) else ()
        strangers = (self._walks.person().end for _ in range(_STRANGERS))
        for person in (*close, *strangers):
            is_excluded = person in excluded or person in base.visited
            if not is_excluded and self._world.universe.is_female(person) == female:
                return person
        return None

    def _same(self, hops: int, holds: bool) -> Draft | None:
        shared = [*(r for r in _SHARED if r in self._world.vocabulary.followed)]
        shared += [a for a in self._people_attributes if a != "birth_date"]
        by = self._random.choice(shared) if shared else ""
        # Shared values are rarer: without more tries for them, most answers would be no.
        for _ in range(_SHARER_TRIES if shared else 0):
            left = self._walks.one_person(hops - 1)
            right = self._sharer(by, left.end, holds) if left else None
            if left is not None and right is not None and right not in left.visited:
                entry = self._walks.named(right)
                query = Compare("same", by, left.query, entry.query)
                return self._draft_of_two(query, left, entry)
        return None

    def _sharer(self, by: str, person: int, holds: bool) -> int | None:
        """Return a person whose value is the same (``holds``) or a different one, or None."""
        value = self._value(by, person)
        if value is None:
            return None
        if not holds:
            stranger = self._walks.person().end
            return None if self._value(by, stranger) in (None, value) else stranger
        universe = self._world.universe
        holders = (
            universe.values(_SHARED[by], value)
            if isinstance(value, int)
            else universe.having(by, value)
        )
        sharers = [
            e for e in holders if isinstance(e, int) and e != person and self._is_eligible(e)
        ]
        return self._random.choice(sharers) if sharers else None

    def _value(self, by: str, person: int) -> int | str | None:
        if by in LEADS:
            return next(iter(self._world.evaluator.follow(by, person)), None)
        return self._world.attribute(by, person)

    def _is_eligible(self, person: int) -> bool:
        return person < self._world.universe.size

    def _draft_of_two(self, query: Query, left: Walk, right: Walk) -> Draft:
        # A bare name is no path: several questions may compare the same person.
        paths = (walk.path for walk in (left, right) if not isinstance(walk.query, Name))
        return Draft(query, tuple((*path, "compare") for path in paths))


def is_countable(relation: str) -> bool:
    """Return whether questions may ask for the number of a relation's values."""
    return not SCHEMA.single(relation) and not is_ancestral(relation)


def is_ancestral(relation: str) -> bool:
    """Return whether a relation leads to ancestors, of whom everybody has the same number."""
    return {"mother", "father"}.issuperset(SCHEMA.stated_by(relation))


def _entry_attribute(walk: Walk) -> str:
    """Return the attribute that a walk consists of, because asking for it is no question."""
    return walk.query.attribute if isinstance(walk.query, Having) else ""
