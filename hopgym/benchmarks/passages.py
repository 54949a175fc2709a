"""Questions that come with paragraphs, and where a corpus shows their gold facts.

A benchmark reads each record as an `AnnotatedQuestion`: a question with its own paragraphs and
gold facts. Its task is then asked over those paragraphs (``record``), over the paragraphs of the
whole file (``split``) or over an external corpus (``external``), with the gold facts that this
corpus shows as evidence.
"""

import html
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate

from hopgym.benchmarks.base import BenchmarkRecords, ReadOptions
from hopgym.benchmarks.file_source import question_search
from hopgym.benchmarks.predictions import PredictionEntry
from hopgym.benchmarks.records import Content, Record, split_records
from hopgym.documents import Corpus, Document, PageList
from hopgym.scoring import AnswerKind, normalize_answer
from hopgym.tasks import Evidence, Question, Task

Place = tuple[str, int | None]
"""Document id and 0-based sentence index; None stands for the whole page."""
Call = tuple[str, str] | None
"""Tool and argument."""


@dataclass(frozen=True, slots=True)
class GoldFact:
    """A gold fact, as a record annotates it."""

    title: str
    """Title of the page that shows it."""
    index: int | None
    """0-based sentence index; None stands for the whole paragraph."""
    text: str = ""
    """The sentence or paragraph; empty if the record's own paragraphs lack it."""
    positions: tuple[tuple[int, int | None], ...] = ()
    """(position among the record's paragraphs, sentence index) pairs; any one shows the fact."""
    title_missing: bool = False
    """Whether the record has no page of that title, so that a page of another record may show
    the fact."""


def sentence_facts(
    facts: Iterable[tuple[str, int]], paragraphs: Sequence[Document]
) -> tuple[GoldFact, ...]:
    """Return gold sentences with their positions in the record's own paragraphs.

    Titles are compared character by character, as in official scripts. A page without a title
    cannot be looked up, and a sentence that is out of range is not shown anywhere.

    Args:
        facts: Titles and 0-based sentence indices.
        paragraphs: The record's own paragraphs.
    """
    gold_facts: list[GoldFact] = []
    for title, index in facts:
        pages = [i for i, page in enumerate(paragraphs) if page.title == title and title.strip()]
        positions = tuple((i, index) for i in pages if 0 <= index < len(paragraphs[i].sentences))
        text = paragraphs[positions[0][0]].sentences[index].strip() if positions else ""
        title_missing = not pages and bool(title.strip())
        gold_facts.append(GoldFact(title, index, text, positions, title_missing))
    return tuple(gold_facts)


def record_evidence(fact: GoldFact, call: Call) -> list[Evidence]:
    """Return a fact as evidence in the record's own paragraphs; empty if they do not show it."""
    return _evidence(
        fact, tuple((str(position), index) for position, index in fact.positions), call
    )


def split_evidence(
    fact: GoldFact, document_ids: Sequence[str], corpus: Corpus, call: Call
) -> list[Evidence]:
    """Return a fact as evidence in the paragraphs of the whole file; empty if not shown.

    Args:
        fact: The fact.
        document_ids: Document ids of the record's own paragraphs.
        corpus: The paragraphs. Those of other records count only if the record has no page of
            the fact's title.
        call: The search that finds the evidence.
    """
    places = tuple(
        dict.fromkeys((document_ids[position], index) for position, index in fact.positions)
    )
    if places or not fact.title_missing:
        return _evidence(fact, places, call)
    # A lookup folds case and marks; official titles are compared exactly.
    pages = [corpus[position] for position in corpus.lookup(fact.title)]
    least = 0 if fact.index is None else fact.index
    pages = [page for page in pages if page.title == fact.title and least < len(page.sentences)]
    return _evidence(fact, tuple((page.id, fact.index) for page in pages if least >= 0), call)


