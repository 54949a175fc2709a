"""Questions that come with paragraphs: over which corpus they are asked, and what proves them.

In: records as a benchmark reads them, each with its own paragraphs and gold facts. Out: tasks over
those paragraphs (``record``), over all paragraphs of the file (``split``), or over a corpus from
elsewhere (``external``), with the gold facts found in it as evidence.
"""

import html
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from hopgym.benchmarks.base import GoldRecords, Reading
from hopgym.benchmarks.file_source import question_search
from hopgym.benchmarks.predictions import Entry
from hopgym.benchmarks.records import Content, Record, split_records
from hopgym.documents import Corpus, Document, PageList
from hopgym.tasks import Evidence, Question, Task

if TYPE_CHECKING:
    pass


Place = tuple[str, int | None]
Call = tuple[str, str] | None


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
    elsewhere: bool = False
    """Whether the record has no page of that title, so that another one may show the fact."""


def sentence_facts(
    facts: Iterable[tuple[str, int]], paragraphs: Sequence[Document]
) -> tuple[Fact, ...]:
    """Return gold sentences, given by title and 0-based index, with where a record shows them.

    Titles are compared as official scripts do, by character. A page without a title cannot be
    looked up, and a sentence out of range is shown nowhere.
    """
    found: list[Fact] = []
    for title, index in facts:
        named = [i for i, page in enumerate(paragraphs) if page.title == title and title.strip()]
        own = tuple((i, index) for i in named if 0 <= index < len(paragraphs[i].sentences))
        text = paragraphs[own[0][0]].sentences[index].strip() if own else ""
        found.append(Fact(title, index, text, own, elsewhere=not named and bool(title.strip())))
    return tuple(found)


def in_record(fact: Fact, call: Call) -> list[Evidence]:
    """Return a fact as evidence in the record's own paragraphs; nothing where they lack it."""
    return _evidence(fact, tuple((str(position), index) for position, index in fact.own), call)


def in_split(fact: Fact, places: Sequence[str], corpus: Corpus, call: Call) -> list[Evidence]:
    """Return a fact as evidence in the paragraphs of the whole file.

    Args:
        fact: The fact.
        places: The document ids of the record's own paragraphs.
        corpus: The paragraphs. Those of other records are looked at only where the record has no
            page of the fact's title.
        call: The search that is declared for it.
    """
    own = tuple(dict.fromkeys((places[position], index) for position, index in fact.own))
    if own or not fact.elsewhere:
        return _evidence(fact, own, call)
    pages = [corpus[position] for position in corpus.lookup(fact.title)]
    least = 0 if fact.index is None else fact.index
    right = [page for page in pages if page.title == fact.title and least < len(page.sentences)]
    return _evidence(fact, tuple((page.id, fact.index) for page in right if least >= 0), call)


def in_external(fact: Fact, corpus: Corpus, call: Call) -> list[Evidence]:
    """Return a fact as evidence in a corpus with sentences of its own.

    That are the sentences of a page of its title in which its text stands; for a paragraph, and
    where the record lacks the text, the whole page. Titles are compared with their HTML entities
    resolved, as corpora write them so and HotpotQA does not.
    """
    title = html.unescape(fact.title)
    found = [*corpus.lookup(fact.title), *corpus.lookup(title)]
    pages = [corpus[position] for position in dict.fromkeys(found)]
    right = [each for each in pages if html.unescape(each.title) == title and each.sentences]
    if fact.elsewhere:
        return _evidence(fact, tuple((page.id, None) for page in right), call)
    spans = ((page, _span(fact.text, page.sentences)) for page in right)
    page, span = next(((page, span) for page, span in spans if span), (None, ()))
    if page is None:
        return []
    if fact.index is None:
        return _evidence(fact, ((page.id, None),), call)
    return [Evidence(page.sentences[i].strip(), ((page.id, i),), call) for i in span]


def _evidence(fact: Fact, shown_by: tuple[Place, ...], call: Call) -> list[Evidence]:
    return [Evidence(fact.text.strip() or fact.title, shown_by, call)] if shown_by else []


def _span(text: str, sentences: Sequence[str]) -> Sequence[int]:
    """Return the indices of the sentences over which a text runs, white space apart."""
    wanted, start = "".join(text.split()), 0
    ends = []
    for sentence in sentences:
        start += len("".join(sentence.split()))
        ends.append(start)
    begin = "".join("".join(each.split()) for each in sentences).find(wanted) if wanted else -1
    if begin < 0:
        return ()
    first = next(i for i, end in enumerate(ends) if begin < end)
    last = next(i for i, end in enumerate(ends) if begin + len(wanted) <= end)
    return range(first, last + 1)


@dataclass(frozen=True, slots=True)
class SplitCorpus:
    """All paragraphs of a file."""

    corpus: Corpus
    places: tuple[tuple[str, ...], ...]
    """By record, the document id of each of its paragraphs."""

    @classmethod
    def of(
        cls, records: Iterable[Sequence[Document]], further: Iterable[Document]
    ) -> "SplitCorpus":
        """Return the paragraphs of all records, then further ones; equal title and text once."""
        documents: dict[tuple[str, tuple[str, ...]], Document] = {}

        def place(paragraph: Document) -> str:
            key = (paragraph.title, paragraph.sentences)
            if key not in documents:
                documents[key] = replace(paragraph, id=str(len(documents)))
            return documents[key].id

        places = tuple(tuple(map(place, paragraphs)) for paragraphs in records)
        for document in further:
            place(document)
        return cls(Corpus(PageList(tuple(documents.values())), "split"), places)


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
