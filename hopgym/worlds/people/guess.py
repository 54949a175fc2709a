"""The answer-blind guess: what can be said without reading a page."""

from collections import Counter
from collections.abc import Iterable

from hopgym.tasks import Question
from hopgym.worlds.people.vocabulary import ATTRIBUTES
from hopgym.worlds.people.world import World
from hopgym.worlds.queries import Attribute, Compare, Count, Follow, Intersect, Name, Query

_SAMPLED = 2_000


def guess(world: World, question: Question, max_answers: int) -> str:
    """Return the best guess from the question's last relation and the world's values alone.

    Sets get the ``max_answers`` most frequent values of the last relation, other answers the most
    frequent one, counts the most frequent count, comparisons the first name that the question
    holds, yes/no ``yes``. Unanswerable questions look like any other and are guessed as such.
    """
    query = Query.parse(question.metadata["query"])
    if question.answer_kind == "yesno":
        return "yes"
    wanted = max_answers if question.answer_kind == "set" else 1
    match query:
        case Compare(_, _, left, right):
            named = [part.name for part in (left, right) if isinstance(part, Name)]
            return named[0] if named else _most_frequent(_led_to(world, left), 1)
        case Count(relation, _):
            follow = world.evaluator.follow
            return _most_frequent((str(len(follow(relation, p))) for p in _people(world)), 1)
        case Attribute(attribute, _):
            return _most_frequent(_values(world, attribute), wanted)
    return _most_frequent(_led_to(world, query), wanted)


def _led_to(world: World, query: Query) -> Iterable[str]:
    while isinstance(query, Intersect):
        query = query.left
    relations = [part.relation for part in query.walk() if isinstance(part, Follow)]
    if not relations:
        return map(world.name, _people(world))
    follow, starts = world.evaluator.follow, range(min(len(world.universe), _SAMPLED))
    return (world.name(v) for start in starts for v in follow(relations[0], start))


def _values(world: World, attribute: str) -> Iterable[str]:
    holders = (e for e in range(min(len(world.universe), _SAMPLED)))
    if world.universe.kind(0) != ATTRIBUTES[attribute]:
        holders = (e for e in range(len(world.universe.people.names), len(world.universe)))
    values = (world.attribute(attribute, e) for e in holders)
    return (value for value in values if value is not None)


def _people(world: World) -> range:
    return range(min(world.universe.size, _SAMPLED))


def _most_frequent(values: Iterable[str], wanted: int) -> str:
    # Counter keeps the order of first occurrence among equals, so the result is always the same.
    return "; ".join(value for value, _ in Counter(values).most_common(wanted)) or "unknown"
