"""Running totals of a run in progress: counts, and success with a cheap interval.

Trajectories are added one at a time and not retained. The final metrics come from
`hopgym.evaluation.evaluate`.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from hopgym.evaluation.bootstrap import wilson
from hopgym.evaluation.endings import ending_of
from hopgym.evaluation.tokens import tokens_in
from hopgym.trajectory import ERROR_REASONS, StopReason, Trajectory

MAX_LEADING_ERRORS = 20
"""A run is stopped if its first 20 episodes all end in an error of the policy."""


class Proportion(NamedTuple):
    """A proportion in [0, 1] with its 95% interval."""

    mean: float
    low: float
    high: float


@dataclass(slots=True)
class RunProgress:
    """Totals over the finished episodes of a run."""

    episodes: int = 0
    """All finished episodes, including errors."""
    errors: int = 0
    """Episodes that ended in an error of the policy or its server."""
    oversized: int = 0
    """Episodes that ended with reason ``context`` before the first step: the prompt did not fit."""
    successes: int = 0
    """Episodes with the right answer."""
    reward: float = 0.0
    """Sum of the outcome rewards: F1, or exact match if the environment is set to pay that."""
    generated: int = 0
    """Tokens written by the policy, as far as its completions report them."""
    prompted: int = 0
    """Prompt tokens, summed over all calls of the policy."""
    reasons: Counter[str] = field(default_factory=Counter)
    """Episodes by the name of their ending in `hopgym.evaluation.endings.ENDINGS`."""
    first_error: str = ""
    """Task and message of the first episode that ended in an error; empty if there is none."""

    def add(self, trajectory: Trajectory) -> None:
        """Add a finished trajectory."""
        self.episodes += 1
        self.reasons[ending_of(trajectory).name] += 1
        generated, prompted = tokens_in(trajectory)
        self.generated += generated
        self.prompted += prompted
        if trajectory.stop_reason in ERROR_REASONS:
            self.errors += 1
            self.first_error = self.first_error or error_of(trajectory)
            return
        self.oversized += trajectory.stop_reason is StopReason.CONTEXT and not trajectory.steps
        self.successes += trajectory.is_success
        self.reward += trajectory.steps[-1].outcome_reward if trajectory.steps else 0.0

    @property
    def evaluated(self) -> int:
        """Episodes that did not end in an error."""
        return self.episodes - self.errors

    @property
    def success(self) -> Proportion | None:
        """The proportion of right answers; None before the first evaluated episode."""
        if not self.evaluated:
            return None
        mean = self.successes / self.evaluated
        return Proportion(mean, *wilson(mean, self.evaluated))


def error_of(trajectory: Trajectory) -> str:
    """Return task and message of an episode that ended in an error; empty for other episodes."""
    if trajectory.stop_reason not in ERROR_REASONS:
        return ""
    return f"task {trajectory.task_id}: {' '.join(trajectory.error.split())}"
