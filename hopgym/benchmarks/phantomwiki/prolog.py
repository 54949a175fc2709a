r"""The Prolog that PhantomWiki writes: ground facts of ``facts.pl``, goals of a question's query.

In: text. Out: `Fact`s, `Goal`s, and the query that goals make. Of a listing only facts of two
constants matter; rules, directives and everything else of SWI-Prolog's own are passed over.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from hopgym.benchmarks.records import Content
from hopgym.errors import DataError, did_you_mean
from hopgym.worlds.queries import Attribute, Count, Follow, Having, Name, Query

REQUIRED = ("parent", "gender", "friend_", "dob", "job", "hobby")
"""What PhantomWiki states of people; facts of these that cannot be read are errors."""

# Strings end on their own line unless the line break is escaped: a lost quote is noticed at once.
_STRING = r'"(?:[^"\\\n]|\\(?s:.)|"")*+"'
_ATOM = r"'(?:[^'\\\n]|\\(?s:.)|'')*+'"
_CONSTANT = rf"{_STRING}|{_ATOM}|[a-z]\w*+|[-+]?\d+(?:\.\d+)?"
_BLANK = re.compile(r"(?:\s|%[^\n]*|/\*(?s:.*?)\*/)*+")
_FACT = re.compile(rf"([a-z]\w*)\(\s*({_CONSTANT})\s*,\s*({_CONSTANT})\s*\)\s*\.(?=\s|%|\Z)")
_HEAD = re.compile(rf"({'|'.join(REQUIRED)})\s*\(")
_QUOTED = re.compile(rf"{_STRING}|{_ATOM}")
_CLAUSE = re.compile(
    rf"(?>0'(?:\\.|''|[^\\\n])|{_STRING}|{_ATOM}|%[^\n]*|/\*(?s:.*?)\*/|[^\"'%.]|\.(?!\s|%|\Z))*+"
    r"\.(?=\s|%|\Z)"
)

_ARGUMENT = rf"{_STRING}|{_ATOM}|[a-z]\w*+|[-+]?\d+(?:\.\d+)?|[A-Z_]\w*+"
_PAIR = rf"([a-z]\w*)\(\s*({_ARGUMENT})\s*,\s*({_ARGUMENT})\s*\)"
_GOAL = re.compile(_PAIR)
_COUNT = re.compile(
    rf"aggregate_all\(\s*count\s*,\s*distinct\(\s*{_PAIR}\s*\)\s*,\s*([A-Z_]\w*)\s*\)"
)

_ESCAPE = re.compile(
    r"\\(?:x([0-9a-fA-F]+)\\?|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]+)\\?|((?s:.)))"
)
_LETTERS = {
    "a": "\a", "b": "\b", "e": "\x1b", "f": "\f", "n": "\n", "r": "\r", "s": " ", "t": "\t",
    "v": "\v", "\n": "",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fact:
    """A ground fact of two constants."""

    predicate: str
    subject: str
    value: str


@dataclass(frozen=True, slots=True)
class Goal:
    """A goal of a query: a predicate between two arguments, each a variable or a constant."""

    text: str
    predicate: str
    subject: str
    value: str
    """The second argument, which a chain reaches from the first."""
    subject_is_variable: bool
    value_is_variable: bool
    count: str = ""
    """The variable of the number of values, where they are counted."""


def read_facts(content: Content) -> Iterator[Fact]:
    """Iterate over the facts of two constants in a listing, in order, doubled ones too.

    Raises:
        DataError: When a fact of `REQUIRED` is none, a quote stays open, or the file is cut off.
    """
    text = content.data.decode()
    position = _end(_BLANK, text, 0)
    while position < len(text):
        match = _FACT.match(text, position)
        if match:
            yield Fact(match[1], _constant(match[2]), _constant(match[3]))
            position = _end(_BLANK, text, match.end())
            continue
        end = _end(_CLAUSE, text, position)
        clause = text[position:end]
        is_rule = ":-" in _QUOTED.sub("", clause)
        if not clause or (_HEAD.match(clause) and not is_rule):
            raise _unreadable(content, text, position)
        position = _end(_BLANK, text, end)


def read_goal(text: str) -> Goal:
    """Return the goal that a text writes, such as ``friend(Y_4, Y_2)``.

    Raises:
        DataError: When it is neither a predicate of two arguments nor the count of one.
    """
    match = _GOAL.fullmatch(text.strip()) or _COUNT.fullmatch(text.strip())
    if match is None:
        raise DataError(
            f"expected a goal such as friend(Y_4, Y_2) or "
            f"aggregate_all(count, distinct(child(Y_4, Y_5)), Count_5), got {text!r}"
        )
    predicate, subject, value = match[1], match[2], match[3]
    count = match[4] if match.re is _COUNT else ""
    return Goal(
        text,
        predicate,
        _constant(subject),
        _constant(value),
        _is_variable(subject),
        _is_variable(value),
        count,
    )


def read_query(
    goals: Iterable[str], answer: str, relations: Collection[str], attributes: Collection[str]
) -> Query:
    """Return the query of the goals, in any order, that lead to the answer's variable.

    Args:
        goals: A chain: each goal's first argument is a constant or what another goal gives.
        answer: The variable of the answer.
        relations: What can be followed.
        attributes: What has values; with those that are relations too, these are followed.

    Raises:
        DataError: When a goal cannot be read, or they form no chain of known predicates.
    """
    left = [read_goal(text) for text in goals]
    steps: list[Goal] = []
    query: Query | None = None
    while query is None:
        goal = next((goal for goal in left if _gives(goal, answer)), None)
        if goal is None:
            raise DataError(f"expected a goal that gives {answer}, got none")
        left.remove(goal)
        if goal.value_is_variable:
            steps.append(goal)
            answer = goal.subject
            query = None if goal.subject_is_variable else Name(goal.subject)
        else:
            _check_known(goal, attributes)
            query = Having(goal.predicate, goal.value)
    if left:
        raise DataError(f"expected goals that form one chain, got {left[0].text} beside it")
    for goal in reversed(steps):
        _check_known(goal, relations if goal.count else [*relations, *attributes])
        follow = Count if goal.count else Follow if goal.predicate in relations else Attribute
        query = follow(goal.predicate, query)
    return query


def _gives(goal: Goal, variable: str) -> bool:
    if goal.count:
        return goal.count == variable
    if goal.value_is_variable:
        return goal.value == variable
    return goal.subject_is_variable and goal.subject == variable


def _check_known(goal: Goal, known: Collection[str]) -> None:
    if goal.predicate not in known:
        hint = did_you_mean(goal.predicate, known)
        raise DataError(f"expected one of {', '.join(sorted(known))}, got {goal.text}{hint}")


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    match = pattern.match(text, position)
    return match.end() if match else position


def _is_variable(token: str) -> bool:
    return token[0] == "_" or token[0].isupper()


def _constant(token: str) -> str:
    quote = token[0]
    if quote not in "\"'":
        return token
    return _ESCAPE.sub(_unescaped, token[1:-1].replace(quote * 2, quote))


def _unescaped(match: re.Match[str]) -> str:
    code = match[1] or match[2] or match[3]
    if code or match[4]:
        number = int(code, 16) if code else int(match[4], 8)
        return chr(number) if number < 0x110000 and not 0xD800 <= number < 0xE000 else "\ufffd"
    return _LETTERS.get(match[5], match[5])


def _unreadable(content: Content, text: str, position: int) -> DataError:
    line = text.count("\n", 0, position) + 1
    got = text[position:].split("\n", 1)[0][:80]
    return DataError(
        f'{content.path}, line {line}: expected a fact such as parent("Ada Brook", "Cleo Dunn"). '
        f"or another whole clause, got {got!r}; mend the line, or write the file again if it is "
        "cut off"
    )
