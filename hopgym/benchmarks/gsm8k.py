"""GSM8K: word problems of grade school, with worked solutions.

In: ``{train,test}[_socratic].jsonl``, or the rows of ``openai/gsm8k`` on the Hub. Out: tasks,
scored as ``grade_school_math/dataset.py`` of github.com/openai/grade-school-math scores (Cobbe et
al. 2021, arXiv 2110.14168).
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from typing import ClassVar

import msgspec

from hopgym.benchmarks.base import BenchmarkSource
from hopgym.benchmarks.catalogue import GSM8K
from hopgym.benchmarks.entries import Entry
from hopgym.benchmarks.files import Content, Record, decode, split_records
from hopgym.benchmarks.gsm8k_steps import annotations, read_workings, without_annotations
from hopgym.benchmarks.official import GoldRecords, How
from hopgym.benchmarks.passages import Reading
from hopgym.documents import Corpus, PageList
from hopgym.scoring import Score, parse_number
from hopgym.tasks import Hop, Prediction, Question, Task

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
