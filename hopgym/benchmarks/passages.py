"""Questions that come with paragraphs: over which corpus they are asked, and what proves them.

In: records as a benchmark reads them, each with its own paragraphs and gold facts. Out: tasks over
those paragraphs (``record``), over all paragraphs of the file (``split``), or over a corpus from
elsewhere (``external``), with the gold facts found in it as evidence.
"""

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from hopgym.benchmarks.entries import Entry
from hopgym.benchmarks.facts import Call, Fact, SplitCorpus, in_external, in_record, in_split
from hopgym.benchmarks.files import Content, Record, split_records
from hopgym.benchmarks.official import GoldRecords
from hopgym.benchmarks.source import question_search
from hopgym.documents import Corpus, Document, PageList
from hopgym.tasks import Evidence, Question, Task

if TYPE_CHECKING:
    from hopgym.storage import StoredCorpus


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """How the file of a benchmark is read; what decides its tasks beside its content.

    Readings of one fingerprint are equal, whatever paths their files have.
    """

    variant: str = ""
    """Which of the benchmark's forms the file is taken for."""
    corpus: str = "record"
    """``record``, ``split`` or ``external``."""
    external: "StoredCorpus | None" = None
    further: Content | None = None
    """A second file that belongs to the first, such as one of aliases."""

    @property
    def fingerprint(self) -> str:
        """What tells readings of one file apart."""
        files = (self.external, self.further)
        return ":".join(
            [self.variant, self.corpus, *(each.digest if each else "" for each in files)]
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reading) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with its own paragraphs and gold facts."""

    question: Question
    """Without proofs."""
    paragraphs: tuple[Document, ...]
    """Their ids are their positions."""
    facts: tuple[Fact, ...]
    """All needed; empty where nothing is annotated."""
    gold: Entry
    """What the official scorer compares with."""


class PassageRecords(GoldRecords):
    """Records with paragraphs. A benchmark gives `asked_of`."""

    options: Reading

    @abstractmethod
    def asked_of(self, record: Record, number: int) -> Asked:
        """Return what a record asks after checking it; ``number`` is its place from 0.

        Raises:
            DataError: When the record cannot be used as it is.
        """

    def tasks_of(self, record: Record, number: int) -> Sequence[Asked]:
        """Return what the tasks of a record ask: one task, unless a benchmark says otherwise."""
        return (self.asked_of(record, number),)

    def records_of(self, content: Content, limit: int | None) -> list[Record]:
        """Return at least the first ``limit`` records of a file, undecoded."""
        return split_records(content, limit)

    def further_documents(self) -> Iterable[Document]:
        """Yield documents of the split corpus that belong to no record."""
        return ()

    def load(self, content: Content, limit: int | None) -> None:
        """Check every record and note its id."""
        whole = self.options.corpus == "split"
        self._all = self.records_of(content, None if whole else limit)
        if not self._all:
            raise Record(content.path, b"").error(
                "expected records, got an empty list; fetch it again"
            )
        self._records = self._all if limit is None else self._all[:limit]
        self.places: list[tuple[int, int]] = []
        """By task: the number of its record, and which of that record's tasks it is, from 0."""
        for number, record in enumerate(self._all):
            with self.reading(record):
                for part, asked in enumerate(self.tasks_of(record, number)):
                    if number < len(self._records):
                        self.add_asked(record, asked.question, asked.gold)
                        self.places.append((number, part))

    def asked(self, index: int) -> Asked:
        """Return what the task of a 0-based index asks."""
        number, part = self.places[index]
        return self.tasks_of(self._records[number], number)[part]

    def build(self, index: int) -> Task:
        """Return a new task of a 0-based index."""
        asked = self.asked(index)
        gold = {position for fact in asked.facts for position, _ in fact.own}
        ranked = sorted(range(len(asked.paragraphs)), key=lambda position: position not in gold)
        corpus = self._corpus(asked)
        question = replace(asked.question, proofs=self._proofs(index, asked, corpus))
        return Task(question, corpus, tuple(asked.paragraphs[position] for position in ranked))

    def count_unjudged(self) -> int:
        """Return the number of tasks whose gold facts the corpus does not all show."""
        return self._unjudged

    def own_position(self, index: int, document_id: str) -> int | None:
        """Return where a document of the task's corpus stands in its record, from 0, or None."""
        if self.options.corpus == "record":
            return int(document_id)
        if self.options.corpus == "external":
            return None
        places = self._split.places[self.places[index][0]]
        return places.index(document_id) if document_id in places else None

    @cached_property
    def _unjudged(self) -> int:
        count = 0
        for index in range(len(self.places)):
            asked = self.asked(index)
            count += not self._proofs(index, asked, self._corpus(asked))
        return count

    def _corpus(self, asked: Asked) -> Corpus:
        if self.options.corpus == "split":
            return self._split.corpus
        return self.options.external or Corpus(PageList(asked.paragraphs), "record")

    @cached_property
    def _split(self) -> SplitCorpus:
        paragraphs = (self.asked_of(each, i).paragraphs for i, each in enumerate(self._all))
        return SplitCorpus.of(paragraphs, self.further_documents())

    def _proofs(self, index: int, asked: Asked, corpus: Corpus) -> tuple[tuple[Evidence, ...], ...]:
        """Return the facts as the one proof; none where the corpus does not show them all."""
        call = question_search(asked.question.text)
        proof: list[Evidence] = []
        for fact in asked.facts:
            evidence = self._evidence(index, fact, corpus, call)
            if not evidence:
                return ()
            proof += evidence
        # Two gold sentences may be one in another segmentation.
        return (tuple(dict.fromkeys(proof)),) if proof else ()

    def _evidence(self, index: int, fact: Fact, corpus: Corpus, call: Call) -> list[Evidence]:
        if self.options.corpus == "external":
            return in_external(fact, corpus, call)
        if self.options.corpus == "split":
            return in_split(fact, self._split.places[self.places[index][0]], corpus, call)
        return in_record(fact, call)
