"""Rewards: what an action, or all actions of an episode, are worth to a learner.

The same named rewards serve every method. Reinforcement learning optimises their weighted sum;
imitation trains on the actions whose sum is above 0.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from hopgym.errors import ArgumentError, HopgymError
from hopgym.trajectory import Step, Trajectory
from hopgym.verdicts import GOOD_VERDICTS, Verdict
from hopgym_agents.generate import Generator
from hopgym_agents.judging.judge import Rating, judge_steps
from hopgym_agents.prompts import PLAIN, Style

JUDGE = "judge"
"""The share of actions that an LLM judge calls GOOD."""

ExactReward = Callable[[Sequence[Step], Sequence[bool], Sequence[Step]], float]
"""From the rewarded actions, which of them are GOOD, and all steps so far, to a value in [0, 1]."""


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


REWARDS: Mapping[str, ExactReward] = {
    "one": lambda actions, is_good, steps: 1.0,
    "good": lambda actions, is_good, steps: _mean([float(good) for good in is_good]),
    "process": lambda actions, is_good, steps: sum(step.process_reward for step in actions),
    "outcome": lambda actions, is_good, steps: sum(step.outcome_reward for step in steps),
    "format": lambda actions, is_good, steps: _mean(
        [step.verdict != Verdict.MALFORMED for step in actions]
    ),
}
"""The exact rewards by name.

``one``: always 1. ``good``: share of GOOD actions. ``process``: sum of the actions' process
rewards. ``outcome``: score of the answer, 0 without one. ``format``: share of well-formed actions;
a control that rewards nothing else.
"""
REWARD_NAMES = (*REWARDS, JUDGE)


@dataclass(frozen=True, slots=True)
class ActionGroup:
    """Some actions of an episode that are rewarded together."""

    episode: Trajectory
    positions: tuple[int, ...]
    """Positions of the actions among the steps, at least one."""


@dataclass(frozen=True, slots=True)
class Rewards:
    """A weighted sum of named rewards."""

    weights: Mapping[str, float]
    """Weights by the names in `REWARD_NAMES`."""
    flip: float = 0.0
    """Share of verdicts that ``good`` inverts, in [0, 1]."""
    seed: int = 0
    """Decides which verdicts are inverted."""
    judge: Generator | None = None
    """The model that ``judge`` asks."""
    style: Style = field(default=PLAIN)
    """How the judge sees the conversation."""

    def values(self, groups: Sequence[ActionGroup]) -> dict[str, list[float]]:
        """Return the unweighted rewards of each group by name, each in [0, 1].

        Raises:
            HopgymError: When the judge fails to answer.
        """
        return {
            name: self._judged(groups)
            if name == JUDGE
            else [self._exact(REWARDS[name], group) for group in groups]
            for name in self.weights
        }

    def totals(self, groups: Sequence[ActionGroup]) -> list[float]:
        """Return the weighted sum of each group's rewards."""
        values = self.values(groups)
        return [
            sum(weight * values[name][number] for name, weight in self.weights.items())
            for number in range(len(groups))
        ]

    def _exact(self, reward: ExactReward, group: ActionGroup) -> float:
        steps = group.episode.steps
        is_good = [self._is_good(group.episode, position) for position in group.positions]
        return float(reward([steps[position] for position in group.positions], is_good, steps))

    def _is_good(self, episode: Trajectory, position: int) -> bool:
        good = episode.steps[position].verdict in GOOD_VERDICTS
        return good != (self.flip > 0 and _chance(self.seed, episode, position) < self.flip)

    def _judged(self, groups: Sequence[ActionGroup]) -> list[float]:
        if self.judge is None:
            raise ArgumentError(f"the reward {JUDGE} needs a model, got none; give its options")
        # The same action in the same state is judged once; judgements arrive in any order.
        unique: dict[tuple[str, ...], Trajectory] = {}
        for group in groups:
            for position in group.positions:
                prefix = group.episode.prefix(position + 1)
                unique.setdefault(_state(prefix), prefix)
        states = list(unique)
        numbered = [replace(unique[state], sample=n) for n, state in enumerate(states)]
        good: dict[tuple[str, ...], bool] = {}
        for judgement in judge_steps(self.judge, numbered, style=self.style):
            if judgement.error:
                raise HopgymError(f"expected a judgement of an action, got {judgement.error}")
            good[states[judgement.sample]] = judgement.rating == Rating.GOOD
        return [
            _mean([float(good[_state(group.episode.prefix(at + 1))]) for at in group.positions])
            for group in groups
        ]


def _state(prefix: Trajectory) -> tuple[str, ...]:
    return prefix.task_id, *(step.text for step in prefix.steps)


def _chance(seed: int, episode: Trajectory, position: int) -> float:
    """Return a number in [0, 1) that depends on the seed, the state and the action alone."""
    texts = [step.text for step in episode.steps[: position + 1]]
    text = json.dumps([seed, episode.env_id, episode.task_id, texts])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big") / 2**56
