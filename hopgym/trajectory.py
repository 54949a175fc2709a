"""Trajectories: immutable records of episodes.

A prefix of a trajectory is a trajectory too. Policies act on prefixes, and
`hopgym.runs.trajectory_file` stores trajectories as JSON lines.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from hopgym.actions import Action
from hopgym.tasks import Task
from hopgym.verdicts import Knowledge, ShownContent, Verdict

ECHO_CHARS = 8_192
"""Maximum length of an action text in a transcript, in characters."""


class StopReason(StrEnum):
    """Why an episode ended."""

    RUNNING = ""
    """It has not ended."""
    ANSWER = "answer"
    """Terminated: an answer was given."""
    BUDGET = "budget"
    """Truncated: the step budget ran out."""
    MALFORMED = "malformed"
    """Truncated: too many malformed texts in a row."""
    CONTEXT = "context"
    """Truncated: the prefix no longer fit the policy's context."""
    AGENT_ERROR = "agent_error"
    """The policy raised an error; a resumed run plays the episode again."""
    API_ERROR = "api_error"
    """The policy's server failed; a resumed run plays the episode again."""


ERROR_REASONS = frozenset({StopReason.AGENT_ERROR, StopReason.API_ERROR})
"""Stop reasons of episodes that a resumed run plays again."""


@dataclass(frozen=True, slots=True)
class Completion:
    """A policy's reply, with what is known about its generation."""

    text: str
    token_ids: tuple[int, ...] = ()
    """The generated tokens; empty when unknown."""
    logprobs: tuple[float, ...] = ()
    """Natural-log probability of each token as sampled; empty when unknown."""
    generated_tokens: int = 0
    """Number of generated tokens; 0 when unknown."""
    finish_reason: str = ""
    """``stop``, ``length``, ``refused``, ``empty``, ``context``, or another value of the server."""
    error: str = ""
    """Why there is no reply; empty for a reply.

    With the finish reason ``context``, the server's message that the context is full, if any.
    """
    prompt_tokens: int = 0
    """Number of tokens in the prompt; 0 when unknown."""
    processed_tokens: int = 0
    """Tokens the model computed for this completion, prompt and generated, without those whose
    states were cached; 0 when unknown."""
    privileged: bool = False
    """Whether the step uses a title that was not shown, which only an oracle can know. Privileged
    steps never enter training data."""
    error_reason: StopReason = StopReason.RUNNING
    """AGENT_ERROR or API_ERROR when ``error`` is set; RUNNING for a reply."""


@dataclass(frozen=True, slots=True)
class Step:
    """One action of the agent and its result."""

    text: str
    """The agent's text up to the end of its call."""
    action: Action | None
    """The call; None if the text was malformed."""
    observation: str
    shown_content: ShownContent
    """What the observation shows of the corpus."""
    verdict: Verdict
    process_reward: float
    """In [0, 1]; the sum over an episode is at most 1, up to rounding."""
    outcome_reward: float
    """In [0, 1]; positive only for an answer."""
    potential: float
    """Potential after the step, in [0, 1]."""
    from_prefix: bool = False
    """Whether the step was replayed from the reset's prefix; such steps earn no reward."""
    completion: Completion | None = None
    rewards: Mapping[str, float] = field(default_factory=dict)
    """Further rewards of the turn by name, besides process and outcome reward."""


@dataclass(frozen=True, slots=True)
class Trajectory:
    """A running or finished episode."""

    env_id: str
    env_kwargs: Mapping[str, Any]
    task_id: str
    index: int
    """Index of the task in its source."""
    sample: int
    """Number of this attempt at the task, from 0."""
    question: str
    prompt: str
    """The observation of the reset, without a prefix."""
    dialect: str
    tools: tuple[str, ...]
    steps: tuple[Step, ...] = ()
    stop_reason: StopReason = StopReason.RUNNING
    error: str = ""
    """The error message for the error reasons; for CONTEXT the server's message, if any."""
    world: str = ""
    """Name of the task's world; tasks of one world share their pages."""
    oracle_steps: int = -1
    """The oracle's number of steps; -1 before the end, or if it is unknown."""
    is_success: bool = False

    @property
    def key(self) -> tuple[str, int]:
        """(task id, sample), which is unique in a run."""
        return self.task_id, self.sample

    @property
    def answer(self) -> str | None:
        """The answer, or None if there is none."""
        last = self.steps[-1].action if self.steps else None
        return last.argument if last is not None and last.tool == "answer" else None

    def prefix(self, length: int) -> "Trajectory":
        """Return the running trajectory after the first ``length`` steps."""
        return replace(
            self,
            steps=self.steps[:length],
            stop_reason=StopReason.RUNNING,
            error="",
            oracle_steps=-1,
            is_success=False,
        )


def transcript(prompt: str, steps: tuple[Step, ...] | list[Step]) -> str:
    """Return prompt, action texts and observations in order, joined into one text."""
    parts = [prompt]
    for step in steps:
        parts += (_shortened(step.text), step.observation)
    return "\n\n".join(parts)


def calls_of(steps: Iterable[Step]) -> list[tuple[Step, Action]]:
    """Return the steps with calls that did not fail, each with its call."""
    return [
        (step, step.action)
        for step in steps
        if step.action is not None and step.verdict is not Verdict.FAILED
    ]


def knowledge_after(task: Task, steps: Iterable[Step]) -> Knowledge:
    """Return the known evidence of a task after some steps, including those of a prefix."""
    knowledge = Knowledge(task)
    for step, action in calls_of(steps):
        knowledge.observe(step.shown_content, (action.tool, action.argument))
    return knowledge


def _shortened(text: str) -> str:
    if len(text) <= ECHO_CHARS:
        return text
    return f"{text[:ECHO_CHARS]}… [cut: {len(text) - ECHO_CHARS} more characters]"


def has_verdicts(trajectory: Trajectory) -> bool:
    """Return whether the verdicts of an episode can be trusted.

    They cannot where its evidence is unknown: there even repeated and malformed steps are the only
    ones with a verdict. An episode without tools has none.
    """
    return trajectory.tools != ("answer",) and not any(
        step.verdict is Verdict.UNJUDGED for step in trajectory.steps
    )
