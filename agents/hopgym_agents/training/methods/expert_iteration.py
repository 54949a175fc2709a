"""Expert iteration: samples with the current model and imitates its own good actions."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hopgym.errors import require
from hopgym_agents.training.budget import WorldCounter, episode_costs
from hopgym_agents.training.imitation import ImitationMethod
from hopgym_agents.training.method import fitting_rows, seed_at, sum_over_processes
from hopgym_agents.training.rows import TrainingRow, imitation_rows
from hopgym_agents.training.setup import TrainingData, TrainingRun, TrainingSetup, tasks_data

if TYPE_CHECKING:
    from hopgym_agents.training.config import TrainConfig


class ExpertIteration(ImitationMethod):
    """Imitates the actions of its own episodes whose reward is above 0."""

    name = "expert_iteration"
    reward = "good"

    @classmethod
    def resolve(cls, config: "TrainConfig") -> "TrainConfig":
        """Return the configuration with defaults; all episodes of a task share a batch."""
        longest = config.trl.get("max_length")
        expected = "left out: the context bounds episodes"
        require(longest is None, "trl.max_length", expected, longest)
        samples = config.play.samples
        expected = f"a divisor of the batch ({config.batch})"
        require(config.batch % samples == 0, "play.samples", expected, samples)
        return super().resolve(config)

    @classmethod
    def data(cls, setup: TrainingSetup) -> TrainingData:
        """Return the tasks, one row per episode."""
        return tasks_data(setup, setup.task_count * setup.config.play.samples)

    def __init__(self, run: TrainingRun) -> None:
        super().__init__(run)
        source = run.setup.env.source
        self._worlds = WorldCounter(source, run.state.method.get("seen", 0))

    def rollouts(self, trainer: Any, rows: list[int]) -> Sequence[TrainingRow]:
        """Return the rows of newly played episodes, those of similar length side by side."""
        setup = self.run.setup
        state = self.run.state
        tasks = Counter(row // setup.config.play.samples for row in rows)
        seed = seed_at(trainer, setup.config.seed)
        episodes = self.run.actor.play(setup.env, tasks.items(), seed)
        state.diagnosis.add_episodes(episodes)
        state.meter.add(**sum_over_processes(trainer, episode_costs(episodes)))
        self.run.count_worlds(self._worlds, tasks, trainer)
        good = imitation_rows(episodes, self.run.actor.encoder, setup.rewards)
        return sorted(fitting_rows(setup, good), key=lambda row: len(row.input_ids))
