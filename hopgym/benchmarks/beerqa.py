"""BeerQA: open-domain questions of one or more hops, from SQuAD, HotpotQA and new annotation.

Reads ``beerqa_{train,dev}_v1.0.json`` (Qi et al. 2021, arXiv 2010.12527). The metrics are those of
``utils/eval_beerqa.py`` in github.com/beerqa/IRRR.
"""

from collections.abc import Mapping, Sequence

import msgspec

from hopgym.benchmarks.base import BenchmarkSource
from hopgym.benchmarks.catalogue import BEERQA
from hopgym.benchmarks.hotpotqa import answer_metrics
from hopgym.benchmarks.passages import AnnotatedQuestion, GoldFact, PassageRecords, answer_kind_of
from hopgym.benchmarks.predictions import NO_METRICS, Metrics, PredictionEntry, mean_of
from hopgym.benchmarks.records import Content, Record, check_size, decode
from hopgym.documents import Document, split_sentences
from hopgym.scoring import normalize_answer
from hopgym.tasks import Question

_FIX = "records must be as in beerqa_dev_v1.0.json"
_FILE_FIX = 'the file must be as beerqa_dev_v1.0.json: {"version", "split", "data": [record, ...]}'


def best_metrics(prediction: str, golds: Sequence[str]) -> Metrics:
    """Return the official metrics of an answer: those of the first gold with the best F1.

    Each gold is compared as in HotpotQA's script. A gold that is empty after normalization has an
    F1 of 0, which is never the best, so it cannot be matched exactly either.
    """
    best = NO_METRICS
    for gold in golds:
        metrics = answer_metrics(prediction, gold)
        if metrics.f1 > best.f1:
            best = metrics
    return best


class _BeerQAFile(msgspec.Struct):
    data: list[msgspec.Raw]


class _BeerQARow(msgspec.Struct):
    id: str
    question: str
    src: str = ""
    answers: list[str] | None = None
    context: list[tuple[str, str]] = []


_FILES = msgspec.json.Decoder(_BeerQAFile)
_ROWS = msgspec.json.Decoder(_BeerQARow)


class _BeerQARecords(PassageRecords):
    def split_content(self, content: Content, limit: int | None) -> list[Record]:
        raws = decode(Record(content.path, content.data), _FILES, _FILE_FIX).data
        if limit is not None and limit < len(raws):
            # Raw values are views of the file's bytes; copies let go of them.
            raws = [raw.copy() for raw in raws[:limit]]
        records = (Record(f"{content.path}, record {i}", raw) for i, raw in enumerate(raws))
        return [check_size(record, len(memoryview(record.data))) for record in records]

    def read_question(self, record: Record, number: int) -> AnnotatedQuestion:
        row = decode(record, _ROWS, _FIX)
        if not any(answer.strip() for answer in row.answers or ()):
            raise record.error(
                f"expected answers to {row.id!r}, got none; the test questions are "
                "published without answers and cannot be scored: take the dev file"
            )
        if not row.src.strip():
            raise record.error(f"expected 'src' to name the source of {row.id!r}, got none; {_FIX}")
        golds = tuple(row.answers or ())
        question = Question(
            id=row.id,
            text=row.question,
            answers=golds,
            answer_kind=answer_kind_of(golds),
            kind=row.src,
            source=BeerQASource.name,
            metadata={"hops": len({title for title, _ in row.context})},
        )
        paragraphs = tuple(
            Document(str(i), title, split_sentences(text))
            for i, (title, text) in enumerate(row.context)
        )
        # The gold entry must score 1, so it is the first answer that can match exactly.
        best = next(filter(normalize_answer, golds), golds[0])
        facts = _facts(row, paragraphs)
        return AnnotatedQuestion(question, paragraphs, facts, PredictionEntry(best))


class BeerQASource(BenchmarkSource[_BeerQARecords]):
    """The questions of a BeerQA file; together, the paragraphs of a question are its only proof.

    Records contain only their gold paragraphs, so the default corpus is all paragraphs of the
    file. Paragraph texts are cut into sentences by `split_sentences`. The steps of a question
    without paragraphs, or with one that lacks a title or a text, are not judged, and it counts in
    ``unjudged``. BeerQA has no intermediate answers: ``hops`` is empty, and `Question.hop_count`
    is the number of gold pages. For the arguments, see `BenchmarkSource`.
    """

    name = "beerqa"
    dataset = BEERQA
    records_type = _BeerQARecords
    corpora = ("split", "record")
    script = "utils/eval_beerqa.py"
    notes = "The answer is a short phrase from the pages, or yes or no."
    answer_notes = "The answer is a short phrase, or yes or no."

    def metrics_of(self, index: int, entry: PredictionEntry) -> dict[str, float]:
        """Return the official metrics; a missing answer scores 0."""
        golds = self._records.questions[index].answers
        metrics = NO_METRICS if entry.answer is None else best_metrics(entry.answer, golds)
        return metrics.by_name()

    def combine(
        self, indices: Sequence[int], rows: Sequence[Mapping[str, float]]
    ) -> dict[str, float]:
        """Return the means over all records, over the records of each source, and over sources."""
        by_source: dict[str, list[Mapping[str, float]]] = {}
        for index, row in zip(indices, rows, strict=True):
            by_source.setdefault(self._records.questions[index].kind, []).append(row)
        metrics = mean_of(rows)
        means = {source: mean_of(group) for source, group in by_source.items()}
        for source, mean in means.items():
            metrics |= {f"{source}_{name}": value for name, value in mean.items()}
        macro = mean_of(list(means.values()))
        return metrics | {f"macro_{name}": value for name, value in macro.items()}


def _facts(row: _BeerQARow, paragraphs: Sequence[Document]) -> tuple[GoldFact, ...]:
    """Return every paragraph as a fact; no facts if one cannot be looked up or is empty."""
    if not all(page.title.strip() and page.sentences for page in paragraphs):
        return ()
    return tuple(
        GoldFact(title, None, text, ((position, None),))
        for position, (title, text) in enumerate(row.context)
    )
