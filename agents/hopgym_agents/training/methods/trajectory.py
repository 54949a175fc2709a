"""Trajectory RL: whole tool episodes, each with one reward, for all of its actions.

In: an environment and a model. Out: the model after GRPO on its own episodes: groups of them on one
task, compared by what the answer earned. What the tools wrote is read, never learnt. In the mode
``one_turn`` the pages stand in the prompt and the episode is a single action (as in Kabra et al.
2026, arXiv 2603.02091); nothing else differs.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hopgym.errors import require
from hopgym.trajectory import Trajectory
from hopgym_agents.training.actor import Player
from hopgym_agents.training.callback import Books
from hopgym_agents.training.config import TrainConfig
from hopgym_agents.training.environments import Worlds
from hopgym_agents.training.grpo import (
    USUAL,
    Rollout,
    fixed,
    grpo_config,
    make_trainer,
    summed,
)
from hopgym_agents.training.loop import Prepared
from hopgym_agents.training.methods.sft import with_usual
from hopgym_agents.training.rewards import Part
from hopgym_agents.training.setup import (
    Setting,
    check_unused,
    count_worlds,
    episode_row,
    generated,
    ready,
    setting,
    shown_rows,
    steps_of,
)

METHOD, ONE_TURN = "trajectory", "one_turn"


def prepare(config: TrainConfig) -> Prepared:
    """Return a run of whole tool episodes that is ready to begin.

    Raises:
        HopgymError: On anything that can be known to keep the run from going through.
    """
    return _prepare(METHOD, config)


def prepare_one_turn(config: TrainConfig) -> Prepared:
    """Return a run of single answers to prompts with pages that is ready to begin.

    Raises:
        HopgymError: On anything that can be known to keep the run from going through.
    """
    mode = config.play.kwargs.get("mode", ONE_TURN)
    require(mode == ONE_TURN, "play.kwargs.mode", f"{ONE_TURN} or left out", mode)
    kwargs = {**config.play.kwargs, "mode": ONE_TURN}
    return _prepare(ONE_TURN, replace(config, play=replace(config.play, kwargs=kwargs)))


def _prepare(method: str, config: TrainConfig) -> Prepared:
    check_unused(method, config)
    config = with_usual(config, reward="outcome", filter="none")
    where = setting(config, grpo_config(), USUAL, **fixed(config))
    arguments = where.arguments
    at_once = config.batch // arguments.num_generations
    enough = where.tasks >= at_once
    expected = f"at least {at_once:,}, those of one batch, or the batch smaller"
    require(enough, "play.tasks", expected, where.tasks)
    # TRL leaves out what does not fill a batch: the first tasks come again behind the last.
    rows = -(-where.tasks // at_once) * at_once

    def trainer(books: Books, player: Player) -> Any:
        episodes = _Episodes(where, books, player)
        made = make_trainer(where, rows, books, episodes)
        episodes.trainer = made
        return made

    return ready(
        method,
        where,
        shown_rows(where),
        steps_of(where, rows * arguments.num_generations),
        trainer,
        at_once=arguments.per_device_train_batch_size,
    )


class _Episodes:
    """Plays whole episodes of tasks."""

    def __init__(self, where: Setting, books: Books, player: Player) -> None:
        self._where, self._books, self._player = where, books, player
        self._worlds = Worlds(where.env, books.state.get("seen", 0))
        self.trainer: Any = None

    def __call__(
        self, rows: Sequence[int], seed: int
    ) -> tuple[Sequence[Rollout], Mapping[str, Sequence[float]]]:
        tasks = [row % self._where.tasks for row in rows]
        wanted = Counter(tasks)
        played = self._player.play(self._where.env, wanted.items(), seed)
        self._books.diagnosis.add_episodes(played)
        self._books.meter.add(**summed(self.trainer, generated(played)))
        count_worlds(self._books, self._worlds, wanted, self.trainer)
        episodes = _in_order(tasks, played)
        rollouts = [self._rollout(each) for each in episodes]
        parts = [Part(each, _own(each)) for each in episodes]
        return rollouts, self._where.rewards.values(parts)

    def _rollout(self, episode: Trajectory) -> Rollout:
        row = episode_row(self._player.encoder, episode, sampled=True)
        # TRL wants a token, learnt or not.
        first = row.learnt.index(True) if any(row.learnt) else len(row.learnt) - 1
        return Rollout(row.input_ids[:first], row.input_ids[first:], row.learnt[first:])


def _own(episode: Trajectory) -> tuple[int, ...]:
    return tuple(at for at, step in enumerate(episode.steps) if not step.from_prefix)


def _in_order(tasks: Sequence[int], played: Sequence[Trajectory]) -> list[Trajectory]:
    """Return an episode for each task of a list, another one for each time that it stands there."""
    waiting: dict[int, list[Trajectory]] = {}
    for episode in reversed(played):
        waiting.setdefault(episode.index, []).append(episode)
    return [waiting[task].pop() for task in tasks]
