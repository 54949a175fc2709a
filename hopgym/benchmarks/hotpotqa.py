"""HotpotQA: two-hop questions over Wikipedia's introductions, with supporting sentences.

In: ``hotpot_{train,dev}_*.json`` (a JSON list), or the rows of ``hotpotqa/hotpot_qa`` on the Hub.
Out: tasks, scored as ``hotpot_evaluate_v1.py`` of github.com/hotpotqa/hotpot scores (Yang et al.
2018, arXiv 1809.09600).
"""

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any, ClassVar, cast

import msgspec

from hopgym.benchmarks.base import BenchmarkSource, GoldRecords
from hopgym.benchmarks.catalogue import HOTPOTQA
from hopgym.benchmarks.passages import Asked, PassageRecords, sentence_facts
from hopgym.benchmarks.predictions import METRIC_NAMES, NO_METRICS, Entry, How, Metrics
from hopgym.benchmarks.records import Content, Record, decode
from hopgym.documents import Document
from hopgym.scoring import AnswerKind, f1_of, normalize_answer
from hopgym.tasks import Question

_WHOLE_ANSWERS = ("yes", "no", "noanswer")
_MEND = "records must be as in hotpot_dev_distractor_v1.json or in the Hub's hotpotqa/hotpot_qa"
_OTHERS = {
    "evidences": "2WikiMultihopQA; take hopgym/TwoWiki-v0",
    "sub_questions": "CofCA; take hopgym/CofCA-v0",
}
_PREDICTIONS = 'a prediction file is {"answer": {id: text}, "sp": {id: [[title, sentence index]]}}'


def answer_metrics(prediction: str, gold: str) -> Metrics:
    """Return the official metrics of an answer (``exact_match_score`` and ``f1_score``).

    Where either side is yes, no or noanswer, only the same answer earns anything; two answers
    that both normalise to nothing match exactly with an F1 of 0.
    """
    predicted, wanted = normalize_answer(prediction), normalize_answer(gold)
    em = float(predicted == wanted)
    if not em and (predicted in _WHOLE_ANSWERS or wanted in _WHOLE_ANSWERS):
        return NO_METRICS
    given, due = predicted.split(), wanted.split()
    same = sum((Counter(given) & Counter(due)).values())
    if not same:
        return Metrics(em, 0.0, 0.0, 0.0)
    return Metrics(em, f1_of(same, len(given), len(due)), same / len(given), same / len(due))


def set_metrics(predicted: Collection[object], gold: Collection[object]) -> Metrics:
    """Return the official metrics of a set of supporting facts (``update_sp``)."""
    given, due = set(predicted), set(gold)
    same = len(given & due)
    precision = same / len(given) if given else 0.0
    recall = same / len(due) if due else 0.0
    return Metrics(float(given == due), f1_of(same, len(given), len(due)), precision, recall)


def joint_metrics(*parts: Metrics) -> Metrics:
    """Return the products of precision, recall and exact match, and the F1 of the first two."""
    em = precision = recall = 1.0
    for part in parts:
        em, precision, recall = em * part.em, precision * part.prec, recall * part.recall
    both = precision + recall
    return Metrics(em, 2 * precision * recall / both if both > 0 else 0.0, precision, recall)


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
    evidences: Any = None
    sub_questions: Any = None

    @property
    def id(self) -> str:
        return self.official_id or self.hub_id


class _Predictions(msgspec.Struct):
    answer: dict[str, str]
    sp: dict[str, list[list[str | float | None]]] = {}


_ROWS = msgspec.json.Decoder(_Row)
_PREDICTED = msgspec.json.Decoder(_Predictions)


class _HotpotQARecords(PassageRecords):
    def asked_of(self, record: Record, number: int) -> Asked:
        row = decode(record, _ROWS, _MEND)
        other = "evidences" if row.evidences else "sub_questions" if row.sub_questions else ""
        if other:
            raise record.error(
                f"expected a record of HotpotQA, got one with {other!r}, as in {_OTHERS[other]}"
            )
        if row.answer is None or not row.answer.strip():
            raise record.error(
                f"expected an answer to {row.id!r}, got none; the test questions are "
                "published without answers and cannot be scored: take the dev file"
            )
        paragraphs, facts = _paragraphs(record, row), _gold_facts(record, row)
        gold = Entry(row.answer, facts)
        yes_or_no = normalize_answer(row.answer) in ("yes", "no")
        kind: AnswerKind = "yesno" if yes_or_no else "text"
        question = Question(
            id=row.id,
            text=row.question,
            answers=(row.answer,),
            answer_kind=kind,
            kind=row.type or "",
            source=HotpotQASource.name,
            metadata={"level": row.level or "", "hops": len({title for title, _ in facts})},
            support=gold.support,
        )
        return Asked(question, paragraphs, sentence_facts(facts, paragraphs), gold)


