"""MuSiQue: questions of two to four hops over twenty paragraphs, with a decomposition.

Reads ``musique_{ans,full}_v1.0_{train,dev}.jsonl`` or the rows of ``dgslibisey/MuSiQue`` on the
Hub, which have the same fields (Trivedi et al. 2022, arXiv 2108.00573). The metrics are those of
``evaluate_v1.0.py`` in github.com/StonyBrookNLP/musique. MuSiQue-Full pairs every answerable
record with one of the same id whose paragraphs do not answer the question.
"""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from itertools import zip_longest
from typing import Annotated, ClassVar

import msgspec

from hopgym.benchmarks.base import BenchmarkSource
from hopgym.benchmarks.catalogue import MUSIQUE
from hopgym.benchmarks.passages import AnnotatedQuestion, GoldFact, PassageRecords
from hopgym.benchmarks.predictions import (
    PredictionEntry,
    SupportSource,
    mean_of,
    read_support,
    write_support,
)
from hopgym.benchmarks.records import Content, Record, decode, split_lines, split_records
from hopgym.documents import Document, split_sentences
from hopgym.scoring import Score, exact_match, f1_of, normalize_answer, token_f1
from hopgym.search import fold
from hopgym.tasks import Hop, Prediction, Question, Task

_FIX = "records must be as in musique_ans_v1.0_dev.jsonl; the test files have no answers to score"

_STEP_REFERENCE = re.compile(r"#(\d{1,6})")


class _MuSiQueParagraph(msgspec.Struct):
    idx: Annotated[int, msgspec.Meta(ge=0)]
    title: str
    paragraph_text: str
    is_supporting: bool


class _DecompositionStep(msgspec.Struct):
    question: str
    answer: str
    paragraph_support_idx: int | None


class MuSiQueRow(msgspec.Struct):
    """A record; ``answerable`` is None if the file does not have the field."""

    id: str
    answer: str
    answer_aliases: list[str]
    question: str
    question_decomposition: list[_DecompositionStep]
    paragraphs: list[_MuSiQueParagraph]
    answerable: bool | None = None


class _PairKey(msgspec.Struct):
    id: str
    answerable: bool | None = None


_ROWS = msgspec.json.Decoder(MuSiQueRow)
_PAIR_KEYS = msgspec.json.Decoder(_PairKey)


def _with_partners(records: list[Record], limit: int) -> tuple[list[Record], int]:
    """Move the first ``limit`` records and their partners to the front; return their count too."""
    keys = [decode(record, _PAIR_KEYS, _FIX) for record in records]
    # The first record of a key counts; a repeated one is reported later, when ids are registered.
    positions: dict[tuple[str, bool | None], int] = {}
    for position, key in enumerate(keys):
        positions.setdefault((key.id, key.answerable), position)
    selected = set(range(min(limit, len(records))))
    partners = (positions.get((key.id, not key.answerable)) for key in keys[:limit])
    selected |= {position for position in partners if position is not None}
    ordered = sorted(range(len(records)), key=lambda i: (i not in selected, i))
    return [records[i] for i in ordered], len(selected)


def _lacks_paragraph(row: MuSiQueRow) -> bool:
    """Return whether a paragraph of a step was removed, so that the rest gives no answer."""
    return any(step.paragraph_support_idx is None for step in row.question_decomposition)


def _supporting_positions(record: Record, row: MuSiQueRow) -> list[int]:
    """Check all paragraph numbers; return the positions of the supporting paragraphs."""
    numbers = [paragraph.idx for paragraph in row.paragraphs]
    if len(set(numbers)) != len(numbers):
        raise record.error(f"expected every paragraph to have its own 'idx', got {numbers}")
    for step in row.question_decomposition:
        if (number := step.paragraph_support_idx) not in (None, *numbers):
            raise record.error(
                f"expected 'paragraph_support_idx' to be the 'idx' of a paragraph, got {number}"
            )
    return [i for i, paragraph in enumerate(row.paragraphs) if paragraph.is_supporting]


