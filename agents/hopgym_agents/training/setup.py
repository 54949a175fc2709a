"""A run that is set up: what it learns from, everything it needs, and its state once started."""

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hopgym.policies.privileged import OraclePolicy
from hopgym.rollout import run_episodes
from hopgym_agents.chat import ChatEncoder
from hopgym_agents.prompts import STYLES
from hopgym_agents.training.budget import WorldCounter, last_index
from hopgym_agents.training.rows import TrainingRow, episode_row

if TYPE_CHECKING:
    from hopgym.env import HopEnv
    from hopgym_agents.modeling.trainable import Trainable
    from hopgym_agents.training.actor import Actor
    from hopgym_agents.training.callback import RunState
    from hopgym_agents.training.config import TrainConfig
    from hopgym_agents.training.episodes import SelectedEpisodes
    from hopgym_agents.training.rewards import Rewards

_EXAMPLES = 16
"""Oracle episodes that a dry run shows and sizes the memory by."""


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What a run learns from."""

    summary: str
    """In words, for the model card."""
    env_id: str
    env_kwargs: Mapping[str, Any]
    source: str
    """Fingerprint of the tasks."""
    row_count: int
    """Rows in one pass over the data: tasks, states or episodes."""
    examples: "Sequence[TrainingRow]"
    """Rows like those trained on, at least one: the first is shown, the longest sizes the memory.
    The method sft trains on these very rows."""
    digest: str = ""
    """Of the episodes of a file, if the run learns from one."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """What the data consist of, by name."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON, without the rows."""
        return {
            "summary": self.summary,
            "env_id": self.env_id,
            "env_kwargs": dict(self.env_kwargs),
            "source": self.source,
            "digest": self.digest,
            "counts": dict(self.counts),
        }


@dataclass(frozen=True, slots=True)
class TrainingSetup:
    """Everything a run needs before it starts, checked and loaded."""

    config: "TrainConfig"
    """The resolved configuration."""
    arguments: Any
    """TRL's configuration."""
    trainable: "Trainable"
    rewards: "Rewards"
    environment: "HopEnv | None" = None
    """The environment the method plays; None if it plays none."""
    episodes: "SelectedEpisodes | None" = None
    """Episodes of the recorded run, if one is given."""

    @property
    def env(self) -> "HopEnv":
        """The environment of a method that plays."""
        assert self.environment is not None, "only methods that play ask for it"
        return self.environment

    @property
    def task_count(self) -> int:
        """Number of tasks that are trained on."""
        return self.config.play.tasks or len(self.env.source)


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """A run that has started: its setup, data, state and the model as an actor."""

    setup: TrainingSetup
    data: TrainingData
    state: "RunState"
    actor: "Actor"

    def count_worlds(
        self, counter: WorldCounter, indices: Iterable[int], trainer: Any = None
    ) -> None:
        """Add the worlds of tasks that are trained on for the first time to the budget.

        Args:
            counter: Of the worlds so far.
            indices: Of the tasks, at least one.
            trainer: TRL's trainer when each process has tasks of its own.
        """
        new = counter.advance(last_index(indices, trainer) + 1)
        self.state.meter.add(distinct_worlds=new)
        self.state.method["seen"] = counter.seen


def tasks_data(setup: TrainingSetup, row_count: int) -> TrainingData:
    """Return the data of a run that plays tasks, or starts from recorded states, or both.

    Args:
        setup: Of the run.
        row_count: Rows in one pass.
    """
    env = setup.env
    play = setup.config.play
    episodes = setup.episodes
    parts: list[str] = []
    counts = {"held-out tasks": play.dev}
    env_id = env.spec.id if env.spec else ""
    if episodes is not None:
        parts.append(f"States of {episodes.summary}.")
        counts |= {"episodes": len(episodes.episodes), "states of them": episodes.state_count}
    if episodes is None or play.round:
        parts.append(
            f"The first {setup.task_count:,} tasks of `{env_id}`, played as the model learned."
        )
        counts["tasks"] = setup.task_count
    return TrainingData(
        summary=" ".join(parts),
        env_id=env_id,
        env_kwargs=dict(env.spec.kwargs) if env.spec else {},
        source=env.source.fingerprint,
        row_count=row_count,
        examples=_oracle_rows(setup),
        digest=episodes.digest if episodes else "",
        counts=counts,
    )


def _oracle_rows(setup: TrainingSetup) -> list[TrainingRow]:
    """Return rows of oracle episodes: what a batch looks like once the model is good."""
    env = copy.copy(setup.env)
    env.render_mode = None
    config = setup.config
    encoder = ChatEncoder(
        setup.trainable.tokenizer, STYLES[config.style], config.play.chat_settings
    )
    indices = range(min(_EXAMPLES, setup.task_count))
    played = run_episodes(env, OraclePolicy(env.source), indices)
    episodes = sorted(played, key=lambda episode: episode.index)
    return [episode_row(encoder, episode) for episode in episodes]
