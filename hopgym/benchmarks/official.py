"""Official scores: what prediction files say, and how a benchmark's own metrics come of it.

In: entries of a prediction file, or what episodes came to. Out: the official metrics, one record
at a time and over all of them, as shares in [0, 1]. Which metrics these are and how they are
reckoned stands in each benchmark's own module, as no two official scripts agree.
"""

from abc import abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeVar

from hopgym.benchmarks.entries import Entry, read_answers, read_support, write_answers
from hopgym.benchmarks.files import Content, Record
from hopgym.benchmarks.guess import guess_from_words
from hopgym.benchmarks.source import FileSource, Records
from hopgym.errors import ArgumentError, DataError
from hopgym.scoring import Score
from hopgym.tasks import Prediction, Question, Task, read_predictions

How = Literal["read", "named"]


@dataclass(frozen=True, slots=True)
class Metrics:
    """Exact match, F1, precision and recall of one prediction; each in [0, 1]."""

    em: float
    f1: float
    prec: float
    recall: float

    def named(self, prefix: str = "") -> dict[str, float]:
        """Return the four by name behind a prefix: ``sp_em``, ``sp_f1``, ..."""
        return {f"{prefix}{name}": getattr(self, name) for name in self.__slots__}


METRIC_NAMES = {part: tuple(f"{part}_{n}" for n in Metrics.__slots__) for part in ("sp", "joint")}
"""The names of the four metrics of supporting facts, and of the joint ones."""

NO_METRICS = Metrics(0.0, 0.0, 0.0, 0.0)


class GoldRecords(Records):
    """Records that keep their questions and what the official scorer compares with."""

    problems: list[DataError] | None = None
    """Where errors of single records go; None raises the first."""

    def __init__(self, content: Content, limit: int | None, options: Any = None) -> None:
        self.questions: list[Question] = []
        """Without proofs, in order."""
        self.gold: list[Entry] = []
        """In the same order."""
        super().__init__(content, limit, options)

    @contextmanager
    def reading(self, record: Record) -> Iterator[None]:
        """Read a record: what is wrong with it is told with its place, or noted in `problems`."""
        try:
            yield
        except DataError as error:
            placed = str(error).startswith(record.place)
            error = error if placed else record.error(str(error))
            if self.problems is None:
                raise error from None
            self.problems.append(error)

    def add_asked(self, record: Record, question: Question, gold: Entry) -> None:
        """Note the next question with its gold; errors as in `Records.add`."""
        self.add(record, question.id, question.text)
        self.questions.append(question)
        self.gold.append(gold)


R = TypeVar("R", bound=GoldRecords)


