"""The base class of benchmark sources, and the records that they read.

A benchmark is one module with two classes and one entry in `hopgym.benchmarks.catalogue`: a
subclass of `BenchmarkRecords` (usually of `hopgym.benchmarks.passages.PassageRecords`) turns the
records of its file into questions, and a subclass of `BenchmarkSource` names its arguments and
implements its official metrics.
"""

import hashlib
import os
import re
from abc import abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar, TypeVar

from hopgym.benchmarks.catalogue import Dataset
from hopgym.benchmarks.file_source import (
    FileRecords,
    FileSource,
    check_limit,
    check_path,
    shared_records,
)
from hopgym.benchmarks.hub import hub_content, hub_form
from hopgym.benchmarks.predictions import (
    PredictionEntry,
    SupportSource,
    mean_of,
    read_answers,
    read_support,
    write_answers,
)
from hopgym.benchmarks.records import Content, Record, describe_folder, read_content
from hopgym.errors import ArgumentError, DataError, did_you_mean, require
from hopgym.scoring import Score
from hopgym.storage import StoredCorpus, open_corpus
from hopgym.tasks import Prediction, Question, Task, read_predictions

_COMMON_ARGUMENTS = ("path", "hub", "split", "limit", "corpus")
_UNKNOWN = "unknown"
_YES_OR_NO = re.compile(
    r"(?:are|is|was|were|do|does|did|has|have|had|can|could|will|would)\b", re.IGNORECASE
)
_CHOICE = re.compile(
    r"(?:[,:?]|\bis|\bwas|\bbetween|\bfirst)\s+([^,:?]+?),?\s+or\s+[^,:?]+\??\s*$", re.IGNORECASE
)
_NAME = re.compile(r"[A-Z][\w.'’-]*(?:\s+(?:of|the|and|de|von|van)?\s*[A-Z0-9][\w.'’-]*)*")


@dataclass(frozen=True, slots=True, eq=False)
class ReadOptions:
    """How the file of a benchmark is read; with its content, this determines the tasks.

    Options with the same fingerprint are equal, whatever the paths of their files.
    """

    variant: str = ""
    """The form of the benchmark."""
    corpus: str = "record"
    """``record``, ``split`` or ``external``."""
    external: StoredCorpus | None = None
    second_file: Content | None = None
    """A second file that belongs to the first, such as a file of aliases."""

    @property
    def fingerprint(self) -> str:
        """The variant, the corpus and the digests of the other files."""
        files = (self.external, self.second_file)
        return ":".join(
            [self.variant, self.corpus, *(file.digest if file else "" for file in files)]
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ReadOptions) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)


class BenchmarkRecords(FileRecords):
    """Records that keep their questions and their gold annotations."""

    problems: list[DataError] | None = None
    """Collects the errors of single records; None raises the first one."""

    def __init__(self, content: Content, limit: int | None, options: Any = None) -> None:
        self.questions: list[Question] = []
        """The questions without proofs, in order."""
        self.gold: list[PredictionEntry] = []
        """The gold annotation of each question."""
        super().__init__(content, limit, options)

    @contextmanager
    def errors_of(self, record: Record) -> Iterator[None]:
        """Add the place of the record to errors; collect them if `problems` is a list."""
        try:
            yield
        except DataError as error:
            has_place = str(error).startswith(record.place)
            error = error if has_place else record.error(str(error))
            if self.problems is None:
                raise error from None
            self.problems.append(error)

    def add_question(self, record: Record, question: Question, gold: PredictionEntry) -> None:
        """Register the next question and its gold annotation; errors as in `FileRecords.add`."""
        self.add(record, question.id, question.text)
        self.questions.append(question)
        self.gold.append(gold)


BenchmarkRecordsT = TypeVar("BenchmarkRecordsT", bound=BenchmarkRecords)


