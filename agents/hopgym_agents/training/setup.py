"""What the methods that play have in common: their checks, their books, and a row to be shown.

In: options. Out: an environment, TRL's arguments, and a run ready to begin.
"""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hopgym.env import HopEnv
from hopgym.errors import ArgumentError, require
from hopgym.policies import OraclePolicy
from hopgym.rollout import run_episodes
from hopgym.trajectory import Trajectory
from hopgym_agents.chat import ChatEncoder
from hopgym_agents.generate import Generator, Sampling
from hopgym_agents.generate.loading import set_threads
from hopgym_agents.modeling import Trainable
from hopgym_agents.prompts import STYLES
from hopgym_agents.training.actor import Player
from hopgym_agents.training.budget import Spent
from hopgym_agents.training.callback import Books
from hopgym_agents.training.config import TrainConfig, trl_arguments
from hopgym_agents.training.environments import Worlds, check_held_out, train_env
from hopgym_agents.training.loop import Prepared
from hopgym_agents.training.methods.sft import Kept, loaded
from hopgym_agents.training.result import Checked, Data
from hopgym_agents.training.rewards import JUDGE, Rewards
from hopgym_agents.training.rows import Row, row_of, special_tokens
from hopgym_agents.training.run_folder import RunFolder

_SHOWN = 16
"""Oracle episodes that a dry run reckons with."""
_FOREVER = 1_000.0
"""Passes over the tasks where only a limit ends a run."""
USUAL: Mapping[str, Any] = {"lr_scheduler_type": "constant", "logging_steps": 5}
"""What a run without a known end wants other than TRL's defaults."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Where and how a method plays."""

    config: TrainConfig
    env: HopEnv
    trainable: Trainable
    arguments: Any
    rewards: Rewards

    @property
    def tasks(self) -> int:
        """How many tasks are learnt from."""
        return self.config.play.tasks or len(self.env.source)


def setting(
    config: TrainConfig,
    kind: Any,
    usual: Mapping[str, Any],
    env: HopEnv | None = None,
    source: str = "",
    **fixed: Any,
) -> Setting:
    """Return where a method plays, everything checked before the weights are loaded.

    Args:
        config: The options, those of the method filled in.
        kind: TRL's class of arguments.
        usual: What takes the place of TRL's defaults.
        env: Where it plays; that of the options by default.
        source: Fingerprint of the tasks of a file that is learnt from.
        fixed: What the method sets.

    Raises:
        HopgymError: On anything that can be known to keep the run from going through.
    """
    set_threads()
    folder = RunFolder(Path(config.out))
    if config.limits.given and not {"max_steps", "num_train_epochs"} & set(config.trl):
        usual = {**usual, "num_train_epochs": _FOREVER}
    usual = {**USUAL, **usual}
    arguments = trl_arguments(config, kind, folder.checkpoints, usual, **fixed)
    env = env or train_env(config.play)
    check_held_out(config.play, source=source)
    _check_rewards(config, env)
    rewards = Rewards(
        config.reward, config.play.flip, config.seed, judge_of(config), STYLES[config.style]
    )
    return Setting(config, env, loaded(config, arguments), arguments, rewards)


def _check_rewards(config: TrainConfig, env: HopEnv) -> None:
    """Refuse rewards that are 0 wherever no step is judged, and flips of what is not asked."""
    exact = sorted({"good", "process"} & set(config.reward))
    judged = env.settings.mode == "tools" or not exact
    expected = f"others than {' and '.join(exact)} where steps are not judged (one_turn)"
    require(judged, "reward", expected, config.reward)
    flip, good = config.play.flip, "good" in config.reward
    require(good or not flip, "play.flip", "0 without the reward good, whose verdicts turn", flip)


def check_groups(config: TrainConfig, group: object) -> None:
    """Raise an `ArgumentError` unless whole groups make a batch."""
    fits = type(group) is int and group >= 2 and config.batch % group == 0
    expected = f"a divisor of the batch ({config.batch}), at least 2"
    require(fits, "trl.num_generations", expected, group)


def check_unused(method: str, config: TrainConfig) -> None:
    """Raise an `ArgumentError` on a run or a filter, for methods that learn from all they play."""
    for name, value in (("run", config.run), ("filter", config.filter.replace("none", ""))):
        require(not value, name, f"left out for {method}, which plays itself", value)


def judge_of(config: TrainConfig) -> Generator | None:
    """Return the model behind the reward ``judge``, where it is asked for."""
    if JUDGE not in config.reward:
        return None
    from hopgym_agents.options import create_generator

    return create_generator(config.play.judge)


