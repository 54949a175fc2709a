"""Decomposition: a trajectory of K actions as K sub-trajectories, and other actions in its states.

In: trajectories. Out: each action with the prefix it was taken in, its verdict and its rewards
(Goldie et al. 2025, arXiv 2504.04736, section 2.2); and of any other action in such a state what
the environment would have said to it.
"""

import copy
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from hopgym.env import HopEnv
from hopgym.env.episode import Episode
from hopgym.errors import ArgumentError, DataError, require
from hopgym.scoring import Score
from hopgym.trajectory import ERROR_REASONS, Step, Trajectory
from hopgym.verdicts import GOOD_VERDICTS, Verdict

_KEPT_ENVIRONMENTS = 8


@dataclass(frozen=True, slots=True)
class State:
    """A point of an episode, by what it takes to get there again; plain JSON values."""

    env_id: str
    env_kwargs: Mapping[str, Any]
    index: int
    """Of the task in its source."""
    prefix: tuple[str, ...] = ()
    """Texts of the actions so far."""
    task_id: str = ""
    """Checked where it is given: another task of that index is an error."""


@dataclass(frozen=True, slots=True)
class SubTrajectory:
    """One action of a trajectory, with all that stood before it."""

    prefix: Trajectory
    """The episode before the action; its ``steps`` are the state's history."""
    step: Step
    """The action and what came of it."""
    is_success: bool
    """Whether the whole episode ended with the right answer."""

    @property
    def state(self) -> State:
        """What it takes to judge another action in the place of this one."""
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
class Worth:
    """What an action is worth in a state, as the environment says it."""

    verdict: Verdict
    process_reward: float
    """In [0, 1]."""
    outcome_reward: float
    """In [0, 1]; above 0 only for an answer."""
    score: Score
    """Of the answer; 0.0 for any other action."""

    @property
    def is_good(self) -> bool:
        """Whether the verdict is one of `hopgym.verdicts.GOOD_VERDICTS`."""
        return self.verdict in GOOD_VERDICTS


def decompose(trajectory: Trajectory) -> tuple[SubTrajectory, ...]:
    """Return the sub-trajectories of an episode, one for each action of its policy, in order.

    Left out is what no learner may train on: steps that came with the reset's prefix, steps that
    used a title not shown (``privileged``), and episodes that ended in an error of the policy.
    """
    if trajectory.reason in ERROR_REASONS:
        return ()
    return tuple(
        SubTrajectory(trajectory.prefix(number), step, trajectory.is_success)
        for number, step in enumerate(trajectory.steps)
        if not step.given and not is_privileged(step)
    )


def is_privileged(step: Step) -> bool:
    """Return whether a step used a title that had not been shown, as an oracle's may."""
    return step.completion is not None and step.completion.finish_reason == "privileged"


def judge_actions(
    states: Sequence[State], actions: Sequence[str], env: HopEnv | None = None
) -> list[Worth]:
    """Return what each action is worth in the state of the same position.

    Nothing is left to a model: each state is come to again by its texts, from its own task, and
    the action is taken there. Environments are kept between calls, by id and arguments; states of
    one task share the way up to where they part.

    Args:
        states: Where the actions are taken; the same state may come often.
        actions: Texts, as an agent writes them; any string will do.
        env: Where to take them, for states without an ``env_id``; by default it is made anew.

    Raises:
        ArgumentError: On lengths that differ, a state whose prefix ends its episode, or whose
            environment cannot be made.
        DataError: When a state's index now holds another task than its ``task_id``.
    """
    expected = f"{len(states)} texts, one for each state"
    require(len(states) == len(actions), "actions", expected, len(actions))
    found: list[Worth | None] = [None] * len(states)
    for group_env, members in _by_environment(states, env):
        for position, worth in _judged(group_env, members, states, actions):
            found[position] = worth
    return [worth for worth in found if worth is not None]


def _by_environment(
    states: Sequence[State], env: HopEnv | None
) -> Iterator[tuple[HopEnv, list[int]]]:
    """Yield each environment with the positions of its states."""
    groups: dict[tuple[str, str], list[int]] = {}
    # Most states of a call share one mapping: it need not be written out for each of them.
    written: dict[int, str] = {}
    for position, state in enumerate(states):
        arguments = written.get(id(state.env_kwargs))
        if arguments is None:
            arguments = json.dumps(dict(state.env_kwargs), sort_keys=True)
            written[id(state.env_kwargs)] = arguments
        groups.setdefault((state.env_id, arguments), []).append(position)
    for (env_id, arguments), members in groups.items():
        if env_id:
            yield _environment(env_id, arguments), members
        elif env is not None:
            yield env, members
        else:
            raise ArgumentError("env must be given for states without an env_id, got None")


@lru_cache(_KEPT_ENVIRONMENTS)
def _environment(env_id: str, arguments: str) -> HopEnv:
    import gymnasium

    from hopgym.wrappers import hop_env

    return hop_env(gymnasium.make(env_id, **json.loads(arguments)))


def _judged(
    env: HopEnv, members: Iterable[int], states: Sequence[State], actions: Sequence[str]
) -> Iterator[tuple[int, Worth]]:
    """Yield position and worth of the actions in states of one environment."""
    # An episode of one's own over the shared source: threads may judge at the same time.
    env = copy.copy(env)
    env.render_mode = None
    path = _Path(env)
    known: dict[str, Worth] = {}
    here: State | None = None
    # In this order every world is made once, and every state follows those it goes on from.
    for position in sorted(members, key=lambda i: (states[i].index, states[i].prefix)):
        state = states[position]
        if here is None or (state.index, state.prefix) != (here.index, here.prefix):
            here, known, episode = state, {}, path.to(state)
        _check_task(episode, state)
        action = actions[position]
        if action not in known:
            known[action] = _worth(episode.copy(), action)
        yield position, known[action]


class _Path:
    """The way to a state, kept to go on from for the states behind it.

    Args:
        env: Where it leads through.
    """

    def __init__(self, env: HopEnv) -> None:
        self._env = env
        self._index: int | None = None
        self._points: list[tuple[tuple[str, ...], Episode]] = []

    def to(self, state: State) -> Episode:
        """Return the episode at a state; it is to be copied before anything is taken in it."""
        if state.index != self._index:
            self._env.reset(options={"index": state.index})
            self._index, self._points = state.index, [((), self._env.snapshot().episode)]
        while self._points[-1][0] != state.prefix[: len(self._points[-1][0])]:
            self._points.pop()
        texts, episode = self._points[-1]
        if len(texts) < len(state.prefix):
            episode = episode.copy()
            episode.replay(state.prefix[len(texts) :])
            self._points.append((state.prefix, episode))
        return episode


def _worth(episode: Episode, action: str) -> Worth:
    taken = episode.take(action)
    return Worth(taken.verdict, taken.process_reward, taken.outcome_reward, episode.score)


def _check_task(episode: Episode, state: State) -> None:
    task_id = episode.task.question.id
    if state.task_id not in ("", task_id):
        raise DataError(
            f"index {state.index} of {state.env_id or 'the environment'} must hold the task "
            f"{state.task_id!r}, got {task_id!r}; use the arguments, files and version of the run"
        )
