"""BeerQA: open questions of one or more hops, from SQuAD, HotpotQA and new ones.

In: ``beerqa_{train,dev}_v1.0.json``. Out: tasks, scored as ``utils/eval_beerqa.py`` of
github.com/beerqa/IRRR scores (Qi et al. 2021, arXiv 2010.12527).
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import msgspec

from hopgym.benchmarks.base import BenchmarkSource, GoldRecords
from hopgym.benchmarks.catalogue import BEERQA
from hopgym.benchmarks.hotpotqa import answer_metrics
from hopgym.benchmarks.passages import Asked, Fact, PassageRecords
from hopgym.benchmarks.predictions import NO_METRICS, Entry, Metrics, mean_of
from hopgym.benchmarks.records import Content, Record, decode, sized
from hopgym.documents import Document, split_sentences
from hopgym.scoring import AnswerKind, normalize_answer
from hopgym.tasks import Question

_MEND = "records must be as in beerqa_dev_v1.0.json"
_FILE_MEND = 'the file must be as beerqa_dev_v1.0.json: {"version", "split", "data": [record, ...]}'


def best_metrics(prediction: str, golds: Sequence[str]) -> Metrics:
    """Return the official metrics of an answer: those of the first gold with the best F1.

    Each gold is compared as by HotpotQA's script. A gold that normalises to nothing has an F1 of
    0, which is never best, so that it cannot be matched exactly either.
    """
    best = NO_METRICS
    for gold in golds:
        metrics = answer_metrics(prediction, gold)
        if metrics.f1 > best.f1:
            best = metrics
    return best


class _File(msgspec.Struct):
    data: list[msgspec.Raw]


class _Row(msgspec.Struct):
    id: str
    question: str
    src: str = ""
    answers: list[str] | None = None
    context: list[tuple[str, str]] = []


_FILES = msgspec.json.Decoder(_File)
_ROWS = msgspec.json.Decoder(_Row)


class _BeerQARecords(PassageRecords):
    def records_of(self, content: Content, limit: int | None) -> list[Record]:
        raws = decode(Record(content.path, content.data), _FILES, _FILE_MEND).data
        if limit is not None and limit < len(raws):
            # Copies let go of the whole file's bytes.
            raws = [raw.copy() for raw in raws[:limit]]
        records = (Record(f"{content.path}, record {i}", raw) for i, raw in enumerate(raws))
        return [sized(record, len(memoryview(record.data))) for record in records]

    def asked_of(self, record: Record, number: int) -> Asked:
        row = decode(record, _ROWS, _MEND)
        if not any(answer.strip() for answer in row.answers or ()):
            raise record.error(
                f"expected answers to {row.id!r}, got none; the test questions are "
                "published without answers and cannot be scored: take the dev file"
            )
        if not row.src.strip():
            raise record.error(
                f"expected 'src' to name the source of {row.id!r}, got none; {_MEND}"
            )
        golds = tuple(row.answers or ())
        yes_or_no = all(normalize_answer(gold) in ("yes", "no") for gold in golds)
        kind: AnswerKind = "yesno" if yes_or_no else "text"
        question = Question(
            id=row.id,
            text=row.question,
            answers=golds,
            answer_kind=kind,
            kind=row.src,
            source=BeerQASource.name,
            metadata={"hops": len({title for title, _ in row.context})},
        )
        paragraphs = tuple(
            Document(str(i), title, split_sentences(text))
            for i, (title, text) in enumerate(row.context)
        )
        best = next(filter(normalize_answer, golds), golds[0])
        return Asked(question, paragraphs, _facts(row, paragraphs), Entry(best))


class BeerQASource(BenchmarkSource[_BeerQARecords]):
    """The questions of a BeerQA file; all paragraphs of the question are the one proof.

    Records hold their gold paragraphs alone, so that the default corpus is all paragraphs of the
    file. Paragraphs come as one text and are cut into sentences by `split_sentences`. Where a
    record has none, or one without a title or a text, its steps are not judged, and it counts in
    ``unjudged``. BeerQA gives no intermediate answers: ``hops`` is empty, and
    `Question.hop_count` is the number of gold pages. Arguments: see
    `BenchmarkSource`.
    """

    name = "beerqa"
    dataset = BEERQA
    records_type: ClassVar[type[GoldRecords]] = _BeerQARecords
    corpora = ("split", "record")
    script = "utils/eval_beerqa.py"
    notes = "The answer is a short phrase from the pages, or yes or no."
    answer_notes = "The answer is a short phrase, or yes or no."

    def metrics_of(self, index: int, entry: Entry) -> dict[str, float]:
        """Return the official metrics; an absent answer earns nothing."""
        golds = self._records.questions[index].answers
        metrics = NO_METRICS if entry.answer is None else best_metrics(entry.answer, golds)
        return metrics.named()

    def combine(
        self, indices: Sequence[int], rows: Sequence[Mapping[str, float]]
    ) -> dict[str, float]:
        """Return the means over all records, over those of each source, and over the sources."""
        by_source: dict[str, list[Mapping[str, float]]] = {}
        for index, row in zip(indices, rows, strict=True):
            by_source.setdefault(self._records.questions[index].kind, []).append(row)
        means = {source: mean_of(found) for source, found in by_source.items()}
        return (
            mean_of(rows)
            | {
                f"{source}_{k}": value
                for source, mean in means.items()
                for k, value in mean.items()
            }
            | {f"macro_{k}": value for k, value in mean_of(list(means.values())).items()}
        )


def _facts(row: _Row, paragraphs: Sequence[Document]) -> tuple[Fact, ...]:
    """Return every paragraph as a fact; none where one cannot be looked up or shows nothing."""
    if not all(page.title.strip() and page.sentences for page in paragraphs):
        return ()
    return tuple(
        Fact(title, None, text, ((position, None),))
        for position, (title, text) in enumerate(row.context)
    )
