"""States: where the actions of step-wise RL are taken, from episodes of the model or of a file.

In: episodes. Out: states in an order that a seed decides, round by round: when those of a round are
used up, tasks are played anew with the model as it is by then, so that states stay those that it
comes to.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from hopgym.errors import DataError
from hopgym.trajectory import Trajectory
from hopgym_agents.data.decomposition import SubTrajectory, decompose
from hopgym_agents.training.actor import Player
from hopgym_agents.training.callback import Books
from hopgym_agents.training.environments import Worlds
from hopgym_agents.training.methods.sft import Kept, passing_episodes
from hopgym_agents.training.run_folder import is_leader
from hopgym_agents.training.setup import Setting, count_worlds, generated

_EMPTY_ROUNDS = 8
"""Rounds without a state after which a run is given up."""
_PLAY_SEED = 1 << 40
"""Keeps what rounds draw apart from what the steps of training draw."""


class States:
    """The states of a run, one behind the other.

    Args:
        where: What is played, and which episodes pass.
        books: Told of what is played; their ``state`` says where a run that goes on was.
        player: The model.
        given: Episodes whose states are those of the first round; of all, where ``play.round`` is
            0. Their worlds have been counted.
    """

    def __init__(
        self, where: Setting, books: Books, player: Player, given: Kept | None = None
    ) -> None:
        self._where, self._books, self._player = where, books, player
        self._given = given.episodes if given else ()
        known = given.worlds if given else frozenset[str]()
        self._worlds = Worlds(where.env, books.state.get("seen", 0), known)
        self._round = books.state.get("round", -1)
        self._at = books.state.get("at", 0)
        self._left: list[SubTrajectory] = []
        if self._round >= 0:
            self._left = self._shuffled(self._kept())

    def take(self, trainer: Any, count: int) -> list[SubTrajectory]:
        """Return the next states, the same in every process.

        Args:
            trainer: TRL's.
            count: How many.

        Raises:
            DataError: When no episode passes the filter, again and again.
        """
        taken: list[SubTrajectory] = []
        while len(taken) < count:
            if self._at >= len(self._left):
                self._next_round(trainer)
            more = self._left[self._at : self._at + count - len(taken)]
            self._at += len(more)
            taken += more
        self._books.state |= {"round": self._round, "at": self._at}
        # With large models a round is long: a kill in it must not lose the steps before.
        self._books.boundary = self._at >= len(self._left) and self._where.config.play.round > 0
        return taken

    def _next_round(self, trainer: Any) -> None:
        for _ in range(_EMPTY_ROUNDS):
            self._round, self._at = self._round + 1, 0
            self._left = self._shuffled(self._begun(trainer))
            if self._left:
                return
        name = self._where.config.filter
        raise DataError(
            f"expected states from episodes that pass the filter {name}, got none in "
            f"{_EMPTY_ROUNDS} rounds; take --filter none, or a model that has learnt more"
        )

    def _begun(self, trainer: Any) -> Sequence[Trajectory]:
        """Return the episodes of a new round, played where they are not given."""
        if self._is_given:
            return self._given
        if is_leader():
            play, file = self._where.config.play, self._books.folder.round_file(self._round)
            number = self._round - bool(self._given)
            first = number * play.round
            tasks = [(first + each) % self._where.tasks for each in range(play.round)]
            seed = self._where.config.seed * 1_000_003 + _PLAY_SEED + number
            jobs = [(task, play.samples) for task in tasks]
            self._player.play(self._where.env, jobs, seed, out=file)
        trainer.accelerator.wait_for_everyone()
        played = self._kept()
        if is_leader():  # All have the same episodes.
            self._books.diagnosis.add_episodes(played)
        self._books.meter.add(**generated(played))
        count_worlds(self._books, self._worlds, (each.index for each in played))
        return played

    def _kept(self) -> Sequence[Trajectory]:
        """Return the episodes of a round that has been played."""
        from hopgym.runs.trajectory_file import read_trajectories

        if self._is_given:
            return self._given
        return list(read_trajectories(self._books.folder.round_file(self._round)))

    @property
    def _is_given(self) -> bool:
        return bool(self._given) and (self._round == 0 or not self._where.config.play.round)

    def _shuffled(self, episodes: Sequence[Trajectory]) -> list[SubTrajectory]:
        config = self._where.config
        kept = passing_episodes(list(episodes), config.filter)
        states = [sub for episode in kept for sub in decompose(episode)]
        order = np.random.default_rng([config.seed, self._round]).permutation(len(states))
        return [states[at] for at in order]