class OfficialSource(FileSource[R]):
    """A source over one benchmark file, scored as the benchmark's official script scores.

    A benchmark gives `metrics_of` and reads and writes its prediction files; the metrics are means
    over the records unless it says otherwise in `combine`.
    """

    has_script: ClassVar[bool] = True
    support_metrics: ClassVar[Mapping[How, tuple[str, ...]]] = {"read": (), "named": ()}
    """The metrics that depend on the support, by where the support is taken from."""
    script: ClassVar[str] = ""
    """The official script that the metrics follow."""
    decimals: ClassVar[int | None] = None
    """Places that the official script rounds to; None where it prints all."""

    @property
    def scoring(self) -> str:
        """The official script that the metrics follow."""
        return self.script

    comparable: bool = True
    """Whether sentences of the corpus are those of the annotation; elsewhere they are cut anew."""

    @abstractmethod
    def metrics_of(self, index: int, entry: Entry) -> dict[str, float]:
        """Return the official metrics of the record of an index; metrics not counted are absent.

        An entry without an answer is one that the prediction file lacks.
        """

    def read_entries(self, content: Content) -> dict[str, Entry]:
        """Return the entries of a prediction file, by task id.

        Without an official layout that is ``{id: text}`` or ``{"answer": {id: text}}``.

        Raises:
            DataError: When it is no prediction file of this benchmark.
        """
        return read_answers(content)

    def write_entries(self, entries: Mapping[str, Entry]) -> bytes:
        """Return a prediction file that `read_entries` reads."""
        return write_answers(entries)

    def entry_of(self, index: int, prediction: Prediction, how: How) -> Entry:
        """Return the entry that an attempt at a task comes to, its support read or named."""
        if how == "read":
            corpus = self[index].corpus
            shown = [(corpus.title_of(page), i) for page, i in prediction.shown or ()]
            return Entry(prediction.answer, tuple(dict.fromkeys(shown)))
        named = read_support(prediction.support)
        facts = tuple((title, i) for title, i in named.facts if i is not None)
        return Entry(prediction.answer, facts, named.triples)

    def combine(
        self, indices: Sequence[int], rows: Sequence[Mapping[str, float]]
    ) -> dict[str, float]:
        """Return the official metrics over records: by default the mean of each.

        Args:
            indices: Of the records, at least one.
            rows: What `metrics_of` gave for each.
        """
        return mean_of(rows)

    def score(self, task: Task, answer: str) -> Score:
        """Return the official exact match and F1 of an answer."""
        metrics = self.metrics_of(self.index_of(task.question.id), Entry(answer))
        return Score(metrics["em"], metrics["f1"])

    def guess(self, task: Task) -> str:
        """Return the best answer to be had from the question's words alone."""
        return guess_from_words(task.question.text)

    def official(
        self,
        predictions: Mapping[str, str | Prediction],
        gold: Collection[str] | None = None,
    ) -> dict[str, float]:
        """Return the official metrics, in [0, 1] (some F1 of 2WikiMultihopQA can exceed 1).

        Support metrics come twice where predictions hold what they are of: ``sp_read_f1`` over
        the sentences shown, ``sp_named_f1`` over those that the answers named.

        Args:
            predictions: An answer alone, or what an attempt came to.
            gold: Ids of the tasks that the metrics are over; None takes the whole file, as the
                official script does. One without a prediction scores 0.

        Raises:
            ArgumentError: When there are no predictions or an id is unknown.
        """
        given = {self.index_of(i): each for i, each in read_predictions(predictions).items()}
        indices = list(range(len(self))) if gold is None else [self.index_of(i) for i in gold]
        if not indices:
            raise ArgumentError("gold must name at least one task, got none")
        alone = {i: Prediction(each.answer) for i, each in given.items()}
        answers = {i: self.entry_of(i, each, "named") for i, each in alone.items()}
        supports = {name for names in self.support_metrics.values() for name in names}
        metrics = self._combined(indices, answers)
        metrics = {name: value for name, value in metrics.items() if name not in supports}
        hows: list[How] = []
        shown = self.comparable and any(each.shown is not None for each in given.values())
        hows += ["read"] if shown else []
        hows += ["named"] if any(each.support for each in given.values()) else []
        for how in hows:
            entries = {i: self.entry_of(i, each, how) for i, each in given.items()}
            found = self._combined(indices, entries)
            metrics |= {
                _support_name(name, how): found[name]
                for name in self.support_metrics[how]
                if name in found
            }
        return metrics

    def score_entries(
        self, entries: Mapping[str, Entry]
    ) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
        """Return the official metrics of a prediction file over all records, and by record.

        Args:
            entries: By task id; records without one score as the official script scores them.
        """
        ids = [self.id_at(index) for index in range(len(self))]
        rows = [self.metrics_of(i, entries.get(name, Entry())) for i, name in enumerate(ids)]
        return self.combine(range(len(self)), rows), dict(zip(ids, rows, strict=True))

    def printed(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """Return metrics as the official script prints them: its unit and its decimals."""
        unit = 100.0 if self.percent else 1.0
        if self.decimals is None:
            return {name: value * unit for name, value in metrics.items()}
        return {name: round(value * unit, self.decimals) for name, value in metrics.items()}

    def _combined(self, indices: Sequence[int], entries: Mapping[int, Entry]) -> dict[str, float]:
        rows = [self.metrics_of(index, entries.get(index, Entry())) for index in indices]
        return self.combine(indices, rows)


def mean_of(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of each metric over the rows that hold it, in order of first occurrence."""
    names = dict.fromkeys(name for row in rows for name in row)
    kept = {name: [row[name] for row in rows if name in row] for name in names}
    return {name: sum(values) / len(values) for name, values in kept.items()}


def _support_name(name: str, how: How) -> str:
    head, _, tail = name.partition("_")
    return f"{head}_{how}_{tail}"