def external_evidence(fact: GoldFact, corpus: Corpus, call: Call) -> list[Evidence]:
    """Return a fact as evidence in a corpus with its own segmentation; empty if not shown.

    The evidence is the sentences of a page of the fact's title that contain its text. For a
    paragraph, or if the record lacks the text, it is the whole page. Titles are compared after
    resolving HTML entities, which corpora contain and HotpotQA does not.
    """
    title = html.unescape(fact.title)
    positions = dict.fromkeys([*corpus.lookup(fact.title), *corpus.lookup(title)])
    pages = [corpus[position] for position in positions]
    pages = [page for page in pages if html.unescape(page.title) == title and page.sentences]
    if fact.title_missing:
        return _evidence(fact, tuple((page.id, None) for page in pages), call)
    spans = ((page, _span(fact.text, page.sentences)) for page in pages)
    page, span = next(((page, span) for page, span in spans if span), (None, ()))
    if page is None:
        return []
    if fact.index is None:
        return _evidence(fact, ((page.id, None),), call)
    return [Evidence(page.sentences[i].strip(), ((page.id, i),), call) for i in span]


def _evidence(fact: GoldFact, shown_by: tuple[Place, ...], call: Call) -> list[Evidence]:
    return [Evidence(fact.text.strip() or fact.title, shown_by, call)] if shown_by else []


def _span(text: str, sentences: Sequence[str]) -> Sequence[int]:
    """Return the indices of the sentences that contain a text, ignoring white space."""
    target = "".join(text.split())
    compact = ["".join(sentence.split()) for sentence in sentences]
    start = "".join(compact).find(target) if target else -1
    if start < 0:
        return ()
    ends = list(accumulate(map(len, compact)))
    first = next(i for i, end in enumerate(ends) if start < end)
    last = next(i for i, end in enumerate(ends) if start + len(target) <= end)
    return range(first, last + 1)


@dataclass(frozen=True, slots=True)
class SplitCorpus:
    """The paragraphs of a whole file."""

    corpus: Corpus
    document_ids: tuple[tuple[str, ...], ...]
    """The document ids of each record's paragraphs, by record number."""

    @classmethod
    def of(
        cls, records: Iterable[Sequence[Document]], further: Iterable[Document]
    ) -> "SplitCorpus":
        """Merge the paragraphs of all records and further ones by title and text."""
        documents: dict[tuple[str, tuple[str, ...]], Document] = {}

        def add(paragraph: Document) -> str:
            key = (paragraph.title, paragraph.sentences)
            if key not in documents:
                documents[key] = replace(paragraph, id=str(len(documents)))
            return documents[key].id

        document_ids = tuple(tuple(map(add, paragraphs)) for paragraphs in records)
        for document in further:
            add(document)
        return cls(Corpus(PageList(tuple(documents.values())), "split"), document_ids)


def answer_kind_of(answers: Iterable[str]) -> AnswerKind:
    """Return ``yesno`` if all answers are yes or no after normalization, otherwise ``text``."""
    is_yes_no = all(normalize_answer(answer) in ("yes", "no") for answer in answers)
    return "yesno" if is_yes_no else "text"


@dataclass(frozen=True, slots=True)
class AnnotatedQuestion:
    """A question with its own paragraphs and gold facts."""

    question: Question
    """The question, without proofs."""
    paragraphs: tuple[Document, ...]
    """The record's own paragraphs; their ids are their positions."""
    facts: tuple[GoldFact, ...]
    """The gold facts, all of which are needed; empty if there is no annotation."""
    gold: PredictionEntry
    """The annotation that the official scorer compares with."""


