"""GSM8K: word problems of grade school, with worked solutions.

In: ``{train,test}[_socratic].jsonl``, or the rows of ``openai/gsm8k`` on the Hub. Out: tasks,
scored as ``grade_school_math/dataset.py`` of github.com/openai/grade-school-math scores (Cobbe et
al. 2021, arXiv 2110.14168).
"""

import math
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import ClassVar

import msgspec

from hopgym.benchmarks.base import BenchmarkSource, GoldRecords, Reading
from hopgym.benchmarks.catalogue import GSM8K
from hopgym.benchmarks.predictions import Entry, How
from hopgym.benchmarks.records import Content, Record, decode, split_records
from hopgym.documents import Corpus, PageList, fold
from hopgym.scoring import Score, parse_number
from hopgym.tasks import Evidence, Hop, Prediction, Question, Task
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


INVALID = "[invalid]"
"""What stands for the answer of a text without one."""

_ANSWER = re.compile(r"#### (-?[0-9.,]+)")
_BARE_NUMBER = re.compile(r"-?[0-9.,]+")
_DIGITS = re.compile(r"[0-9][0-9,]*(?:\.[0-9]+)?")
_MEND = 'records must be as in test.jsonl: {"question", "answer"}, the answer ending in "#### 72"'
_SUB_QUESTION = " ** "
_NO_CORPUS = Corpus(PageList(()), "none")


def extract_answer(text: str) -> str:
    """Return what the official script takes for the answer of a text (``extract_answer``).

    That is what follows the first ``#### ``, as written but without commas; `INVALID` for none.
    """
    match = _ANSWER.search(text)
    return match[1].strip().replace(",", "") if match else INVALID


def same_number(text: str, gold: str) -> bool:
    """Return whether a text gives a gold number: behind its first ``#### ``, or as a whole."""
    extracted = extract_answer(text)
    if extracted == gold:
        return True
    number = parse_number(text if extracted == INVALID else extracted)
    return number is not None and number == parse_number(gold)


def as_official(answer: str) -> str:
    """Return an agent's answer in the official form: a bare number behind ``#### ``.

    All else stays as it is, and is right where it holds that form itself.
    """
    bare = answer.strip()
    return f"#### {bare}" if _BARE_NUMBER.fullmatch(bare) else answer


class _Row(msgspec.Struct):
    question: str
    answer: str


_ROWS = msgspec.json.Decoder(_Row)


class _GSM8KRecords(GoldRecords):
    options: Reading

    def load(self, content: Content, limit: int | None) -> None:
        """Check every record; its id is its place from 0."""
        records = split_records(content, limit)
        if not records:
            raise Record(content.path, b"").error("expected records, got none; fetch it again")
        self._solutions: list[str] = []
        for number, record in enumerate(records):
            with self.reading(record):
                row = decode(record, _ROWS, _MEND)
                question = _question(record, row, str(number), self.options.variant)
                self.add_asked(record, question, Entry(as_official(question.answers[0])))
                self._solutions.append(row.answer)
        if self.options.variant == "socratic" and not any(map(_is_socratic, self._solutions)):
            raise Record(content.path, b"").error(
                f"expected answers with a question before {_SUB_QUESTION!r} in each line, got "
                "none; name a file such as test_socratic.jsonl, or leave config='main'"
            )

    def build(self, index: int) -> Task:
        """Return a new task of a 0-based index."""
        question = self.questions[index]
        workings = read_workings(question.text, self._solutions[index])
        proofs = (workings.proof,) if workings.proof else ()
        return Task(replace(question, proofs=proofs), _NO_CORPUS, rule=workings)

    def count_unjudged(self) -> int:
        """Return the number of records without an annotation that a calculation can hold."""
        return self._unjudged

    @cached_property
    def _unjudged(self) -> int:
        return sum(not self.build(index).question.proofs for index in range(len(self.questions)))


class GSM8KSource(BenchmarkSource[_GSM8KRecords]):
    """The questions of a GSM8K file; the annotated values of the worked solution are the proof.

    Values come to be held by calculations as `Workings` says, and annotations that it would not
    accept are left out. Where none is left, the steps of that question are not judged, and it
    counts in ``unjudged``. Task ids are the places of the records from 0. ``hops`` are the lines
    with an annotation, in the socratic form their sub-questions. There are no pages. Arguments:
    see `BenchmarkSource`; ``config`` names the form of the file, ``main`` or ``socratic``.
    """

    name = "gsm8k"
    dataset = GSM8K
    records_type: ClassVar[type[GoldRecords]] = _GSM8KRecords
    tools = ("calculate", "answer")
    evidence_source = "heuristic"
    corpora = ("record",)
    variant_argument = "config"
    variants = ("main", "socratic")
    script = "grade_school_math/dataset.py"
    notes = answer_notes = "The answer is one number, written in digits alone, without a unit."

    def metrics_of(self, index: int, entry: Entry) -> dict[str, float]:
        """Return the official ``accuracy``, and ``numeric_accuracy``, which compares numbers.

        The official one is strict: a number without ``#### `` before it is wrong.
        """
        text, gold = entry.answer or "", self._records.questions[index].answers[0]
        return {
            "accuracy": float(extract_answer(text) == gold),
            "numeric_accuracy": float(same_number(text, gold)),
        }

    def entry_of(self, index: int, prediction: Prediction, how: How) -> Entry:
        """Return the entry of an attempt, its answer in the official form."""
        return Entry(None if prediction.answer is None else as_official(prediction.answer))

    def score(self, task: Task, answer: str) -> Score:
        """Return the official accuracy of an answer in the official form."""
        entry = Entry(as_official(answer))
        accuracy = self.metrics_of(self.index_of(task.question.id), entry)["accuracy"]
        return Score(accuracy, accuracy)

    def guess(self, task: Task) -> str:
        """Return the last number of the question, or 1 where it has none."""
        return next(reversed(_DIGITS.findall(task.question.text)), "1")


def _question(record: Record, row: _Row, task_id: str, variant: str) -> Question:
    number = extract_answer(row.answer)
    if number == INVALID:
        raise record.error(f"expected '#### ' and a number in 'answer', got none; {_MEND}")
    # The form is known by the lines, so that nobody has to name it.
    kind = "socratic" if _is_socratic(row.answer) else variant
    return Question(
        id=task_id,
        text=row.question,
        answers=(number,),
        answer_kind="number",
        hops=tuple(_hops(row.answer, kind == "socratic")),
        kind=kind,
        source=GSM8KSource.name,
    )


def _is_socratic(solution: str) -> bool:
    lines = [line for line in solution.split("\n") if line.strip() and not _ANSWER.match(line)]
    return bool(lines) and all(_SUB_QUESTION in line for line in lines)


def _hops(solution: str, socratic: bool) -> Iterator[Hop]:
    """Yield a hop for each line with an annotation: what it asks or says, and its values."""
    for line in solution.split("\n"):
        values = tuple(value for _, value in annotations(line))
        if values:
            asked, found, _ = line.partition(_SUB_QUESTION)
            yield Hop(asked.strip() if socratic and found else without_annotations(line), values)