class HotpotQASource(BenchmarkSource[_HotpotQARecords]):
    """The questions of a HotpotQA file; the supporting facts are the one proof.

    Where they are missing, or name a paragraph or a sentence that the corpus does not hold (in
    fullwiki: most), the steps of that question are not judged, and it counts in ``unjudged``.
    HotpotQA gives no intermediate answers: ``hops`` is empty, and `Question.hop_count` is the
    number of gold pages. Arguments: see `BenchmarkSource`; ``setting`` names the form of the file,
    ``distractor`` or ``fullwiki``.
    """

    name = "hotpotqa"
    dataset = HOTPOTQA
    records_type: ClassVar[type[GoldRecords]] = _HotpotQARecords
    variant_argument = "setting"
    variants = ("distractor", "fullwiki")
    script = "hotpot_evaluate_v1.py"
    notes = "The answer is a short phrase from the pages, or yes or no."
    answer_notes = "The answer is a short phrase, or yes or no."
    names_sentences = True
    support_asked = "Name the sentences that prove the answer, each by page and number on it from 0"
    support_metrics: ClassVar[Mapping[How, tuple[str, ...]]] = dict.fromkeys(
        ("read", "named"), (*METRIC_NAMES["sp"], *METRIC_NAMES["joint"])
    )

    def metrics_of(self, index: int, entry: Entry) -> dict[str, float]:
        """Return the official metrics; what the entry lacks earns nothing, nor jointly."""
        gold, answer, facts, joint = self._records.gold[index], *(NO_METRICS,) * 3
        if entry.answer is not None:
            answer = answer_metrics(entry.answer, gold.answer or "")
        if entry.facts is not None:
            facts = set_metrics(entry.facts, gold.facts or ())
        if entry.answer is not None and entry.facts is not None:
            joint = joint_metrics(answer, facts)
        return answer.named() | facts.named("sp_") | joint.named("joint_")

    def read_entries(self, content: Content) -> dict[str, Entry]:
        """Return the entries of ``{"answer": {id: text}, "sp": {id: [[title, index], ...]}}``."""
        given = decode(Record(content.path, content.data), _PREDICTED, _PREDICTIONS)
        # The script takes tuples of any kind: those of another are wrong, 1.0 is 1.
        named = {task_id: tuple(map(tuple, each)) for task_id, each in given.sp.items()}
        facts = cast(dict[str, tuple[tuple[str, int], ...]], named)
        return {
            task_id: Entry(given.answer.get(task_id), facts.get(task_id))
            for task_id in dict.fromkeys([*given.answer, *facts])
        }

    def write_entries(self, entries: Mapping[str, Entry]) -> bytes:
        """Return the layout that `read_entries` reads."""
        answers = {i: each.answer for i, each in entries.items() if each.answer is not None}
        facts = {i: each.facts for i, each in entries.items() if each.facts is not None}
        return msgspec.json.encode({"answer": answers, "sp": facts})


def _paragraphs(record: Record, row: _Row) -> tuple[Document, ...]:
    context = row.context
    if isinstance(context, _HubContext):
        titles, pages = context.title, context.sentences
        _check_equal(record, "context", len(titles), "sentences", len(pages))
        paragraphs = list(zip(titles, pages, strict=True))
    else:
        paragraphs = context
    return tuple(Document(str(i), title, tuple(page)) for i, (title, page) in enumerate(paragraphs))


def _gold_facts(record: Record, row: _Row) -> tuple[tuple[str, int], ...]:
    facts = row.supporting_facts or []
    if isinstance(facts, _HubFacts):
        _check_equal(record, "supporting_facts", len(facts.title), "sent_id", len(facts.sent_id))
        facts = list(zip(facts.title, facts.sent_id, strict=True))
    return tuple(dict.fromkeys(facts))


def _check_equal(record: Record, field: str, titles: int, name: str, count: int) -> None:
    if titles != count:
        raise record.error(
            f"expected as many {name!r} as titles in {field!r}, got {count} and {titles}; {_MEND}"
        )
