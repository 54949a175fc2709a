"""Trajectory RL: each tool episode is one sample, with one reward for all of its actions.

Groups of episodes on one task are compared. Tokens that tools wrote are read but not trained on. In
the mode ``one_turn`` the prompt holds the pages and the episode is a single answer (Kabra et al.
2026, arXiv 2603.02091); nothing else differs.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from hopgym.errors import require
from hopgym.trajectory import Trajectory
from hopgym_agents.training.budget import WorldCounter, episode_costs
from hopgym_agents.training.grpo import GRPOMethod, Rollout, RolloutBatch
from hopgym_agents.training.method import seed_at, sum_over_processes
from hopgym_agents.training.rewards import ActionGroup
from hopgym_agents.training.rows import episode_row
from hopgym_agents.training.setup import TrainingData, TrainingRun, TrainingSetup, tasks_data


class TrajectoryRL(GRPOMethod):
    """GRPO on episodes."""

    name = "trajectory"
    reward = "outcome"

    @classmethod
    def data(cls, setup: TrainingSetup) -> TrainingData:
        """Return the tasks, one row per group of episodes."""
        groups = setup.config.batch // setup.arguments.num_generations
        expected = f"at least {groups:,}, those of one batch, or the batch smaller"
        require(setup.task_count >= groups, "play.tasks", expected, setup.task_count)
        # TRL drops what does not fill a batch, so the first tasks are repeated at the end.
        return tasks_data(setup, -(-setup.task_count // groups) * groups)

    def __init__(self, run: TrainingRun) -> None:
        super().__init__(run)
        source = run.setup.env.source
        self._worlds = WorldCounter(source, run.state.method.get("seen", 0))

    def rollouts(self, trainer: Any, rows: list[int]) -> RolloutBatch:
        """Return one newly played episode per row."""
        setup = self.run.setup
        state = self.run.state
        tasks = [row % setup.task_count for row in rows]
        counts = Counter(tasks)
        seed = seed_at(trainer, setup.config.seed)
        played = self.run.actor.play(setup.env, counts.items(), seed)
        state.diagnosis.add_episodes(played)
        state.meter.add(**sum_over_processes(trainer, episode_costs(played)))
        self.run.count_worlds(self._worlds, counts, trainer)
        episodes = _in_task_order(tasks, played)
        rollouts = [self._rollout(episode) for episode in episodes]
        groups = [ActionGroup(episode, _policy_actions(episode)) for episode in episodes]
        return RolloutBatch(rollouts, setup.rewards.values(groups))

    def _rollout(self, episode: Trajectory) -> Rollout:
        row = episode_row(self.run.actor.encoder, episode, sampled=True)
        # TRL needs a token even if none is trained on.
        start = row.trained.index(True) if any(row.trained) else len(row.trained) - 1
        return Rollout(row.input_ids[:start], row.input_ids[start:], row.trained[start:])


class OneTurn(TrajectoryRL):
    """GRPO on single answers to prompts with pages."""

    name = "one_turn"
    env_kwargs: ClassVar[Mapping[str, Any]] = {"mode": "one_turn"}


def _policy_actions(episode: Trajectory) -> tuple[int, ...]:
    return tuple(at for at, step in enumerate(episode.steps) if not step.from_prefix)


def _in_task_order(tasks: Sequence[int], played: Sequence[Trajectory]) -> list[Trajectory]:
    """Return an episode for each task of a list; a repeated task gets a different one each time."""
    waiting: dict[int, list[Trajectory]] = {}
    for episode in reversed(played):
        waiting.setdefault(episode.index, []).append(episode)
    return [waiting[task].pop() for task in tasks]
