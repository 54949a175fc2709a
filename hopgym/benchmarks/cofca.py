"""CofCA: multi-hop questions over counterfactual passages, with their sub-questions.

In: a file of the authors' archive (a JSON list). Out: tasks, scored by the metrics of Wu et al.
2025 (arXiv 2402.11924). There is no official script: exact match and F1 are HotpotQA's, and the
paper's reasoning chain is combined as follows.

* Joint precision, recall and exact match of a record are the products of those of its final
  question and of all its sub-questions; joint F1 is the harmonic mean of the two products.
* ``joint_f1_rc`` and ``joint_em_rc`` are the paper's Joint F1_RC and EM_RC, negative logarithms to
  base 2, so that larger is worse.

The paper does not tell whether the logarithm is taken before or after averaging, nor what becomes
of 0, whose logarithm is infinite. Here it is taken of the average, and left out where that is 0.
The paper's partial match is judged by a language model, and is not among the metrics.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import ClassVar

import msgspec

from hopgym.benchmarks.base import BenchmarkSource, GoldRecords
from hopgym.benchmarks.catalogue import COFCA
from hopgym.benchmarks.hotpotqa import answer_metrics, joint_metrics
from hopgym.benchmarks.passages import Asked, PassageRecords
from hopgym.benchmarks.predictions import NO_METRICS, Entry, Metrics, mean_of
from hopgym.benchmarks.records import Record, decode
from hopgym.documents import Document
from hopgym.scoring import AnswerKind, normalize_answer
from hopgym.tasks import Hop, Question

_SUB_QUESTION = "sub-question"
_CHAINED = ("joint_f1", "joint_em")
_MEND = (
    "records must have _id, type, question, answer, context, sub_questions and sub_answers, as in "
    "the authors' archive"
)
_PREDICTIONS = 'a prediction file is {"answer": {id: text}} or {id: text}'


class _Row(msgspec.Struct):
    id: str = msgspec.field(name="_id")
    type: str | list[str]
    question: str
    answer: str
    context: list[tuple[str, list[str]]]
    sub_questions: list[str]
    sub_answers: list[str]

    @property
    def kind(self) -> str:
        return self.type if isinstance(self.type, str) else "-".join(self.type)


_ROWS = msgspec.json.Decoder(_Row)
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ANSWERS = msgspec.json.Decoder(dict[str, str])


class _CofCARecords(PassageRecords):
    def asked_of(self, record: Record, number: int) -> Asked:
        return self._read(record, number)[0]

    def tasks_of(self, record: Record, number: int) -> Sequence[Asked]:
        asked = self._read(record, number)
        return asked if self.options.variant == "all" else asked[:1]

    def _read(self, record: Record, number: int) -> list[Asked]:
        """Return what a record asks, the final question first."""
        row = decode(record, _ROWS, _MEND)
        _check(record, row)
        # The same _id stands at the questions of 2, 3 and 4 hops over one passage.
        task_id = f"{row.id}__{row.kind}__{number}"
        chain = list(zip(row.sub_questions, row.sub_answers, strict=True))
        hops = tuple(Hop(text, (answer,)) for text, answer in chain)
        pages = tuple(
            Document(str(i), title, tuple(each)) for i, (title, each) in enumerate(row.context)
        )
        questions = [_question(task_id, row.question, row.answer, row.kind, hops)]
        for i, (text, answer) in enumerate(chain, start=1):
            questions.append(_question(f"{task_id}/{i}", text, answer, _SUB_QUESTION))
        return [Asked(each, pages, (), Entry(each.answers[0])) for each in questions]


def _question(
    task_id: str, text: str, answer: str, kind: str, hops: tuple[Hop, ...] = ()
) -> Question:
    yes_or_no = normalize_answer(answer) in ("yes", "no")
    answer_kind: AnswerKind = "yesno" if yes_or_no else "text"
    return Question(task_id, text, (answer,), answer_kind, hops, kind, source=CofCASource.name)


def _check(record: Record, row: _Row) -> None:
    if not row.id.strip():
        raise record.error(f"expected an '_id', got an empty one; {_MEND}")
    if len(row.sub_questions) != len(row.sub_answers):
        raise record.error(
            f"expected as many 'sub_answers' as 'sub_questions', got {len(row.sub_answers)} "
            f"and {len(row.sub_questions)}; {_MEND}"
        )
    for place, text in enumerate((row.answer, *row.sub_answers)):
        if not text.strip():
            name = f"sub-question {place}" if place else "the question"
            raise record.error(f"expected an answer to {name} of {row.id!r}, got an empty one")


class CofCASource(BenchmarkSource[_CofCARecords]):
    """The questions of a CofCA file; the sub-questions are the hops.

    No supporting facts are annotated, so that no step is judged. Ids are made of the record's id,
    its types and its place in the file, as the id alone repeats. Arguments: see `BenchmarkSource`;
    ``questions="all"`` makes the sub-questions tasks of their own as well, right behind their
    question, and ``limit`` then counts records.
    """

    name = "cofca"
    dataset = COFCA
    records_type: ClassVar[type[GoldRecords]] = _CofCARecords
    evidence_source = "none"
    variant_argument = "questions"
    variants = ("final", "all")
    script = "hotpot_evaluate_v1.py; joint metrics of arXiv 2402.11924, which has no script"
    notes = "The answer is a short phrase from the pages, or yes or no."
    answer_notes = "The answer is a short phrase, or yes or no."

    def metrics_of(self, index: int, entry: Entry) -> dict[str, float]:
        """Return HotpotQA's metrics of one answer, be it to a final or to a sub-question."""
        if entry.answer is None:
            return NO_METRICS.named()
        return answer_metrics(entry.answer, self._records.gold[index].answer or "").named()

    def combine(
        self, indices: Sequence[int], rows: Sequence[Mapping[str, float]]
    ) -> dict[str, float]:
        """Return the means over final questions, over sub-questions (``sub_``), and joint ones.

        The joint ones are over those records of which the final question and all sub-questions are
        among the indices. All are in [0, 1] but for ``joint_f1_rc`` and ``joint_em_rc``, which are
        0 or more. Metrics of nothing are left out.
        """
        records: defaultdict[int, dict[int, Metrics]] = defaultdict(dict)
        sizes: dict[int, int] = {}
        for index, row in zip(indices, rows, strict=True):
            number, part = self._records.places[index]
            records[number][part] = Metrics(**row)
            if part == 0:
                sizes[number] = 1 + len(self._records.questions[index].hops)
        scored = [(part, each) for record in records.values() for part, each in record.items()]
        joint = mean_of(
            [
                joint_metrics(*record.values()).named("joint_")
                for number, record in records.items()
                if len(record) > 1 and len(record) == sizes.get(number)
            ]
        )
        return (
            mean_of([each.named() for part, each in scored if part == 0])
            | mean_of([each.named("sub_") for part, each in scored if part > 0])
            | joint
            | {f"{name}_rc": 0.0 - math.log2(joint[name]) for name in _CHAINED if joint.get(name)}
        )
