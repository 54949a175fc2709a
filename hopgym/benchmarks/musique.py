"""MuSiQue: questions of two to four hops over twenty paragraphs, with a decomposition.

In: ``musique_{ans,full}_v1.0_{train,dev}.jsonl``, or the rows of ``dgslibisey/MuSiQue`` on the Hub,
which have the same fields. Out: tasks, scored as ``evaluate_v1.0.py`` of
github.com/StonyBrookNLP/musique scores (Trivedi et al. 2022, arXiv 2108.00573).
"""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from itertools import zip_longest
from typing import Annotated, ClassVar

import msgspec

from hopgym.benchmarks.base import BenchmarkSource, GoldRecords
from hopgym.benchmarks.catalogue import MUSIQUE
from hopgym.benchmarks.passages import Asked, Fact, PassageRecords
from hopgym.benchmarks.predictions import Entry, How, mean_of, read_support, write_support
from hopgym.benchmarks.records import Content, Record, decode, split_lines, split_records
from hopgym.documents import Document, fold, split_sentences
from hopgym.scoring import Score, exact_match, f1_of, normalize_answer, token_f1
from hopgym.tasks import Hop, Prediction, Question, Task

MEND = "records must be as in musique_ans_v1.0_dev.jsonl; the test files have no answers to score"
"""What error messages tell to do."""

_STEP = re.compile(r"#(\d{1,6})")


class _Paragraph(msgspec.Struct):
    idx: Annotated[int, msgspec.Meta(ge=0)]
    title: str
    paragraph_text: str
    is_supporting: bool


class _Step(msgspec.Struct):
    question: str
    answer: str
    paragraph_support_idx: int | None


class Row(msgspec.Struct):
    """A record; where the file says nothing of it, ``answerable`` is None."""

    id: str
    answer: str
    answer_aliases: list[str]
    question: str
    question_decomposition: list[_Step]
    paragraphs: list[_Paragraph]
    answerable: bool | None = None


class _Head(msgspec.Struct):
    id: str
    answerable: bool | None = None


_DECODER = msgspec.json.Decoder(Row)
_HEADS = msgspec.json.Decoder(_Head)


def read_row(record: Record) -> Row:
    """Return a record; `DataError` for one of another layout."""
    return decode(record, _DECODER, MEND)


def with_partners(records: list[Record], limit: int) -> tuple[list[Record], int]:
    """Return the records with the first ``limit`` and their partners in front, and their count."""
    heads = [decode(record, _HEADS, MEND) for record in records]
    places: dict[tuple[str, bool | None], int] = {}
    for place, head in enumerate(heads):
        places.setdefault((head.id, head.answerable), place)
    chosen = set(range(min(limit, len(records))))
    partners = (places.get((head.id, not head.answerable)) for head in heads[:limit])
    chosen |= {place for place in partners if place is not None}
    ordered = sorted(range(len(records)), key=lambda place: (place not in chosen, place))
    return [records[place] for place in ordered], len(chosen)


def cut_off(row: Row) -> bool:
    """Return whether a step's paragraph was taken out, so that the rest has no answer."""
    return any(step.paragraph_support_idx is None for step in row.question_decomposition)


def supporting_positions(record: Record, row: Row) -> list[int]:
    """Return the positions of the supporting paragraphs, after checking all numbers."""
    numbers = [paragraph.idx for paragraph in row.paragraphs]
    if len(set(numbers)) != len(numbers):
        raise record.error(f"expected every paragraph to have its own 'idx', got {numbers}")
    for step in row.question_decomposition:
        if (named := step.paragraph_support_idx) not in (None, *numbers):
            raise record.error(
                f"expected 'paragraph_support_idx' to be the 'idx' of a paragraph, got {named}"
            )
    return [i for i, paragraph in enumerate(row.paragraphs) if paragraph.is_supporting]


def hops_of(row: Row) -> tuple[Hop, ...]:
    """Return the steps; those without a paragraph have no answer, nor is it told by later ones."""
    steps = row.question_decomposition
    answers = {
        str(number): step.answer
        for number, step in enumerate(steps, start=1)
        if step.paragraph_support_idx is not None
    }

    def told(reference: re.Match[str]) -> str:
        return answers.get(reference[1], reference[0])

    return tuple(
        Hop(_STEP.sub(told, step.question), (step.answer,) if str(number) in answers else ())
        for number, step in enumerate(steps, start=1)
    )


def facts_of(
    row: Row, paragraphs: Sequence[Document], supporting: Sequence[int]
) -> tuple[Fact, ...]:
    """Return the supporting paragraphs as facts; none where one of them cannot be shown."""
    pages = [paragraphs[position] for position in supporting]
    if cut_off(row) or not all(page.title.strip() and page.sentences for page in pages):
        return ()
    return tuple(
        Fact(page.title, None, row.paragraphs[position].paragraph_text, ((position, None),))
        for position, page in zip(supporting, pages, strict=True)
    )


