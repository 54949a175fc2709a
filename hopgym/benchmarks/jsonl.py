r"""Your own questions and documents, from one JSONL file.

The file has one JSON object per line, in any order. A line with ``title`` is a document, and a
line with ``question`` is a question::

    {"title": "Ada Brook", "text": "Ada Brook was born in 1950. Her mother is Cleo Dunn."}
    {"title": "Cleo Dunn", "sentences": ["Cleo Dunn works as a baker.", "She lives in Elmstead."]}
    {"id": "q1", "question": "What is the job of the mother of Ada Brook?", "answer": "baker",
     "hops": [{"text": "mother of Ada Brook", "answers": ["Cleo Dunn"]}],
     "evidence": [{"shown_by": [["Ada Brook", 1]]}, {"shown_by": [["Cleo Dunn", 0]]}]}

(the question is on one line in the file). These are the fields; all are checked on loading:

* document: ``title``; ``text`` or ``sentences``; optional ``id``, by default the title.
* question: ``question``; ``id``; ``answer`` or ``answers`` (all members of a set, otherwise
  aliases). Optional: ``answer_kind`` (``text`` by default, ``set``, ``number``, ``yesno``);
  ``hops``; ``kind``; ``metadata``, any object; ``documents``, a list of documents that replace
  those of the file for this question; ``evidence``, a list of all facts that prove the answer, or
  ``proofs``, 1 to 8 such lists of which any one suffices. Without proofs, or with more than 8,
  steps are not judged, and the question counts in `JsonlSource.unjudged`.
* evidence: ``shown_by``, pairs of a document id and a 0-based sentence index (null: all sentences
  of that document), any one of which shows the fact. Optional: ``fact`` in words, by default the
  sentence; ``call``, the search that finds it, by default ``["search", question]``.
* hop: ``text``; ``answers``, the intermediate answers, which may be empty.

A ``text`` is cut into sentences at line breaks and after each ``.``, ``!`` or ``?`` (with closing
quotes and brackets) that is followed by white space. Abbreviations are cut too, so use
``sentences`` where they matter.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from hopgym.benchmarks.file_source import FileRecords, FileSource, question_search
from hopgym.benchmarks.records import Content, Record, decode, split_lines
from hopgym.documents import Corpus, Document, PageList, split_sentences
from hopgym.errors import did_you_mean
from hopgym.scoring import ANSWER_KINDS, normalize_answer, parse_number
from hopgym.tasks import MAX_PROOFS, Evidence, Hop, Question, Task

_CALL_TOOLS = ("search", "lookup")
_FIX = "hopgym list hopgym/Jsonl-v0 shows the format"


class _JsonlDocument(msgspec.Struct, forbid_unknown_fields=True):
    title: str
    text: str | None = None
    sentences: list[str] | None = None
    id: str | None = None


class _JsonlEvidence(msgspec.Struct, forbid_unknown_fields=True):
    shown_by: list[tuple[str, int | None]]
    fact: str = ""
    call: tuple[str, str] | None = None


class _JsonlHop(msgspec.Struct, forbid_unknown_fields=True):
    text: str
    answers: list[str]


class _JsonlQuestion(msgspec.Struct, forbid_unknown_fields=True):
    question: str
    id: str
    answer: str | None = None
    answers: list[str] | None = None
    answer_kind: str = "text"
    hops: list[_JsonlHop] = []
    kind: str = ""
    metadata: dict[str, Any] = {}
    documents: list[_JsonlDocument] | None = None
    evidence: list[_JsonlEvidence] | None = None
    proofs: list[list[_JsonlEvidence]] | None = None


_KEYS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_DOCUMENTS = msgspec.json.Decoder(_JsonlDocument)
_QUESTIONS = msgspec.json.Decoder(_JsonlQuestion)
_FIELDS = tuple(
    dict.fromkeys(
        name
        for struct in (_JsonlQuestion, _JsonlDocument, _JsonlEvidence, _JsonlHop)
        for name in struct.__struct_fields__
    )
)


class _JsonlRecords(FileRecords):
    def load(self, content: Content, limit: int | None) -> None:
        documents: dict[str, Document] = {}
        questions: list[Record] = []
        for record in split_lines(content):
            if _is_question(record):
                questions.append(record)
            else:
                _add_document(documents, record, decode(record, _DOCUMENTS, _FIX, _FIELDS))
        if not questions:
            raise Record(content.path, b"").error(f"expected a question, got none; {_FIX}")
        self._shared = Corpus(PageList(tuple(documents.values())), "file")
        self._records = questions if limit is None else questions[:limit]
        for record in self._records:
            row = decode(record, _QUESTIONS, _FIX, _FIELDS)
            self.add(record, row.id, row.question)
            self.unjudged += not _task(record, row, self._shared).question.proofs

    def build(self, index: int) -> Task:
        record = self._records[index]
        return _task(record, _QUESTIONS.decode(record.data), self._shared)


class JsonlSource(FileSource[_JsonlRecords]):
    """Questions and documents from one JSONL file, in the format of this module's docstring.

    The full file is checked on loading. ``info["corpus"]`` is ``"record"`` for a question with its
    own documents, and ``"file"`` for one that is asked over the documents of the file.

    Args:
        path: The file; may be gzipped.
        limit: Maximum number of questions, from the first, at least 1; None takes all.

    Raises:
        ArgumentError: If an argument has the wrong type or is out of range.
        DataError: If a line cannot be used; the message names it.
    """

    name = "jsonl"
    records_type = _JsonlRecords


def _is_question(record: Record) -> bool:
    keys = decode(record, _KEYS, _FIX)
    if "question" in keys:
        return True
    if "title" in keys:
        return False
    hints = (did_you_mean(key, ("question", "title")) for key in keys)
    hint = next((hint for hint in hints if hint), "")
    raise record.error(
        "expected a question (with the field 'question') or a document (with the field 'title'), "
        f"got the fields {', '.join(map(repr, keys)) or 'none'}{hint}; {_FIX}"
    )


def _add_document(documents: dict[str, Document], record: Record, row: _JsonlDocument) -> None:
    title = row.title.strip()
    document_id = title if row.id is None else row.id
    if not title or not document_id.strip():
        raise record.error("expected a document's title and id to hold text, got an empty one")
    if document_id in documents:
        raise record.error(
            f"expected every document to have its own id, got {document_id!r} twice; "
            "give one of them another 'id' (by default it is the title)"
        )
    if (row.text is None) == (row.sentences is None):
        got = "both" if row.sentences is not None else "neither"
        raise record.error(
            f"expected 'text' or 'sentences' of document {document_id!r}, got {got}; give one"
        )
    sentences = split_sentences(row.text or "") if row.sentences is None else tuple(row.sentences)
    for index, sentence in enumerate(sentences):
        if not sentence.strip():
            raise record.error(
                f"expected text in sentence {index} of document {document_id!r}, "
                "got an empty one; leave it out and count on from there"
            )
    documents[document_id] = Document(document_id, title, sentences)


def _task(record: Record, row: _JsonlQuestion, shared: Corpus) -> Task:
    corpus = shared
    if row.documents is not None:
        documents: dict[str, Document] = {}
        for document in row.documents:
            _add_document(documents, record, document)
        corpus = Corpus(PageList(tuple(documents.values())), "record")
    answer_kind = next((kind for kind in ANSWER_KINDS if kind == row.answer_kind), None)
    if answer_kind is None:
        hint = did_you_mean(row.answer_kind, ANSWER_KINDS)
        known = ", ".join(ANSWER_KINDS)
        raise record.error(f"expected an answer_kind of {known}, got {row.answer_kind!r}{hint}")
    question = Question(
        id=row.id,
        text=row.question,
        answers=_answers(record, row),
        answer_kind=answer_kind,
        hops=tuple(Hop(hop.text, tuple(hop.answers)) for hop in row.hops),
        kind=row.kind,
        proofs=_proofs(record, row, corpus),
        source=JsonlSource.name,
        metadata=row.metadata,
    )
    return Task(question, corpus)


def _answers(record: Record, row: _JsonlQuestion) -> tuple[str, ...]:
    if (row.answer is None) == (row.answers is None):
        got = "both" if row.answer is not None else "neither"
        raise record.error(f"expected 'answer' or 'answers', got {got}; give one of them")
    answers = (row.answer,) if row.answer is not None else tuple(row.answers or ())
    if not answers or not all(answer.strip() for answer in answers):
        raise record.error(f"expected at least one answer and none empty, got {list(answers)}")
    for answer in answers:
        if problem := _misfit(answer, row.answer_kind):
            raise record.error(f"{problem}, got {answer!r}; fix it or change the answer_kind")
    return answers


def _misfit(answer: str, kind: str) -> str:
    """Return what was expected if an answer is not of this kind, else an empty text."""
    if kind == "number" and parse_number(answer) is None:
        return "expected a number such as '1,234.5'"
    if kind == "yesno" and normalize_answer(answer) not in ("yes", "no"):
        return "expected 'yes' or 'no'"
    if kind == "set" and (";" in answer or "\n" in answer):
        return "expected each member of a set as an answer of its own, without ; or line breaks"
    return ""


def _proofs(
    record: Record, row: _JsonlQuestion, corpus: Corpus
) -> tuple[tuple[Evidence, ...], ...]:
    if row.evidence is not None and row.proofs is not None:
        raise record.error("expected 'evidence' or 'proofs', got both; give one of them")
    rows = row.proofs if row.proofs is not None else [row.evidence] if row.evidence else []
    if not all(rows):
        raise record.error("expected at least one evidence in every proof, got an empty proof")
    default_call = question_search(row.question)
    proofs = tuple(
        tuple(_evidence(record, fact, corpus, default_call) for fact in proof) for proof in rows
    )
    return proofs if len(proofs) <= MAX_PROOFS else ()


def _evidence(
    record: Record, row: _JsonlEvidence, corpus: Corpus, default_call: tuple[str, str] | None
) -> Evidence:
    if not row.shown_by:
        raise record.error("expected at least one pair in 'shown_by', got none")
    facts = [_text_at(record, corpus, document, index) for document, index in row.shown_by]
    call = row.call or default_call
    if call and (call[0] not in _CALL_TOOLS or not call[1].strip()):
        raise record.error(
            f"expected 'call' to name {' or '.join(_CALL_TOOLS)} and what for, got {list(call)}"
        )
    fact = row.fact.strip() or facts[0]
    return Evidence(fact, tuple(row.shown_by), call and (call[0], call[1].strip()))


def _text_at(record: Record, corpus: Corpus, document_id: str, index: int | None) -> str:
    """Return the sentence of a document, or a description of the page if the index is None."""
    try:
        document = corpus.document(document_id)
    except KeyError:
        known: Sequence[str] = [document.id for document in corpus]
        raise record.error(
            f"expected evidence in one of {len(known)} documents, got the id {document_id!r}"
            f"{did_you_mean(document_id, known)}"
        ) from None
    count = len(document.sentences)
    if count and index is None:
        return f"the page {document.title}"
    if index is None or not 0 <= index < count:
        raise record.error(
            f"expected a sentence index of document {document_id!r} in [0, {count}), got "
            f"{'null' if index is None else index}; the first sentence has 0"
        )
    return document.sentences[index].strip()
