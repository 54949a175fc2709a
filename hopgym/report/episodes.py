"""What a report shows of one episode: question, answers, proof, and every step.

In: a finished trajectory and its task. Out: frozen views of plain texts. Nothing here is escaped;
`hopgym.report.wording.safe_json` and the page's script do that to every text alike.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from hopgym.evaluation.endings import ending_of
from hopgym.evaluation.tokens import tokens_in
from hopgym.report.marks import EvidenceSentences, Piece, cut
from hopgym.report.proof import FactView, facts_of
from hopgym.report.table import ABSENT
from hopgym.report.wording import counted, hops_words, shortened
from hopgym.tasks import Task, TaskSource
from hopgym.trajectory import Completion, Step, StopReason, Trajectory
from hopgym.verdicts import Verdict

_MOST_ANSWERS = 50
_KIND_UNKNOWN = "kind unknown"


@dataclass(frozen=True, slots=True)
class Labels:
    """What episodes are filtered by."""

    run: str
    hops: str
    """In words; empty while it has not been looked up."""
    kind: str
    """Of the question; empty while it has not been looked up."""
    reason: str
    """How it ended, by name."""
    verdicts: tuple[str, ...]
    """Of its steps, each once."""


@dataclass(frozen=True, slots=True)
class Head:
    """What the list shows of an episode."""

    key: str
    """Names it in a link: run, task and sample, percent-encoded."""
    labels: Labels
    tone: str
    """Of its ending."""
    question: str
    length: str
    """Steps, the oracle's steps and regret, in words."""
    attempt: str
    """In words, from the second on; empty for the first."""


@dataclass(frozen=True, slots=True)
class AnswersView:
    """Answers to be written one after the other."""

    shown: tuple[str, ...]
    joint: str
    """What stands between them."""
    more: int
    """How many were left out."""

    @classmethod
    def of(cls, answers: Sequence[str], joint: str) -> "AnswersView":
        """Return the view of answers that may be long or many."""
        shown = tuple(shortened(each) for each in answers[:_MOST_ANSWERS])
        return cls(shown, joint, len(answers) - len(shown))


@dataclass(frozen=True, slots=True)
class HopView:
    """One hop of the gold path."""

    text: str
    answers: AnswersView


@dataclass(frozen=True, slots=True)
class StepView:
    """One step."""

    verdict: str
    notes: tuple[str, ...]
    """Such as ``given``, ``privileged``, and its tokens."""
    thought: str
    tool: str
    """Empty for a text without a call."""
    argument: str
    """Of the call; the whole text where there is none."""
    observation: tuple[Piece, ...]
    """Empty for an answer, which gets none worth reading."""
    reward: str
    """The process reward of a tool step, the outcome reward of an answer, in words."""
    potential: float | None
    """In [0, 1], two decimals; None where the evidence is unknown."""
    rose: bool
    """Whether the step raised it."""


@dataclass(frozen=True, slots=True)
class EpisodeView:
    """One episode."""

    head: Head
    task: str
    """Id of its task, and its sample where it is not the first."""
    meaning: str
    """Of its ending."""
    tokens: str
    """In words; empty where none are known."""
    wanted: AnswersView
    given: str | None
    f1: str
    hops: tuple[HopView, ...]
    facts: tuple[FactView, ...]
    """Of the proof that the agent came closest to."""
    proofs: int
    """How many alternative proofs there are."""
    steps: tuple[StepView, ...]
    error: str


def key_of(run: str, trajectory: Trajectory) -> str:
    """Return what names an episode in a link."""
    parts = (run, trajectory.task_id, str(trajectory.sample))
    return "/".join(quote(part, safe="", errors="replace") for part in parts)


def task_labels(task: Task) -> tuple[str, str]:
    """Return the hops and the kind of a task in words."""
    return hops_words(task.question.hop_count), task.question.kind or _KIND_UNKNOWN


def head_of(run: str, trajectory: Trajectory, of_task: tuple[str, str]) -> Head:
    """Return what the list shows of a finished trajectory.

    Args:
        run: Name of its run.
        trajectory: The record.
        of_task: What `task_labels` gives, or two empty texts.
    """
    ending = ending_of(trajectory)
    verdicts = tuple(dict.fromkeys(step.verdict.value for step in trajectory.steps))
    labels = Labels(run, *of_task, ending.name, verdicts)
    question, length = shortened(trajectory.question), _length(trajectory)
    attempt = f"attempt {trajectory.sample + 1}" if trajectory.sample else ""
    return Head(key_of(run, trajectory), labels, ending.tone, question, length, attempt)