RecordMetrics = Mapping[str, float]

_SUFFICIENCY = "sufficiency"
_GROUPS = {
    "group_answer_sufficiency_f1": "answer_f1",
    "group_support_sufficiency_f1": "support_f1",
}
_NOTHING = Score(0.0, 0.0)
_LINES = (
    'a line of a prediction file is {"id": text, "predicted_answer": text, '
    '"predicted_support_idxs": [paragraph number], "predicted_answerable": true or false}'
)


def answer_score(prediction: str, golds: Collection[str]) -> Score:
    """Return the official score of an answer (``AnswerMetric``), each part the best of any gold.

    Two answers that both normalise to nothing earn an F1 of 1; yes and no are words like others.
    """
    em = max(exact_match(prediction, gold) for gold in golds)
    return Score(em, max(token_f1(prediction, gold) for gold in golds) or em)


def support_score(predicted: Collection[int], gold: Collection[int]) -> Score:
    """Return the official score of a set of paragraph numbers (``SupportMetric``).

    Nothing named where nothing is to be named earns 1.
    """
    given, due = set(predicted), set(gold)
    em = float(given == due)
    return Score(em, f1_of(len(given & due), len(given), len(due)) or em)


def record_metrics(entry: Entry, gold: Entry, answers: Collection[str]) -> dict[str, float]:
    """Return the official metrics of a record, none where it has no answer."""
    if not gold.answerable:
        return {}
    answer = support = _NOTHING
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


def sufficiency(entry: Entry, gold: Entry) -> dict[str, float]:
    """Return whether an entry tells rightly that there is an answer; without one it tells nothing.

    It is what the groups of MuSiQue-Full need of a record (`over_pairs`).
    """
    return {_SUFFICIENCY: float(entry.answer is not None and entry.answerable == gold.answerable)}


def over_pairs(
    rows: Mapping[int, RecordMetrics], pairs: Collection[tuple[int, int]]
) -> dict[str, float]:
    """Return the means over records and over the pairs that stand whole among them.

    A pair earns the F1 of its answerable record where ``sufficiency`` is 1 in both, else 0
    (``GroupAnswerSufficiencyMetric``, ``GroupSupportSufficiencyMetric``).

    Args:
        rows: The metrics of records by index.
        pairs: Indices of the answerable and the other record.
    """
    groups = []
    for answerable, other in pairs:
        if answerable in rows and other in rows:
            told = rows[answerable][_SUFFICIENCY] * rows[other][_SUFFICIENCY]
            groups.append({name: rows[answerable][of] * told for name, of in _GROUPS.items()})
    means = mean_of(list(rows.values())) | mean_of(groups)
    return {name: value for name, value in means.items() if name != _SUFFICIENCY}


class _Line(msgspec.Struct):
    id: str
    predicted_answer: str
    predicted_support_idxs: list[int]
    predicted_answerable: bool


_LINE_DECODER = msgspec.json.Decoder(_Line)


def read_lines(content: Content, ids: Sequence[str]) -> list[Entry]:
    """Return the entries of a prediction file.

    Args:
        content: The file.
        ids: Of the records, as the gold file has them; lines stand in the same order.

    Raises:
        DataError: When a line is malformed, too many, missing, or of another id.
    """
    entries: list[Entry] = []
    for wanted, line in zip_longest(ids, split_lines(content)):
        if line is None:
            raise Record(content.path, b"").error(
                f"expected {len(ids)} lines, one for each record, got {len(entries)}; "
                f"the next is that of {wanted!r}"
            )
        given = decode(line, _LINE_DECODER, _LINES)
        if given.id != wanted:
            due = "no further line" if wanted is None else f"the id {wanted!r}"
            raise line.error(
                f"expected {due}, got the id {given.id!r}; write one line for each of the "
                f"{len(ids)} records, in their order"
            )
        numbers, answerable = tuple(given.predicted_support_idxs), given.predicted_answerable
        entries.append(Entry(given.predicted_answer, paragraphs=numbers, answerable=answerable))
    return entries


def write_line(record_id: str, entry: Entry) -> bytes:
    """Return a line of a prediction file; what an entry lacks is written as nothing."""
    numbers = list(entry.paragraphs or ())
    return (
        msgspec.json.encode(_Line(record_id, entry.answer or "", numbers, entry.answerable)) + b"\n"
    )