class PassageRecords(BenchmarkRecords):
    """Records with paragraphs. A benchmark implements `read_question`."""

    options: ReadOptions

    @abstractmethod
    def read_question(self, record: Record, number: int) -> AnnotatedQuestion:
        """Check a record and return its question.

        Args:
            record: The record, still encoded.
            number: 0-based position in the file.

        Raises:
            DataError: If the record cannot be used.
        """

    def read_questions(self, record: Record, number: int) -> Sequence[AnnotatedQuestion]:
        """Return the questions of a record: one, unless a benchmark overrides this."""
        return (self.read_question(record, number),)

    def split_content(self, content: Content, limit: int | None) -> list[Record]:
        """Return at least the first ``limit`` records of a file, still encoded."""
        return split_records(content, limit)

    def further_documents(self) -> Iterable[Document]:
        """Return documents of the ``split`` corpus that belong to no record."""
        return ()

    def load(self, content: Content, limit: int | None) -> None:
        """Check every record and register its questions."""
        needs_all = self.options.corpus == "split"
        self._all = self.split_content(content, None if needs_all else limit)
        if not self._all:
            raise Record(content.path, b"").error(
                "expected records, got an empty list; fetch it again"
            )
        # Records after the limit are read for their paragraphs only.
        self._records = self._all if limit is None else self._all[:limit]
        self.parts: list[tuple[int, int]] = []
        """For each task: the number of its record, and its position among that record's tasks."""
        for number, record in enumerate(self._all):
            with self.errors_of(record):
                for part, item in enumerate(self.read_questions(record, number)):
                    if number < len(self._records):
                        self.add_question(record, item.question, item.gold)
                        self.parts.append((number, part))

    def annotated_question(self, index: int) -> AnnotatedQuestion:
        """Return the annotated question of a 0-based task index."""
        number, part = self.parts[index]
        return self.read_questions(self._records[number], number)[part]

    def build(self, index: int) -> Task:
        """Return a new task for a 0-based index."""
        item = self.annotated_question(index)
        gold = {position for fact in item.facts for position, _ in fact.positions}
        # The sort is stable: gold paragraphs first, otherwise the order of the record.
        ranked = sorted(range(len(item.paragraphs)), key=lambda position: position not in gold)
        corpus = self._corpus(item)
        question = replace(item.question, proofs=self._proofs(index, item, corpus))
        return Task(question, corpus, tuple(item.paragraphs[position] for position in ranked))

    def count_unjudged(self) -> int:
        """Return the number of tasks with gold facts that the corpus does not show."""
        return self._unjudged

    def position_in_record(self, index: int, document_id: str) -> int | None:
        """Return the position of a document among the record's own paragraphs, or None.

        Args:
            index: 0-based task index.
            document_id: Id of a document of the task's corpus.
        """
        if self.options.corpus == "record":
            return int(document_id)
        if self.options.corpus == "external":
            return None
        document_ids = self._split.document_ids[self.parts[index][0]]
        return document_ids.index(document_id) if document_id in document_ids else None

    @cached_property
    def _unjudged(self) -> int:
        count = 0
        for index in range(len(self.parts)):
            item = self.annotated_question(index)
            count += not self._proofs(index, item, self._corpus(item))
        return count

    def _corpus(self, item: AnnotatedQuestion) -> Corpus:
        if self.options.corpus == "split":
            return self._split.corpus
        return self.options.external or Corpus(PageList(item.paragraphs), "record")

    @cached_property
    def _split(self) -> SplitCorpus:
        paragraphs = (
            self.read_question(record, i).paragraphs for i, record in enumerate(self._all)
        )
        return SplitCorpus.of(paragraphs, self.further_documents())

    def _proofs(
        self, index: int, item: AnnotatedQuestion, corpus: Corpus
    ) -> tuple[tuple[Evidence, ...], ...]:
        """Return the facts as a single proof, or no proof if the corpus does not show them all."""
        call = question_search(item.question.text)
        proof: list[Evidence] = []
        for fact in item.facts:
            evidence = self._evidence(index, fact, corpus, call)
            # With a fact missing, no sequence of steps can complete the proof.
            if not evidence:
                return ()
            proof += evidence
        # Two gold sentences may be a single one in another segmentation.
        return (tuple(dict.fromkeys(proof)),) if proof else ()

    def _evidence(self, index: int, fact: GoldFact, corpus: Corpus, call: Call) -> list[Evidence]:
        if self.options.corpus == "external":
            return external_evidence(fact, corpus, call)
        if self.options.corpus == "split":
            document_ids = self._split.document_ids[self.parts[index][0]]
            return split_evidence(fact, document_ids, corpus, call)
        return record_evidence(fact, call)
