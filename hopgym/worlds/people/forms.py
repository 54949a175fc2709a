"""The forms of questions: how each kind is drawn from walks.

In: hops, and for counts a target. Out: a `Draft`, a query with the walks it is made of, or None
when the draw came to nothing. Kinds are rows of a table, not branches.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hopgym.worlds.dice import Dice
from hopgym.worlds.people.vocabulary import ATTRIBUTES, LEADS, PERSON, SCHEMA
from hopgym.worlds.people.walks import Walk, Walker, leads_to_people
from hopgym.worlds.people.world import World
from hopgym.worlds.queries import (
    Attribute,
    Compare,
    Count,
    Having,
    Intersect,
    Member,
    Query,
    Superlative,
)

_AGES = ("older", "younger")
_SIZES = ("larger", "smaller")
_SHARED = ("home_town", "employer")
_COUNT_TRIES = 12


@dataclass(frozen=True, slots=True)
class Draft:
    """A query to be asked, and the paths that no other question may lie on."""

    query: Query
    paths: tuple[tuple[str, ...], ...]


class Forms:
    """Draws questions of each kind.

    Args:
        world: What is asked about.
        walker: Draws the walks.
        dice: What decides.
        max_answers: Most answers of a question.
    """

    def __init__(self, world: World, walker: Walker, dice: Dice, max_answers: int) -> None:
        self._world, self._walker, self._dice = world, walker, dice
        self._max_answers = max_answers
        self._attributes = world.vocabulary.attributes
        self._people_attributes = world.vocabulary.attributes_of(PERSON)
        self.draw: Mapping[str, Callable[[int, int], Draft | None]] = {
            "chain": self._chain,
            "attribute": self._attribute,
            "count": self._count,
            "intersection": self._intersection,
            "comparison": self._comparison,
            "superlative": self._superlative,
            "yesno": self._yesno,
            "unanswerable": self._unanswerable,
        }
        """Kind to a draw from (hops, target); the target matters to counts alone."""

    def _chain(self, hops: int, target: int) -> Draft | None:
        walk = self._walker.walk(hops)
        if walk is None or len(walk.ends) > self._max_answers:
            return None
        return Draft(walk.query, (walk.path,))

    def _attribute(self, hops: int, target: int) -> Draft | None:
        walk = self._walker.walk(hops - 1)
        if walk is None:
            return None
        kind = self._world.universe.kind(walk.end)
        attributes = [
            a for a in self._attributes if ATTRIBUTES[a] == kind and a != _entry_attribute(walk)
        ]
        if not attributes:
            return None
        attribute = self._dice.pick(attributes)
        values = {self._world.attribute(attribute, e) for e in walk.ends}
        if len(values) > self._max_answers:
            return None
        return Draft(Attribute(attribute, walk.query), ((*walk.path, attribute),))

    def _count(self, hops: int, target: int) -> Draft | None:
        # The relation comes first: drawn last, it would tell much about the target.
        counted = [r for r in self._world.vocabulary.followed if is_countable(r)]
        relation = self._dice.pick(counted) if counted else ""
        for _ in range(_COUNT_TRIES if counted else 0):
            walk = self._walker.walk(hops - 1, single=True)
            if walk is None or self._world.universe.kind(walk.end) != LEADS[relation][0]:
                continue
            ends = self._walker.reach(walk, relation)
            if len(ends) == target and walk.visited.isdisjoint(ends):
                return Draft(Count(relation, walk.query), ((*walk.path, relation, "count"),))
        return None

    def _intersection(self, hops: int, target: int) -> Draft | None:
        if hops >= 2 and self._people_attributes and self._dice.unit() < 0.5:
            return self._filtered(hops)
        return self._both(hops)

    def _filtered(self, hops: int) -> Draft | None:
        crowd = self._crowd(hops - 2)
        if crowd is None:
            return None
        attribute = self._dice.pick(self._people_attributes)
        value = self._world.attribute(attribute, self._dice.pick(crowd.ends))
        assert value is not None, "every person has every attribute of people"
        matching = sum(self._world.attribute(attribute, e) == value for e in crowd.ends)
        if matching == len(crowd.ends) or matching > self._max_answers:
            return None
        query = Intersect(crowd.query, Having(attribute, value))
        return Draft(query, ((*crowd.path, f"{attribute}={value}"),))

    def _both(self, hops: int) -> Draft | None:
        left = self._walker.walk(hops)
        if left is None or len(left.path) < 2 or not leads_to_people(left.path[-1]):
            return None
        right = self._other_way_to(self._dice.pick(left.ends), left)
        if right is None:
            return None
        common = set(left.ends) & set(right.ends)
        if len(common) > self._max_answers or len(common) == len(left.ends) == len(right.ends):
            return None
        return Draft(Intersect(left.query, right.query), (left.path, right.path))

    def _other_way_to(self, person: int, left: Walk) -> Walk | None:
        """Return a walk of one hop to a set with the person in it, from off the ``left`` one."""
        near = self._walker.extend(self._walker.named(person), 100)
        if near is None:
            return None
        other = self._walker.named(self._dice.pick(near.ends))
        if other.end in left.visited:
            return None
        for relation in self._walker.relations_from(other):
            ends = self._walker.reach(other, relation)
            if person in ends and other.end not in ends and leads_to_people(relation):
                return self._walker.along(other, relation, ends)
        return None

    def _comparison(self, hops: int, target: int) -> Draft | None:
        left = self._one_person(hops - 1)
        right = self._one_person(self._dice.below(hops))
        if left is None or right is None or not left.visited.isdisjoint(right.visited):
            return None
        compared = self._compare(left.end, right.end)
        if compared is None:
            return None
        if self._dice.unit() < 0.5:
            left, right = right, left
        return self._draft_of_two(Compare(*compared, left.query, right.query), left, right)

    def _compare(self, one: int, other: int) -> tuple[str, str] | None:
        """Return (op, by) that tells two people apart, or None."""
        counted = [r for r in self._world.vocabulary.followed_from(PERSON) if not SCHEMA.single(r)]
        if "birth_date" in self._attributes and (not counted or self._dice.unit() < 0.5):
            birth = self._world.universe.people.birth
            return (self._dice.pick(_AGES), "birth_date") if birth[one] != birth[other] else None
        if not counted:
            return None
        by, follow = self._dice.pick(counted), self._world.evaluator.follow
        if len(follow(by, one)) == len(follow(by, other)):
            return None
        return self._dice.pick(_SIZES), by

    def _superlative(self, hops: int, target: int) -> Draft | None:
        if hops < 2 or "birth_date" not in self._attributes:
            return None
        crowd = self._crowd(hops - 2)
        if crowd is None:
            return None
        op = self._dice.pick(("oldest", "youngest"))
        births = sorted(self._world.universe.people.birth[e] for e in crowd.ends)
        tied = births[0] == births[1] if op == "oldest" else births[-1] == births[-2]
        if tied:
            return None
        return Draft(Superlative(op, "birth_date", crowd.query), ((*crowd.path, op),))

    def _yesno(self, hops: int, target: int) -> Draft | None:
        holds = self._dice.unit() < 0.5
        return self._same(hops, holds) if self._dice.unit() < 0.5 else self._member(hops, holds)

    def _member(self, hops: int, holds: bool) -> Draft | None:
        base = self._one_person(hops - 1)
        if base is None:
            return None
        for relation in self._walker.relations_from(base):
            ends = self._walker.reach(base, relation)
            if not SCHEMA.direct(relation) or not leads_to_people(relation):
                continue
            if not ends or not base.visited.isdisjoint(ends):
                continue
            member = self._dice.pick(ends) if holds else self._relative(base, ends)
            if member is not None:
                asked = self._walker.along(base, relation, ends)
                named = self._walker.named(member)
                path = (*asked.path, "member", *named.path)
                return Draft(Member(named.query, asked.query), (path,))
        return None

    def _relative(self, base: Walk, excluded: tuple[int, ...]) -> int | None:
        """Return somebody close to the end of a walk but not among the excluded, or None."""
        near = self._walker.extend(base, 100)
        candidates = [e for e in near.ends if e not in excluded] if near else []
        if candidates and near is not None and leads_to_people(near.path[-1]):
            return self._dice.pick(candidates)
        person = self._walker.person().end
        return person if person not in excluded and person not in base.visited else None

    def _same(self, hops: int, holds: bool) -> Draft | None:
        left = self._one_person(hops - 1)
        shared = [*(r for r in _SHARED if r in self._world.vocabulary.followed)]
        shared += [a for a in self._people_attributes if a != "birth_date"]
        if left is None or not shared:
            return None
        by = self._dice.pick(shared)
        value = self._shared(by, left.end)
        right = self._walker.person()
        for _ in range(8):
            fits = right.end not in left.visited and value is not None
            other = self._shared(by, right.end)
            if fits and other is not None and (other == value) == holds:
                query = Compare("same", by, left.query, right.query)
                return self._draft_of_two(query, left, right)
            right = self._walker.person()
        return None

    def _shared(self, by: str, person: int) -> object:
        if by in LEADS:
            return next(iter(self._world.evaluator.follow(by, person)), None)
        return self._world.attribute(by, person)

    def _unanswerable(self, hops: int, target: int) -> Draft | None:
        walk = self._walker.walk(hops - 1, single=True)
        if walk is None:
            return None
        for relation in self._walker.relations_from(walk):
            if not self._walker.reach(walk, relation) and self._applies(relation, walk.end):
                asked = self._walker.along(walk, relation, ())
                return Draft(asked.query, (asked.path,))
        return None

    def _applies(self, relation: str, entity: int) -> bool:
        """Return whether an absence can be asked for: only women have husbands here, men wives."""
        if relation not in ("husband", "wife"):
            return True
        return self._world.universe.is_female(entity) == (relation == "husband")

    def _one_person(self, hops: int) -> Walk | None:
        walk = self._walker.walk(hops, single=True) if hops else self._walker.person()
        if walk is None or self._world.universe.kind(walk.end) != PERSON:
            return None
        return walk

    def _crowd(self, hops: int) -> Walk | None:
        """Return a walk to at least two people side by side, its last hop from one entity."""
        base = self._walker.walk(hops, single=True)
        if base is None:
            return None
        for relation in self._walker.relations_from(base):
            ends = self._walker.reach(base, relation)
            if len(ends) >= 2 and leads_to_people(relation) and base.visited.isdisjoint(ends):
                return self._walker.along(base, relation, ends)
        return None

    def _draft_of_two(self, query: Query, left: Walk, right: Walk) -> Draft:
        # A bare name is no path of its own: many questions may compare the same person.
        paths = (walk.path for walk in (left, right) if len(walk.path) > 1)
        return Draft(query, tuple((*path, "compare") for path in paths))


def is_countable(relation: str) -> bool:
    """Return whether the number of a relation's values can be anything: ancestors are fixed."""
    return not SCHEMA.single(relation) and not relation.endswith("parent")


def _entry_attribute(walk: Walk) -> str:
    """Return the attribute that a walk of no relations was entered by: asking it is no question."""
    return walk.query.attribute if isinstance(walk.query, Having) else ""
