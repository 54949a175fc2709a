"""CofCA: multi-hop questions over counterfactual passages, with their sub-questions.

Reads a file of the authors' archive (a JSON list; Wu et al. 2025, arXiv 2402.11924). There is no
official script: exact match and F1 are HotpotQA's, and the joint metrics of the paper's reasoning
chain are defined as follows.

* Joint precision, recall and exact match of a record are the products over its final question and
  all its sub-questions; joint F1 is the harmonic mean of joint precision and recall.
* ``joint_f1_rc`` and ``joint_em_rc`` are the paper's Joint F1_RC and EM_RC: negative logarithms to
  base 2, so larger is worse.

The paper does not say whether the logarithm is taken before or after averaging, nor how it treats
0, whose logarithm is infinite. Here it is the logarithm of the average, and absent if that is 0.
The paper's partial match needs a language model as a judge and is not among the metrics.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec

from hopgym.benchmarks.base import BenchmarkSource
from hopgym.benchmarks.catalogue import COFCA
from hopgym.benchmarks.hotpotqa import answer_metrics, joint_metrics
from hopgym.benchmarks.passages import AnnotatedQuestion, PassageRecords, answer_kind_of
from hopgym.benchmarks.predictions import NO_METRICS, Metrics, PredictionEntry, mean_of
from hopgym.benchmarks.records import Record, decode
from hopgym.documents import Document
from hopgym.tasks import Hop, Question

_SUB_QUESTION = "sub-question"
_CHAINED = ("joint_f1", "joint_em")
_FIX = (
    "records must have _id, type, question, answer, context, sub_questions and sub_answers, as in "
    "the authors' archive"
)
_PREDICTIONS = 'a prediction file is {"answer": {id: text}} or {id: text}'


class _CofCARow(msgspec.Struct):
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


_ROWS = msgspec.json.Decoder(_CofCARow)
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ANSWERS = msgspec.json.Decoder(dict[str, str])


class _CofCARecords(PassageRecords):
    def read_question(self, record: Record, number: int) -> AnnotatedQuestion:
        return self._read_chain(record, number)[0]

    def read_questions(self, record: Record, number: int) -> Sequence[AnnotatedQuestion]:
        questions = self._read_chain(record, number)
        return questions if self.options.variant == "all" else questions[:1]

    def _read_chain(self, record: Record, number: int) -> list[AnnotatedQuestion]:
        """Return the final question of a record, then its sub-questions."""
        row = decode(record, _ROWS, _FIX)
        _check(record, row)
        # The questions of 2, 3 and 4 hops over one passage share their _id.
        task_id = f"{row.id}__{row.kind}__{number}"
        chain = list(zip(row.sub_questions, row.sub_answers, strict=True))
        hops = tuple(Hop(text, (answer,)) for text, answer in chain)
        pages = tuple(
            Document(str(i), title, tuple(sentences))
            for i, (title, sentences) in enumerate(row.context)
        )
        questions = [_question(task_id, row.question, row.answer, row.kind, hops)]
        for i, (text, answer) in enumerate(chain, start=1):
            questions.append(_question(f"{task_id}/{i}", text, answer, _SUB_QUESTION))
        return [
            AnnotatedQuestion(question, pages, (), PredictionEntry(question.answers[0]))
            for question in questions
        ]


def _question(
    task_id: str, text: str, answer: str, kind: str, hops: tuple[Hop, ...] = ()
) -> Question:
    return Question(
        id=task_id,
        text=text,
        answers=(answer,),
        answer_kind=answer_kind_of((answer,)),
        hops=hops,
        kind=kind,
        source=CofCASource.name,
    )


def _check(record: Record, row: _CofCARow) -> None:
    if not row.id.strip():
        raise record.error(f"expected an '_id', got an empty one; {_FIX}")
    if len(row.sub_questions) != len(row.sub_answers):
        raise record.error(
            "expected equal numbers of 'sub_answers' and 'sub_questions', got "
            f"{len(row.sub_answers)} and {len(row.sub_questions)}; {_FIX}"
        )
    for place, text in enumerate((row.answer, *row.sub_answers)):
        if not text.strip():
            name = f"sub-question {place}" if place else "the question"
            raise record.error(f"expected an answer to {name} of {row.id!r}, got an empty one")


class CofCASource(BenchmarkSource[_CofCARecords]):
    """The questions of a CofCA file; the sub-questions are the hops.

    No supporting facts are annotated, so steps are not judged. Task ids combine the record's id,
    its types and its position in the file, because the id alone is not unique. For the arguments,
    see `BenchmarkSource`. With ``questions="all"`` every question is followed by its
    sub-questions as separate tasks, and ``limit`` counts records.
    """

    name = "cofca"
    dataset = COFCA
    records_type = _CofCARecords
    evidence_source = "none"
    variant_argument = "questions"
    variants = ("final", "all")
    script = "hotpot_evaluate_v1.py; joint metrics of arXiv 2402.11924, which has no script"
    notes = "The answer is a short phrase from the pages, or yes or no."
    answer_notes = "The answer is a short phrase, or yes or no."

    def metrics_of(self, index: int, entry: PredictionEntry) -> dict[str, float]:
        """Return HotpotQA's metrics of an answer to a final question or a sub-question."""
        if entry.answer is None:
            return NO_METRICS.by_name()
        return answer_metrics(entry.answer, self._records.gold[index].answer or "").by_name()

    def combine(
        self, indices: Sequence[int], rows: Sequence[Mapping[str, float]]
    ) -> dict[str, float]:
        """Return the means over final questions and over sub-questions (``sub_``), and the joint.

        The joint metrics are over the records whose final question and sub-questions are all
        among the indices. Metrics are in [0, 1], except ``joint_f1_rc`` and ``joint_em_rc``, which
        are at least 0. Metrics over no records are absent.
        """
        records: defaultdict[int, dict[int, Metrics]] = defaultdict(dict)
        sizes: dict[int, int] = {}
        for index, row in zip(indices, rows, strict=True):
            number, part = self._records.parts[index]
            records[number][part] = Metrics(**row)
            if part == 0:
                sizes[number] = 1 + len(self._records.questions[index].hops)
        finals = [record[0] for record in records.values() if 0 in record]
        subs = [m for record in records.values() for part, m in record.items() if part > 0]
        joint = mean_of(
            [
                joint_metrics(*record.values()).by_name("joint_")
                for number, record in records.items()
                # A question without sub-questions has no chain to combine.
                if len(record) > 1 and len(record) == sizes.get(number)
            ]
        )
        return (
            mean_of([metrics.by_name() for metrics in finals])
            | mean_of([metrics.by_name("sub_") for metrics in subs])
            | joint
            | {f"{name}_rc": 0.0 - math.log2(joint[name]) for name in _CHAINED if joint.get(name)}
        )
