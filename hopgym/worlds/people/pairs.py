"""Questions about two: intersections, comparisons, and those answered by yes or no.

In: hops. Out: a `Draft` of two walks side by side, or None when the draw came to nothing.
"""

from collections.abc import Mapping

from hopgym.worlds.people.drafts import Draft, is_countable
from hopgym.worlds.people.vocabulary import LEADS, PERSON, SCHEMA
from hopgym.worlds.people.walks import Walk, Walker, leads_to_people
from hopgym.worlds.people.world import World
from hopgym.worlds.queries import Compare, Intersect, Member, Name, Query
from hopgym.worlds.randomness import Dice

_AGES = ("older", "younger")
_SIZES = ("larger", "smaller")
_STRANGERS, _SHARER_TRIES = 8, 16
_SHARED: Mapping[str, str] = {"home_town": "resident", "employer": "employee"}
"""Relations that two people can share a value of, and those back to all who do."""


class Pairs:
    """Draws questions about two.

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
        self._counted = tuple(r for r in world.vocabulary.followed_from(PERSON) if is_countable(r))

    def both(self, hops: int) -> Draft | None:
        """Return a question for those who are among two crowds, or None."""
        left = self._walker.crowd(hops - 1)
        right = self._other_crowd(left) if left else None
        if left is None or right is None:
            return None
        return Draft(Intersect(left.query, right.query), (left.path, right.path))

    def _other_crowd(self, left: Walk) -> Walk | None:
        """Return a walk of one hop that shares some of its people, but not all, with another."""
        for person in self._dice.shuffled(left.ends):
            start = self._walker.named(person)
            for back in self._walker.relations_from(start):
                for other in self._walker.reach(start, back):
                    right = self._sharing_walk(other, left)
                    if right is not None:
                        return right
        return None

    def _sharing_walk(self, start: int, left: Walk) -> Walk | None:
        person = self._world.universe.kind(start) == PERSON
        if start in left.visited or (person and not self._is_asked(start)):
            return None
        base = self._walker.named(start)
        for relation in self._walker.relations_from(base):
            ends = self._walker.reach(base, relation)
            # Neither side may give the answer away by itself.
            common = len(set(left.ends) & set(ends))
            tells = common in (0, len(left.ends), len(ends)) or common > self._max_answers
            if not tells and leads_to_people(relation) and start not in ends:
                return self._walker.along(base, relation, ends)
        return None

    def comparison(self, hops: int, target: int) -> Draft | None:
        """Return a question for one of two people, by age or by the size of a relation, or None."""
        left = self._walker.one_person(hops - 1)
        right = self._walker.one_person(self._dice.below(hops))
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
        counted = self._counted
        if "birth_date" in self._attributes and (not counted or self._dice.unit() < 0.5):
            birth = self._world.universe.people.birth
            return (self._dice.pick(_AGES), "birth_date") if birth[one] != birth[other] else None
        if not counted:
            return None
        by, follow = self._dice.pick(counted), self._world.evaluator.follow
        if len(follow(by, one)) == len(follow(by, other)):
            return None
        return self._dice.pick(_SIZES), by

    def yesno(self, hops: int, target: int) -> Draft | None:
        """Return a question for a membership or a shared value, as often yes as no; or None."""
        holds = self._dice.unit() < 0.5
        return self._same(hops, holds) if self._dice.unit() < 0.5 else self._member(hops, holds)

    def _member(self, hops: int, holds: bool) -> Draft | None:
        base = self._walker.one_person(hops - 1)
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
        """Return somebody close to the end of a walk but not among the excluded, or None.

        The gender is that of one of the excluded, so that a name does not tell by its gender.
        """
        female = self._world.universe.is_female(self._dice.pick(excluded))
        near = self._walker.extend(base, 100)
        close = near.ends if near and leads_to_people(near.path[-1]) else ()
        others = (self._walker.person().end for _ in range(_STRANGERS))
        for person in (*close, *others):
            known = person in excluded or person in base.visited
            if not known and self._world.universe.is_female(person) == female:
                return person
        return None

    def _same(self, hops: int, holds: bool) -> Draft | None:
        shared = [*(r for r in _SHARED if r in self._world.vocabulary.followed)]
        shared += [a for a in self._people_attributes if a != "birth_date"]
        by = self._dice.pick(shared) if shared else ""
        # Values that two share are rarer: without more tries for them, most answers were no.
        for _ in range(_SHARER_TRIES if shared else 0):
            left = self._walker.one_person(hops - 1)
            right = self._sharer(by, left.end, holds) if left else None
            if left is not None and right is not None and right not in left.visited:
                named = self._walker.named(right)
                query = Compare("same", by, left.query, named.query)
                return self._draft_of_two(query, left, named)
        return None

    def _sharer(self, by: str, person: int, holds: bool) -> int | None:
        """Return somebody asked about whose value is the same, or is another one; or None."""
        value = self._value(by, person)
        if value is None:
            return None
        if not holds:
            other = self._walker.person().end
            return None if self._value(by, other) in (None, value) else other
        universe = self._world.universe
        holders = (
            universe.values(_SHARED[by], value)
            if isinstance(value, int)
            else universe.having(by, value)
        )
        others = [e for e in holders if isinstance(e, int) and e != person and self._is_asked(e)]
        return self._dice.pick(others) if others else None

    def _value(self, by: str, person: int) -> int | str | None:
        if by in LEADS:
            return next(iter(self._world.evaluator.follow(by, person)), None)
        return self._world.attribute(by, person)

    def _is_asked(self, person: int) -> bool:
        return person < self._world.universe.size

    def _draft_of_two(self, query: Query, left: Walk, right: Walk) -> Draft:
        # A bare name is no path of its own: many questions may compare the same person.
        paths = (walk.path for walk in (left, right) if not isinstance(walk.query, Name))
        return Draft(query, tuple((*path, "compare") for path in paths))
