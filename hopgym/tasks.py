"""Questions with known evidence, tasks, and the sources they come from."""

import inspect
import os
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

from hopgym.documents import Corpus, Document
from hopgym.errors import ArgumentError, DataError, require
from hopgym.scoring import AnswerKind, Score, score_answer

MAX_PROOFS = 8
MAX_QUESTION_CHARS = 32_000
PATH_ARGUMENTS = ("path", "corpus", "aliases", "documents")
"""Arguments of sources that name files."""
CORPUS_CHOICES = ("record", "split")
"""Values of the argument ``corpus`` that are not paths."""

EvidenceSource = Literal["exact", "annotated", "heuristic", "none"]


@dataclass(frozen=True, slots=True)
class Hop:
    """One relation followed on the gold path."""

    text: str
    """What is asked at this hop, in words."""
    answers: tuple[str, ...]
    """The intermediate answers that this hop reaches; empty where there is none."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A fact on the gold path and where it is shown."""

    fact: str
    """The fact in words."""
    shown_by: tuple[tuple[str, int | None], ...]
    """(document id, 0-based sentence index) pairs of which any one shows the fact; index None
    stands for every sentence of that page. Empty where only ``call`` shows it."""
    call: tuple[str, str] | None = None
    """The (tool, argument) that shows the fact when no title of its documents is known."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question, its answers, and what proves them."""

    id: str
    text: str
    answers: tuple[str, ...]
    """All wanted answers for ``answer_kind="set"``, otherwise aliases of the one answer."""
    answer_kind: AnswerKind
    hops: tuple[Hop, ...] = ()
    kind: str = ""
    """The construction of the question (``chain``, ``comparison``, a benchmark's own type)."""
    proofs: tuple[tuple[Evidence, ...], ...] = ()
    """1 to 8 alternatives, each a set of evidence that suffices; empty where unknown."""
    source: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Plain JSON values."""
    support: str = ""
    """The annotated support as an answer names it: ``title#sentence index``, ``|`` between them."""

    @property
    def hop_count(self) -> int:
        """Number of hops, known where what they ask is not; 0 where it is unknown."""
        return len(self.hops) or int(self.metadata.get("hops", 0))

    def __post_init__(self) -> None:
        if len(self.text) > MAX_QUESTION_CHARS or len(self.proofs) > MAX_PROOFS:
            raise DataError(
                f"question {self.id!r}: expected at most {MAX_QUESTION_CHARS} characters and "
                f"{MAX_PROOFS} proofs, got {len(self.text)} and {len(self.proofs)}"
            )


class CallRule(Protocol):
    """Which evidence calls hold, where that does not hang on the words of one of them.

    A rule never changes: each call leads to another one. It can be hashed and pickled.
    """

    @property
    def held(self) -> Collection[Evidence]:
        """All evidence held by the calls so far."""

    def after(self, call: tuple[str, str], /) -> "CallRule":
        """Return the rule after one more (tool, argument), which holds at least what this does."""


@dataclass(frozen=True, slots=True)
class Task:
    """A question with the corpus that it is asked over."""

    question: Question
    corpus: Corpus
    context: tuple[Document, ...] | None = None
    """The question's own pages for a ``one_turn`` prompt, those of the proof first; None where
    they are drawn from the corpus."""
    rule: CallRule | None = None
    """What holds the evidence that no page shows, before the first call; None where each such
    evidence is held by its own call, word for word."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What an attempt at a task came to, as official scorers see it."""

    answer: str | None
    """None where no answer was given."""
    shown_sentences: tuple[tuple[str, int], ...] | None = None
    """(document id, 0-based sentence index) pairs of the task's corpus that were shown in full;
    None where that is unknown or nothing could be shown."""
    support: str = ""
    """What the answer named as its support, as written; empty where it named nothing."""


