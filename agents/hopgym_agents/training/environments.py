"""Playing: on which tasks a run acts itself, and on which held-out ones it is evaluated.

In: words and numbers of a user. Out: environments, made and checked before any training.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Annotated, Any

from msgspec import Meta

from hopgym.env import HopEnv
from hopgym.errors import ArgumentError, require
from hopgym.registry.lookup import make, resolve_id

_FromZero = Annotated[int, Meta(ge=0)]
_FromOne = Annotated[int, Meta(ge=1)]
_COMPARED = 200
"""Tasks of each side that are compared: a budget of steps does not make others."""
_OWN_SPLITS = "hopgym/People"
"""Ids whose split ``dev`` holds other worlds than ``train``, without any file."""


@dataclass(frozen=True, slots=True)
class Play:
    """What a run plays itself. Methods that learn from a file alone use it to be evaluated."""

    env: str = ""
    """Id of the environment; that of ``run`` where it is empty."""
    kwargs: dict[str, Any] = field(default_factory=dict)
    """Its arguments; behind those of ``run`` where ``env`` is empty."""
    tasks: _FromOne | None = None
    """How many of its tasks are learnt from, the first ones, again and again; None: all."""
    samples: _FromOne = 1
    """Episodes of a task each time that it is played (``filtered``, and the rounds of
    ``stepwise``; in ``trajectory`` that is trl.num_generations)."""
    temperature: Annotated[float, Meta(gt=0)] = 1.0
    """At which actions are drawn while the model learns; held-out tasks are played greedily."""
    max_tokens: _FromOne = 64
    """Most tokens of an action."""
    round: _FromZero = 64
    """``stepwise``: tasks that are played anew for states at the begin of a round; 0 takes the
    states of ``run`` alone, as SWiRL does."""
    flip: Annotated[float, Meta(ge=0, le=1)] = 0.0
    """Share of the verdicts behind the reward ``good`` that are turned around, each for good:
    the same action in the same state is always judged the same."""
    dev: _FromZero = 0
    """How many held-out tasks are played, greedily, to follow success; 0: none."""
    dev_kwargs: dict[str, Any] = field(default_factory=dict)
    """Arguments that are others for them; ``{"split": "dev"}`` for worlds of people."""
    every: _FromOne = 5_000
    """Tokens between two evaluations: generated ones, or where none are, those with a loss."""
    chat_settings: dict[str, Any] = field(default_factory=dict)
    """Further arguments of the model's chat template, such as ``{"enable_thinking": False}``; what
    is trained is to be played with the same (``--llm.chat_settings``)."""
    judge: dict[str, Any] = field(default_factory=dict)
    """Options of the model behind the reward ``judge``, as for ``hopgym judge``."""


def acting_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return those options of the policy ``llm`` that a model was trained with.

    Args:
        options: Of the training run, as plain JSON.
    """
    style = options.get("style", "plain")
    settings = options.get("play", {}).get("chat_settings")
    return ({"style": style} if style != "plain" else {}) | (
        {"chat_settings": settings} if settings else {}
    )


def train_env(play: Play, env_id: str = "", env_kwargs: Mapping[str, Any] | None = None) -> HopEnv:
    """Return the environment that is learnt in.

    Args:
        play: The options.
        env_id: That of the run learnt from, where there is one.
        env_kwargs: Its arguments.

    Raises:
        ArgumentError: When there is no such environment, or it has fewer tasks.
    """
    name, kwargs = _named(play, env_id, env_kwargs)
    env = make(name, kwargs)
    fits = play.tasks is None or play.tasks <= len(env.source)
    require(fits, "play.tasks", f"at most {len(env.source):,} with these arguments", play.tasks)
    return env


def dev_env(play: Play, env_id: str = "", env_kwargs: Mapping[str, Any] | None = None) -> HopEnv:
    """Return the environment of the held-out tasks.

    Raises:
        ArgumentError: When there is no such environment, or it has fewer tasks.
    """
    name, kwargs = _named(play, env_id, env_kwargs)
    env = make(name, {**kwargs, **(play.dev_kwargs or dev_arguments(name))})
    fits = play.dev <= len(env.source)
    require(fits, "play.dev", f"at most {len(env.source):,} with these arguments", play.dev)
    return env


def check_held_out(
    play: Play,
    env_id: str = "",
    env_kwargs: Mapping[str, Any] | None = None,
    source: str = "",
) -> None:
    """Raise an `ArgumentError` where held-out tasks are wanted that cannot be had.

    Args:
        play: The options.
        env_id: That of the run learnt from, where there is one.
        env_kwargs: Its arguments.
        source: Fingerprint of its tasks.

    Raises:
        ArgumentError: As `dev_env` does, and when one of the first held-out tasks is among the
            first that are learnt from.
    """
    if not play.dev:
        return
    name, kwargs = _named(play, env_id, env_kwargs)
    held_out = dev_env(play, env_id, env_kwargs)
    dev = _questions(held_out, play.dev)
    shared = dev & _questions(make(name, kwargs), play.tasks)
    if shared or source == held_out.source.fingerprint:
        raise ArgumentError(
            f"play.dev_kwargs must name other tasks than those learnt from, got {len(shared):,} of "
            f"the {len(dev):,} compared that are the same, for {name}; give a split or a file of "
            "its own, or --dev 0"
        )


def _questions(env: HopEnv, count: int | None) -> set[tuple[str, str]]:
    """Return what tells the first tasks of an environment from those of another."""
    there = len(env.source)
    tasks = (env.source[at] for at in range(min(_COMPARED, there, count or there)))
    return {(task.question.id, task.question.text) for task in tasks}


def dev_arguments(env_id: str) -> dict[str, Any]:
    """Return the arguments that give an id's held-out tasks; empty where a user has to say."""
    return {"split": "dev"} if env_id.startswith(_OWN_SPLITS) else {}


def _named(
    play: Play, env_id: str, env_kwargs: Mapping[str, Any] | None
) -> tuple[str, dict[str, Any]]:
    if play.env:
        return resolve_id(play.env), dict(play.kwargs)
    require(bool(env_id), "play.env", "given (--env ID), where no --run names one", play.env)
    return env_id, {**(env_kwargs or {}), **play.kwargs}


def world_of(env_id: str, task_id: str) -> str:
    """Return what tells a task's world from others of the same environment.

    The tasks of worlds that rules make are called ``.../world/slot``; any other task has a corpus
    or a question of its own and counts as a world.
    """
    made, _, slot = task_id.rpartition("/")
    return made if slot.isdigit() and env_id.startswith(_OWN_SPLITS) else task_id


class Worlds:
    """Counts the worlds behind the tasks seen so far; a source holds those of a world together.

    Args:
        env: Where the tasks are.
        seen: How many of its first tasks have been seen.
        known: Worlds that have been counted already, and are not again.
    """

    def __init__(self, env: HopEnv, seen: int = 0, known: Collection[str] = ()) -> None:
        self._known = known
        self._source = env.source
        self._id = env.spec.id if env.spec else ""
        self.seen = seen

    def new(self, until: int) -> int:
        """Return how many worlds the tasks before an index bring that were not seen before."""
        first = max(self.seen - 1, 0)
        ids = [self._source[index].question.id for index in range(first, until)]
        worlds = [world_of(self._id, each) for each in ids]
        new = [other for one, other in pairwise(worlds) if one != other]
        if until > self.seen == 0:
            new.append(worlds[0])
        self.seen = max(self.seen, until)
        return sum(each not in self._known for each in new)
