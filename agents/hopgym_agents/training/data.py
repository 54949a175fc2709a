"""What a run learns from, and the data of methods that play."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hopgym.policies.privileged import OraclePolicy
from hopgym.rollout import run_episodes
from hopgym_agents.chat import ChatEncoder
from hopgym_agents.prompts import STYLES
from hopgym_agents.training.rows import TrainingRow, episode_row

if TYPE_CHECKING:
    from hopgym_agents.training.method import TrainingSetup

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
    examples: Sequence[TrainingRow]
    """Rows like those trained on; the first is shown, the longest sizes the memory."""
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


def tasks_data(setup: "TrainingSetup", row_count: int) -> TrainingData:
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
        parts.append(f"The first {setup.task_count:,} tasks of `{env_id}`, played as it learned.")
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


def _oracle_rows(setup: "TrainingSetup") -> list[TrainingRow]:
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