class TaskSource(ABC):
    """An indexable collection of tasks; ``source[i]`` depends on (its arguments, i) alone.

    A new source gives ``name``, ``__len__``, ``__getitem__`` and ``index_of``; all else has a
    default. Sources are read-only and may be shared by environments.
    """

    name: ClassVar[str]
    tools: ClassVar[tuple[str, ...]] = ("search", "lookup", "answer")
    """Names of the tools that the tasks ask for."""
    evidence_source: ClassVar[EvidenceSource] = "annotated"
    """How far verdicts can be trusted: exact, annotated, heuristic, none."""
    partial_credit: ClassVar[bool] = True
    """Whether a text answer earns token F1."""
    has_script: ClassVar[bool] = False
    """Whether `official` follows a script of its own instead of averaging `score`."""
    support_asked: ClassVar[str] = ""
    """How a prompt asks an answer to name its support; empty where none is scored."""
    support_example: ClassVar[str] = "title#0 | title#2"
    names_sentences: ClassVar[bool] = False
    """Whether a support names sentences, so that they are numbered where it is asked for."""
    percent: ClassVar[bool] = False
    """Whether `printed` gives percent."""
    notes: str = ""
    """What the prompt tells about the pages and the answers, as full sentences."""
    answer_notes: str = ""
    """What it tells of them where there are no pages (``closed_book``)."""
    max_steps: int | None = None
    """The step budget that suits this source, where it is not the package's default."""

    @classmethod
    def argument_names(cls) -> tuple[str, ...]:
        """Return the names of the arguments that `from_arguments` takes.

        By default those of the constructor.
        """
        return tuple(inspect.signature(cls).parameters)

    @classmethod
    def from_arguments(cls, **arguments: Any) -> "TaskSource":
        """Return the source with these arguments, which are plain JSON values."""
        return cls(**arguments)

    @classmethod
    def arguments_within(cls, max_steps: int, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return arguments of tasks that the oracle can solve within a step budget.

        By default the arguments are returned as they are.

        Args:
            max_steps: The budget of an episode, at least 1.
            arguments: Arguments of `from_arguments`.
        """
        return dict(arguments)

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of tasks."""

    @abstractmethod
    def __getitem__(self, index: int, /) -> Task:
        """Return the task at an index in [0, len); `IndexError` outside of it."""

    @abstractmethod
    def index_of(self, task_id: str) -> int:
        """Return the index of a task id; `ArgumentError` for an unknown one."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Hex digest of everything that decides the tasks: arguments and file contents."""

    def score(self, task: Task, answer: str) -> Score:
        """Return exact match and F1 of an answer to a task, as the source defines them."""
        question = task.question
        return score_answer(
            answer, question.answers, question.answer_kind, partial=self.partial_credit
        )

    def official(
        self,
        predictions: Mapping[str, str | Prediction],
        gold: Collection[str] | None = None,
    ) -> dict[str, float]:
        """Return the source's official metrics over predictions by task id, shares in [0, 1].

        Args:
            predictions: An answer alone, or what an attempt came to.
            gold: Ids of the tasks that the metrics are over; one without a prediction or an
                answer scores 0. None takes those predicted (a file of a benchmark: all of it, as
                its script does).

        Raises:
            ArgumentError: When there are no predictions or a task id is unknown.
        """
        given = read_predictions(predictions)
        scores = [self._scored(i, given.get(i)) for i in (given if gold is None else gold)]
        return {
            "em": sum(s.em for s in scores) / len(scores),
            "f1": sum(s.f1 for s in scores) / len(scores),
        }

    def _scored(self, task_id: str, prediction: Prediction | None) -> Score:
        task = self[self.index_of(task_id)]
        if prediction is None or prediction.answer is None:
            return Score(0.0, 0.0)
        return self.score(task, prediction.answer)

    @property
    def scoring(self) -> str:
        """What the official metrics follow, in words."""
        return "the mean score of answers"

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a user of the figures has to know of the data, as full sentences."""
        return ()

    @property
    def unjudged(self) -> int:
        """Number of tasks whose steps cannot be judged, as their evidence is not known."""
        return 0

    def printed(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """Return official metrics in the unit and with the decimals of the script."""
        return dict(metrics)

    def guess(self, task: Task) -> str:
        """Return the best answer to be had without reading: by default ``unknown``."""
        return "unknown"

    def world_of(self, task_id: str) -> str:
        """Return the name of the world that a task belongs to; tasks of one world share pages.

        By default each task is a world of its own, named by its id.
        """
        return task_id

    def split_arguments(self, split: str) -> dict[str, Any] | None:
        """Return the environment arguments that select another split of the same kind of tasks.

        Args:
            split: ``"train"``, ``"dev"`` or ``"test"``.

        Returns:
            Arguments to merge over those of this source; None where only the user can name the
            tasks of that split, which is the default.
        """
        return None

    def sized_arguments(self, questions: int, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return environment arguments under which the source has at least ``questions`` tasks.

        A source that generates its tasks puts them into as few worlds as the arguments allow. By
        default the arguments are returned as they are.

        Args:
            questions: How many tasks, at least 1.
            arguments: The arguments that the environment was created with.
        """
        return dict(arguments)

    def check_index(self, index: int) -> int:
        """Return an index in [0, len); `IndexError` outside of it."""
        if not 0 <= index < len(self):
            raise IndexError(f"task index must be in [0, {len(self)}), got {index}")
        return index


def read_predictions(predictions: Mapping[str, str | Prediction]) -> dict[str, Prediction]:
    """Return predictions by task id, answers alone made into a `Prediction`.

    Raises:
        ArgumentError: When there are none, or one is neither a text nor a `Prediction`.
    """
    if not predictions:
        raise ArgumentError("predictions must hold at least one answer, got none")
    read = {
        task_id: Prediction(given) if isinstance(given, str) else given
        for task_id, given in predictions.items()
    }
    for task_id, given in read.items():
        require(
            isinstance(given, Prediction),
            f"predictions[{task_id!r}]",
            "a text or Prediction",
            given,
        )
    return read


def gold_documents(question: Question) -> tuple[str, ...]:
    """Return the ids of the documents that the proofs name, each once, in proof order."""
    proofs: Sequence[tuple[Evidence, ...]] = question.proofs
    named = (document for proof in proofs for fact in proof for document, _ in fact.shown_by)
    return tuple(dict.fromkeys(named))


def with_absolute_paths(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return environment arguments whose file paths do not depend on the working directory."""
    paths = {
        name: os.path.abspath(value)
        for name, value in arguments.items()
        if name in PATH_ARGUMENTS and isinstance(value, str) and value not in CORPUS_CHOICES
    }
    return {**arguments, **paths}
