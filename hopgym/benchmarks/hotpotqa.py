"""HotpotQA: two-hop questions over Wikipedia introductions, with supporting sentences.

Reads ``hotpot_{train,dev}_*.json`` (a JSON list) or the rows of ``hotpotqa/hotpot_qa`` on the Hub
(Yang et al. 2018, arXiv 1809.09600). The metrics are those of ``hotpot_evaluate_v1.py`` in
github.com/hotpotqa/hotpot.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any, ClassVar, cast

import msgspec

from hopgym.benchmarks.base import BenchmarkSource
from hopgym.benchmarks.catalogue import HOTPOTQA
from hopgym.benchmarks.passages import (
    AnnotatedQuestion,
    PassageRecords,
    answer_kind_of,
    sentence_facts,
)
from hopgym.benchmarks.predictions import (
    METRIC_NAMES,
    NO_METRICS,
    Metrics,
    PredictionEntry,
    SupportSource,
)
from hopgym.benchmarks.records import Content, Record, decode
from hopgym.documents import Document
from hopgym.scoring import f1_of, normalize_answer
from hopgym.tasks import Question

_ALL_OR_NOTHING_ANSWERS = ("yes", "no", "noanswer")
_FIX = "records must be as in hotpot_dev_distractor_v1.json or in the Hub's hotpotqa/hotpot_qa"
_OTHER_BENCHMARKS = {
    "evidences": "2WikiMultihopQA; take hopgym/TwoWiki-v0",
    "sub_questions": "CofCA; take hopgym/CofCA-v0",
}
_PREDICTIONS = 'a prediction file is {"answer": {id: text}, "sp": {id: [[title, sentence index]]}}'


def answer_metrics(prediction: str, gold: str) -> Metrics:
    """Return the official metrics of an answer (``exact_match_score`` and ``f1_score``).

    If either side is yes, no or noanswer, only an exact match scores. Two answers that are both
    empty after normalization match exactly, with an F1 of 0.
    """
    predicted = normalize_answer(prediction)
    expected = normalize_answer(gold)
    em = float(predicted == expected)
    if not em and (predicted in _ALL_OR_NOTHING_ANSWERS or expected in _ALL_OR_NOTHING_ANSWERS):
        return NO_METRICS
    predicted_tokens = predicted.split()
    gold_tokens = expected.split()
    same = sum((Counter(predicted_tokens) & Counter(gold_tokens)).values())
    if not same:
        return Metrics(em, 0.0, 0.0, 0.0)
    precision = same / len(predicted_tokens)
    recall = same / len(gold_tokens)
    return Metrics(em, f1_of(same, len(predicted_tokens), len(gold_tokens)), precision, recall)


def set_metrics(predicted: Collection[object], gold: Collection[object]) -> Metrics:
    """Return the official metrics of a set of supporting facts (``update_sp``)."""
    predicted_set = set(predicted)
    gold_set = set(gold)
    same = len(predicted_set & gold_set)
    precision = same / len(predicted_set) if predicted_set else 0.0
    recall = same / len(gold_set) if gold_set else 0.0
    f1 = f1_of(same, len(predicted_set), len(gold_set))
    return Metrics(float(predicted_set == gold_set), f1, precision, recall)


def joint_metrics(*parts: Metrics) -> Metrics:
    """Return the products of precision, recall and exact match, and the F1 of the first two."""
    em = precision = recall = 1.0
    for part in parts:
        em *= part.em
        precision *= part.prec
        recall *= part.recall
    total = precision + recall
    f1 = 2 * precision * recall / total if total > 0 else 0.0
    return Metrics(em, f1, precision, recall)


class _HubFacts(msgspec.Struct):
    title: list[str]
    sent_id: list[int]


class _HubContext(msgspec.Struct):
    title: list[str]
    sentences: list[list[str]]


class _HotpotQARow(msgspec.Struct):
    question: str
    context: list[tuple[str, list[str]]] | _HubContext
    official_id: str = msgspec.field(name="_id", default="")
    hub_id: str = msgspec.field(name="id", default="")
    answer: str | None = None
    supporting_facts: list[tuple[str, int]] | _HubFacts | None = None
    type: str | None = None
    level: str | None = None
    evidences: Any = None
    sub_questions: Any = None

    @property
    def id(self) -> str:
        return self.official_id or self.hub_id


class _HotpotQAPredictions(msgspec.Struct):
    answer: dict[str, str]
    sp: dict[str, list[list[str | float | None]]] = {}


_ROWS = msgspec.json.Decoder(_HotpotQARow)
_PREDICTED = msgspec.json.Decoder(_HotpotQAPredictions)


class _HotpotQARecords(PassageRecords):
    def read_question(self, record: Record, number: int) -> AnnotatedQuestion:
        row = decode(record, _ROWS, _FIX)
        # Other benchmarks extend this layout; their records would be scored by the wrong script.
        other = "evidences" if row.evidences else "sub_questions" if row.sub_questions else ""
        if other:
            raise record.error(
                f"expected a record of HotpotQA, got one with {other!r}, as in "
                f"{_OTHER_BENCHMARKS[other]}"
            )
        if row.answer is None or not row.answer.strip():
            raise record.error(
                f"expected an answer to {row.id!r}, got none; the test questions are "
                "published without answers and cannot be scored: take the dev file"
            )
        paragraphs = _paragraphs(record, row)
        facts = _gold_facts(record, row)
        gold = PredictionEntry(row.answer, facts)
        question = Question(
            id=row.id,
            text=row.question,
            answers=(row.answer,),
            answer_kind=answer_kind_of((row.answer,)),
            kind=row.type or "",
            source=HotpotQASource.name,
            metadata={"level": row.level or "", "hops": len({title for title, _ in facts})},
            support=gold.support,
        )
        return AnnotatedQuestion(question, paragraphs, sentence_facts(facts, paragraphs), gold)


class HotpotQASource(BenchmarkSource[_HotpotQARecords]):
    """The questions of a HotpotQA file; together, the supporting facts are the only proof.

    If they are missing, or name a paragraph or sentence that the corpus lacks (in fullwiki: most
    of them), the steps of that question are not judged, and it counts in ``unjudged``. HotpotQA
    has no intermediate answers: ``hops`` is empty, and `Question.hop_count` is the number of gold
    pages. For the arguments, see `BenchmarkSource`; ``setting`` is the form of the file,
    ``distractor`` or ``fullwiki``.
    """

    name = "hotpotqa"
    dataset = HOTPOTQA
    records_type = _HotpotQARecords
    variant_argument = "setting"
    variants = ("distractor", "fullwiki")
    script = "hotpot_evaluate_v1.py"
    notes = "The answer is a short phrase from the pages, or yes or no."
    answer_notes = "The answer is a short phrase, or yes or no."
    names_sentences = True
    support_asked = "Name the sentences that prove the answer, each by page and number on it from 0"
    support_metrics: ClassVar[Mapping[SupportSource, tuple[str, ...]]] = dict.fromkeys(
        ("read", "named"), (*METRIC_NAMES["sp"], *METRIC_NAMES["joint"])
    )

    def metrics_of(self, index: int, entry: PredictionEntry) -> dict[str, float]:
        """Return the official metrics; a missing part scores 0, and so do the joint metrics."""
        gold = self._records.gold[index]
        answer = facts = joint = NO_METRICS
        if entry.answer is not None:
            answer = answer_metrics(entry.answer, gold.answer or "")
        if entry.facts is not None:
            facts = set_metrics(entry.facts, gold.facts or ())
        if entry.answer is not None and entry.facts is not None:
            joint = joint_metrics(answer, facts)
        return answer.by_name() | facts.by_name("sp_") | joint.by_name("joint_")

    def read_entries(self, content: Content) -> dict[str, PredictionEntry]:
        """Read a file ``{"answer": {id: text}, "sp": {id: [[title, index], ...]}}``."""
        file = decode(Record(content.path, content.data), _PREDICTED, _PREDICTIONS)
        # The script accepts tuples of any types: ill-typed ones are wrong, and 1.0 equals 1.
        pairs = {task_id: tuple(map(tuple, facts)) for task_id, facts in file.sp.items()}
        facts = cast(dict[str, tuple[tuple[str, int], ...]], pairs)
        return {
            task_id: PredictionEntry(file.answer.get(task_id), facts.get(task_id))
            for task_id in dict.fromkeys([*file.answer, *facts])
        }

    def write_entries(self, entries: Mapping[str, PredictionEntry]) -> bytes:
        """Return the layout that `read_entries` reads."""
        answers = {i: entry.answer for i, entry in entries.items() if entry.answer is not None}
        facts = {i: entry.facts for i, entry in entries.items() if entry.facts is not None}
        return msgspec.json.encode({"answer": answers, "sp": facts})


def _paragraphs(record: Record, row: _HotpotQARow) -> tuple[Document, ...]:
    context = row.context
    if isinstance(context, _HubContext):
        _check_equal(record, "context", len(context.title), "sentences", len(context.sentences))
        paragraphs = list(zip(context.title, context.sentences, strict=True))
    else:
        paragraphs = context
    return tuple(Document(str(i), title, tuple(page)) for i, (title, page) in enumerate(paragraphs))


def _gold_facts(record: Record, row: _HotpotQARow) -> tuple[tuple[str, int], ...]:
    facts = row.supporting_facts or []
    if isinstance(facts, _HubFacts):
        _check_equal(record, "supporting_facts", len(facts.title), "sent_id", len(facts.sent_id))
        facts = list(zip(facts.title, facts.sent_id, strict=True))
    # A record may list a fact twice; the official script compares sets.
    return tuple(dict.fromkeys(facts))


def _check_equal(record: Record, field: str, titles: int, name: str, count: int) -> None:
    if titles != count:
        raise record.error(
            f"expected equal numbers of {name!r} and titles in {field!r}, got {count} and "
            f"{titles}; {_FIX}"
        )