def titles_support(titles: Sequence[str], positions: Sequence[int]) -> str:
    """Return paragraphs of a record as an answer names them, ``title#i`` (see `titles_named`).

    Args:
        titles: Of all paragraphs of the record.
        positions: Of the paragraphs to name.
    """
    folded = [fold(title) for title in titles]
    return write_support((titles[i], folded[:i].count(folded[i])) for i in positions)


def titles_named(support: str, titles: Sequence[str]) -> list[int | None]:
    """Return the positions of the paragraphs that a support names.

    ``title#i`` is the paragraph ``i``, from 0, of those of that title, which is compared as in a
    lookup; a title alone names all of these. None stands for an item that names no paragraph.
    """
    positions: dict[str, list[int]] = {}
    for position, title in enumerate(titles):
        positions.setdefault(fold(title), []).append(position)
    named = read_support(support)
    found: list[int | None] = [None] * len(set(named.triples))
    for title, i in dict.fromkeys((fold(title), i) for title, i in named.facts):
        own = positions.get(title, [])
        found += (own if i is None else own[i : i + 1]) or [None]
    return found


UNKNOWN = "unknown"
"""The answer that says that the paragraphs do not answer the question."""

_FULL = "full"
_NOTE = "The answer is a short phrase from the pages."
_FULL_NOTE = f"{_NOTE} Where the pages do not hold it, the answer is {UNKNOWN}."


class _MuSiQueRecords(PassageRecords):
    @property
    def full(self) -> bool:
        """Whether the file is taken for MuSiQue-Full."""
        return self.options.variant == _FULL

    def load(self, content: Content, limit: int | None) -> None:
        whole = self.full or self.options.corpus == "split"
        self._ordered = split_records(content, None if whole else limit)
        if self.full and limit is not None:
            self._ordered, limit = with_partners(self._ordered, limit)
        super().load(content, limit)
        self.pairs = [
            (self.index[f"{each}/answerable"], self.index[f"{each}/unanswerable"])
            for each, count in Counter(self.record_ids).items()
            if count > 1
        ]

    def records_of(self, content: Content, limit: int | None) -> list[Record]:
        return self._ordered[:limit]

    def add_asked(self, record: Record, question: Question, gold: Entry) -> None:
        if not self.full and question.id in self.index:
            raise record.error(
                f"expected every record of MuSiQue-Ans to have its own id, got {question.id!r} "
                "again; take variant='full' for a file of pairs"
            )
        super().add_asked(record, question, gold)

    def asked_of(self, record: Record, number: int) -> Asked:
        row = read_row(record)
        if not row.answer.strip():
            raise record.error(f"expected an answer to {row.id!r}, got an empty one; {MEND}")
        answerable = self._answerable(record, row)
        supporting, titles = (
            supporting_positions(record, row),
            [each.title for each in row.paragraphs],
        )
        paragraphs = tuple(
            Document(str(i), each.title, split_sentences(each.paragraph_text))
            for i, each in enumerate(row.paragraphs)
        )
        numbers = tuple(row.paragraphs[position].idx for position in supporting)
        answers = tuple(dict.fromkeys((row.answer, *row.answer_aliases)))
        question = Question(
            id=self._task_id(row.id, answerable),
            text=row.question,
            answers=answers if answerable else (UNKNOWN,),
            answer_kind="text",
            hops=hops_of(row),
            kind=row.id.partition("__")[0] if "__" in row.id else "",
            source=MuSiQueSource.name,
            support=titles_support(titles, supporting) if answerable else "",
        )
        facts = facts_of(row, paragraphs, supporting) if answerable else ()
        gold = Entry(row.answer, paragraphs=numbers, answerable=answerable)
        return Asked(question, paragraphs, facts, gold)

    @cached_property
    def record_ids(self) -> tuple[str, ...]:
        """The ids that the file gives to the records, in order."""
        return tuple(each.rpartition("/")[0] for each in self.ids) if self.full else self.ids

    def row(self, index: int) -> Row:
        """Return the record of an index as it stands in the file."""
        return read_row(self._records[self.places[index][0]])

    def _task_id(self, record_id: str, answerable: bool) -> str:
        if not self.full or not record_id.strip():
            return record_id
        return f"{record_id}/{'answerable' if answerable else 'unanswerable'}"

    def _answerable(self, record: Record, row: Row) -> bool:
        if row.answerable is None and (self.full or cut_off(row)):
            raise record.error(
                f"expected the field 'answerable', as {row.id!r} may be a question of MuSiQue-Full "
                "without an answer, got none; fetch the official file"
            )
        if row.answerable is False and not self.full:
            raise record.error("expected 'answerable': true, got false; take variant='full'")
        return row.answerable is not False


