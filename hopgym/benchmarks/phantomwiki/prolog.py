r"""Parse PhantomWiki's Prolog: the ground facts of ``facts.pl`` and the goals of a query.

Only facts with two constants are read from a listing. Rules, directives and everything else that
SWI-Prolog writes are skipped.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from hopgym.benchmarks.records import Content
from hopgym.errors import DataError, did_you_mean
from hopgym.worlds.queries import Attribute, Count, Follow, Having, Name, Query

REQUIRED = ("parent", "gender", "friend_", "dob", "job", "hobby")
"""The predicates of people; an unreadable fact of one of them is an error."""

# A string ends on its line unless the line break is escaped, so a missing quote is found early.
_STRING = r'"(?:[^"\\\n]|\\(?s:.)|"")*+"'
_ATOM = r"'(?:[^'\\\n]|\\(?s:.)|'')*+'"
_CONSTANT = rf"{_STRING}|{_ATOM}|[a-z]\w*+|[-+]?\d+(?:\.\d+)?"
_BLANK = re.compile(r"(?:\s|%[^\n]*|/\*(?s:.*?)\*/)*+")
_FACT = re.compile(rf"([a-z]\w*)\(\s*({_CONSTANT})\s*,\s*({_CONSTANT})\s*\)\s*\.(?=\s|%|\Z)")
_HEAD = re.compile(rf"({'|'.join(REQUIRED)})\s*\(")
_QUOTED = re.compile(rf"{_STRING}|{_ATOM}")
# A clause ends at the first "." outside of quotes, comments and character codes (0'x).
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
class PrologFact:
    """A ground fact with two constants."""

    predicate: str
    subject: str
    value: str


@dataclass(frozen=True, slots=True)
class Goal:
    """A goal of a query: a predicate with two arguments, each a variable or a constant."""

    text: str
    predicate: str
    subject: str
    value: str
    """The second argument; a chain leads from the first to the second."""
    subject_is_variable: bool
    value_is_variable: bool
    count: str = ""
    """The variable for the number of values; empty unless the goal counts them."""


def read_facts(content: Content) -> Iterator[PrologFact]:
    """Yield the facts with two constants in a listing, in order and with repetitions.

    Raises:
        DataError: If a fact of `REQUIRED` is malformed, a quote is not closed, or the file is
            truncated.
    """
    text = content.data.decode()
    position = _end(_BLANK, text, 0)
    while position < len(text):
        match = _FACT.match(text, position)
        if match:
            yield PrologFact(match[1], _constant(match[2]), _constant(match[3]))
            position = _end(_BLANK, text, match.end())
            continue
        end = _end(_CLAUSE, text, position)
        clause = text[position:end]
        # Rules are skipped even for predicates of people: PhantomWiki's rules are fixed.
        is_rule = ":-" in _QUOTED.sub("", clause)
        if not clause or (_HEAD.match(clause) and not is_rule):
            raise _unreadable(content, text, position)
        position = _end(_BLANK, text, end)


def read_goal(text: str) -> Goal:
    """Parse a goal such as ``friend(Y_4, Y_2)``.

    Raises:
        DataError: If it is neither a predicate with two arguments nor the count of one.
    """
    match = _GOAL.fullmatch(text.strip()) or _COUNT.fullmatch(text.strip())
    if match is None:
        raise DataError(
            f"expected a goal such as friend(Y_4, Y_2) or "
            f"aggregate_all(count, distinct(child(Y_4, Y_5)), Count_5), got {text!r}"
        )
    subject = match[2]
    value = match[3]
    count = match[4] if match.re is _COUNT else ""
    return Goal(
        text,
        match[1],
        _constant(subject),
        _constant(value),
        _is_variable(subject),
        _is_variable(value),
        count,
    )


def read_query(
    goals: Iterable[str], answer: str, relations: Collection[str], attributes: Collection[str]
) -> Query:
    """Return the query of a chain of goals that binds the variable of the answer.

    Args:
        goals: The goals, in any order; the first argument of each is a constant or is bound by
            another goal.
        answer: The variable of the answer.
        relations: Predicates that can be followed.
        attributes: Predicates with values; one that is also a relation is followed.

    Raises:
        DataError: If a goal is malformed, or the goals are not a chain of known predicates.
    """
    remaining = [read_goal(text) for text in goals]
    steps: list[Goal] = []
    query: Query | None = None
    # Follow the chain from the answer back to the constant at which it starts.
    while query is None:
        goal = next((goal for goal in remaining if _binds(goal, answer)), None)
        if goal is None:
            raise DataError(f"expected a goal that gives {answer}, got none")
        remaining.remove(goal)
        if goal.value_is_variable:
            steps.append(goal)
            answer = goal.subject
            query = None if goal.subject_is_variable else Name(goal.subject)
        else:
            _check_known(goal, attributes)
            query = Having(goal.predicate, goal.value)
    if remaining:
        raise DataError(f"expected goals that form one chain, got {remaining[0].text} beside it")
    for goal in reversed(steps):
        _check_known(goal, relations if goal.count else [*relations, *attributes])
        follow = Count if goal.count else Follow if goal.predicate in relations else Attribute
        query = follow(goal.predicate, query)
    return query


def _binds(goal: Goal, variable: str) -> bool:
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
        # Surrogates and numbers beyond Unicode cannot be encoded as UTF-8.
        return chr(number) if number < 0x110000 and not 0xD800 <= number < 0xE000 else "\ufffd"
    return _LETTERS.get(match[5], match[5])


def _unreadable(content: Content, text: str, position: int) -> DataError:
    line = text.count("\n", 0, position) + 1
    got = text[position:].split("\n", 1)[0][:80]
    return DataError(
        f'{content.path}, line {line}: expected a fact such as parent("Ada Brook", "Cleo Dunn"). '
        f"or another whole clause, got {got!r}; fix the line, or write the file again if it is "
        "cut off"
    )
