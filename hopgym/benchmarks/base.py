"""The sources of real benchmarks: their arguments, and what these open.

In: a path or the Hub, and how the file is read. Out: a source. What a benchmark's own arguments
are called, and which corpora it can be asked over, is data of its class.
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
    FileSource,
    Records,
    checked_limit,
    checked_path,
    shared_records,
)
from hopgym.benchmarks.hub import hub_content, hub_form
from hopgym.benchmarks.predictions import (
    Entry,
    How,
    mean_of,
    read_answers,
    read_support,
    write_answers,
)
from hopgym.benchmarks.records import Content, Record, inside, read_content
from hopgym.errors import ArgumentError, DataError, did_you_mean, require
from hopgym.scoring import Score
from hopgym.storage import StoredCorpus, open_corpus
from hopgym.tasks import Prediction, Question, Task, read_predictions

UNKNOWN = "unknown"

_YES_OR_NO = re.compile(
    r"(?:are|is|was|were|do|does|did|has|have|had|can|could|will|would)\b", re.IGNORECASE
)
_CHOICE = re.compile(
    r"(?:[,:?]|\bis|\bwas|\bbetween|\bfirst)\s+([^,:?]+?),?\s+or\s+[^,:?]+\??\s*$", re.IGNORECASE
)
_NAME = re.compile(r"[A-Z][\w.'’-]*(?:\s+(?:of|the|and|de|von|van)?\s*[A-Z0-9][\w.'’-]*)*")


def guess_from_words(question: str) -> str:
    """Return the first of two things to choose from, ``yes``, or the last name in the question.

    ``yes`` is for questions that begin with a verb; where there is nothing of it, ``unknown``. Of
    constants and of the question's names this does best on HotpotQA and 2WikiMultihopQA.
    """
    text = question.strip()
    choice = _CHOICE.search(text)
    if choice:
        return choice[1].strip()
    if _YES_OR_NO.match(text):
        return "yes"
    names = [match[0] for match in _NAME.finditer(text) if match.start() > 0]
    return names[-1] if names else UNKNOWN


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """How the file of a benchmark is read; what decides its tasks beside its content.

    Readings of one fingerprint are equal, whatever paths their files have.
    """

    variant: str = ""
    """Which of the benchmark's forms the file is taken for."""
    corpus: str = "record"
    """``record``, ``split`` or ``external``."""
    external: StoredCorpus | None = None
    further: Content | None = None
    """A second file that belongs to the first, such as one of aliases."""

    @property
    def fingerprint(self) -> str:
        """What tells readings of one file apart."""
        files = (self.external, self.further)
        return ":".join(
            [self.variant, self.corpus, *(each.digest if each else "" for each in files)]
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reading) and self.fingerprint == other.fingerprint

    def __hash__(self) -> int:
        return hash(self.fingerprint)


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


def _support_name(name: str, how: How) -> str:
    head, _, tail = name.partition("_")
    return f"{head}_{how}_{tail}"


COMMON = ("path", "hub", "split", "limit", "corpus")