def _hops(row: MuSiQueRow) -> tuple[Hop, ...]:
    """Return the steps, with ``#1`` replaced by the answer of step 1, and so on.

    A step without a paragraph has no answer, and references to it remain.
    """
    steps = row.question_decomposition
    answers = {
        str(number): step.answer
        for number, step in enumerate(steps, start=1)
        if step.paragraph_support_idx is not None
    }

    def resolve(reference: re.Match[str]) -> str:
        return answers.get(reference[1], reference[0])

    return tuple(
        Hop(
            _STEP_REFERENCE.sub(resolve, step.question),
            (step.answer,) if str(number) in answers else (),
        )
        for number, step in enumerate(steps, start=1)
    )


def _facts(
    row: MuSiQueRow, paragraphs: Sequence[Document], supporting: Sequence[int]
) -> tuple[GoldFact, ...]:
    """Return the supporting paragraphs as facts; no facts if one of them cannot be shown."""
    pages = [paragraphs[position] for position in supporting]
    if _lacks_paragraph(row) or not all(page.title.strip() and page.sentences for page in pages):
        return ()
    return tuple(
        GoldFact(page.title, None, row.paragraphs[position].paragraph_text, ((position, None),))
        for position, page in zip(supporting, pages, strict=True)
    )


RecordMetrics = Mapping[str, float]

_SUFFICIENCY = "sufficiency"
_GROUPS = {
    "group_answer_sufficiency_f1": "answer_f1",
    "group_support_sufficiency_f1": "support_f1",
}
_LINE_LAYOUT = (
    'a line of a prediction file is {"id": text, "predicted_answer": text, '
    '"predicted_support_idxs": [paragraph number], "predicted_answerable": true or false}'
)


def answer_score(prediction: str, golds: Collection[str]) -> Score:
    """Return the official score of an answer (``AnswerMetric``), each part the best over the golds.

    Two answers that are both empty after normalization have an F1 of 1. Yes and no are ordinary
    tokens.
    """
    em = max(exact_match(prediction, gold) for gold in golds)
    return Score(em, max(token_f1(prediction, gold) for gold in golds) or em)


def support_score(predicted: Collection[int], gold: Collection[int]) -> Score:
    """Return the official score of a set of paragraph numbers (``SupportMetric``).

    Two empty sets have an F1 of 1.
    """
    predicted_set = set(predicted)
    gold_set = set(gold)
    em = float(predicted_set == gold_set)
    same = len(predicted_set & gold_set)
    return Score(em, f1_of(same, len(predicted_set), len(gold_set)) or em)


def _record_metrics(
    entry: PredictionEntry, gold: PredictionEntry, answers: Collection[str]
) -> dict[str, float]:
    """Return the official metrics of a record; none if its paragraphs do not answer it."""
    if not gold.answerable:
        return {}
    answer = support = Score(0.0, 0.0)
    if entry.answer is not None:
        answer = answer_score(entry.answer, answers)
    if entry.paragraphs is not None:
        support = support_score(entry.paragraphs, gold.paragraphs or ())
    return {
        "answer_em": answer.em,
        "answer_f1": answer.f1,
        "support_em": support.em,
        "support_f1": support.f1,
    }


def _sufficiency(entry: PredictionEntry, gold: PredictionEntry) -> dict[str, float]:
    """Return whether an entry is right about the record being answerable; 0 without an answer."""
    return {_SUFFICIENCY: float(entry.answer is not None and entry.answerable == gold.answerable)}


def _combine_pairs(
    rows: Mapping[int, RecordMetrics], pairs: Collection[tuple[int, int]]
) -> dict[str, float]:
    """Return the means over records, and over the pairs of which both records are present.

    A pair scores the F1 of its answerable record if ``sufficiency`` is 1 for both, else 0
    (``GroupAnswerSufficiencyMetric``, ``GroupSupportSufficiencyMetric``).

    Args:
        rows: The metrics of records by index.
        pairs: Indices of the answerable and the unanswerable record.
    """
    groups = []
    for answerable, unanswerable in pairs:
        if answerable in rows and unanswerable in rows:
            right = rows[answerable][_SUFFICIENCY] * rows[unanswerable][_SUFFICIENCY]
            groups.append({name: rows[answerable][f1] * right for name, f1 in _GROUPS.items()})
    means = mean_of(list(rows.values())) | mean_of(groups)
    return {name: value for name, value in means.items() if name != _SUFFICIENCY}


