"""Environments of a run: the tasks it trains on, and the held-out ones it is evaluated on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from msgspec import Meta

from hopgym.env import HopEnv
from hopgym.errors import ArgumentError, require
from hopgym.registry.lookup import make, resolve_id
from hopgym.tasks import TaskSource

if TYPE_CHECKING:
    from hopgym_agents.training.actor import Actor

_FromZero = Annotated[int, Meta(ge=0)]
_FromOne = Annotated[int, Meta(ge=1)]
_COMPARED_TASKS = 200
"""How many first tasks of each side `check_held_out` compares."""
_GREEDY_SEED = 0


@dataclass(frozen=True, slots=True)
class PlaySettings:
    """What a run plays itself. Methods that learn from a file use it for evaluations alone."""

    env: str = ""
    """Id of the environment; that of the run learned from when empty."""
    kwargs: dict[str, Any] = field(default_factory=dict)
    """Arguments of the environment; merged into those of the run learned from when env is empty."""
    tasks: _FromOne | None = None
    """Number of tasks trained on, the first ones, again and again; all by default."""
    samples: _FromOne = 1
    """Episodes per task each time it is played (expert_iteration, and the rounds of stepwise)."""
    temperature: Annotated[float, Meta(gt=0)] = 1.0
    """Sampling temperature during training; held-out tasks are played greedily."""
    max_tokens: _FromOne = 64
    """Most tokens of an action."""
    round: _FromZero = 64
    """Tasks played per round for the states of stepwise; 0 uses the states of the run alone."""
    flip: Annotated[float, Meta(ge=0, le=1)] = 0.0
    """Share of the verdicts of the reward good that are inverted, always the same ones."""
    dev: _FromZero = 0
    """Number of held-out tasks played to follow success; 0 for none."""
    dev_kwargs: dict[str, Any] = field(default_factory=dict)
    """Arguments that differ for held-out tasks; by default the split that the source names."""
    every: _FromOne = 5_000
    """Tokens between two evaluations: generated ones, or those with a loss if none are."""
    chat_settings: dict[str, Any] = field(default_factory=dict)
    """Arguments of the chat template, such as {"enable_thinking": false}; play with the same."""
    judge: dict[str, Any] = field(default_factory=dict)
    """Options of the model that the reward judge asks, as for hopgym judge."""


def acting_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of the policy ``llm`` that match a training run.

    Args:
        options: Options of the training run as plain JSON.
    """
    style = options.get("style", "plain")
    settings = options.get("play", {}).get("chat_settings")
    return ({"style": style} if style != "plain" else {}) | (
        {"chat_settings": settings} if settings else {}
    )


def train_env(play: PlaySettings) -> HopEnv:
    """Return the environment that a run trains in.

    Raises:
        ArgumentError: When no environment is named, there is none of that id, or it has fewer tasks
            than requested.
    """
    require(bool(play.env), "play.env", "given (--env ID), where no --run names one", play.env)
    env = make(resolve_id(play.env), play.kwargs)
    fits = play.tasks is None or play.tasks <= len(env.source)
    require(fits, "play.tasks", f"at most {len(env.source):,} with these arguments", play.tasks)
    return env


def dev_env(play: PlaySettings) -> HopEnv:
    """Return the environment of the held-out tasks.

    Raises:
        ArgumentError: When there is none of that id, or it has fewer tasks than requested.
    """
    require(bool(play.env), "play.env", "given (--env ID), where no --run names one", play.env)
    env_id = resolve_id(play.env)
    changes = play.dev_kwargs or dev_arguments(make(env_id, play.kwargs).source)
    env = make(env_id, {**play.kwargs, **changes})
    fits = play.dev <= len(env.source)
    require(fits, "play.dev", f"at most {len(env.source):,} with these arguments", play.dev)
    return env


def dev_arguments(source: TaskSource) -> dict[str, Any]:
    """Return the arguments of a source's held-out tasks; empty when the user has to say."""
    return source.split_arguments("dev") or {}


def check_held_out(play: PlaySettings, trained_on: str = "") -> None:
    """Check that the held-out tasks are other tasks than those trained on.

    Args:
        play: The settings.
        trained_on: Fingerprint of the source of a run that is learned from.

    Raises:
        ArgumentError: As `dev_env` does, and when one of the first held-out tasks is among the
            first ones trained on.
    """
    if not play.dev:
        return
    held_out = dev_env(play)
    env_id = resolve_id(play.env)
    dev = _questions(held_out.source, play.dev)
    shared = dev & _questions(make(env_id, play.kwargs).source, play.tasks)
    if shared or trained_on == held_out.source.fingerprint:
        raise ArgumentError(
            f"play.dev_kwargs must name other tasks than those trained on, got {len(shared):,} of "
            f"the {len(dev):,} compared that are the same, for {env_id}; give a split or a file of "
            "its own, or --dev 0"
        )


def _questions(source: TaskSource, count: int | None) -> set[tuple[str, str]]:
    """Return ids and texts of a source's first questions."""
    tasks = (source[at] for at in range(min(_COMPARED_TASKS, len(source), count or len(source))))
    return {(task.question.id, task.question.text) for task in tasks}


class HeldOutTasks:
    """A fixed set of tasks that the model plays greedily.

    Args:
        env: The environment of the tasks.
        count: How many of them are played, the first ones.
        actor: The model.
    """

    def __init__(self, env: HopEnv, count: int, actor: "Actor") -> None:
        self._env = env
        self._count = count
        self._actor = actor
        self._hops: list[int] = []

    def evaluate(self) -> dict[str, Any]:
        """Return ``n``, ``success`` and ``f1`` in [0, 1], and ``by_hops`` with the same values."""
        source = self._env.source
        if not self._hops:
            self._hops = [source[index].question.hop_count for index in range(self._count)]
        jobs = ((index, 1) for index in range(self._count))
        scores: dict[int, list[tuple[bool, float]]] = {}
        for episode in self._actor.play(self._env, jobs, _GREEDY_SEED, greedy=True):
            answer = episode.answer
            f1 = 0.0 if answer is None else source.score(source[episode.index], answer).f1
            scores.setdefault(self._hops[episode.index], []).append((episode.is_success, f1))
        total = [score for group in scores.values() for score in group]
        by_hops = {str(hops): _means(scores[hops]) for hops in sorted(scores)}
        return {**_means(total), "by_hops": by_hops}


def _means(scores: list[tuple[bool, float]]) -> dict[str, Any]:
    count = len(scores)
    return {
        "n": count,
        "success": round(sum(success for success, _ in scores) / count, 4),
        "f1": round(sum(f1 for _, f1 in scores) / count, 4),
    }
