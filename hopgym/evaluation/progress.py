"""How a run stands: sums that each finished episode adds to.

In: finished trajectories, one at a time; none is kept. Out: counts, and a share with an interval
that costs nothing. The final figures come from `hopgym.evaluation`.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from hopgym.evaluation.bootstrap import wilson
from hopgym.evaluation.endings import ending_of
from hopgym.evaluation.tokens import tokens_in
from hopgym.trajectory import ERROR_REASONS, StopReason, Trajectory

HOPELESS = 20
"""A run whose first so many episodes all ended in an error of the policy is stopped."""


class Share(NamedTuple):
    """A share in [0, 1] with its 95% interval."""

    mean: float
    low: float
    high: float


@dataclass(slots=True)
class Standing:
    """Sums over finished episodes, taken in with `add`."""

    episodes: int = 0
    """All that ended, errors of the policy among them."""
    errors: int = 0
    """Those that ended in an error of the policy or its server."""
    unfit: int = 0
    """Those that ended with reason context before the first action: the prompt did not fit."""
    successes: int = 0
    reward: float = 0.0
    """Sum of the outcome rewards: of F1, or of exact matches where the environment pays them."""
    generated: int = 0
    """Tokens that the policy wrote, as its completions tell; 0 where they do not."""
    prompted: int = 0
    """Tokens that it was given to continue, summed over its calls."""
    reasons: Counter[str] = field(default_factory=Counter)
    """Episodes by why they ended so, in the words of `hopgym.evaluation.endings.ENDINGS`."""
    first_error: str = ""
    """Task and message of the first episode that ended in an error; empty where none did."""

    def add(self, trajectory: Trajectory) -> None:
        """Take in a finished trajectory."""
        self.episodes += 1
        self.reasons[ending_of(trajectory).name] += 1
        generated, prompted = tokens_in(trajectory)
        self.generated += generated
        self.prompted += prompted
        if trajectory.reason in ERROR_REASONS:
            self.errors += 1
            self.first_error = self.first_error or error_of(trajectory)
            return
        self.unfit += trajectory.reason is StopReason.CONTEXT and not trajectory.steps
        self.successes += trajectory.is_success
        self.reward += trajectory.steps[-1].outcome_reward if trajectory.steps else 0.0

    @property
    def evaluated(self) -> int:
        """Episodes that did not end in an error."""
        return self.episodes - self.errors

    @property
    def success(self) -> Share | None:
        """The share of right answers; None before the first episode."""
        if not self.evaluated:
            return None
        mean = self.successes / self.evaluated
        return Share(mean, *wilson(mean, self.evaluated))


def error_of(trajectory: Trajectory) -> str:
    """Return the task and the message of an episode that ended in an error; empty for others."""
    if trajectory.reason not in ERROR_REASONS:
        return ""
    return f"task {trajectory.task_id}: {' '.join(trajectory.error.split())}"