class _PredictionLine(msgspec.Struct):
    id: str
    predicted_answer: str
    predicted_support_idxs: list[int]
    predicted_answerable: bool


_PREDICTION_LINES = msgspec.json.Decoder(_PredictionLine)


def _read_lines(content: Content, ids: Sequence[str]) -> list[PredictionEntry]:
    """Read a prediction file.

    Args:
        content: The file.
        ids: Ids of the records in the gold file; lines must be in the same order.

    Raises:
        DataError: If a line is malformed, superfluous, missing, or has another id.
    """
    entries: list[PredictionEntry] = []
    for expected_id, line in zip_longest(ids, split_lines(content)):
        if line is None:
            raise Record(content.path, b"").error(
                f"expected {len(ids)} lines, one for each record, got {len(entries)}; "
                f"the next is that of {expected_id!r}"
            )
        row = decode(line, _PREDICTION_LINES, _LINE_LAYOUT)
        if row.id != expected_id:
            expected = "no further line" if expected_id is None else f"the id {expected_id!r}"
            raise line.error(
                f"expected {expected}, got the id {row.id!r}; write one line for each of the "
                f"{len(ids)} records, in their order"
            )
        numbers = tuple(row.predicted_support_idxs)
        entries.append(
            PredictionEntry(
                row.predicted_answer, paragraphs=numbers, answerable=row.predicted_answerable
            )
        )
    return entries


def _write_line(record_id: str, entry: PredictionEntry) -> bytes:
    """Return a line of a prediction file; missing parts of an entry are written as empty."""
    numbers = list(entry.paragraphs or ())
    line = _PredictionLine(record_id, entry.answer or "", numbers, entry.answerable)
    return msgspec.json.encode(line) + b"\n"


def _support_text(titles: Sequence[str], positions: Sequence[int]) -> str:
    """Return paragraphs of a record in the form in which answers name them (`named_positions`).

    Args:
        titles: Titles of all paragraphs of the record.
        positions: Positions of the paragraphs to name.
    """
    folded = [fold(title) for title in titles]
    return write_support((titles[i], folded[:i].count(folded[i])) for i in positions)


def named_positions(support: str, titles: Sequence[str]) -> list[int | None]:
    """Return the positions of the paragraphs that a support names.

    ``title#i`` names paragraph ``i`` (from 0) among those with that title, and a title alone names
    all of them. Titles are compared as in a lookup.

    Args:
        support: The support of an answer.
        titles: Titles of all paragraphs of the record.

    Returns:
        The positions, with None for each item that names no paragraph.
    """
    by_title: dict[str, list[int]] = {}
    for position, title in enumerate(titles):
        by_title.setdefault(fold(title), []).append(position)
    items = read_support(support)
    positions: list[int | None] = [None] * len(set(items.triples))
    for title, i in dict.fromkeys((fold(title), i) for title, i in items.facts):
        matches = by_title.get(title, [])
        positions += (matches if i is None else matches[i : i + 1]) or [None]
    return positions


UNKNOWN = "unknown"
"""The answer to a question that its paragraphs do not answer."""

_FULL = "full"
_NOTE = "The answer is a short phrase from the pages."
_FULL_NOTE = f"{_NOTE} Where the pages do not hold it, the answer is {UNKNOWN}."


