"""Step-wise RL: one action at a time, each judged in the state it is taken in (SWiRL, stage 2).

In: an environment, and a model or a run of episodes. Out: the model after GRPO on states: in each a
group of actions is sampled from the model as it is, and compared by what the environment says of
each there, without a look at what comes later (Goldie et al. 2025, arXiv 2504.04736, section 2.3).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from hopgym.errors import require
from hopgym.trajectory import Completion, Step, Trajectory
from hopgym.verdicts import Shown
from hopgym_agents.data.decomposition import ActionOutcome, SubTrajectory, judge_actions
from hopgym_agents.prompts import build_request
from hopgym_agents.training.actor import Player
from hopgym_agents.training.callback import Books
from hopgym_agents.training.config import TrainConfig
from hopgym_agents.training.environments import train_env
from hopgym_agents.training.grpo import (
    USUAL,
    Rollout,
    fixed,
    grpo_config,
    make_trainer,
    summed,
)
from hopgym_agents.training.loop import Prepared
from hopgym_agents.training.methods.sft import Kept, kept_episodes, with_usual
from hopgym_agents.training.rewards import Part
from hopgym_agents.training.rows import Row
from hopgym_agents.training.setup import (
    Setting,
    ready,
    setting,
    shown_rows,
    steps_of,
)
from hopgym_agents.training.states import States

METHOD = "stepwise"
_ROWS = 10_000
"""Rows of a run whose states are played as they are needed."""


def prepare(config: TrainConfig) -> Prepared:
    """Return a run that is ready to begin.

    Raises:
        HopgymError: On anything that can be known to keep the run from going through.
    """
    config = with_usual(config, reward="good", filter="none")
    _check_end(config)
    kept = kept_episodes(config) if config.run else None
    source, env = kept.source if kept else "", None
    if kept and not config.play.env:
        first = kept.episodes[0]
        kwargs = {**first.env_kwargs, **config.play.kwargs}
        config = replace(config, play=replace(config.play, env=first.env_id, kwargs=kwargs))
        env = train_env(config.play)
    where = setting(config, grpo_config(), USUAL, env, source, **fixed(config))
    arguments = where.arguments
    wanted = config.play.round <= where.tasks
    require(wanted, "play.round", f"at most the {where.tasks:,} tasks", config.play.round)
    rows = _rows(where, kept)

    def trainer(books: Books, player: Player) -> Any:
        actions = _Actions(where, books, player, kept)
        made = make_trainer(where, rows, books, actions)
        actions.trainer = made
        return made

    return ready(
        METHOD,
        where,
        [_last_alone(row) for row in shown_rows(where)],
        steps_of(where, rows * arguments.num_generations),
        trainer,
        at_once=arguments.per_device_train_batch_size,
        given=kept,
    )


def _rows(where: Setting, kept: Kept | None) -> int:
    """Return the rows of a pass: groups of actions in a state each."""
    config = where.config
    if config.play.round or kept is None:
        return _ROWS
    states, at_once = kept.states, config.batch // where.arguments.num_generations
    expected = f"at most the {states:,} states times trl.num_generations, as play.round is 0"
    require(states >= at_once, "batch", expected, config.batch)
    # A step takes whole groups; what one pass leaves over comes first in the next.
    return int(states - states % at_once)


def _check_end(config: TrainConfig) -> None:
    """Refuse a run that would not end, or has no states."""
    told = bool(config.run) or config.play.round > 0
    require(told, "play.round", "from 1 where no --run gives the states", config.play.round)
    ends = config.limits.given or config.trl.get("max_steps", -1) != -1 or not config.play.round
    require(
        ends, "limits", "one (--generated-tokens N, ...) or --trl.max_steps N: rounds go on", {}
    )


def _last_alone(row: Row) -> Row:
    """Return a row of an episode with its last action alone learnt."""
    last = max(at for at, on in enumerate(row.learnt) if on)
    first = last
    while row.learnt[first - 1]:
        first -= 1
    learnt = tuple(first <= at <= last for at in range(len(row.learnt)))
    return Row(row.input_ids, learnt, 1)


class _Actions:
    """Takes actions in states."""

    def __init__(self, where: Setting, books: Books, player: Player, given: Kept | None) -> None:
        self._where, self._books, self._player = where, books, player
        self._states = States(where, books, player, given)
        self.trainer: Any = None

    def __call__(
        self, rows: Sequence[int], seed: int
    ) -> tuple[Sequence[Rollout], Mapping[str, Sequence[float]]]:
        subs, numbers = self._own(len(rows))
        requests = [
            replace(
                build_request(sub.prefix, self._player.style), key=(sub.prefix.index, at, sample)
            )
            for sub, (at, sample) in zip(subs, numbers, strict=True)
        ]
        made = self._player.complete(self._where.env, requests, seed)
        worths = judge_actions([sub.state for sub in subs], [each.text for each in made])
        taken = [_taken(*each) for each in zip(subs, made, worths, strict=True)]
        for episode in taken:
            before = sum(not step.from_prefix for step in episode.steps[:-1])
            self._books.diagnosis.add_action(before, episode.steps[-1])
        counts = {"generated_tokens": sum(each.generated_tokens for each in made)}
        counts["environment_steps"] = len(made)
        self._books.meter.add(**summed(self.trainer, counts))
        rewards = self._where.rewards.values([_last(episode) for episode in taken])
        return [self._rollout(*each) for each in zip(requests, made, strict=True)], rewards

    def _own(self, rows: int) -> tuple[list[SubTrajectory], list[tuple[int, int]]]:
        """Return the state of each row of this process, with its number and that of the sample."""
        accelerator, group = self.trainer.accelerator, self.trainer.num_generations
        states = self._states.take(self.trainer, rows * accelerator.num_processes // group)
        first = rows * accelerator.process_index
        numbers = [divmod(first + row, group) for row in range(rows)]
        return [states[at] for at, _ in numbers], numbers

    def _rollout(self, request: Any, made: Completion) -> Rollout:
        prompt = self._player.encoder.encode(request)
        # A prompt that fills the context leaves nothing to learn, but TRL wants a token.
        ids = made.token_ids or (self._player.encoder.tokenizer.eos_token_id,)
        return Rollout(prompt, ids, [bool(made.token_ids)] * len(ids))


def _taken(sub: SubTrajectory, made: Completion, worth: ActionOutcome) -> Trajectory:
    """Return a state's episode with an action that was taken there, and what it was worth."""
    step = Step(
        text=made.text,
        action=None,
        observation="",
        shown=Shown(),
        verdict=worth.verdict,
        process_reward=worth.process_reward,
        outcome_reward=worth.outcome_reward,
        potential=0.0,
        completion=made,
    )
    return replace(sub.prefix, steps=(*sub.prefix.steps, step))


def _last(episode: Trajectory) -> Part:
    return Part(episode, (len(episode.steps) - 1,))
