"""HotpotQA in the distractor setting: every question has its own few paragraphs.

In: ``hotpot_dev_distractor_v1.json`` or ``hotpot_train_v1.1.json`` (a JSON list), or the rows of
``hotpotqa/hotpot_qa`` on the Hub (a JSON list or JSONL), plain or gzipped. Out: tasks, scored as
``hotpot_evaluate_v1.py`` of github.com/hotpotqa/hotpot scores answers (Yang et al. 2018,
arXiv 1809.09600).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import msgspec

from hopgym.benchmarks.files import Content, Record, decode, split_records
from hopgym.benchmarks.source import FileSource, Records, question_search
from hopgym.documents import Corpus, Document, PageList
from hopgym.errors import ArgumentError
from hopgym.scoring import AnswerKind, Score, f1_of, normalize_answer
from hopgym.tasks import Evidence, Question, Task

_WHOLE_ANSWERS = ("yes", "no", "noanswer")
_MEND = "records must be as in hotpot_dev_distractor_v1.json or in the Hub's hotpotqa/hotpot_qa"


@dataclass(frozen=True, slots=True)
class AnswerMetrics:
    """What ``hotpot_evaluate_v1.py`` says of one answer; each in [0, 1]."""

    em: float
    f1: float
    prec: float
    recall: float


def answer_metrics(prediction: str, gold: str) -> AnswerMetrics:
    """Return the official metrics of an answer (``exact_match_score`` and ``f1_score``).

    Where either side is yes, no or noanswer, only the same answer earns anything; two answers
    that both normalise to nothing match exactly with an F1 of 0.
    """
    predicted, wanted = normalize_answer(prediction), normalize_answer(gold)
    em = float(predicted == wanted)
    if not em and (predicted in _WHOLE_ANSWERS or wanted in _WHOLE_ANSWERS):
        return AnswerMetrics(em, 0.0, 0.0, 0.0)
    given, due = predicted.split(), wanted.split()
    same = sum((Counter(given) & Counter(due)).values())
    if not same:
        return AnswerMetrics(em, 0.0, 0.0, 0.0)
    return AnswerMetrics(em, f1_of(same, len(given), len(due)), same / len(given), same / len(due))


class _HubFacts(msgspec.Struct):
    title: list[str]
    sent_id: list[int]


class _HubContext(msgspec.Struct):
    title: list[str]
    sentences: list[list[str]]


class _Row(msgspec.Struct):
    question: str
    context: list[tuple[str, list[str]]] | _HubContext
    official_id: str = msgspec.field(name="_id", default="")
    hub_id: str = msgspec.field(name="id", default="")
    answer: str | None = None
    supporting_facts: list[tuple[str, int]] | _HubFacts | None = None
    type: str | None = None
    level: str | None = None

    @property
    def id(self) -> str:
        return self.official_id or self.hub_id


_ROWS = msgspec.json.Decoder(_Row)


class _HotpotQARecords(Records):
    def load(self, content: Content, limit: int | None) -> None:
        self.answers: list[str] = []
        self._records = split_records(content, limit)
        if not self._records:
            raise Record(content.path, b"").error(f"expected records, got an empty list; {_MEND}")
        for record in self._records:
            row = decode(record, _ROWS, _MEND)
            self.add(record, row.id, row.question)
            if row.answer is None or not row.answer.strip():
                raise record.error(
                    f"expected an answer to {row.id!r}, got none; the test questions are "
                    "published without answers and cannot be scored: take the dev file"
                )
            self.answers.append(row.answer)
            self.unjudged += not _proof(row, _documents(record, row), _facts(record, row))

    def build(self, index: int) -> Task:
        record = self._records[index]
        row = _ROWS.decode(record.data)
        documents = _documents(record, row)
        proof = _proof(row, documents, _facts(record, row))
        answer = self.answers[index]
        yes_or_no = normalize_answer(answer) in ("yes", "no")
        kind: AnswerKind = "yesno" if yes_or_no else "text"
        question = Question(
            id=row.id,
            text=row.question,
            answers=(answer,),
            answer_kind=kind,
            kind=row.type or "",
            proofs=(proof,) if proof else (),
            source=HotpotQASource.name,
            metadata={"level": row.level or ""},
        )
        return Task(question, Corpus(PageList(documents), "record"))


class HotpotQASource(FileSource[_HotpotQARecords]):
    """The questions of a HotpotQA distractor file; each is asked over its own paragraphs.

    The supporting facts are the one proof. Where they are missing, or name a paragraph or a
    sentence that the record does not hold, the steps of that question are not judged, and it
    counts in ``unjudged``. HotpotQA gives no intermediate answers: ``hops`` is empty.

    Args:
        path: The file, in the official layout or in the Hub's; ``.gz`` is read too.
        limit: The most questions to take, from the first, at least 1; None takes all.

    Raises:
        ArgumentError: When an argument is of the wrong type or out of range.
        DataError: When the file cannot be used as it is; test files have no answers.
    """

    name = "hotpotqa"
    records_type: ClassVar[type[Records]] = _HotpotQARecords
    notes = "The answer is a short phrase from the pages, or yes or no."

    def score(self, task: Task, answer: str) -> Score:
        """Return the official exact match and F1 of an answer."""
        metrics = answer_metrics(answer, task.question.answers[0])
        return Score(metrics.em, metrics.f1)

    def official(self, predictions: Mapping[str, str]) -> dict[str, float]:
        """Return ``em``, ``f1``, ``prec`` and ``recall``, each in [0, 1].

        As in the official script the sums are divided by the number of questions of the source,
        so that a question without a prediction scores 0. For a score over the first few
        questions alone make the source with that ``limit``.

        Raises:
            ArgumentError: When there are no predictions, one is no text, or an id is unknown.
        """
        if not predictions:
            raise ArgumentError("predictions must hold at least one answer, got none")
        totals = {"em": 0.0, "f1": 0.0, "prec": 0.0, "recall": 0.0}
        answers = {self.index_of(task_id): text for task_id, text in predictions.items()}
        for index, gold in enumerate(self._records.answers):
            if index not in answers:
                continue
            if not isinstance(answers[index], str):
                raise ArgumentError(f"predictions must be texts by id, got {answers[index]!r}")
            metrics = answer_metrics(answers[index], gold)
            for metric in totals:
                totals[metric] += getattr(metrics, metric)
        return {metric: total / len(self) for metric, total in totals.items()}


def _documents(record: Record, row: _Row) -> tuple[Document, ...]:
    context = row.context
    if isinstance(context, _HubContext):
        titles, pages = context.title, context.sentences
        _check_equal(record, "context", len(titles), "sentences", len(pages))
        paragraphs = list(zip(titles, pages, strict=True))
    else:
        paragraphs = context
    return tuple(Document(str(i), title, tuple(page)) for i, (title, page) in enumerate(paragraphs))


def _facts(record: Record, row: _Row) -> Sequence[tuple[str, int]]:
    facts = row.supporting_facts or []
    if isinstance(facts, _HubFacts):
        _check_equal(record, "supporting_facts", len(facts.title), "sent_id", len(facts.sent_id))
        facts = list(zip(facts.title, facts.sent_id, strict=True))
    return list(dict.fromkeys(facts))


def _check_equal(record: Record, field: str, titles: int, name: str, count: int) -> None:
    if titles != count:
        raise record.error(
            f"expected as many {name!r} as titles in {field!r}, got {count} and {titles}; {_MEND}"
        )


def _proof(
    row: _Row, documents: Sequence[Document], facts: Sequence[tuple[str, int]]
) -> tuple[Evidence, ...]:
    """Return the supporting facts as evidence; nothing where one of them cannot be shown."""
    call = question_search(row.question)
    proof: list[Evidence] = []
    for title, index in facts:
        # A page without a title cannot be looked up. Titles are compared as the script does.
        pages = [d for d in documents if d.title == title and title.strip()]
        shown_by = [page for page in pages if 0 <= index < len(page.sentences)]
        if not shown_by:
            return ()
        fact = shown_by[0].sentences[index].strip()
        proof.append(Evidence(fact, tuple((page.id, index) for page in shown_by), call))
    return tuple(proof)