class _MuSiQueRecords(PassageRecords):
    @property
    def full(self) -> bool:
        """Whether the file is read as MuSiQue-Full."""
        return self.options.variant == _FULL

    def load(self, content: Content, limit: int | None) -> None:
        # The partner of a record may be anywhere in the file.
        needs_all = self.full or self.options.corpus == "split"
        self._ordered = split_records(content, None if needs_all else limit)
        if self.full and limit is not None:
            self._ordered, limit = _with_partners(self._ordered, limit)
        super().load(content, limit)
        self.pairs = [
            (self.index[f"{record_id}/answerable"], self.index[f"{record_id}/unanswerable"])
            for record_id, count in Counter(self.record_ids).items()
            if count > 1
        ]

    def split_content(self, content: Content, limit: int | None) -> list[Record]:
        return self._ordered[:limit]

    def add_question(self, record: Record, question: Question, gold: PredictionEntry) -> None:
        if not self.full and question.id in self.index:
            raise record.error(
                f"expected every record of MuSiQue-Ans to have its own id, got {question.id!r} "
                "again; take variant='full' for a file of pairs"
            )
        super().add_question(record, question, gold)

    def read_question(self, record: Record, number: int) -> AnnotatedQuestion:
        row = decode(record, _ROWS, _FIX)
        if not row.answer.strip():
            raise record.error(f"expected an answer to {row.id!r}, got an empty one; {_FIX}")
        answerable = self._answerable(record, row)
        supporting = _supporting_positions(record, row)
        titles = [paragraph.title for paragraph in row.paragraphs]
        paragraphs = tuple(
            Document(str(i), paragraph.title, split_sentences(paragraph.paragraph_text))
            for i, paragraph in enumerate(row.paragraphs)
        )
        numbers = tuple(row.paragraphs[position].idx for position in supporting)
        answers = tuple(dict.fromkeys((row.answer, *row.answer_aliases)))
        question = Question(
            id=self._task_id(row.id, answerable),
            text=row.question,
            answers=answers if answerable else (UNKNOWN,),
            answer_kind="text",
            hops=_hops(row),
            kind=row.id.partition("__")[0] if "__" in row.id else "",
            source=MuSiQueSource.name,
            support=_support_text(titles, supporting) if answerable else "",
        )
        facts = _facts(row, paragraphs, supporting) if answerable else ()
        gold = PredictionEntry(row.answer, paragraphs=numbers, answerable=answerable)
        return AnnotatedQuestion(question, paragraphs, facts, gold)

    @cached_property
    def record_ids(self) -> tuple[str, ...]:
        """The ids of the records in the file, in order; in MuSiQue-Full, partners share theirs."""
        if not self.full:
            return self.ids
        return tuple(task_id.rpartition("/")[0] for task_id in self.ids)

    def row(self, index: int) -> MuSiQueRow:
        """Return the record of a 0-based task index."""
        return decode(self._records[self.parts[index][0]], _ROWS, _FIX)

    def _task_id(self, record_id: str, answerable: bool) -> str:
        if not self.full or not record_id.strip():
            return record_id
        return f"{record_id}/{'answerable' if answerable else 'unanswerable'}"

    def _answerable(self, record: Record, row: MuSiQueRow) -> bool:
        if row.answerable is None and (self.full or _lacks_paragraph(row)):
            raise record.error(
                f"expected the field 'answerable', as {row.id!r} may be a question of MuSiQue-Full "
                "without an answer, got none; fetch the official file"
            )
        if row.answerable is False and not self.full:
            raise record.error("expected 'answerable': true, got false; take variant='full'")
        return row.answerable is not False


