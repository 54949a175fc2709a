"""GSM8K: grade-school word problems with worked solutions.

Reads ``{train,test}[_socratic].jsonl`` or the rows of ``openai/gsm8k`` on the Hub (Cobbe et al.
2021, arXiv 2110.14168). The metrics are those of ``grade_school_math/dataset.py`` in
github.com/openai/grade-school-math.

The ``<<48/2=24>>`` annotations of a worked solution are the evidence, and a `CalculationRule`
decides which calculations of an agent hold it. Other calculations may lead to the answer as well,
so the verdicts are heuristic.
"""

import math
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import msgspec

from hopgym.benchmarks.base import BenchmarkRecords, BenchmarkSource, ReadOptions
from hopgym.benchmarks.catalogue import GSM8K
from hopgym.benchmarks.predictions import PredictionEntry, SupportSource
from hopgym.benchmarks.records import Content, Record, decode, split_records
from hopgym.documents import Corpus, PageList
from hopgym.scoring import Score, parse_number
from hopgym.search import fold
from hopgym.tasks import Evidence, Hop, Prediction, Question, Task
from hopgym.tools.calculator import calculate, numbers_in, with_number

MAX_FREE_NUMBER = 100.0
"""Calculations may use any number up to this one, whether or not the question has it."""

_TOOL = "calculate"
_ANNOTATION = re.compile(r"<<([^<>]*)>>")
_TOKEN = re.compile(r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+|%|[a-z]+")
_FROM_TWO = (
    "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen twenty"
)
_TENS = "thirty forty fifty sixty seventy eighty ninety"
_FRACTIONS = {
    2.0: "half halves twice double doubled couple pair pairs both",
    3.0: "third thirds thrice triple tripled",
    4.0: "quarter quarters fourth fourths",
    5.0: "fifth fifths",
}
_NUMBER_WORDS = {word: float(number) for number, word in enumerate(_FROM_TWO.split(), start=2)}
_NUMBER_WORDS |= {word: 10.0 * tens for tens, word in enumerate(_TENS.split(), start=3)}
_NUMBER_WORDS |= {word: number for number, names in _FRACTIONS.items() for word in names.split()}
_SCALES = {"%": 0.01, "percent": 0.01, "dozen": 12.0, "hundred": 100.0, "thousand": 1e3}
_SCALES |= {"million": 1e6, "billion": 1e9}


@dataclass(frozen=True, slots=True)
class AnnotatedValue:
    """An annotated value that a calculation can hold."""

    evidence: Evidence
    numbers: tuple[float, float]
    """The annotated number, which may be rounded, and the result of the calculator."""
    operand_values: tuple[int, ...]
    """Positions of the earlier values that its expression uses."""

    def is_reached_by(self, number: float) -> bool:
        """Return whether a number is this value."""
        return any(_equal(number, known) for known in self.numbers)


@dataclass(frozen=True, slots=True)
class CalculationResult:
    """The result of a calculation with known numbers."""

    number: float
    anchored: bool
    """Whether it depends on a number of the question, not only on free numbers."""


@dataclass(frozen=True, slots=True)
class CalculationRule:
    """The annotated values of a question, and the rule by which calculations hold them.

    A calculation holds the value that it results in if it has an operator, if none of its operands
    equals the result, and if each operand is known: from the question, from an earlier calculation
    with known numbers, or because it is at most `MAX_FREE_NUMBER` (a free number). The result must
    depend on an operand that is not free, so that neither a sum of guesses nor ``16*0+...`` holds
    anything. Holding a value also holds the values that it was computed from. Signs are ignored.
    """

    question_numbers: frozenset[float]
    """The numbers of the question."""
    values: tuple[AnnotatedValue, ...] = ()
    """The annotated values in order, without repeated numbers."""
    results: tuple[CalculationResult, ...] = ()
    """The results of the calculations so far, without repeated numbers."""
    reached: frozenset[int] = frozenset()
    """Positions of the values held."""

    @property
    def proof(self) -> tuple[Evidence, ...]:
        """The evidence of all values, in an order in which the calls can be made."""
        return tuple(value.evidence for value in self.values)

    @property
    def held(self) -> Collection[Evidence]:
        """All evidence held by the calculations so far."""
        return [self.values[position].evidence for position in sorted(self.reached)]

    def after(self, call: tuple[str, str], /) -> "CalculationRule":
        """Return the rule after one more call, a (tool, argument) pair."""
        tool, expression = call
        result = self.result_of(expression) if tool == _TOOL else None
        if result is None:
            return self
        reached = self.reached
        results = [result]
        if self.may_hold(expression, result):
            reached |= self._closed(result.number)
            # Later calculations may use a held value as annotated, even if that is rounded.
            numbers = (n for position in reached for n in self.values[position].numbers)
            results += (CalculationResult(number, anchored=True) for number in numbers)
        known: dict[float, CalculationResult] = {}
        # A number that was reached both ways counts as anchored.
        for item in (*self.results, *results):
            if item.anchored or item.number not in known:
                known[item.number] = item
        return replace(self, results=tuple(known.values()), reached=reached)

    def result_of(self, expression: str) -> CalculationResult | None:
        """Return the result of a calculation with known operands and an operator, or None."""
        number, operands = evaluate_expression(expression)
        if number is None or len(operands) < 2 or not all(map(self._is_known, operands)):
            return None
        anchors = [operand for operand in dict.fromkeys(operands) if self._is_anchored(operand)]
        anchored = any(_depends(expression, number, operand) for operand in anchors)
        return CalculationResult(number, anchored)

    def may_hold(self, expression: str, result: CalculationResult) -> bool:
        """Return whether a calculation may hold the value that it results in."""
        if not result.anchored:
            return False
        operands = evaluate_expression(expression)[1]
        # A result that is also an operand was not computed, as in "5*1".
        return not any(_equal(operand, abs(result.number)) for operand in operands)

    def _closed(self, number: float) -> frozenset[int]:
        """Return the positions of the values of a number and of all values they depend on."""
        positions = {i for i, value in enumerate(self.values) if value.is_reached_by(number)}
        # A value depends only on earlier ones, so one pass from the end finds them all.
        for position in reversed(range(len(self.values))):
            if position in positions:
                positions.update(self.values[position].operand_values)
        return frozenset(positions)

    def _is_known(self, operand: float) -> bool:
        is_free = operand <= MAX_FREE_NUMBER
        return is_free or self._is_anchored(operand) or _among(operand, self.results)

    def _is_anchored(self, operand: float) -> bool:
        if any(_equal(operand, number) for number in self.question_numbers):
            return True
        return _among(operand, [result for result in self.results if result.anchored])


def read_rule(question: str, solution: str) -> CalculationRule:
    """Return the rule of a worked solution, with the values that their own calculations can hold.

    An annotation is skipped if the rule would not accept its calculation from an agent, if the
    calculator fails on it or results in another value (unless the annotated one is rounded), or
    if an earlier annotation has the same value.
    """
    rule = CalculationRule(frozenset(numbers_of(question)))
    for expression, text in annotations(solution):
        if value := _value_of(expression, text, rule):
            rule = replace(rule, values=(*rule.values, value)).after((_TOOL, expression))
    return CalculationRule(rule.question_numbers, rule.values)


def annotations(text: str) -> Iterator[tuple[str, str]]:
    """Yield the (expression, value) texts of the annotated calculations of a text."""
    for annotation in _ANNOTATION.findall(text):
        expression, _, value = annotation.rpartition("=")
        yield expression.strip(), value.strip()


def without_annotations(text: str) -> str:
    """Return a text without annotations and surrounding white space."""
    return _ANNOTATION.sub("", text).strip()


def numbers_of(question: str) -> Iterator[float]:
    """Yield the numbers of a question, in digits and in common words, except 0 and 1.

    A number before a word such as ``thousand`` or ``%`` yields both itself and the product. 0 and
    1 are left out because adding 0 or multiplying by 1 proves no reading.
    """
    previous: float | None = None
    for token in _TOKEN.findall(fold(question)):
        number: float | None = None
        if token[-1].isdigit():
            number = float(token.replace(",", ""))
        elif token in _SCALES:
            number = (1.0 if previous is None else previous) * _SCALES[token]
        elif token in _NUMBER_WORDS:
            number = _NUMBER_WORDS[token]
            # "twenty five" is 25.
            is_tens = previous is not None and 20 <= previous < 100 and previous % 10 == 0
            if previous is not None and is_tens and number < 10:
                number += previous
        previous = number
        if number is not None and number not in (0.0, 1.0):
            yield number


@lru_cache(maxsize=4096)
def evaluate_expression(expression: str) -> tuple[float | None, tuple[float, ...]]:
    """Return the result of the calculator, None if it fails, and the operands."""
    try:
        return float(calculate(expression)), numbers_in(expression)
    except ValueError:
        return None, ()


def _value_of(expression: str, text: str, rule: CalculationRule) -> AnnotatedValue | None:
    """Return the value of an annotation if its own calculation can hold it and it is new."""
    annotated = parse_number(text)
    number, operands = evaluate_expression(expression)
    if annotated is None or number is None:
        return None
    # A rounded annotation differs by at most half a unit of its last decimal place.
    half_a_place = 0.5 * 10.0 ** -len(text.rstrip(".").partition(".")[2])
    if not _equal(annotated, number) and abs(annotated - number) > half_a_place * (1 + 1e-9):
        return None
    result = rule.result_of(expression)
    if result is None or not rule.may_hold(expression, result):
        return None
    if any(value.is_reached_by(number) for value in rule.values):
        return None
    # An operand that is in the question need not come from an earlier value.
    computed = [o for o in operands if not any(_equal(o, n) for n in rule.question_numbers)]
    operand_values = tuple(
        position
        for position, value in enumerate(rule.values)
        if any(_stands_for(operand, known) for operand in computed for known in value.numbers)
    )
    evidence = Evidence(f"{expression} = {text}", (), (_TOOL, expression))
    return AnnotatedValue(evidence, (annotated, number), operand_values)


def _depends(expression: str, result: float, operand: float) -> bool:
    """Return whether the result changes if another number replaces the operand."""
    # Any other number would do; an odd one makes equality by chance unlikely.
    other = evaluate_expression(with_number(expression, operand, 1.37 * operand + 1.0))[0]
    return other is None or not _equal(other, result)


def _among(operand: float, results: Sequence[CalculationResult]) -> bool:
    return any(_stands_for(operand, result.number) for result in results)


def _stands_for(operand: float, number: float) -> bool:
    """Return whether an operand is the absolute value of a number, or that rounded.

    Rounding to two or more decimals is accepted, because agents do not copy all of the up to 10
    digits that the calculator prints.
    """
    number = abs(number)
    if _equal(operand, number):
        return True
    decimals = len(f"{operand:.9f}".rstrip("0").partition(".")[2])
    return decimals >= 2 and abs(number - operand) <= 0.5 * 10.0**-decimals


def _equal(one: float, other: float) -> bool:
    return math.isclose(one, other, rel_tol=1e-8, abs_tol=1e-9)


INVALID = "[invalid]"
"""The official placeholder for the answer of a text without one."""

_ANSWER = re.compile(r"#### (-?[0-9.,]+)")
_BARE_NUMBER = re.compile(r"-?[0-9.,]+")
_DIGITS = re.compile(r"[0-9][0-9,]*(?:\.[0-9]+)?")
_FIX = 'records must be as in test.jsonl: {"question", "answer"}, the answer ending in "#### 72"'
_SUB_QUESTION = " ** "
_NO_CORPUS = Corpus(PageList(()), "none")


def extract_answer(text: str) -> str:
    """Return the answer that the official script extracts from a text (``extract_answer``).

    It is the number after the first ``#### ``, without commas; `INVALID` if there is none.
    """
    match = _ANSWER.search(text)
    return match[1].strip().replace(",", "") if match else INVALID


def same_number(text: str, gold: str) -> bool:
    """Return whether the number after the first ``#### ``, or the full text, equals the gold."""
    extracted = extract_answer(text)
    if extracted == gold:
        return True
    number = parse_number(text if extracted == INVALID else extracted)
    return number is not None and number == parse_number(gold)


def as_official(answer: str) -> str:
    """Return an agent's answer in the official form: ``#### `` before a bare number.

    Other texts are returned unchanged; they may contain the official form themselves.
    """
    bare = answer.strip()
    return f"#### {bare}" if _BARE_NUMBER.fullmatch(bare) else answer


class _GSM8KRow(msgspec.Struct):
    question: str
    answer: str


_ROWS = msgspec.json.Decoder(_GSM8KRow)


class _GSM8KRecords(BenchmarkRecords):
    options: ReadOptions

    def load(self, content: Content, limit: int | None) -> None:
        """Check every record; the id of a record is its position, from 0."""
        records = split_records(content, limit)
        if not records:
            raise Record(content.path, b"").error("expected records, got none; fetch it again")
        self._solutions: list[str] = []
        for number, record in enumerate(records):
            with self.errors_of(record):
                row = decode(record, _ROWS, _FIX)
                question = _question(record, row, str(number), self.options.variant)
                gold = PredictionEntry(as_official(question.answers[0]))
                self.add_question(record, question, gold)
                self._solutions.append(row.answer)
        if self.options.variant == "socratic" and not any(map(_is_socratic, self._solutions)):
            raise Record(content.path, b"").error(
                f"expected answers with a question before {_SUB_QUESTION!r} in each line, got "
                "none; name a file such as test_socratic.jsonl, or leave config='main'"
            )

    def build(self, index: int) -> Task:
        """Return a new task for a 0-based index."""
        question = self.questions[index]
        rule = read_rule(question.text, self._solutions[index])
        proofs = (rule.proof,) if rule.proof else ()
        return Task(replace(question, proofs=proofs), _NO_CORPUS, rule=rule)

    def count_unjudged(self) -> int:
        """Return the number of records without a value that a calculation can hold."""
        return self._unjudged

    @cached_property
    def _unjudged(self) -> int:
        return sum(not self.build(index).question.proofs for index in range(len(self.questions)))


class GSM8KSource(BenchmarkSource[_GSM8KRecords]):
    """The questions of a GSM8K file; the annotated values of the worked solution are the proof.

    Calculations hold values by the `CalculationRule`, which skips some annotations. If none is
    left, the steps of that question are not judged, and it counts in ``unjudged``. Task ids are
    the positions of the records, from 0. ``hops`` are the lines with an annotation, or their
    sub-questions in the socratic form. There are no pages. For the arguments, see
    `BenchmarkSource`; ``config`` is the form of the file, ``main`` or ``socratic``.
    """

    name = "gsm8k"
    dataset = GSM8K
    records_type = _GSM8KRecords
    tools = ("calculate", "answer")
    evidence_source = "heuristic"
    corpora = ("record",)
    variant_argument = "config"
    variants = ("main", "socratic")
    script = "grade_school_math/dataset.py"
    notes = answer_notes = "The answer is one number, written in digits alone, without a unit."

    def metrics_of(self, index: int, entry: PredictionEntry) -> dict[str, float]:
        """Return the official ``accuracy``, and ``numeric_accuracy``, which compares numbers.

        The official metric is strict: a number without ``#### `` before it is wrong.
        """
        text = entry.answer or ""
        gold = self._records.questions[index].answers[0]
        return {
            "accuracy": float(extract_answer(text) == gold),
            "numeric_accuracy": float(same_number(text, gold)),
        }

    def entry_of(
        self, index: int, prediction: Prediction, support_source: SupportSource
    ) -> PredictionEntry:
        """Return the entry of an attempt, with the answer in the official form."""
        answer = prediction.answer
        return PredictionEntry(None if answer is None else as_official(answer))

    def score(self, task: Task, answer: str) -> Score:
        """Return the official accuracy of an answer, as exact match and as F1."""
        entry = PredictionEntry(as_official(answer))
        accuracy = self.metrics_of(self.index_of(task.question.id), entry)["accuracy"]
        return Score(accuracy, accuracy)

    def guess(self, task: Task) -> str:
        """Return the last number of the question, or 1 if it has none."""
        return next(reversed(_DIGITS.findall(task.question.text)), "1")


def _question(record: Record, row: _GSM8KRow, task_id: str, variant: str) -> Question:
    number = extract_answer(row.answer)
    if number == INVALID:
        raise record.error(f"expected '#### ' and a number in 'answer', got none; {_FIX}")
    # The lines show the form, so config need not be passed.
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
    """Yield a hop for each line with an annotation: its question or text, and its values."""
    for line in solution.split("\n"):
        values = tuple(value for _, value in annotations(line))
        if values:
            question, separator, _ = line.partition(_SUB_QUESTION)
            has_question = socratic and bool(separator)
            yield Hop(question.strip() if has_question else without_annotations(line), values)
