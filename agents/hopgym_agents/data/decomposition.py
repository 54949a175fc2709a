"""Splits trajectories into sub-trajectories, and judges alternative actions in their states.

A trajectory of K actions becomes K sub-trajectories, each with the prefix that the action was
taken in, its verdict and its rewards (Goldie et al. 2025, arXiv 2504.04736, section 2.2).
`judge_actions` returns what the environment's verdict on any other action in such a state is.
"""

import copy
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import gymnasium

from hopgym.env import HopEnv
from hopgym.env.episode import Episode
from hopgym.errors import ArgumentError, DataError, require
from hopgym.scoring import Score
from hopgym.trajectory import ERROR_REASONS, Step, Trajectory
from hopgym.verdicts import GOOD_VERDICTS, Verdict
from hopgym.wrappers import hop_env

_CACHED_ENVIRONMENTS = 8


@dataclass(frozen=True, slots=True)
class State:
    """A point in an episode: its task and the actions up to it; plain JSON values."""

    env_id: str
    env_kwargs: Mapping[str, Any]
    index: int
    """Index of the task in its source."""
    prefix: tuple[str, ...] = ()
    """Texts of the actions so far."""
    task_id: str = ""
    """If set, `judge_actions` raises when the task at `index` has another id."""


@dataclass(frozen=True, slots=True)
class SubTrajectory:
    """One action of a trajectory together with everything before it."""

    prefix: Trajectory
    """The episode before the action; its ``steps`` are the state's history."""
    step: Step
    """The action, its verdict and its rewards."""
    is_success: bool
    """Whether the full episode ended with the right answer."""

    @property
    def state(self) -> State:
        """The state before the action, as `judge_actions` takes it."""
        prefix = self.prefix
        texts = tuple(step.text for step in prefix.steps)
        return State(prefix.env_id, prefix.env_kwargs, prefix.index, texts, prefix.task_id)

    @property
    def with_action(self) -> Trajectory:
        """The prefix with the action as its last step."""
        return replace(self.prefix, steps=(*self.prefix.steps, self.step))

    @property
    def is_good(self) -> bool:
        """Whether the verdict is one of `hopgym.verdicts.GOOD_VERDICTS`."""
        return self.step.verdict in GOOD_VERDICTS


@dataclass(frozen=True, slots=True)
class ActionOutcome:
    """The environment's verdict on an action in a state, and its rewards."""

    verdict: Verdict
    process_reward: float
    """In [0, 1]."""
    outcome_reward: float
    """In [0, 1]; above 0 only for an answer."""
    score: Score
    """Score of the answer; 0.0 for any other action."""

    @property
    def is_good(self) -> bool:
        """Whether the verdict is one of `hopgym.verdicts.GOOD_VERDICTS`."""
        return self.verdict in GOOD_VERDICTS


def decompose(trajectory: Trajectory) -> tuple[SubTrajectory, ...]:
    """Return one sub-trajectory for each action that the policy took, in order.

    Steps that must not be trained on are left out: those from the reset's prefix and those that
    used a title not shown to the agent (``privileged``). An episode that ended in an error of the
    policy has no sub-trajectories.
    """
    if trajectory.stop_reason in ERROR_REASONS:
        return ()
    return tuple(
        SubTrajectory(trajectory.prefix(number), step, trajectory.is_success)
        for number, step in enumerate(trajectory.steps)
        if not step.from_prefix and not is_privileged(step)
    )


def is_privileged(step: Step) -> bool:
    """Return whether a step used a title that had not been shown, as an oracle's may."""
    return step.completion is not None and step.completion.privileged


