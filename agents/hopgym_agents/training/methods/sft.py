"""Supervised fine-tuning: the actions of filtered episodes, with the loss on them alone.

In: a run of episodes and a model. Out: the model after training on what passes a filter, through
TRL's SFTTrainer. Tokens are those of `hopgym_agents.chat.ChatEncoder`, as when the model acts.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hopgym.errors import DataError, require
from hopgym.trajectory import Trajectory
from hopgym_agents.chat import ChatEncoder
from hopgym_agents.data.filtering import FILTERS, label_episodes, select_episodes
from hopgym_agents.generate import Sampling
from hopgym_agents.generate.loading import set_threads
from hopgym_agents.modeling import Trainable, load_trainable
from hopgym_agents.prompts import STYLES
from hopgym_agents.training.actor import Player
from hopgym_agents.training.callback import Books
from hopgym_agents.training.config import TrainConfig, trl_arguments
from hopgym_agents.training.environments import check_held_out, world_of
from hopgym_agents.training.loop import Prepared
from hopgym_agents.training.result import Checked, Data
from hopgym_agents.training.rewards import JUDGE, Rewards
from hopgym_agents.training.rows import NOT_LEARNT, Row, digest_of_rows, rows_of
from hopgym_agents.training.run_folder import RunFolder

METHOD = "sft"
_WORLD = "world"
"""Column of the number of a row's world."""
USUAL = {"max_length": None}
FIXED = {"dataset_kwargs": {"skip_prepare_dataset": True}}
_UNUSED = ("generated_tokens", "environment_steps")
"""Limits of what this method spends nothing of."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Episodes of a file that pass the filter."""

    file: Path
    episodes: tuple[Trajectory, ...]
    """In the order of their tasks."""
    read: int
    """Episodes in the file."""
    source: str
    """Fingerprint of the tasks."""
    filter: str
    """The filter's name."""

    @property
    def worlds(self) -> frozenset[str]:
        """The worlds behind the episodes."""
        return frozenset(world_of(each.env_id, each.task_id) for each in self.episodes)

    @property
    def states(self) -> int:
        """How many states they went through."""
        return sum(not step.from_prefix for each in self.episodes for step in each.steps)

    @property
    def digest(self) -> str:
        """16 hex digits that tell the episodes from others, in their order."""
        digest = hashlib.sha256()
        for each in self.episodes:
            steps = [(s.text, s.observation, s.verdict, s.from_prefix) for s in each.steps]
            told = (each.env_id, each.env_kwargs, each.index, each.prompt, steps)
            digest.update(json.dumps(told, sort_keys=True, default=str).encode())
        return digest.hexdigest()[:16]

    @property
    def told(self) -> str:
        """The episodes in words."""
        return (
            f"{len(self.episodes):,} of the {self.read:,} episodes of `{self.file}` (filter "
            f"`{self.filter}`)"
        )


