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
"""Arguments of sources that are file paths."""
CORPUS_CHOICES = ("record", "split")
"""Values of the argument ``corpus`` that are not paths."""

EvidenceSource = Literal["exact", "annotated", "heuristic", "none"]


@dataclass(frozen=True, slots=True)
class Hop:
    """One relation followed on the gold path."""

    text: str
    """The question of this hop in words."""
    answers: tuple[str, ...]
    """The intermediate answers of this hop; may be empty."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A fact on the gold path, and the sentences or call that show it."""

    fact: str
    """The fact in words."""
    shown_by: tuple[tuple[str, int | None], ...]
    """(document id, 0-based sentence index) pairs, each of which shows the fact. With the index
    None, all sentences of that page together show it. Empty if only ``call`` shows the fact."""
    call: tuple[str, str] | None = None
    """The (tool, argument) that shows the fact if no title of its documents is known."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question with its answers and the evidence for them."""

    id: str
    text: str
    answers: tuple[str, ...]
    """All expected answers for ``answer_kind="set"``, otherwise aliases of the answer."""
    answer_kind: AnswerKind
    hops: tuple[Hop, ...] = ()
    kind: str = ""
    """The kind of question: ``chain``, ``comparison``, or a type of the benchmark."""
    proofs: tuple[tuple[Evidence, ...], ...] = ()
    """1 to 8 alternative sets of sufficient evidence; empty if the evidence is unknown."""
    source: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Plain JSON values."""
    support: str = ""
    """The annotated support as an answer names it: ``title#sentence index``, separated by ``|``."""

    @property
    def hop_count(self) -> int:
        """Number of hops, which may be known without the hops themselves; 0 if unknown."""
        return len(self.hops) or int(self.metadata.get("hops", 0))

    def __post_init__(self) -> None:
        if len(self.text) > MAX_QUESTION_CHARS or len(self.proofs) > MAX_PROOFS:
            raise DataError(
                f"question {self.id!r}: expected at most {MAX_QUESTION_CHARS} characters and "
                f"{MAX_PROOFS} proofs, got {len(self.text)} and {len(self.proofs)}"
            )


class CallRule(Protocol):
    """Decides which evidence calls show, if that depends on more than the text of one call.

    Rules are immutable, hashable and picklable; each call returns a new rule.
    """

    @property
    def held(self) -> Collection[Evidence]:
        """All evidence shown by the calls so far."""

    def after(self, call: tuple[str, str], /) -> "CallRule":
        """Return the rule after one more (tool, argument); evidence is never lost."""