def episode_view(run: str, trajectory: Trajectory, source: TaskSource, room: int) -> EpisodeView:
    """Return what is shown of a finished trajectory.

    Args:
        run: Name of its run.
        trajectory: A record of the source.
        source: Where its task comes from.
        room: Characters of each action and each observation to keep; evidence is kept beyond.
    """
    task = source[trajectory.index]
    question, answer = task.question, trajectory.answer
    judged = bool(question.proofs) and trajectory.tools != ("answer",)
    evidence = EvidenceSentences(task)
    sample = f", sample {trajectory.sample}" if trajectory.sample else ""
    return EpisodeView(
        head=head_of(run, trajectory, task_labels(task)),
        task=trajectory.task_id + sample,
        meaning=ending_of(trajectory).meaning + _cut_off(trajectory),
        tokens=_token_words(*tokens_in(trajectory)),
        wanted=AnswersView.of(question.answers, "; " if question.answer_kind == "set" else " or "),
        given=None if answer is None else shortened(answer),
        f1="0.00" if answer is None else f"{source.score(task, answer).f1:.2f}",
        hops=tuple(
            HopView(shortened(hop.text), AnswersView.of(hop.answers, ", ")) for hop in question.hops
        ),
        facts=facts_of(task, trajectory.steps) if judged else (),
        proofs=len(question.proofs),
        steps=tuple(
            _step_view(step, judged, evidence.pieces(step), room) for step in trajectory.steps
        ),
        error=shortened(trajectory.error),
    )


def _cut_off(trajectory: Trajectory) -> str:
    """Return the hint that an episode's texts were malformed for want of tokens, where so."""
    if trajectory.reason is not StopReason.MALFORMED:
        return ""
    unread = (step.completion for step in trajectory.steps if step.action is None)
    cut_off = any(each is not None and each.finish_reason == "length" for each in unread)
    return "; cut off at max_tokens" if cut_off else ""


def _length(trajectory: Trajectory) -> str:
    steps, oracle = len(trajectory.steps), trajectory.oracle_steps
    if oracle <= 0:
        return f"{counted(steps, 'step')}, oracle {ABSENT}"
    return f"{counted(steps, 'step')}, oracle {oracle}, regret {max(0, steps - oracle)}"


def _step_view(step: Step, judged: bool, observation: Sequence[Piece], room: int) -> StepView:
    action = step.action
    answers = action is not None and action.tool == "answer"
    named = ("outcome", step.outcome_reward) if answers else ("process", step.process_reward)
    return StepView(
        verdict=step.verdict.value,
        notes=(*(["given"] if step.given else []), *_completion_notes(step.completion)),
        thought=shortened(action.thought, room) if action else "",
        tool=action.tool if action else "",
        argument=shortened(_written(step), room),
        observation=() if answers else cut(observation, room),
        reward=f"{named[0]} {named[1]:.2f}" if judged or answers else "",
        potential=round(step.potential, 2) if judged else None,
        rose=step.verdict in (Verdict.GOOD, Verdict.LEAD),
    )


def _written(step: Step) -> str:
    """Return a call's argument with what else it names; the whole text where there is no call."""
    action = step.action
    if action is None:
        return step.text
    page = f" #{action.page}" if action.page != 1 else ""
    return action.argument + page + (f" [support: {action.support}]" if action.support else "")


def _completion_notes(completion: Completion | None) -> list[str]:
    if completion is None:
        return []
    finish = completion.finish_reason
    told = f"finish: {shortened(finish, 100)}" if finish not in ("", "stop") else ""
    tokens = _token_words(completion.n_tokens, completion.prompt_tokens)
    return [note for note in (told, tokens) if note]


def _token_words(generated: int, prompt: int) -> str:
    """Return tokens in words; empty where none are known."""
    told = [counted(generated, "token")] if generated else []
    return " after ".join([*told, f"{prompt:,} of prompt"] if prompt else told)