def prepare(config: TrainConfig) -> Prepared:
    """Return a run that is ready to begin: the model is loaded, the rows are made.

    Raises:
        HopgymError: On anything that can be known to keep the run from going through.
    """
    from trl.trainer.sft_config import SFTConfig

    set_threads()
    config = with_usual(config, reward="one", filter="process")
    for name in _UNUSED:
        limit = getattr(config.limits, name)
        require(
            limit is None, f"limits.{name}", f"left out for {METHOD}, which plays nothing", limit
        )
    require(JUDGE not in config.reward, "reward", "an exact one for sft", config.reward)
    idle = not config.play.dev and (config.play.env or config.play.kwargs)
    mend = "left out, or --dev N given: the only tasks that sft plays are held-out ones"
    require(not idle, "play", mend, {"env": config.play.env, **config.play.kwargs})
    folder = RunFolder(Path(config.out))
    arguments = trl_arguments(config, SFTConfig, folder.checkpoints, USUAL, **FIXED)
    kept = kept_episodes(config)
    first = kept.episodes[0]
    check_held_out(config.play, first.env_id, first.env_kwargs, kept.source)
    trainable = loaded(config, arguments)
    rows, too_long = _rows(config, kept, trainable, arguments)
    per_pass = -(-len(rows) // config.batch)
    steps = arguments.max_steps
    steps = steps if steps > 0 else -int(-per_pass * arguments.num_train_epochs // 1)
    data = _data(kept, rows, too_long)
    at_once = arguments.per_device_train_batch_size
    checked = Checked.of(METHOD, config, trainable, rows, data, steps, at_once)
    folder.check(checked.identity)

    def make_trainer(books: Books, player: Player) -> Any:
        return _trainer(trainable, arguments, rows, books)

    sampling = Sampling(max_tokens=config.play.max_tokens)
    return Prepared(checked, trainable, arguments, make_trainer, sampling)


def with_usual(config: TrainConfig, reward: str, filter: str) -> TrainConfig:
    """Return options with a method's own reward and filter, where none are given."""
    return replace(config, reward=config.reward or {reward: 1.0}, filter=config.filter or filter)


def loaded(config: TrainConfig, arguments: Any) -> Trainable:
    """Return the model that is begun with, on the device of TRL's arguments."""
    trainable = load_trainable(
        config.model,
        config.precision,
        device="cpu" if arguments.use_cpu else "auto",
        seed=config.seed,
        chat_settings=config.play.chat_settings,
    )
    if not config.trl.get("optim"):
        arguments.optim = trainable.optimizer
    return trainable


def kept_episodes(config: TrainConfig) -> Kept:
    """Return the episodes of the run that pass the filter, by their exact verdicts.

    Raises:
        ArgumentError: When no run is named.
        DataError: When nothing passes.
    """
    from hopgym.runs.reader import trajectory_file
    from hopgym.runs.trajectory_file import read_header, read_trajectories

    require(bool(config.run), "run", "given (--run FILE): what is to be learnt from", config.run)
    file = trajectory_file(Path(config.run))
    episodes = list(read_trajectories(file))
    kept = passing_episodes(episodes, config.filter)
    if not kept:
        labels = [label for label in label_episodes(episodes) if label is not None]
        counts = ", ".join(f"{name} {len(select_episodes(labels, name)):,}" for name in FILTERS)
        raise DataError(
            f"{file}: expected episodes that pass the filter {config.filter}, got none of "
            f"{len(episodes):,} ({counts}); take another --filter, or collect more"
        )
    return Kept(file, kept, len(episodes), read_header(file).source, config.filter)


def passing_episodes(episodes: list[Trajectory], name: str) -> tuple[Trajectory, ...]:
    """Return the episodes that pass a filter by their exact verdicts, in order of their tasks."""
    labels = [label for label in label_episodes(episodes) if label is not None]
    keys = {label.key for label in select_episodes(labels, name)}
    through = (each for each in episodes if each.key in keys)
    return tuple(sorted(through, key=lambda each: (each.index, each.sample)))


def _rows(
    config: TrainConfig, kept: Kept, trainable: Trainable, arguments: Any
) -> tuple[tuple[Row, ...], int]:
    """Return the rows of the episodes, and how many were too long."""
    encoder = ChatEncoder(trainable.tokenizer, STYLES[config.style], config.play.chat_settings)
    rewards = Rewards(config.reward, config.play.flip, config.seed)
    made = list(rows_of(kept.episodes, encoder, rewards))
    longest = most_tokens(trainable, arguments)
    rows = tuple(row for row in made if len(row.input_ids) <= longest)
    require(
        bool(rows),
        "reward and max_length",
        f"such that rows are left of {len(kept.episodes):,} episodes",
        f"reward {', '.join(config.reward)}, {longest:,} tokens",
    )
    return rows, len(made) - len(rows)


def most_tokens(trainable: Trainable, arguments: Any) -> int:
    """Return how long a row may be: what is given, or what the model has positions for."""
    positions = int(getattr(trainable.model.config, "max_position_embeddings", 2**31))
    return min(positions, arguments.max_length or positions)


def _data(kept: Kept, rows: tuple[Row, ...], too_long: int) -> Data:
    first = kept.episodes[0]
    counts = {
        "episodes in the file": kept.read,
        "episodes that pass the filter": len(kept.episodes),
        "rows": len(rows),
        "rows left out as too long": too_long,
        "actions": sum(row.actions for row in rows),
        "tokens": sum(len(row.input_ids) for row in rows),
        "tokens with a loss": sum(sum(row.learnt[1:]) for row in rows),
    }
    digest = digest_of_rows(rows)
    told = f"{kept.told}, rows {digest}."
    return Data(told, first.env_id, dict(first.env_kwargs), kept.source, digest, counts)


def _trainer(trainable: Trainable, arguments: Any, rows: tuple[Row, ...], books: Books) -> Any:
    import torch
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl.trainer.sft_trainer import SFTTrainer

    class Counting(SFTTrainer):
        """Counts tokens with a loss and new worlds of each batch, over all processes."""

        def get_batch_samples(self, *arguments: Any) -> Any:
            batches, items = super().get_batch_samples(*arguments)
            if not batches:
                return batches, items
            learnt = sum((each["labels"][..., 1:] != NOT_LEARNT).sum() for each in batches)
            seen = torch.cat([each.pop(_WORLD) for each in batches])
            if self.accelerator.num_processes > 1:
                learnt = self.accelerator.reduce(learnt.to(self.accelerator.device), "sum")
                seen = self.accelerator.gather(seen.to(self.accelerator.device))
            books.meter.add(gradient_tokens=int(learnt))
            worlds.see(seen.tolist())
            return batches, items

    worlds = _Worlds(books)
    trainer = Counting(
        model=trainable.model,
        args=arguments,
        train_dataset=Dataset.from_list(_features(rows)),
        processing_class=trainable.tokenizer,
    )
    trainer.remove_callback(PrinterCallback)
    collate: Any = trainer.data_collator
    trainer.data_collator = lambda features: {
        **collate(features),
        _WORLD: torch.tensor([each[_WORLD] for each in features]),
    }
    return trainer


def _features(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return rows as the collator takes them, with the numbers of their worlds."""
    worlds = list(dict.fromkeys(row.world for row in rows))
    numbers = {name: number for number, name in enumerate(worlds)}
    return [
        {"input_ids": list(row.input_ids), "labels": row.labels, _WORLD: numbers[row.world]}
        for row in rows
    ]


class _Worlds:
    """Counts worlds by their numbers; which ones were seen goes into every checkpoint."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._seen = int(books.state.get("worlds", "0"), 16)

    def see(self, numbers: Iterable[int]) -> None:
        before = self._seen.bit_count()
        for number in numbers:
            self._seen |= 1 << number
        self._books.meter.add(distinct_worlds=self._seen.bit_count() - before)
        self._books.state["worlds"] = f"{self._seen:x}"