def ready(
    method: str,
    where: Setting,
    rows: Sequence[Row],
    steps: int,
    make_trainer: Callable[[Books, Player], Any],
    *,
    at_once: int,
    given: Kept | None = None,
) -> Prepared:
    """Return a run that is ready to begin.

    Args:
        method: Its name.
        where: Of `setting`.
        rows: Such as are learnt, for people and for the memory.
        steps: Of the optimiser; 0 where only a limit ends them.
        make_trainer: As `Prepared.make_trainer`.
        at_once: Rows in memory at a time.
        given: Episodes whose states are learnt from too, or alone.
    """
    config = where.config
    data = _data(where, given)
    checked = Checked.of(method, config, where.trainable, rows, data, steps, at_once)
    RunFolder(Path(config.out)).check(checked.identity)
    arguments = where.arguments
    sampling = Sampling(
        temperature=config.play.temperature,
        # Those of GRPO's arguments, under which TRL computes probabilities again.
        top_p=getattr(arguments, "top_p", 1.0),
        top_k=max(getattr(arguments, "top_k", 0), 0),
        max_tokens=config.play.max_tokens,
    )
    spent = Spent(distinct_worlds=len(given.worlds) if given else 0)
    return Prepared(checked, where.trainable, arguments, make_trainer, sampling, spent)


def _data(where: Setting, given: Kept | None) -> Data:
    """Return what is learnt from: tasks that are played, episodes of a file, or both."""
    env, play = where.env, where.config.play
    env_id = env.spec.id if env.spec else ""
    kwargs = dict(env.spec.kwargs) if env.spec else {}
    told, counts = [], {"held-out tasks": play.dev}
    if given is not None:
        told.append(f"States of {given.told}.")
        counts |= {"episodes": len(given.episodes), "states of them": given.states}
    if given is None or play.round:
        told.append(f"The first {where.tasks:,} tasks of `{env_id}`, played as the model learnt.")
        counts["tasks"] = where.tasks
    digest = given.digest if given else ""
    return Data(" ".join(told), env_id, kwargs, env.source.fingerprint, digest, counts)


def steps_of(where: Setting, rows: int) -> int:
    """Return how many steps so many rows make; 0 where only a limit ends a run."""
    arguments = where.arguments
    if arguments.max_steps > 0:
        return int(arguments.max_steps)
    if arguments.num_train_epochs == _FOREVER:
        return 0
    return -int(-rows * arguments.num_train_epochs // where.config.batch)


def shown_rows(where: Setting) -> list[Row]:
    """Return rows of oracle episodes: what a batch will look like once the model is good."""
    env = copy.copy(where.env)
    env.render_mode = None
    config = where.config
    encoder = ChatEncoder(
        where.trainable.tokenizer, STYLES[config.style], config.play.chat_settings
    )
    played = run_episodes(env, OraclePolicy(env.source), range(min(_SHOWN, where.tasks)))
    episodes = sorted(played, key=lambda each: each.index)
    return [episode_row(encoder, each) for each in episodes]


def episode_row(encoder: ChatEncoder, episode: Trajectory, sampled: bool = False) -> Row:
    """Return an episode as a row, its policy's own actions learnt, all else not.

    Args:
        encoder: That of acting.
        episode: With one action of its policy at least.
        sampled: Whether only tokens are learnt that the model drew: not an end of turn where
            generation stops at the end of a call.

    Raises:
        ArgumentError: When there is not one such action.
    """
    own = [at for at, step in enumerate(episode.steps) if not step.from_prefix]
    if not own:
        raise ArgumentError(
            f"the model's context must leave room for an action at {episode.task_id!r}, got none; "
            "take a model with a longer one, or shorter prompts"
        )
    drawn = None
    if sampled:
        made = {at: episode.steps[at].completion for at in own}
        drawn = {at: each.token_ids if each else () for at, each in made.items()}
    return row_of(encoder.pieces(episode), own, special_tokens(encoder.tokenizer), drawn)


def count_worlds(books: Books, worlds: Worlds, indices: Iterable[int], trainer: Any = None) -> None:
    """Add the worlds to the books that tasks bring which were not seen before.

    Args:
        books: Those of the run.
        worlds: Seen before.
        indices: Of the tasks, at least one.
        trainer: TRL's, where each process has tasks of its own; None where all have the same.
    """
    last = max(indices)
    if trainer is not None and trainer.accelerator.num_processes > 1:
        import torch

        own = torch.tensor([last], device=trainer.accelerator.device)
        last = int(trainer.accelerator.gather(own).max())
    books.meter.add(distinct_worlds=worlds.new(last + 1))
    books.state["seen"] = worlds.seen


def generated(episodes: Iterable[Trajectory]) -> dict[str, int]:
    """Return what episodes cost, by the names of `Spent`."""
    own = [step for each in episodes for step in each.steps if not step.from_prefix]
    tokens = sum(step.completion.generated_tokens for step in own if step.completion)
    return {"generated_tokens": tokens, "environment_steps": len(own)}


def silence_libraries() -> None:
    """Turn off the progress bars and log lines of transformers and bitsandbytes."""
    import logging

    from transformers.utils import logging as hf_logging

    hf_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    hf_logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)
