"""States: where the actions of step-wise RL are taken.

They come from episodes, in an order that the seed decides. When those of a round are used up, the
current model plays new tasks, so that states stay those that the model reaches.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hopgym.errors import DataError, require
from hopgym.runs.trajectory_file import read_trajectories
from hopgym.trajectory import Completion, Step, Trajectory
from hopgym.verdicts import ShownContent
from hopgym_agents.data.decomposition import ActionOutcome, SubTrajectory, decompose
from hopgym_agents.training.budget import WorldCounter, episode_costs
from hopgym_agents.training.episodes import filter_episodes
from hopgym_agents.training.setup import TrainingRun, TrainingSetup

_MOST_EMPTY_ROUNDS = 8
"""Consecutive rounds without a state after which a run gives up."""
_ENDLESS_STATES = 10_000
"""States of a pass that are played as needed."""
_PLAY_SEED = 1 << 40
"""Keeps the seeds of rounds apart from those of training steps."""


def state_count(setup: TrainingSetup) -> int:
    """Return the number of states in one pass of step-wise RL.

    Raises:
        ArgumentError: When a round has more tasks than there are, or the states of a recorded run
            do not fill a batch.
    """
    rounds = setup.config.play.round
    require(
        rounds <= setup.task_count, "play.round", f"at most the {setup.task_count:,} tasks", rounds
    )
    if setup.episodes is None or rounds:
        return _ENDLESS_STATES
    states = setup.episodes.state_count
    groups: int = setup.config.batch // setup.arguments.num_generations
    expected = f"at most the {states:,} states times trl.num_generations, as play.round is 0"
    require(states >= groups, "batch", expected, setup.config.batch)
    # A step takes whole groups; states that one pass leaves over come first in the next.
    return states - states % groups


class StateQueue:
    """The states of a run, in order.

    Args:
        run: Its episodes, if any, provide the states of the first round; with ``play.round`` 0,
            those of all rounds.
    """

    def __init__(self, run: TrainingRun) -> None:
        self._run = run
        setup = run.setup
        position = run.state.method
        known = setup.episodes.worlds if setup.episodes else frozenset[str]()
        self._worlds = WorldCounter(setup.env.source, position.get("seen", 0), known)
        self._round = position.get("round", -1)
        self._next = position.get("at", 0)
        self._states: list[SubTrajectory] = []
        if self._round >= 0:
            self._states = self._shuffled(self._round_episodes())

    def take(self, trainer: Any, count: int) -> list[SubTrajectory]:
        """Return the next states, the same in every process.

        Args:
            trainer: TRL's trainer.
            count: Number of states.

        Raises:
            DataError: When no episode passes the filter for several rounds.
        """
        states: list[SubTrajectory] = []
        while len(states) < count:
            if self._next >= len(self._states):
                self._start_round(trainer)
            more = self._states[self._next : self._next + count - len(states)]
            self._next += len(more)
            states += more
        self._run.state.method |= {"round": self._round, "at": self._next}
        # With large models a round is long: a kill during it must not lose the steps before.
        used_up = self._next >= len(self._states)
        self._run.state.checkpoint_due = used_up and self._run.setup.config.play.round > 0
        return states

    def take_groups(self, trainer: Any, rows: int) -> list[tuple[SubTrajectory, int, int]]:
        """Return the states of this process's rows, a group of rows per state.

        Args:
            trainer: TRL's trainer.
            rows: Number of rows of this process.

        Returns:
            For each row its state, the number of the state in the batch, and that of the sample.
        """
        accelerator = trainer.accelerator
        group = trainer.num_generations
        states = self.take(trainer, rows * accelerator.num_processes // group)
        first = rows * accelerator.process_index
        numbers = [divmod(first + row, group) for row in range(rows)]
        return [(states[number], number, sample) for number, sample in numbers]

    def _start_round(self, trainer: Any) -> None:
        for _ in range(_MOST_EMPTY_ROUNDS):
            self._round += 1
            self._next = 0
            self._states = self._shuffled(self._new_round(trainer))
            if self._states:
                return
        name = self._run.setup.config.filter
        raise DataError(
            f"expected states from episodes that pass the filter {name}, got none in "
            f"{_MOST_EMPTY_ROUNDS} rounds; take --filter none, or a model that has learned more"
        )

    def _new_round(self, trainer: Any) -> Sequence[Trajectory]:
        """Return the episodes of a new round, playing them unless they are recorded ones."""
        if not self._uses_recorded:
            if trainer.accelerator.is_main_process:
                self._play_round()
            trainer.accelerator.wait_for_everyone()
        episodes = self._round_episodes()
        if self._uses_recorded:
            return episodes
        if trainer.accelerator.is_main_process:  # All processes have the same episodes.
            self._run.state.diagnosis.add_episodes(episodes)
        self._run.state.meter.add(**episode_costs(episodes))
        self._run.count_worlds(self._worlds, (episode.index for episode in episodes))
        return episodes

    def _play_round(self) -> None:
        setup = self._run.setup
        play = setup.config.play
        number = self._round - bool(setup.episodes)
        first = number * play.round
        tasks = [(first + offset) % setup.task_count for offset in range(play.round)]
        seed = setup.config.seed * 1_000_003 + _PLAY_SEED + number
        jobs = [(task, play.samples) for task in tasks]
        file = self._run.state.folder.round_file(self._round)
        self._run.actor.play(setup.env, jobs, seed, out=file)

    def _round_episodes(self) -> Sequence[Trajectory]:
        """Return the recorded episodes, or those of the round that has been played."""
        episodes = self._run.setup.episodes
        if episodes and self._uses_recorded:
            return episodes.episodes
        return list(read_trajectories(self._run.state.folder.round_file(self._round)))

    @property
    def _uses_recorded(self) -> bool:
        setup = self._run.setup
        return bool(setup.episodes) and (self._round == 0 or not setup.config.play.round)

    def _shuffled(self, episodes: Sequence[Trajectory]) -> list[SubTrajectory]:
        config = self._run.setup.config
        selected = filter_episodes(episodes, config.filter)
        states = [sub for episode in selected for sub in decompose(episode)]
        order = np.random.default_rng([config.seed, self._round]).permutation(len(states))
        return [states[at] for at in order]


def with_action(sub: SubTrajectory, completion: Completion, outcome: ActionOutcome) -> Trajectory:
    """Return the episode of a state with an action taken there, and its outcome."""
    step = Step(
        text=completion.text,
        action=None,
        observation="",
        shown_content=ShownContent(),
        verdict=outcome.verdict,
        process_reward=outcome.process_reward,
        outcome_reward=outcome.outcome_reward,
        potential=0.0,
        completion=completion,
    )
    return replace(sub.prefix, steps=(*sub.prefix.steps, step))
