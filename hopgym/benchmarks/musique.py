"""MuSiQue: questions of two to four hops over twenty paragraphs, with a decomposition.

In: ``musique_{ans,full}_v1.0_{train,dev}.jsonl``, or the rows of ``dgslibisey/MuSiQue`` on the Hub,
which have the same fields. Out: tasks, scored as ``evaluate_v1.0.py`` of
github.com/StonyBrookNLP/musique scores (Trivedi et al. 2022, arXiv 2108.00573).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import ClassVar

from hopgym.benchmarks import musique_scorer as scorer
from hopgym.benchmarks.base import BenchmarkSource
from hopgym.benchmarks.catalogue import MUSIQUE
from hopgym.benchmarks.entries import Entry
from hopgym.benchmarks.files import Content, Record, split_records
from hopgym.benchmarks.musique_rows import (
    MEND,
    Row,
    cut_off,
    facts_of,
    hops_of,
    read_row,
    supporting_positions,
    with_partners,
)
from hopgym.benchmarks.official import GoldRecords, How
from hopgym.benchmarks.passages import Asked, PassageRecords
from hopgym.documents import Document, split_sentences
from hopgym.scoring import Score, normalize_answer
from hopgym.tasks import Prediction, Question, Task

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
            support=scorer.titles_support(titles, supporting) if answerable else "",
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
        return scorer.answer_score(answer, task.question.answers)

    def metrics_of(self, index: int, entry: Entry) -> dict[str, float]:
        """Return the official metrics, of answer and support only where there is an answer.

        In MuSiQue-Full ``sufficiency`` is 1 where the entry tells rightly whether there is one.
        """
        gold, question = self._records.gold[index], self._records.questions[index]
        metrics = scorer.record_metrics(entry, gold, question.answers)
        return metrics | scorer.sufficiency(entry, gold) if self._records.full else metrics

    def combine(
        self, indices: Sequence[int], rows: Sequence[Mapping[str, float]]
    ) -> dict[str, float]:
        """Return the means over records, and over the pairs that stand whole in ``indices``."""
        return scorer.over_pairs(dict(zip(indices, rows, strict=True)), self._records.pairs)

    def entry_of(self, index: int, prediction: Prediction, how: How) -> Entry:
        """Return the entry of an attempt; the answer ``unknown`` says that there is none.

        What was read or named beside the record's own paragraphs counts as wrong numbers.
        """
        paragraphs = self._records.row(index).paragraphs
        if how == "read":
            places = self._read(index, prediction)
        else:
            places = scorer.titles_named(prediction.support, [each.title for each in paragraphs])
        own = dict.fromkeys(paragraphs[place].idx for place in places if place is not None)
        wrong = range(-1, -1 - places.count(None), -1)
        answer = prediction.answer
        none = answer is not None and normalize_answer(answer) == UNKNOWN
        return Entry(answer, paragraphs=(*own, *wrong), answerable=not none)

    def read_entries(self, content: Content) -> dict[str, Entry]:
        """Return the entries of a file that has a line for every record, in their order."""
        entries = scorer.read_lines(content, self._records.record_ids)
        return dict(zip(self._records.ids, entries, strict=True))

    def write_entries(self, entries: Mapping[str, Entry]) -> bytes:
        """Return the layout that `read_entries` reads; records without an entry earn nothing."""
        ids = zip(self._records.record_ids, self._records.ids, strict=True)
        return b"".join(scorer.write_line(i, entries.get(task_id, Entry())) for i, task_id in ids)

    def _read(self, index: int, prediction: Prediction) -> list[int | None]:
        """Return where the pages read to their end stand in the record; None for any other."""
        corpus = self[index].corpus
        shown: dict[str, set[int]] = {}
        for page, sentence in prediction.shown or ():
            shown.setdefault(page, set()).add(sentence)
        read = [p for p, part in shown.items() if len(part) == len(corpus.document(p).sentences)]
        return [self._records.own_position(index, page) for page in read]
