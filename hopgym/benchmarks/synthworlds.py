"""SynthWorlds: multi-hop questions over one set of documents, with real or with made-up names.

In: the rows of the configs ``qa-rm`` or ``qa-sm`` of ``kenqgu/SynthWorlds`` (a JSON list or JSONL,
or from the Hub), and of ``qa-rm-docs`` or ``qa-sm-docs`` for the documents that all questions
share. Out: tasks, scored as `hopgym.benchmarks.synthworlds_scorer` says (Gu et al. 2025, arXiv
2510.24427).
"""

from collections.abc import Iterable
from typing import ClassVar

import msgspec

from hopgym.benchmarks.base import BenchmarkSource
from hopgym.benchmarks.catalogue import SYNTHWORLDS
from hopgym.benchmarks.entries import Entry
from hopgym.benchmarks.facts import Fact
from hopgym.benchmarks.files import Content, Record, decode, split_records
from hopgym.benchmarks.official import GoldRecords
from hopgym.benchmarks.passages import Asked, PassageRecords
from hopgym.benchmarks.synthworlds_scorer import NO_SCORE, SynthWorldsScore, answer_score
from hopgym.documents import Document, cut_title, split_sentences
from hopgym.tasks import Question

_MEND = "records must be as in the configs qa-rm and qa-sm of the Hub's kenqgu/SynthWorlds"
_DOCUMENTS = "documents must be as in the configs qa-rm-docs and qa-sm-docs of the same dataset"
_PREDICTIONS = 'a prediction file is {id: text} or {"answer": {id: text}}'


def document_of(text: str, document_id: str) -> Document:
    """Return a document from its one text, by `cut_title`."""
    title, rest = cut_title(text)
    return Document(document_id, title, split_sentences(rest))


class _Row(msgspec.Struct):
    instance_id: str
    query: str
    gold_answers: list[str]
    gold_docs: list[str]
    expected_output_is_time: bool
    question_graph_type: str | None = None
    gold_qids: list[str] | None = None


class _Shared(msgspec.Struct):
    qid: str
    doc: str


_ROWS = msgspec.json.Decoder(_Row)
_SHARED = msgspec.json.Decoder(_Shared)
_PREDICTED = msgspec.json.Decoder(dict[str, str | dict[str, str]])


class _SynthWorldsRecords(PassageRecords):
    def load(self, content: Content, limit: int | None) -> None:
        # Whatever is wrong with the second file shows at once, not at the first search.
        self._shared = tuple(_shared_documents(self.options.further))
        super().load(content, limit)

    def further_documents(self) -> Iterable[Document]:
        return self._shared

    def asked_of(self, record: Record, number: int) -> Asked:
        row = decode(record, _ROWS, _MEND)
        # The oracle gives the first answer, so a blank one, which counts as gold, comes last.
        answers = tuple(sorted(row.gold_answers, key=lambda answer: not answer.strip()))
        if not answers or not answers[0].strip():
            raise record.error(
                f"expected an answer among the 'gold_answers' of {row.instance_id!r}, "
                f"got {row.gold_answers}; {_MEND}"
            )
        paragraphs = tuple(document_of(text, str(i)) for i, text in enumerate(row.gold_docs))
        question = Question(
            id=row.instance_id,
            text=row.query,
            answers=answers,
            answer_kind="text",
            kind=row.question_graph_type or "",
            source=SynthWorldsSource.name,
            metadata={
                "expected_output_is_time": row.expected_output_is_time,
                "gold_qids": row.gold_qids or [],
            },
        )
        return Asked(question, paragraphs, _facts(paragraphs), Entry(answers[0]))


class SynthWorldsSource(BenchmarkSource[_SynthWorldsRecords]):
    """The questions of a SynthWorlds file; the gold documents, whole, are the one proof.

    Arguments: see `BenchmarkSource`. ``variant`` is ``rm`` (real names) or ``sm`` (made-up ones);
    ``documents`` is the path of the documents of the same variant, which join the corpus
    ``split``: without it that holds the gold documents of all questions alone. ``hub=True`` reads
    them as well. SynthWorlds gives no intermediate answers: ``hops`` is empty.

    The metrics are ``em`` and ``f1``, by which tasks are scored, and ``em_substring``, the looser
    rule of the authors' own script. The steps of a question without gold documents, or with an
    empty one, are not judged, and it counts in ``unjudged``.
    """

    name = "synthworlds"
    script = "the public copy of SynthWorlds' eval_utils.py"
    dataset = SYNTHWORLDS
    records_type: ClassVar[type[GoldRecords]] = _SynthWorldsRecords
    corpora = ("split", "record")
    variant_argument = "variant"
    variants = ("rm", "sm")
    further_argument = "documents"
    further_config = "qa-{}-docs"
    notes = "The answer is a short phrase from the pages, such as a name or a date."
    answer_notes = "The answer is a short phrase, such as a name or a date."

    def metrics_of(self, index: int, entry: Entry) -> dict[str, float]:
        """Return the official metrics; an entry without an answer earns nothing."""
        found = NO_SCORE
        if entry.answer is not None:
            question = self._records.questions[index]
            is_time = question.metadata["expected_output_is_time"]
            found = answer_score(entry.answer, question.answers, is_time)
        return {name: getattr(found, name) for name in SynthWorldsScore.__slots__}


def _shared_documents(content: Content | None) -> Iterable[Document]:
    if content is None:
        return
    rows = split_records(content)
    if not rows:
        raise Record(content.path, b"").error(f"expected documents, got none; {_DOCUMENTS}")
    for record in rows:
        row = decode(record, _SHARED, _DOCUMENTS)
        yield document_of(row.doc, row.qid)


def _facts(paragraphs: tuple[Document, ...]) -> tuple[Fact, ...]:
    """Return each paragraph as a fact, one that stands there twice once; an empty one nowhere."""
    facts = []
    for page in paragraphs:
        content = (page.title, page.sentences)
        same = (each.id for each in paragraphs if (each.title, each.sentences) == content)
        own = tuple((int(position), None) for position in same) if page.sentences else ()
        facts.append(Fact(page.title, None, " ".join(page.sentences), own))
    return tuple(dict.fromkeys(facts))
