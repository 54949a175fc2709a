"""The forms of questions: how each kind is drawn from walks.

In: hops, and for counts a target. Out: a `Draft`, a query with the walks it is made of, or None
when the draw came to nothing. Kinds are rows of a table, not branches.
"""

from collections.abc import Callable, Mapping

from hopgym.worlds.people.drafts import Draft, is_countable
from hopgym.worlds.people.pairs import Pairs
from hopgym.worlds.people.vocabulary import ATTRIBUTES, LEADS, PERSON
from hopgym.worlds.people.walks import Walk, Walker
from hopgym.worlds.people.world import World
from hopgym.worlds.queries import (
    Attribute,
    Count,
    Having,
    Intersect,
    Superlative,
)
from hopgym.worlds.randomness import Dice

_COUNT_TRIES = 4
_WITNESSES = 2_000
"""Entities looked at to learn which counts and absences a relation has."""


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
        self._counted = tuple(r for r in world.vocabulary.followed if is_countable(r))
        self._pairs = Pairs(world, walker, dice, max_answers)
        self._counts: dict[str, dict[int, list[int]]] = {}
        self.draw: Mapping[str, Callable[[int, int], Draft | None]] = {
            "chain": self._chain,
            "attribute": self._attribute,
            "count": self._count,
            "intersection": self._intersection,
            "comparison": self._pairs.comparison,
            "superlative": self._superlative,
            "yesno": self._pairs.yesno,
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
        relation = self._dice.pick(self._counted) if self._counted else ""
        having = self._by_count(relation).get(target, []) if relation else []
        for _ in range(_COUNT_TRIES if having else 0):
            walk = self._walker.walk_to(self._dice.pick(having), hops - 1)
            if walk is None:
                continue
            if walk.visited.isdisjoint(self._walker.reach(walk, relation)):
                return Draft(Count(relation, walk.query), ((*walk.path, relation, "count"),))
        return None

    def _by_count(self, relation: str) -> dict[int, list[int]]:
        """Return the entities that have a relation, by how many it leads to."""
        if relation not in self._counts:
            counts: dict[int, list[int]] = {}
            universe, follow = self._world.universe, self._world.evaluator.follow
            for entity in universe.of_kind(LEADS[relation][0])[:_WITNESSES]:
                counts.setdefault(len(follow(relation, entity)), []).append(entity)
            self._counts[relation] = counts
        return self._counts[relation]

    def _intersection(self, hops: int, target: int) -> Draft | None:
        if hops >= 2 and self._people_attributes and self._dice.unit() < 0.5:
            return self._filtered(hops)
        return self._pairs.both(hops)

    def _filtered(self, hops: int) -> Draft | None:
        crowd = self._walker.crowd(hops - 2)
        if crowd is None:
            return None
        attribute = self._dice.pick(self._people_attributes)
        value = self._world.attribute(attribute, self._dice.pick(crowd.ends))
        assert value is not None, "every person has every attribute of people"
        matching = sum(self._world.attribute(attribute, e) == value for e in crowd.ends)
        elsewhere = len(self._world.having(attribute, value)) > matching
        # A value that nobody else has would lead to the answer past the crowd.
        if not elsewhere or matching == len(crowd.ends) or matching > self._max_answers:
            return None
        query = Intersect(crowd.query, Having(attribute, value))
        return Draft(query, ((*crowd.path, f"{attribute}={value}"),))

    def _superlative(self, hops: int, target: int) -> Draft | None:
        if hops < 2 or "birth_date" not in self._attributes:
            return None
        crowd = self._walker.crowd(hops - 2)
        if crowd is None:
            return None
        op = self._dice.pick(("oldest", "youngest"))
        births = sorted(self._world.universe.people.birth[e] for e in crowd.ends)
        tied = births[0] == births[1] if op == "oldest" else births[-1] == births[-2]
        if tied:
            return None
        return Draft(Superlative(op, "birth_date", crowd.query), ((*crowd.path, op),))

    def _unanswerable(self, hops: int, target: int) -> Draft | None:
        # The relation comes first here too, so that it tells little of whether there is an answer.
        absent = [r for r in self._world.vocabulary.followed if self._can_be_absent(r)]
        relation = self._dice.pick(absent) if absent else ""
        without = self._by_count(relation)[0] if relation else []
        for _ in range(_COUNT_TRIES if without else 0):
            walk = self._walker.walk_to(self._dice.pick(without), hops - 1)
            if walk is not None and self._applies(relation, walk.end):
                asked = self._walker.along(walk, relation, ())
                return Draft(asked.query, (asked.path,))
        return None

    def _can_be_absent(self, relation: str) -> bool:
        """Return whether some have a relation and some do not."""
        counts = self._by_count(relation)
        return 0 in counts and len(counts) > 1

    def _applies(self, relation: str, entity: int) -> bool:
        """Return whether an absence can be asked for: only women have husbands here, men wives."""
        if relation not in ("husband", "wife"):
            return True
        return self._world.universe.is_female(entity) == (relation == "husband")


def _entry_attribute(walk: Walk) -> str:
    """Return the attribute that a walk of no relations was entered by: asking it is no question."""
    return walk.query.attribute if isinstance(walk.query, Having) else ""
