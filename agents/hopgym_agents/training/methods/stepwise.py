"""Step-wise RL: actions compared in the state they are taken in (SWiRL, stage 2).

Each action is rewarded by the environment's verdict there, without regard to what comes later
(Goldie et al. 2025, arXiv 2504.04736, section 2.3).
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hopgym.errors import require
from hopgym.trajectory import Completion, Trajectory
from hopgym_agents.data.decomposition import judge_actions
from hopgym_agents.prompts import build_request
from hopgym_agents.training.budget import Spent
from hopgym_agents.training.grpo import GRPOMethod, Rollout, RolloutBatch
from hopgym_agents.training.method import RunUse, seed_at, sum_over_processes
from hopgym_agents.training.rewards import ActionGroup
from hopgym_agents.training.rows import last_action_only
from hopgym_agents.training.setup import TrainingData, TrainingRun, TrainingSetup, tasks_data
from hopgym_agents.training.state_queue import StateQueue, state_count, with_action

if TYPE_CHECKING:
    from hopgym_agents.training.config import TrainConfig


class StepWise(GRPOMethod):
    """GRPO on single actions in states of the model or of a recorded run."""

    name = "stepwise"
    reward = "good"
    run_use = RunUse.OPTIONAL

    @classmethod
    def resolve(cls, config: "TrainConfig") -> "TrainConfig":
        """Return the configuration with defaults; a run must have states, and an end."""
        rounds = config.play.round
        has_states = bool(config.run) or rounds > 0
        require(has_states, "play.round", "from 1 where no --run gives the states", rounds)
        ends = config.limits.is_set or config.trl.get("max_steps", -1) != -1 or not rounds
        expected = "one (--generated-tokens N, ...) or --trl.max_steps N: rounds never end"
        require(ends, "limits", expected, {})
        return super().resolve(config)

    @classmethod
    def data(cls, setup: TrainingSetup) -> TrainingData:
        """Return the states: one row per group of actions."""
        data = tasks_data(setup, state_count(setup))
        return replace(data, examples=[last_action_only(row) for row in data.examples])

    @classmethod
    def spent_before(cls, setup: TrainingSetup) -> Spent:
        """Return the worlds of the recorded run, which no later task counts again."""
        return Spent(distinct_worlds=len(setup.episodes.worlds) if setup.episodes else 0)

    def __init__(self, run: TrainingRun) -> None:
        super().__init__(run)
        self._states = StateQueue(run)

    def rollouts(self, trainer: Any, rows: list[int]) -> RolloutBatch:
        """Return one action per row: a group in each of the next states."""
        setup = self.run.setup
        actor = self.run.actor
        places = self._states.take_groups(trainer, len(rows))
        requests = [
            replace(build_request(sub.prefix, actor.style), key=(sub.prefix.index, number, sample))
            for sub, number, sample in places
        ]
        completions = actor.complete(setup.env, requests, seed_at(trainer, setup.config.seed))
        subs = [sub for sub, _, _ in places]
        texts = [completion.text for completion in completions]
        outcomes = judge_actions([sub.state for sub in subs], texts)
        episodes = [with_action(*item) for item in zip(subs, completions, outcomes, strict=True)]
        self._count(trainer, episodes, completions)
        groups = [ActionGroup(episode, (len(episode.steps) - 1,)) for episode in episodes]
        rollouts = [self._rollout(*item) for item in zip(requests, completions, strict=True)]
        return RolloutBatch(rollouts, setup.rewards.values(groups))

    def _count(
        self, trainer: Any, episodes: list[Trajectory], completions: list[Completion]
    ) -> None:
        for episode in episodes:
            before = sum(not step.from_prefix for step in episode.steps[:-1])
            self.run.state.diagnosis.add_action(before, episode.steps[-1])
        tokens = sum(completion.generated_tokens for completion in completions)
        counts = {"generated_tokens": tokens, "environment_steps": len(completions)}
        self.run.state.meter.add(**sum_over_processes(trainer, counts))

    def _rollout(self, request: Any, completion: Completion) -> Rollout:
        encoder = self.run.actor.encoder
        # A prompt that fills the context leaves nothing to train on, but TRL needs a token.
        ids = completion.token_ids or (encoder.tokenizer.eos_token_id,)
        return Rollout(encoder.encode(request), ids, [bool(completion.token_ids)] * len(ids))