class MuSiQueSource(BenchmarkSource[_MuSiQueRecords]):
    """The questions of a MuSiQue file; the supporting paragraphs, whole, are the one proof.

    Arguments: see `BenchmarkSource`. ``variant="full"`` takes pairs of records of one id, of which
    one has no answer in its paragraphs: task ids then end in ``/answerable`` and
    ``/unanswerable``, the answer to the latter is ``unknown`` and its steps are not judged, and
    ``limit`` takes the partners of the records that it counts as well.

    A support that answers name is ``title#i``, the paragraph ``i`` (from 0) of those of that title
    in the record, or a title alone, all of these.
    """

    name = "musique"
    dataset = MUSIQUE
    records_type: ClassVar[type[GoldRecords]] = _MuSiQueRecords
    variant_argument = "variant"
    variants = ("ans", _FULL)
    notes = _NOTE
    answer_notes = "The answer is a short phrase."
    variant_notes: ClassVar[Mapping[str, str]] = {_FULL: _FULL_NOTE}
    script = "evaluate_v1.0.py"
    decimals = 3
    support_asked = "Name the pages that prove the answer; #0 is the first page of its title"
    support_metrics: ClassVar[Mapping[How, tuple[str, ...]]] = dict.fromkeys(
        ("read", "named"), ("support_em", "support_f1", "group_support_sufficiency_f1")
    )

    @property
    def remarks(self) -> tuple[str, ...]:
        """What there is to know of pairs that do not stand whole in the file."""
        if not self.unpaired:
            return ()
        pairs = len(self._records.pairs)
        return (
            f"{self.unpaired} of {len(self)} records lack the other one of their pair, for which "
            f"the official script stops; metrics of groups are over {pairs} whole pairs.",
        )

    @property
    def unpaired(self) -> int:
        """Number of records of MuSiQue-Full whose partner the file lacks."""
        return len(self) - 2 * len(self._records.pairs) if self._records.full else 0

    def score(self, task: Task, answer: str) -> Score:
        """Return the official score; without an answer in the pages only ``unknown`` is right."""
        gold = self._records.gold[self.index_of(task.question.id)]
        if not gold.answerable:
            right = float(normalize_answer(answer) == UNKNOWN)
            return Score(right, right)
        return answer_score(answer, task.question.answers)

    def metrics_of(self, index: int, entry: Entry) -> dict[str, float]:
        """Return the official metrics, of answer and support only where there is an answer.

        In MuSiQue-Full ``sufficiency`` is 1 where the entry tells rightly whether there is one.
        """
        gold, question = self._records.gold[index], self._records.questions[index]
        metrics = record_metrics(entry, gold, question.answers)
        return metrics | sufficiency(entry, gold) if self._records.full else metrics

    def combine(
        self, indices: Sequence[int], rows: Sequence[Mapping[str, float]]
    ) -> dict[str, float]:
        """Return the means over records, and over the pairs that stand whole in ``indices``."""
        return over_pairs(dict(zip(indices, rows, strict=True)), self._records.pairs)

    def entry_of(self, index: int, prediction: Prediction, how: How) -> Entry:
        """Return the entry of an attempt; the answer ``unknown`` says that there is none.

        What was read or named beside the record's own paragraphs counts as wrong numbers.
        """
        paragraphs = self._records.row(index).paragraphs
        if how == "read":
            places = self._read(index, prediction)
        else:
            places = titles_named(prediction.support, [each.title for each in paragraphs])
        own = dict.fromkeys(paragraphs[place].idx for place in places if place is not None)
        wrong = range(-1, -1 - places.count(None), -1)
        answer = prediction.answer
        none = answer is not None and normalize_answer(answer) == UNKNOWN
        return Entry(answer, paragraphs=(*own, *wrong), answerable=not none)

    def read_entries(self, content: Content) -> dict[str, Entry]:
        """Return the entries of a file that has a line for every record, in their order."""
        entries = read_lines(content, self._records.record_ids)
        return dict(zip(self._records.ids, entries, strict=True))

    def write_entries(self, entries: Mapping[str, Entry]) -> bytes:
        """Return the layout that `read_entries` reads; records without an entry earn nothing."""
        ids = zip(self._records.record_ids, self._records.ids, strict=True)
        return b"".join(write_line(i, entries.get(task_id, Entry())) for i, task_id in ids)

    def _read(self, index: int, prediction: Prediction) -> list[int | None]:
        """Return where the pages read to their end stand in the record; None for any other."""
        corpus = self[index].corpus
        shown: dict[str, set[int]] = {}
        for page, sentence in prediction.shown or ():
            shown.setdefault(page, set()).add(sentence)
        read = [p for p, part in shown.items() if len(part) == len(corpus.document(p).sentences)]
        return [self._records.own_position(index, page) for page in read]