class MuSiQueSource(BenchmarkSource[_MuSiQueRecords]):
    """The questions of a MuSiQue file; the supporting paragraphs together are the only proof.

    For the arguments, see `BenchmarkSource`. ``variant="full"`` reads pairs of records with one
    id, of which one has no answer in its paragraphs. Task ids then end in ``/answerable`` and
    ``/unanswerable``, the answer to the latter is ``unknown``, its steps are not judged, and
    ``limit`` also takes the partners of the records that it counts.

    An answer names its support as ``title#i``, which is paragraph ``i`` (from 0) among those with
    that title in the record, or as a title alone, which is all of them.
    """

    name = "musique"
    dataset = MUSIQUE
    records_type = _MuSiQueRecords
    variant_argument = "variant"
    variants = ("ans", _FULL)
    notes = _NOTE
    answer_notes = "The answer is a short phrase."
    variant_notes: ClassVar[Mapping[str, str]] = {_FULL: _FULL_NOTE}
    script = "evaluate_v1.0.py"
    decimals = 3
    support_asked = "Name the pages that prove the answer; #0 is the first page of its title"
    support_metrics: ClassVar[Mapping[SupportSource, tuple[str, ...]]] = dict.fromkeys(
        ("read", "named"), ("support_em", "support_f1", "group_support_sufficiency_f1")
    )

    @property
    def remarks(self) -> tuple[str, ...]:
        """A warning about records whose partner is missing, if there are any."""
        if not self.unpaired:
            return ()
        pairs = len(self._records.pairs)
        return (
            f"{self.unpaired} of {len(self)} records lack their partner, for which "
            f"the official script stops; metrics of groups are over {pairs} whole pairs.",
        )

    @property
    def unpaired(self) -> int:
        """Number of records of MuSiQue-Full whose partner is missing."""
        return len(self) - 2 * len(self._records.pairs) if self._records.full else 0

    def score(self, task: Task, answer: str) -> Score:
        """Return the official score; for an unanswerable question only ``unknown`` is right."""
        gold = self._records.gold[self.index_of(task.question.id)]
        if not gold.answerable:
            right = float(normalize_answer(answer) == UNKNOWN)
            return Score(right, right)
        return answer_score(answer, task.question.answers)

    def metrics_of(self, index: int, entry: PredictionEntry) -> dict[str, float]:
        """Return the official metrics; those of answer and support only for answerable questions.

        In MuSiQue-Full, ``sufficiency`` says whether the entry is right about the question being
        answerable.
        """
        gold = self._records.gold[index]
        question = self._records.questions[index]
        metrics = _record_metrics(entry, gold, question.answers)
        return metrics | _sufficiency(entry, gold) if self._records.full else metrics

    def combine(
        self, indices: Sequence[int], rows: Sequence[Mapping[str, float]]
    ) -> dict[str, float]:
        """Return the means over records, and over the pairs of which both are in ``indices``."""
        return _combine_pairs(dict(zip(indices, rows, strict=True)), self._records.pairs)

    def entry_of(
        self, index: int, prediction: Prediction, support_source: SupportSource
    ) -> PredictionEntry:
        """Return the entry of an attempt; the answer ``unknown`` says that there is no answer.

        Pages and names outside the record's own paragraphs become wrong (negative) numbers.
        """
        paragraphs = self._records.row(index).paragraphs
        if support_source == "read":
            positions = self._read_positions(index, prediction)
        else:
            titles = [paragraph.title for paragraph in paragraphs]
            positions = named_positions(prediction.support, titles)
        numbers = dict.fromkeys(paragraphs[p].idx for p in positions if p is not None)
        # Each of them lowers the precision, as a wrong number in a prediction file does.
        wrong_numbers = range(-1, -1 - positions.count(None), -1)
        answer = prediction.answer
        answerable = answer is None or normalize_answer(answer) != UNKNOWN
        return PredictionEntry(answer, paragraphs=(*numbers, *wrong_numbers), answerable=answerable)

    def read_entries(self, content: Content) -> dict[str, PredictionEntry]:
        """Read a file that has a line for every record, in order."""
        entries = _read_lines(content, self._records.record_ids)
        return dict(zip(self._records.ids, entries, strict=True))

    def write_entries(self, entries: Mapping[str, PredictionEntry]) -> bytes:
        """Return a file that `read_entries` reads; records without an entry get an empty one."""
        ids = zip(self._records.record_ids, self._records.ids, strict=True)
        return b"".join(
            _write_line(record_id, entries.get(task_id, PredictionEntry()))
            for record_id, task_id in ids
        )

    def _read_positions(self, index: int, prediction: Prediction) -> list[int | None]:
        """Return the positions in the record of the pages read completely; None for other pages."""
        corpus = self[index].corpus
        shown: dict[str, set[int]] = {}
        for page, sentence in prediction.shown_sentences or ():
            shown.setdefault(page, set()).add(sentence)
        complete = [
            page
            for page, sentences in shown.items()
            if len(sentences) == len(corpus.document(page).sentences)
        ]
        return [self._records.position_in_record(index, page) for page in complete]
