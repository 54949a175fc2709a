"""Supervised fine-tuning: imitates the actions of a recorded run that pass filter and reward."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hopgym.errors import require
from hopgym_agents.chat import ChatEncoder
from hopgym_agents.prompts import STYLES
from hopgym_agents.training.budget import SeenWorlds
from hopgym_agents.training.imitation import ImitationMethod
from hopgym_agents.training.method import RunUse, fitting_rows, most_tokens
from hopgym_agents.training.rewards import JUDGE
from hopgym_agents.training.rows import TrainingRow, imitation_rows, rows_digest
from hopgym_agents.training.setup import TrainingData, TrainingRun, TrainingSetup

if TYPE_CHECKING:
    from hopgym_agents.training.config import TrainConfig


class SFT(ImitationMethod):
    """Supervised fine-tuning on a recorded run."""

    name = "sft"
    reward = "one"
    filter = "process"
    run_use = RunUse.REQUIRED
    plays = False
    shuffle = True

    @classmethod
    def resolve(cls, config: "TrainConfig") -> "TrainConfig":
        """Return the configuration with defaults; refuse limits and rewards of playing."""
        for name in ("generated_tokens", "environment_steps"):
            limit = getattr(config.limits, name)
            expected = f"left out for {cls.name}, which plays nothing"
            require(limit is None, f"limits.{name}", expected, limit)
        require(JUDGE not in config.reward, "reward", "an exact one for sft", config.reward)
        unused = not config.play.dev and (config.play.env or config.play.kwargs)
        expected = "left out, or --dev N given: sft plays only held-out tasks"
        play = {"env": config.play.env, **config.play.kwargs}
        require(not unused, "play", expected, play)
        return super().resolve(config)

    @classmethod
    def data(cls, setup: TrainingSetup) -> TrainingData:
        """Return the rows of the selected episodes; those too long for the model are left out."""
        config = setup.config
        episodes = setup.episodes
        assert episodes is not None, "the loop selects episodes of a required run"
        style = STYLES[config.style]
        encoder = ChatEncoder(setup.trainable.tokenizer, style, config.play.chat_settings)
        rows = list(imitation_rows(episodes.episodes, encoder, setup.rewards))
        fitting = fitting_rows(setup, rows)
        expected = f"such that rows are left of {len(episodes.episodes):,} episodes"
        settings = f"reward {', '.join(config.reward)}, {most_tokens(setup):,} tokens"
        require(bool(fitting), "reward and max_length", expected, settings)
        digest = rows_digest(fitting)
        return TrainingData(
            summary=f"{episodes.summary}, rows {digest}.",
            env_id=episodes.env_id,
            env_kwargs=dict(episodes.env_kwargs),
            source=episodes.source,
            row_count=len(fitting),
            examples=fitting,
            digest=digest,
            counts={
                "episodes in the file": episodes.total,
                "episodes that pass the filter": len(episodes.episodes),
                "rows": len(fitting),
                "rows left out as too long": len(rows) - len(fitting),
                "actions": sum(row.actions for row in fitting),
                "tokens": sum(len(row.input_ids) for row in fitting),
                "tokens with a loss": sum(row.gradient_tokens for row in fitting),
            },
        )

    def __init__(self, run: TrainingRun) -> None:
        super().__init__(run)
        self._worlds = SeenWorlds([row.world for row in run.data.examples], run.state.method)

    def rollouts(self, trainer: Any, rows: list[int]) -> Sequence[TrainingRow]:
        """Return the rows of the selected episodes."""
        self.run.state.meter.add(distinct_worlds=self._worlds.add(trainer, rows))
        return [self.run.data.examples[row] for row in rows]
