"""The data of methods that play: tasks of an environment, shown as oracle episodes."""

import copy

from hopgym.policies.privileged import OraclePolicy
from hopgym.rollout import run_episodes
from hopgym_agents.chat import ChatEncoder
from hopgym_agents.prompts import STYLES
from hopgym_agents.training.rows import TrainingRow, episode_row
from hopgym_agents.training.setup import TrainingData, TrainingSetup

_EXAMPLES = 16
"""Oracle episodes that a dry run shows and sizes the memory by."""


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
