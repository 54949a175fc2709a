"""Rewards: what an action, or all actions of an episode together, are worth to a learner.

In: episodes whose steps carry their exact verdicts. Out: a number for each chosen part, by names
that a user weighs. The same names serve every method: reinforcement learning takes the numbers,
supervised learning the actions whose number is above 0.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hopgym.errors import ArgumentError, HopgymError
from hopgym.trajectory import Step, Trajectory
from hopgym.verdicts import GOOD_VERDICTS, Verdict
from hopgym_agents.generate import Generator
from hopgym_agents.judging.judge import Rating, judge_steps
from hopgym_agents.prompts import PLAIN, Style

JUDGE = "judge"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


REWARDS: Mapping[str, Callable[[Sequence[Step], Sequence[bool], Sequence[Step]], float]] = {
    "one": lambda own, good, whole: 1.0,
    "good": lambda own, good, whole: _mean([float(each) for each in good]),
    "process": lambda own, good, whole: sum(step.process_reward for step in own),
    "outcome": lambda own, good, whole: sum(step.outcome_reward for step in whole),
    "format": lambda own, good, whole: _mean([step.verdict != Verdict.MALFORMED for step in own]),
}
"""All in [0, 1], from the actions to be rewarded, which of them count as GOOD, and all steps of the
episode so far. ``one``: 1. ``good``: the share of GOOD actions. ``process``: the sum of their
process rewards. ``outcome``: what the answer earned, if there is one. ``format``: the share of
well-formed actions, the control that pays for nothing else."""
NAMES = (*REWARDS, JUDGE)
"""``judge`` is the share of the actions that a model calls GOOD."""


@dataclass(frozen=True, slots=True)
class Part:
    """What is rewarded: some actions of an episode."""

    episode: Trajectory
    own: tuple[int, ...]
    """Positions of the actions, at least one."""


@dataclass(frozen=True, slots=True)
class Rewards:
    """Named rewards, weighed."""

    weights: Mapping[str, float]
    """By names of `NAMES`."""
    flip: float = 0.0
    """Share of verdicts turned around in ``good``."""
    seed: int = 0
    """Of which ones."""
    judge: Generator | None = None
    """The model behind ``judge``."""
    style: Style = field(default=PLAIN)
    """How a judge is shown the conversation."""

    def values(self, parts: Sequence[Part]) -> dict[str, list[float]]:
        """Return the rewards of each part by name, not weighed; each in [0, 1].

        Raises:
            HopgymError: When the judge could not answer.
        """
        found: dict[str, list[float]] = {}
        for name in self.weights:
            found[name] = (
                self._judged(parts)
                if name == JUDGE
                else [self._exact(REWARDS[name], part) for part in parts]
            )
        return found

    def totals(self, parts: Sequence[Part]) -> list[float]:
        """Return the weighed sum of each part's rewards."""
        values = self.values(parts)
        return [
            sum(weight * values[name][number] for name, weight in self.weights.items())
            for number in range(len(parts))
        ]

    def _exact(self, reward: Callable[..., float], part: Part) -> float:
        steps = part.episode.steps
        good = [self._is_good(part.episode, position) for position in part.own]
        return float(reward([steps[position] for position in part.own], good, steps))

    def _is_good(self, episode: Trajectory, position: int) -> bool:
        good = episode.steps[position].verdict in GOOD_VERDICTS
        return good != (self.flip > 0 and _chance(self.seed, episode, position) < self.flip)

    def _judged(self, parts: Sequence[Part]) -> list[float]:
        if self.judge is None:
            raise ArgumentError(f"the reward {JUDGE} needs a model, got none; give its options")
        prefixes = [part.episode.prefix(at + 1) for part in parts for at in part.own]
        marks: dict[Any, bool] = {}
        unique = {_state(each): each for each in prefixes}
        asked = [(key, each) for key, each in unique.items()]
        # One judgement for the same action in the same state; a judge's words come in any order.
        numbered = [_numbered(each, number) for number, (_, each) in enumerate(asked)]
        for said in judge_steps(self.judge, numbered, style=self.style):
            if said.error:
                raise HopgymError(f"expected the judge's word on an action, got {said.error}")
            marks[asked[said.sample][0]] = said.rating == Rating.GOOD
        return [
            _mean([float(marks[_state(part.episode.prefix(at + 1))]) for at in part.own])
            for part in parts
        ]


def _numbered(prefix: Trajectory, number: int) -> Trajectory:
    from dataclasses import replace

    return replace(prefix, sample=number)


def _state(prefix: Trajectory) -> tuple[str, ...]:
    return prefix.task_id, *(step.text for step in prefix.steps)


def _chance(seed: int, episode: Trajectory, position: int) -> float:
    """Return a number in [0, 1) that belongs to an action in its state."""
    texts = [step.text for step in episode.steps[: position + 1]]
    written = json.dumps([seed, episode.env_id, episode.task_id, texts])
    return int.from_bytes(hashlib.sha256(written.encode()).digest()[:7], "big") / 2**56
