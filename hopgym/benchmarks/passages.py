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
from hopgym.benchmarks.files import Content, Record, split_records
from hopgym.benchmarks.official import GoldRecords
from hopgym.benchmarks.source import question_search
from hopgym.documents import Corpus, Document, PageList
from hopgym.tasks import Evidence, Question, Task

if TYPE_CHECKING:
    from hopgym.storage import StoredCorpus

Place = tuple[str, int | None]


@dataclass(frozen=True, slots=True)
class Reading:
    """How the file of a benchmark is read; what decides its tasks beside its content."""

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


@dataclass(frozen=True, slots=True)
class Fact:
    """A gold fact as a record annotates it."""

    title: str
    """Of the page that shows it."""
    index: int | None
    """0-based sentence; None stands for the whole paragraph."""
    text: str = ""
    """The sentence, or the paragraph; empty where the record's own paragraphs lack it."""
    own: tuple[tuple[int, int | None], ...] = ()
    """(position among the record's paragraphs, sentence) pairs of which any one shows it."""


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


def sentence_facts(
    facts: Iterable[tuple[str, int]], paragraphs: Sequence[Document]
) -> tuple[Fact, ...]:
    """Return gold sentences, given by title and 0-based index, with where a record shows them.

    Titles are compared as official scripts do, by character. A page without a title cannot be
    looked up, and one out of range shows nothing.
    """
    found: list[Fact] = []
    for title, index in facts:
        own = tuple(
            (position, index)
            for position, page in enumerate(paragraphs)
            if page.title == title and title.strip() and 0 <= index < len(page.sentences)
        )
        text = paragraphs[own[0][0]].sentences[index].strip() if own else ""
        found.append(Fact(title, index, text, own))
    return tuple(found)


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
        self._records = self._all[:limit]
        self.places: list[tuple[int, int]] = []
        """By task: the number of its record, and which of that record's tasks it is, from 0."""
        for number, record in enumerate(self._records):
            with self.reading(record):
                for part, asked in enumerate(self.tasks_of(record, number)):
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
    def _split(self) -> "_SplitCorpus":
        paragraphs = (self.asked_of(each, i).paragraphs for i, each in enumerate(self._all))
        return _union(paragraphs, self.further_documents())

    def _proofs(self, index: int, asked: Asked, corpus: Corpus) -> tuple[tuple[Evidence, ...], ...]:
        """Return the facts as the one proof; none where the corpus does not show them all."""
        call = question_search(asked.question.text)
        proof: list[Evidence] = []
        for fact in asked.facts:
            shown_by = self._shown_by(index, fact, corpus)
            if not shown_by:
                return ()
            proof.append(Evidence(fact.text.strip() or fact.title, shown_by, call))
        # Two sentences of a long page in another segmentation may be one.
        return (tuple(dict.fromkeys(proof)),) if proof else ()

    def _shown_by(self, index: int, fact: Fact, corpus: Corpus) -> tuple[Place, ...]:
        if self.options.corpus == "external":
            return _found_by_text(fact, corpus)
        if fact.own and self.options.corpus == "split":
            places = self._split.places[self.places[index][0]]
            return tuple(dict.fromkeys((places[position], i) for position, i in fact.own))
        if fact.own or self.options.corpus == "record":
            return tuple((str(position), i) for position, i in fact.own)
        return tuple((page.id, fact.index) for page in _titled(fact, corpus))


@dataclass(frozen=True, slots=True)
class _SplitCorpus:
    corpus: Corpus
    places: tuple[tuple[str, ...], ...]
    """By record, the document id of each of its paragraphs."""


def _union(records: Iterable[Sequence[Document]], further: Iterable[Document]) -> _SplitCorpus:
    """Return the paragraphs of all records, equal title and text once, in order of occurrence."""
    documents: dict[tuple[str, tuple[str, ...]], Document] = {}

    def place(paragraph: Document) -> str:
        key = (paragraph.title, paragraph.sentences)
        if key not in documents:
            documents[key] = replace(paragraph, id=str(len(documents)))
        return documents[key].id

    places = tuple(tuple(map(place, paragraphs)) for paragraphs in records)
    for document in further:
        place(document)
    return _SplitCorpus(Corpus(PageList(tuple(documents.values())), "split"), places)


def _titled(fact: Fact, corpus: Corpus) -> list[Document]:
    """Return the pages of a fact's very title that have its sentence."""
    pages = [corpus[position] for position in corpus.lookup(fact.title)]
    at_least = 0 if fact.index is None else fact.index
    return [
        page for page in pages if page.title == fact.title and 0 <= at_least < len(page.sentences)
    ]


def _found_by_text(fact: Fact, corpus: Corpus) -> tuple[Place, ...]:
    """Return where a corpus with sentences of its own shows a fact: a sentence, or a whole page."""
    places: list[Place] = []
    wanted = _spaced(fact.text)
    for page in _titled(replace(fact, index=None), corpus):
        holding = [i for i, each in enumerate(page.sentences) if wanted in _spaced(each)]
        if wanted and holding:
            places.append((page.id, holding[0]))
        elif wanted in _spaced(" ".join(page.sentences)):
            places.append((page.id, None))
    return tuple(places)


def _spaced(text: str) -> str:
    return " ".join(text.split())