@dataclass(frozen=True, slots=True)
class Task:
    """A question with its corpus."""

    question: Question
    corpus: Corpus
    context: tuple[Document, ...] | None = None
    """Pages of the question for a ``one_turn`` prompt, those of the proof first; None samples them
    from the corpus."""
    rule: CallRule | None = None
    """The rule before the first call, for evidence that no page shows; None if each such evidence
    is shown by its ``call`` only."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """The result of an attempt at a task, as official scorers need it."""

    answer: str | None
    """None if there was no answer."""
    shown_sentences: tuple[tuple[str, int], ...] | None = None
    """(document id, 0-based sentence index) pairs of the task's corpus that were shown in full;
    None if that is unknown or nothing could be shown."""
    support: str = ""
    """The support that the answer named, as written; empty if it named none."""


class TaskSource(ABC):
    """An indexable collection of tasks; ``source[i]`` only depends on the arguments and i.

    A subclass defines ``name``, ``__len__``, ``__getitem__``, ``index_of`` and ``fingerprint``;
    everything else has a default. Sources are read-only and can be shared by environments.
    """

    name: ClassVar[str]
    tools: ClassVar[tuple[str, ...]] = ("search", "lookup", "answer")
    """Names of the tools for the tasks."""
    evidence_source: ClassVar[EvidenceSource] = "annotated"
    """How reliable verdicts are: exact, annotated, heuristic, none."""
    partial_credit: ClassVar[bool] = True
    """Whether a text answer earns token F1."""
    has_script: ClassVar[bool] = False
    """Whether `official` follows a benchmark's script instead of averaging `score`."""
    support_asked: ClassVar[str] = ""
    """Request for the support in a prompt; empty if support is not scored."""
    support_example: ClassVar[str] = "title#0 | title#2"
    names_sentences: ClassVar[bool] = False
    """Whether support refers to sentences, so that prompts that ask for it number them."""
    percent: ClassVar[bool] = False
    """Whether `printed` returns percentages."""
    notes: str = ""
    """Notes on pages and answers for the prompt, as full sentences."""
    answer_notes: str = ""
    """Notes for prompts without pages (``closed_book``)."""
    max_steps: int | None = None
    """Default step budget of this source; None uses the package's default."""

    @classmethod
    def argument_names(cls) -> tuple[str, ...]:
        """Return the names of the arguments of `from_arguments`; by default the constructor's."""
        return tuple(inspect.signature(cls).parameters)

    @classmethod
    def from_arguments(cls, **arguments: Any) -> "TaskSource":
        """Return the source with the given arguments, which are plain JSON values."""
        return cls(**arguments)

    @classmethod
    def arguments_within(cls, max_steps: int, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return arguments for tasks that the oracle can solve within a step budget.

        By default the arguments are returned unchanged.

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
        """Return the task at an index in [0, len); raise `IndexError` outside it."""

    @abstractmethod
    def index_of(self, task_id: str) -> int:
        """Return the index of a task id; raise `ArgumentError` if it is unknown."""

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """Hex digest of everything that decides the tasks: arguments and file contents."""

    def score(self, task: Task, answer: str) -> Score:
        """Return exact match and F1 of an answer, as the source defines them."""
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
            predictions: Answers or `Prediction`s.
            gold: Ids of the tasks to average over; tasks without a prediction or an answer score 0.
                None averages over the predicted tasks, and on a benchmark over all tasks of the
                file, as its script does.

        Raises:
            ArgumentError: When there are no predictions, or a task id is unknown.
        """
        by_id = read_predictions(predictions)
        task_ids = by_id if gold is None else gold
        scores = [self._score_prediction(task_id, by_id.get(task_id)) for task_id in task_ids]
        return {
            "em": sum(s.em for s in scores) / len(scores),
            "f1": sum(s.f1 for s in scores) / len(scores),
        }

    def _score_prediction(self, task_id: str, prediction: Prediction | None) -> Score:
        task = self[self.index_of(task_id)]
        if prediction is None or prediction.answer is None:
            return Score(0.0, 0.0)
        return self.score(task, prediction.answer)

    @property
    def scoring(self) -> str:
        """Description of how the official metrics are computed."""
        return "the mean score of answers"

    @property
    def remarks(self) -> tuple[str, ...]:
        """Caveats of the data for readers of the results, as full sentences."""
        return ()

    @property
    def unjudged(self) -> int:
        """Number of tasks with unknown evidence, whose steps cannot be judged."""
        return 0

    def printed(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """Return official metrics in the unit and with the precision of the script."""
        return dict(metrics)

    def guess(self, task: Task) -> str:
        """Return the best answer that is possible without reading; by default ``unknown``."""
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
        """Return an index in [0, len) unchanged; raise `IndexError` outside it."""
        if not 0 <= index < len(self):
            raise IndexError(f"task index must be in [0, {len(self)}), got {index}")
        return index


def read_predictions(predictions: Mapping[str, str | Prediction]) -> dict[str, Prediction]:
    """Return predictions by task id, with plain answers converted to `Prediction`.

    Raises:
        ArgumentError: When there are none, or one is neither a string nor a `Prediction`.
    """
    if not predictions:
        raise ArgumentError("predictions must hold at least one answer, got none")
    by_id: dict[str, Prediction] = {}
    for task_id, value in predictions.items():
        prediction = Prediction(value) if isinstance(value, str) else value
        is_prediction = isinstance(prediction, Prediction)
        require(is_prediction, f"predictions[{task_id!r}]", "a text or Prediction", value)
        by_id[task_id] = prediction
    return by_id


def gold_documents(question: Question) -> tuple[str, ...]:
    """Return the ids of the documents in the proofs, each once, in the order of the proofs."""
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