def judge_actions(
    states: Sequence[State], actions: Sequence[str], env: HopEnv | None = None
) -> list[ActionOutcome]:
    """Return the outcome of each action in the state at the same position.

    No model is involved: each state is replayed from its task and its texts, and the action is
    taken there. Environments are cached between calls by id and arguments. States of one task
    share the replay of their common prefix.

    Args:
        states: Where the actions are taken; a state may occur more than once.
        actions: Texts as an agent writes them; any string is allowed.
        env: The environment for states without an ``env_id``.

    Raises:
        ArgumentError: If the lengths differ, a state's prefix ends its episode, or its
            environment cannot be made.
        DataError: If a state's index now holds another task than its ``task_id``.
    """
    expected = f"{len(states)} texts, one for each state"
    require(len(states) == len(actions), "actions", expected, len(actions))
    outcomes: list[ActionOutcome | None] = [None] * len(states)
    for group_env, positions in _group_by_environment(states, env):
        for position, outcome in _judge_in(group_env, positions, states, actions):
            outcomes[position] = outcome
    return [outcome for outcome in outcomes if outcome is not None]


def _group_by_environment(
    states: Sequence[State], env: HopEnv | None
) -> Iterator[tuple[HopEnv, list[int]]]:
    """Yield each environment with the positions of its states."""
    groups: dict[tuple[str, str], list[int]] = {}
    # Most states of a call share one mapping object, which is then serialized only once.
    serialized: dict[int, str] = {}
    for position, state in enumerate(states):
        arguments = serialized.get(id(state.env_kwargs))
        if arguments is None:
            arguments = json.dumps(dict(state.env_kwargs), sort_keys=True)
            serialized[id(state.env_kwargs)] = arguments
        groups.setdefault((state.env_id, arguments), []).append(position)
    for (env_id, arguments), positions in groups.items():
        if env_id:
            yield _environment(env_id, arguments), positions
        elif env is not None:
            yield env, positions
        else:
            raise ArgumentError("env must be given for states without an env_id, got None")


@lru_cache(_CACHED_ENVIRONMENTS)
def _environment(env_id: str, arguments: str) -> HopEnv:
    return hop_env(gymnasium.make(env_id, **json.loads(arguments)))


def _judge_in(
    env: HopEnv, positions: Iterable[int], states: Sequence[State], actions: Sequence[str]
) -> Iterator[tuple[int, ActionOutcome]]:
    """Yield position and outcome of the actions whose states belong to one environment."""
    # The copy has its own episode over the shared source, so that threads can judge concurrently.
    env = copy.copy(env)
    env.render_mode = None
    replayer = _StateReplayer(env)
    outcomes: dict[str, ActionOutcome] = {}
    current: State | None = None
    # In this order every world is built once, and each state continues the replay of its prefixes.
    for position in sorted(positions, key=lambda i: (states[i].index, states[i].prefix)):
        state = states[position]
        if current is None or (state.index, state.prefix) != (current.index, current.prefix):
            current = state
            outcomes = {}
            episode = replayer.replay(state)
        _check_task(episode, state)
        action = actions[position]
        if action not in outcomes:
            outcomes[action] = _outcome(episode.copy(), action)
        yield position, outcomes[action]


class _StateReplayer:
    """Replays states in sorted order, continuing from the longest prefix replayed before."""

    def __init__(self, env: HopEnv) -> None:
        self._env = env
        self._index: int | None = None
        self._checkpoints: list[tuple[tuple[str, ...], Episode]] = []

    def replay(self, state: State) -> Episode:
        """Return the episode at a state; copy it before taking an action."""
        if state.index != self._index:
            self._env.reset(options={"index": state.index})
            self._index = state.index
            self._checkpoints = [((), self._env.snapshot().episode)]
        while self._checkpoints[-1][0] != state.prefix[: len(self._checkpoints[-1][0])]:
            self._checkpoints.pop()
        texts, episode = self._checkpoints[-1]
        if len(texts) < len(state.prefix):
            episode = episode.copy()
            episode.replay(state.prefix[len(texts) :])
            self._checkpoints.append((state.prefix, episode))
        return episode


def _outcome(episode: Episode, action: str) -> ActionOutcome:
    step = episode.take(action)
    return ActionOutcome(step.verdict, step.process_reward, step.outcome_reward, episode.score)


def _check_task(episode: Episode, state: State) -> None:
    task_id = episode.task.question.id
    if state.task_id not in ("", task_id):
        raise DataError(
            f"index {state.index} of {state.env_id or 'the environment'} must hold the task "
            f"{state.task_id!r}, got {task_id!r}; use the arguments, files and version of the run"
        )