class BenchmarkSource(FileSource[BenchmarkRecordsT]):
    """A source over the official file of a benchmark, scored as its official script does.

    A benchmark sets the class variables and implements `metrics_of`. It overrides `combine` if a
    metric is not a mean over records, and `read_entries` and `write_entries` if its prediction
    files have a layout of their own.

    Args:
        path: The official file (.json, .jsonl, .gz), a file with the Hub's rows, or a folder that
            contains an official file.
        hub: Whether to read the pinned revision on the Hub, through ``datasets``, instead.
        split: The split to read from a folder or the Hub; None takes the benchmark's default.
        limit: Maximum number of questions, from the first, at least 1; None takes all.
        corpus: ``record`` (the question's own paragraphs), ``split`` (all paragraphs of the file),
            or the path of an external corpus (`hopgym.storage`); None takes the default.
        options: The benchmark's own arguments: `variant_argument` and `second_file_argument`.

    Raises:
        ArgumentError: If an argument has the wrong type or is out of range.
        DataError: If a file cannot be used.
    """

    has_script: ClassVar[bool] = True
    dataset: ClassVar[Dataset]
    corpora: ClassVar[tuple[str, ...]] = ("record", "split")
    """The named corpora, the default first."""
    variant_argument: ClassVar[str] = ""
    """Name of the argument that chooses the form of the benchmark; empty for a single form."""
    variants: ClassVar[tuple[str, ...]] = ("",)
    """The forms, the default first."""
    variant_notes: ClassVar[Mapping[str, str]] = {}
    """Prompt notes of the forms that do not use `notes`, by form."""
    second_file_argument: ClassVar[str] = ""
    """Name of the argument for a second file; empty if the benchmark has none."""
    second_file_config: ClassVar[str] = ""
    """The config on the Hub that holds the second file, with ``{}`` for the variant. With
    ``hub=True`` it is read unless a path is given. Empty if the Hub does not have it."""
    support_metrics: ClassVar[Mapping[SupportSource, tuple[str, ...]]] = {"read": (), "named": ()}
    """The metrics that depend on the support, by where the support comes from."""
    script: ClassVar[str] = ""
    """The official script that the metrics follow."""
    decimals: ClassVar[int | None] = None
    """Decimal places that the official script rounds to; None if it does not round."""
    comparable: bool = True
    """Whether the sentences of the corpus are the annotated ones; an external corpus has its
    own."""

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        limit: int | None = None,
        *,
        hub: bool = False,
        split: str | None = None,
        corpus: str | os.PathLike[str] | None = None,
        **options: Any,
    ) -> None:
        self._check_names(options)
        self.variant = options.get(self.variant_argument, self.variants[0])
        is_known = isinstance(self.variant, str) and self.variant in self.variants
        expected = f"one of {', '.join(self.variants)}"
        require(is_known, self.variant_argument, expected, self.variant)
        require(isinstance(hub, bool), "hub", "True or False", hub)
        self.notes = self.variant_notes.get(self.variant, self.notes)
        self.limit = check_limit(limit)
        origin = self._origin(path, hub, split)
        self.path = origin.path if isinstance(origin, Content) else origin
        second_path = options.get(self.second_file_argument)
        second_file = self._second_file(second_path, hub, split)
        self.read_options = self._read_options(corpus, second_file)
        self._records = shared_records(self.records_type, origin, limit, self.read_options)  # type: ignore[assignment]
        paths = {"path": path, "corpus": corpus, self.second_file_argument: second_path}
        values = {"hub": hub, "split": split, "limit": limit, self.variant_argument: self.variant}
        files = {name: self._absolute(value) for name, value in paths.items()}
        # Absolute paths, so that a pickle can be loaded in another working directory.
        self._arguments = {name: value for name, value in (files | values).items() if name}

    @classmethod
    def argument_names(cls) -> tuple[str, ...]:
        """Return the names of all arguments."""
        names = (cls.variant_argument, cls.second_file_argument)
        return (*_COMMON_ARGUMENTS, *filter(None, names))

    @property
    def fingerprint(self) -> str:
        """Hex digest of the content, the number of questions and the read options."""
        decisive = f"{super().fingerprint}:{self.read_options.fingerprint}"
        return hashlib.sha256(decisive.encode()).hexdigest()

    @property
    def scoring(self) -> str:
        """The official script that the metrics follow."""
        return self.script

    @abstractmethod
    def metrics_of(self, index: int, entry: PredictionEntry) -> dict[str, float]:
        """Return the official metrics of one record, without those that do not apply to it.

        Args:
            index: 0-based index of the record's task.
            entry: The prediction; without an answer if the prediction file lacks the record.
        """

    def combine(
        self, indices: Sequence[int], rows: Sequence[Mapping[str, float]]
    ) -> dict[str, float]:
        """Return the official metrics over several records: by default the mean of each.

        Args:
            indices: Task indices of the records, at least one.
            rows: The result of `metrics_of` for each of them.
        """
        return mean_of(rows)

    def read_entries(self, content: Content) -> dict[str, PredictionEntry]:
        """Read a prediction file of this benchmark.

        The default layout is ``{id: text}`` or ``{"answer": {id: text}}``.

        Returns:
            The entries by task id.

        Raises:
            DataError: If the file has another layout.
        """
        return read_answers(content)

    def write_entries(self, entries: Mapping[str, PredictionEntry]) -> bytes:
        """Return a prediction file that `read_entries` reads."""
        return write_answers(entries)

    def entry_of(
        self, index: int, prediction: Prediction, support_source: SupportSource
    ) -> PredictionEntry:
        """Return the prediction-file entry of an attempt at a task.

        Args:
            index: 0-based index of the task.
            prediction: The attempt.
            support_source: Whether the sentences read or those named are its support.
        """
        if support_source == "read":
            corpus = self[index].corpus
            shown = [(corpus.title_of(page), i) for page, i in prediction.shown_sentences or ()]
            return PredictionEntry(prediction.answer, tuple(dict.fromkeys(shown)))
        items = read_support(prediction.support)
        facts = tuple((title, i) for title, i in items.facts if i is not None)
        return PredictionEntry(prediction.answer, facts, items.triples)

    def score(self, task: Task, answer: str) -> Score:
        """Return the official exact match and F1 of an answer."""
        metrics = self.metrics_of(self.index_of(task.question.id), PredictionEntry(answer))
        return Score(metrics["em"], metrics["f1"])

    def guess(self, task: Task) -> str:
        """Return the best guess from the text of the question alone."""
        return guess_from_question(task.question.text)

    def official(
        self,
        predictions: Mapping[str, str | Prediction],
        gold: Collection[str] | None = None,
    ) -> dict[str, float]:
        """Return the official metrics, in [0, 1] (some F1 of 2WikiMultihopQA can exceed 1).

        Support metrics appear once for each kind of support in the predictions: ``sp_read_f1``
        over the sentences shown, ``sp_named_f1`` over those that the answers named.

        Args:
            predictions: By task id: an answer alone, or an attempt with its support.
            gold: Ids of the tasks to average over; None takes the whole file, as the official
                script does. A task without a prediction scores 0.

        Raises:
            ArgumentError: If there are no predictions or an id is unknown.
        """
        attempts = {self.index_of(i): p for i, p in read_predictions(predictions).items()}
        indices = list(range(len(self))) if gold is None else [self.index_of(i) for i in gold]
        if not indices:
            raise ArgumentError("gold must name at least one task, got none")
        support_names = {name for names in self.support_metrics.values() for name in names}
        # Metrics of the answer must not depend on the support.
        answers = {i: Prediction(attempt.answer) for i, attempt in attempts.items()}
        answer_metrics = self._combined(indices, answers, "named")
        metrics = {n: value for n, value in answer_metrics.items() if n not in support_names}
        for support_source in self._support_sources(attempts.values()):
            combined = self._combined(indices, attempts, support_source)
            metrics |= {
                _support_name(name, support_source): combined[name]
                for name in self.support_metrics[support_source]
                if name in combined
            }
        return metrics

    def score_entries(
        self, entries: Mapping[str, PredictionEntry]
    ) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
        """Return the official metrics of a prediction file: over all records, and by record id.

        Args:
            entries: By task id; a record without an entry scores as in the official script.
        """
        ids = [self.id_at(index) for index in range(len(self))]
        rows = [
            self.metrics_of(i, entries.get(name, PredictionEntry())) for i, name in enumerate(ids)
        ]
        return self.combine(range(len(self)), rows), dict(zip(ids, rows, strict=True))

    def printed(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """Return metrics in the unit and with the decimal places of the official script."""
        unit = 100.0 if self.percent else 1.0
        if self.decimals is None:
            return {name: value * unit for name, value in metrics.items()}
        return {name: round(value * unit, self.decimals) for name, value in metrics.items()}

    def _support_sources(self, attempts: Collection[Prediction]) -> Iterator[SupportSource]:
        if self.comparable and any(attempt.shown_sentences is not None for attempt in attempts):
            yield "read"
        if any(attempt.support for attempt in attempts):
            yield "named"

    def _combined(
        self,
        indices: Sequence[int],
        attempts: Mapping[int, Prediction],
        support_source: SupportSource,
    ) -> dict[str, float]:
        entries = {i: self.entry_of(i, p, support_source) for i, p in attempts.items()}
        rows = [self.metrics_of(index, entries.get(index, PredictionEntry())) for index in indices]
        return self.combine(indices, rows)

    def _check_names(self, options: dict[str, Any]) -> None:
        names = self.argument_names()
        for name in options:
            if name not in names:
                raise ArgumentError(
                    f"arguments of {self.name} must be among {', '.join(names)}, got {name!r}"
                    f"{did_you_mean(name, names)}"
                )

    def _origin(
        self, path: str | os.PathLike[str] | None, hub: bool, split: str | None
    ) -> str | Content:
        """Return the path of the file to read, or the rows of the Hub."""
        title = self.dataset.title
        if hub:
            require(path is None, "path", "None where hub is True", path)
            return hub_content(hub_form(self.dataset, self.variant), split or self.dataset.split)
        if path is None:
            how = "pass path=..., on the command line --path"
            if self.dataset.hub:
                how += "; or hub=True to read it from the Hub"
            which = f"the official {title} file for {self.dataset.env_id}"
            raise ArgumentError(f"path must name {which}, got None; {how}")
        text = check_path("path", path)
        if os.path.isdir(text) and self.dataset.files:
            return self._official_file(text, split or self.dataset.split)
        require(split is None, "split", "None where path names a file, which is one split", split)
        return text

    def _official_file(self, folder: str, split: str) -> str:
        files = self.dataset.files
        require(split in files, "split", f"one of {', '.join(files)}", split)
        # If a split has one file per variant, the files are in the order of the variants.
        name = files[split][min(self.variants.index(self.variant), len(files[split]) - 1)]
        path = os.path.join(folder, name)
        if not os.path.exists(path):
            raise DataError(
                f"{folder!r}: expected {name} in it, got a directory{describe_folder(folder)} "
                "without it; name the file itself"
            )
        return path

    def _second_file(self, path: object, hub: bool, split: str | None) -> Content | None:
        if path is not None:
            return read_content(check_path(self.second_file_argument, path))
        if not hub or not self.second_file_config:
            return None
        form = hub_form(self.dataset, self.variant)
        config = self.second_file_config.format(self.variant)
        return hub_content(replace(form, config=config), split or self.dataset.split)

    def _read_options(self, corpus: object, second_file: Content | None) -> ReadOptions:
        name = self.corpora[0] if corpus is None else corpus
        if name in self.corpora:
            return ReadOptions(self.variant, str(name), second_file=second_file)
        text = check_path("corpus", name) if "search" in self.tools else ""
        or_path = ", or the path of a file of paragraphs" if "search" in self.tools else ""
        expected = f"one of {', '.join(self.corpora)}{or_path}"
        require(bool(text) and os.path.exists(text), "corpus", expected, corpus)
        self.comparable = False
        return ReadOptions(self.variant, "external", open_corpus(text), second_file)

    def _absolute(self, value: Any) -> Any:
        """Return an absolute path; None and the names of corpora are returned unchanged."""
        if value is None or value in self.corpora:
            return value
        return os.path.abspath(os.path.expanduser(os.fspath(value)))


def _support_name(name: str, support_source: SupportSource) -> str:
    head, _, tail = name.partition("_")
    return f"{head}_{support_source}_{tail}"


def guess_from_question(question: str) -> str:
    """Return an answer guessed from the text of a question: a lower bound for agents.

    It is the first of two alternatives, ``yes`` for a question that starts with a verb, the last
    name in the question, or ``unknown``. Among constants and the names of the question, this rule
    scores best on HotpotQA and 2WikiMultihopQA.
    """
    text = question.strip()
    choice = _CHOICE.search(text)
    if choice:
        return choice[1].strip()
    if _YES_OR_NO.match(text):
        return "yes"
    names = [match[0] for match in _NAME.finditer(text) if match.start() > 0]
    return names[-1] if names else _UNKNOWN
