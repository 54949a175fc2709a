"""GSM8K's annotated calculations as evidence, and which calculations of an agent hold it.

In: a question, and its worked solution with ``<<48/2=24>>`` annotations. Out: a proof of one
evidence for each annotated value, and the rule by which calculations come to hold it. Other ways
may lead to the answer as well, so that this is a heuristic.
"""

import math
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from hopgym.documents import fold
from hopgym.scoring import parse_number
from hopgym.tasks import Evidence
from hopgym.tools.calculator import calculate, numbers_in, with_number

MOST_FREE = 100.0
"""The largest number that a calculation may use although nothing gave it."""

_TOOL = "calculate"
_ANNOTATION = re.compile(r"<<([^<>]*)>>")
_TOKEN = re.compile(r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+|%|[a-z]+")
_FROM_TWO = (
    "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen twenty"
)
_TENS = "thirty forty fifty sixty seventy eighty ninety"
_SHARES = {
    2.0: "half halves twice double doubled couple pair pairs both",
    3.0: "third thirds thrice triple tripled",
    4.0: "quarter quarters fourth fourths",
    5.0: "fifth fifths",
}
_WORDS = {word: float(number) for number, word in enumerate(_FROM_TWO.split(), start=2)}
_WORDS |= {word: 10.0 * tens for tens, word in enumerate(_TENS.split(), start=3)}
_WORDS |= {word: number for number, words in _SHARES.items() for word in words.split()}
_SCALES = {"%": 0.01, "percent": 0.01, "dozen": 12.0, "hundred": 100.0, "thousand": 1e3}
_SCALES |= {"million": 1e6, "billion": 1e9}


@dataclass(frozen=True, slots=True)
class Value:
    """An annotated value that a calculation can hold."""

    evidence: Evidence
    numbers: tuple[float, float]
    """As annotated, which may be rounded, and as the calculator works it out."""
    made_from: tuple[int, ...]
    """Positions of the earlier values that its annotation uses."""

    def is_reached_by(self, number: float) -> bool:
        """Return whether a number is this value."""
        return any(_equal(number, each) for each in self.numbers)


@dataclass(frozen=True, slots=True)
class Result:
    """What a calculation of known numbers came to."""

    number: float
    anchored: bool
    """Whether it depends on a number of the question, not on free ones alone."""


@dataclass(frozen=True, slots=True)
class Workings:
    """The annotated values of a question, and the rule by which calculations hold them.

    A calculation holds a value that it gives if it has an operator, none of its numbers is the
    result, and each is known: from the question, from an earlier calculation of known numbers, or
    at most `MOST_FREE`. It must depend on one that is no free number, so that no sum of guesses
    holds anything, nor one behind ``16*0``. Holding a value holds those that it was made from.
    Signs of numbers are left out.
    """

    given: frozenset[float]
    """The numbers of the question."""
    values: tuple[Value, ...] = ()
    """In the order of the annotations; no number twice."""
    results: tuple[Result, ...] = ()
    """What is known of the calculations so far; no number twice."""
    reached: frozenset[int] = frozenset()
    """Positions of the values held."""

    @property
    def proof(self) -> tuple[Evidence, ...]:
        """The evidence, in the order in which its calls can be made."""
        return tuple(value.evidence for value in self.values)

    @property
    def held(self) -> Collection[Evidence]:
        """All evidence held by the calculations so far."""
        return [self.values[position].evidence for position in sorted(self.reached)]

    def after(self, call: tuple[str, str], /) -> "Workings":
        """Return the workings after one more (tool, argument)."""
        tool, expression = call
        result = self.result_of(expression) if tool == _TOOL else None
        if result is None:
            return self
        reached, results = self.reached, [result]
        if self.may_hold(expression, result):
            reached |= self._closed(result.number)
            numbers = (n for position in reached for n in self.values[position].numbers)
            results += (Result(number, anchored=True) for number in numbers)
        known: dict[float, Result] = {}
        for each in (*self.results, *results):
            if each.anchored or each.number not in known:
                known[each.number] = each
        return replace(self, results=tuple(known.values()), reached=reached)

    def result_of(self, expression: str) -> Result | None:
        """Return the result of a calculation with an operator on known numbers, else None."""
        number, operands = worked_out(expression)
        if number is None or len(operands) < 2 or not all(map(self._is_known, operands)):
            return None
        anchors = [each for each in dict.fromkeys(operands) if self._is_anchored(each)]
        return Result(number, any(_depends(expression, number, each) for each in anchors))

    def may_hold(self, expression: str, result: Result) -> bool:
        """Return whether a calculation may hold the value that it gives."""
        operands = worked_out(expression)[1]
        return result.anchored and not any(_equal(each, abs(result.number)) for each in operands)

    def _closed(self, number: float) -> frozenset[int]:
        """Return the positions of the values of a number, and of all that they were made from."""
        found = {i for i, value in enumerate(self.values) if value.is_reached_by(number)}
        # Values are made from earlier ones alone.
        for position in reversed(range(len(self.values))):
            if position in found:
                found.update(self.values[position].made_from)
        return frozenset(found)

    def _is_known(self, operand: float) -> bool:
        free = operand <= MOST_FREE
        return free or self._is_anchored(operand) or _among(operand, self.results)

    def _is_anchored(self, operand: float) -> bool:
        given = any(_equal(operand, number) for number in self.given)
        return given or _among(operand, [each for each in self.results if each.anchored])


def read_workings(question: str, answer: str) -> Workings:
    """Return the annotated values of a worked solution that can be held by their own calculation.

    Left out are annotations that `Workings` would not accept from an agent, that the calculator
    cannot work out or works out to another value (unless the annotated one is rounded), and those
    whose value an earlier one has.
    """
    workings = Workings(frozenset(numbers_of(question)))
    for expression, text in annotations(answer):
        if value := _value_of(expression, text, workings):
            longer = replace(workings, values=(*workings.values, value))
            workings = longer.after((_TOOL, expression))
    return Workings(workings.given, workings.values)


def annotations(text: str) -> Iterator[tuple[str, str]]:
    """Yield the annotated calculations of a text, each as its expression and its value."""
    for annotation in _ANNOTATION.findall(text):
        expression, _, value = annotation.rpartition("=")
        yield expression.strip(), value.strip()


def without_annotations(text: str) -> str:
    """Return a text without its annotations, trimmed."""
    return _ANNOTATION.sub("", text).strip()


def numbers_of(question: str) -> Iterator[float]:
    """Yield the numbers of a question from 2, and its fractions, in digits and in common words.

    A number before a word such as ``thousand`` or ``%`` gives both itself and the product. 0 and
    1 are left out, as adding or multiplying them takes no reading.
    """
    before: float | None = None
    for token in _TOKEN.findall(fold(question)):
        number: float | None = None
        if token[-1].isdigit():
            number = float(token.replace(",", ""))
        elif token in _SCALES:
            number = (1.0 if before is None else before) * _SCALES[token]
        elif token in _WORDS:
            number = _WORDS[token]
            if before is not None and 20 <= before < 100 and before % 10 == 0 and number < 10:
                number += before
        before = number
        if number is not None and number not in (0.0, 1.0):
            yield number


@lru_cache(maxsize=4096)
def worked_out(expression: str) -> tuple[float | None, tuple[float, ...]]:
    """Return the value that the calculator gives, None for none, and the numbers it is made of."""
    try:
        return float(calculate(expression)), numbers_in(expression)
    except ValueError:
        return None, ()


def _value_of(expression: str, text: str, workings: Workings) -> Value | None:
    """Return an annotated value that its own calculation holds now, unless it is held already."""
    annotated, (number, operands) = parse_number(text), worked_out(expression)
    if annotated is None or number is None:
        return None
    half_a_place = 0.5 * 10.0 ** -len(text.rstrip(".").partition(".")[2])
    if not _equal(annotated, number) and abs(annotated - number) > half_a_place * (1 + 1e-9):
        return None
    result = workings.result_of(expression)
    if result is None or not workings.may_hold(expression, result):
        return None
    if any(value.is_reached_by(number) for value in workings.values):
        return None
    # What the question gives need not come from an earlier value.
    bound = [each for each in operands if not any(_equal(each, g) for g in workings.given)]
    made_from = tuple(
        position
        for position, value in enumerate(workings.values)
        if any(_stands_for(operand, each) for operand in bound for each in value.numbers)
    )
    evidence = Evidence(f"{expression} = {text}", (), (_TOOL, expression))
    return Value(evidence, (annotated, number), made_from)


def _depends(expression: str, result: float, operand: float) -> bool:
    """Return whether a calculation comes to something else with another number for an operand."""
    other = worked_out(with_number(expression, operand, 1.37 * operand + 1.0))[0]
    return other is None or not _equal(other, result)


def _among(operand: float, results: Sequence[Result]) -> bool:
    return any(_stands_for(operand, result.number) for result in results)


def _stands_for(operand: float, number: float) -> bool:
    """Return whether an operand is a number without its sign, or is it rounded to cents or finer.

    The calculator prints up to 10 digits, which people do not copy.
    """
    number = abs(number)
    if _equal(operand, number):
        return True
    decimals = len(f"{operand:.9f}".rstrip("0").partition(".")[2])
    return decimals >= 2 and abs(number - operand) <= 0.5 * 10.0**-decimals


def _equal(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-8, abs_tol=1e-9)