class BenchmarkSource(OfficialSource[R]):
    """A source over the official file of a benchmark, or its form on the Hub.

    Args:
        path: The official file (.json, .jsonl, .gz), the Hub's rows in such a file, or a folder
            in which an official file lies.
        hub: Whether to read the pinned revision on the Hub, through ``datasets``, instead.
        split: The split that is read from a folder or the Hub; None takes the benchmark's own.
        limit: The most questions to take, from the first, at least 1; None takes all.
        corpus: ``record`` (the question's own paragraphs), ``split`` (all paragraphs of the file),
            or the path of a corpus from elsewhere (`hopgym.storage`); None takes the default.
        own: The benchmark's own arguments, by the names that its class declares.

    Raises:
        ArgumentError: When an argument is of the wrong type or out of range.
        DataError: When a file cannot be used as it is.
    """

    dataset: ClassVar[Dataset]
    corpora: ClassVar[tuple[str, ...]] = ("record", "split")
    """The corpora that have a name, the default first."""
    variant_argument: ClassVar[str] = ""
    """Name of the argument that chooses the form of the benchmark; empty where it has one."""
    variants: ClassVar[tuple[str, ...]] = ("",)
    """The forms, the default first."""
    variant_notes: ClassVar[Mapping[str, str]] = {}
    """Notes of forms whose prompts tell something else, by form."""
    further_argument: ClassVar[str] = ""
    """Name of the argument that gives a second file; empty where none belongs to it."""
    further_config: ClassVar[str] = ""
    """The config on the Hub that is this file, ``{}`` standing for the variant; empty where it is
    not there. ``hub=True`` reads it where no path is given."""

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        limit: int | None = None,
        *,
        hub: bool = False,
        split: str | None = None,
        corpus: str | os.PathLike[str] | None = None,
        **own: Any,
    ) -> None:
        self._check_names(own)
        self.variant = own.get(self.variant_argument, self.variants[0])
        known = isinstance(self.variant, str) and self.variant in self.variants
        expected = f"one of {', '.join(self.variants)}"
        require(known, self.variant_argument, expected, self.variant)
        require(isinstance(hub, bool), "hub", "True or False", hub)
        self.notes = self.variant_notes.get(self.variant, self.notes)
        self.limit = checked_limit(limit)
        origin = self._origin(path, hub, split)
        self.path = origin.path if isinstance(origin, Content) else origin
        further = own.get(self.further_argument)
        second = self._second(further, split or self.dataset.split if hub else "")
        self.reading = self._reading(corpus, second)
        self._records = shared_records(self.records_type, origin, limit, self.reading)  # type: ignore[assignment]
        given = {"path": path, "corpus": corpus, self.further_argument: further}
        plain = {"hub": hub, "split": split, "limit": limit, self.variant_argument: self.variant}
        files = {name: self._from_anywhere(value) for name, value in given.items()}
        self._arguments = {name: value for name, value in (files | plain).items() if name}

    @classmethod
    def argument_names(cls) -> tuple[str, ...]:
        """Return the names of all arguments."""
        own = (cls.variant_argument, cls.further_argument)
        return (*COMMON, *filter(None, own))

    @property
    def fingerprint(self) -> str:
        """Hex digest of the content, of how much of it is taken, and of how it is read."""
        decisive = f"{super().fingerprint}:{self.reading.fingerprint}"
        return hashlib.sha256(decisive.encode()).hexdigest()

    def _check_names(self, own: dict[str, Any]) -> None:
        names = self.argument_names()
        for name in own:
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
        text = checked_path("path", path)
        if os.path.isdir(text) and self.dataset.files:
            return self._official_file(text, split or self.dataset.split)
        require(split is None, "split", "None where path names a file, which is one split", split)
        return text

    def _official_file(self, folder: str, split: str) -> str:
        files = self.dataset.files
        require(split in files, "split", f"one of {', '.join(files)}", split)
        # Where a split has a file for each variant, they stand in the order of the variants.
        name = files[split][min(self.variants.index(self.variant), len(files[split]) - 1)]
        path = os.path.join(folder, name)
        if not os.path.exists(path):
            raise DataError(
                f"{folder!r}: expected {name} in it, got a directory{inside(folder)} without it; "
                "name the file itself"
            )
        return path

    def _second(self, further: object, hub_split: str) -> Content | None:
        """Return the second file: that of a path, or else that of a split of the Hub, or none."""
        if further is not None:
            return read_content(checked_path(self.further_argument, further))
        if not hub_split or not self.further_config:
            return None
        form = hub_form(self.dataset, self.variant)
        config = self.further_config.format(self.variant)
        return hub_content(replace(form, config=config), hub_split)

    def _reading(self, corpus: object, second: Content | None) -> Reading:
        name = self.corpora[0] if corpus is None else corpus
        if name in self.corpora:
            return Reading(self.variant, str(name), further=second)
        text = checked_path("corpus", name) if "search" in self.tools else ""
        also = ", or the path of a file of paragraphs" if "search" in self.tools else ""
        expected = f"one of {', '.join(self.corpora)}{also}"
        require(bool(text) and os.path.exists(text), "corpus", expected, corpus)
        self.comparable = False
        return Reading(self.variant, "external", open_corpus(text), second)

    def _from_anywhere(self, value: Any) -> Any:
        """Return a path made absolute; anything else as it is."""
        if value is None or value in self.corpora:
            return value
        return os.path.abspath(os.path.expanduser(os.fspath(value)))
