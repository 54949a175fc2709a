"""Supervised fine-tuning: the actions of filtered episodes, with the loss on them alone.

In: a run of episodes and a model. Out: the model after training on what passes a filter, through
TRL's SFTTrainer. Tokens are those of `hopgym_agents.chat.ChatEncoder`, as when the model acts.
"""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hopgym.cli.kept_runs import trajectory_file
from hopgym.errors import DataError, require
from hopgym_agents.chat import ChatEncoder
from hopgym_agents.filtering import FILTERS, labels_of, passing
from hopgym_agents.modeling import Trainable, load_trainable, save_trained, widen_adapter
from hopgym_agents.prompts import STYLES
from hopgym_agents.training.budget import Meter, Spent
from hopgym_agents.training.card import write_card
from hopgym_agents.training.config import TrainConfig, trl_arguments
from hopgym_agents.training.folder import RunFolder, is_leader
from hopgym_agents.training.ledger import ledger
from hopgym_agents.training.result import Checked, Data, Trained, one_thread
from hopgym_agents.training.rows import NOT_LEARNT, Row, digest_of_rows, rows_of

if TYPE_CHECKING:
    from hopgym.trajectory import Trajectory

METHOD = "sft"
_UNUSED = ("generated_tokens", "environment_steps", "distinct_worlds")
"""Limits of what this method spends nothing of."""


@dataclass(frozen=True, slots=True)
class _Read:
    """What there is to learn from."""

    rows: tuple[Row, ...]
    data: Data


@dataclass(frozen=True, slots=True)
class Prepared:
    """A run of which everything has been checked that can be before it begins."""

    checked: Checked
    trainable: Trainable
    rows: tuple[Row, ...]
    arguments: Any
    """TRL's configuration."""


def prepare(config: TrainConfig) -> Prepared:
    """Return a run that is ready to begin: the model is loaded, the rows are made.

    Raises:
        HopgymError: On anything that can be known to keep the run from going through.
    """
    from trl.trainer.sft_config import SFTConfig

    one_thread()
    for name in _UNUSED:
        limit = getattr(config.limits, name)
        require(
            limit is None, f"limits.{name}", f"left out for {METHOD}, which plays nothing", limit
        )
    folder = RunFolder(Path(config.out))
    arguments = trl_arguments(config, SFTConfig, folder.checkpoints)
    file = trajectory_file(Path(config.run))
    device = "cpu" if arguments.use_cpu else "auto"
    trainable = load_trainable(config.model, config.precision, device=device, seed=config.seed)
    if not config.trl.get("optim"):
        arguments.optim = trainable.optimizer
    read = _rows(config, file, trainable, arguments)
    checked = Checked.of(METHOD, config, trainable, read.rows, read.data, arguments)
    folder.check(checked.identity)
    return Prepared(checked, trainable, read.rows, arguments)


def train(
    run: Prepared, show: Callable[[int, int], Callable[[int], None]] | None = None
) -> Trained:
    """Train a model, or go on where a killed run of the same configuration was.

    A run that has ended within the same limits is not done again. With larger ones it goes on.

    Args:
        run: Of `prepare`; it serves once.
        show: Called with the number of steps and how many of them are done; returns what is told
            of each further one.

    Raises:
        RunFileError: When another process has the folder open.
    """
    config = run.checked.config
    folder, limits = RunFolder(Path(config.out)), asdict(config.limits)
    with folder.opened(run.checked.identity):
        done = folder.result(limits)
        if done is not None:
            return Trained.from_dict(done)
        trained = _run(run, folder, show)
        if is_leader():
            folder.reopen()
            save_trained(run.trainable, folder.model)
            write_card(folder.model, run.checked, trained)
            folder.finish(limits, trained.to_dict())
    return trained


def _rows(config: TrainConfig, file: Path, trainable: Trainable, arguments: Any) -> _Read:
    """Return the rows of the episodes that pass the filter."""
    from hopgym.runfile import read_header, read_trajectories

    episodes = list(read_trajectories(file))
    labels = [label for label in labels_of(episodes) if label is not None]
    keys = {label.key for label in passing(labels, config.filter)}
    kept = sorted(
        (each for each in episodes if each.key in keys), key=lambda each: (each.index, each.sample)
    )
    if not kept:
        counts = ", ".join(f"{name} {len(passing(labels, name)):,}" for name in FILTERS)
        raise DataError(
            f"{file}: expected episodes that pass the filter {config.filter}, got none of "
            f"{len(episodes):,} ({counts}); take another --filter, or collect more"
        )
    encoder = ChatEncoder(trainable.tokenizer, STYLES[config.style])
    made = list(rows_of(kept, encoder, config.weight))
    longest = _most_tokens(trainable, arguments)
    rows = tuple(row for row in made if len(row.input_ids) <= longest)
    require(
        bool(rows),
        "weight and max_length",
        f"such that rows are left of {len(kept):,} episodes",
        f"weight {config.weight}, {longest:,} tokens",
    )
    header = read_header(file)
    return _Read(
        rows,
        Data(
            run=str(file),
            source=header.source,
            digest=digest_of_rows(rows),
            episodes=len(episodes),
            kept=len(kept),
            worlds=len(set(map(_world, kept))),
            too_long=len(made) - len(rows),
            env_id=kept[0].env_id,
            env_kwargs=dict(kept[0].env_kwargs),
        ),
    )


def _most_tokens(trainable: Trainable, arguments: Any) -> int:
    """Return how long a row may be: what is given, or what the model has positions for."""
    positions = int(getattr(trainable.model.config, "max_position_embeddings", 2**31))
    return min(positions, arguments.max_length or positions)


def _world(episode: "Trajectory") -> tuple[str, str]:
    """Return what tells an episode's world from others; generated tasks are ``.../world/slot``."""
    kwargs = json.dumps(dict(episode.env_kwargs), sort_keys=True)
    return f"{episode.env_id} {kwargs}", episode.task_id.rpartition("/")[0] or episode.task_id


def _run(
    run: Prepared,
    folder: RunFolder,
    show: Callable[[int, int], Callable[[int], None]] | None,
) -> Trained:
    limits, start = run.checked.config.limits, folder.last()
    if is_leader():
        folder.go_back(start)
    meter = Meter(start.spent if start else Spent(distinct_worlds=run.checked.data.worlds))
    done = start.step if start else 0
    books = ledger(folder, meter, limits, show(run.checked.steps, done) if show else _unseen)
    trainer = _trainer(run, meter, books)
    if start and (start.step >= run.checked.steps or limits.reached(start.spent)):
        # Killed between its last checkpoint and its end: a further batch would be one too many.
        trainer._load_from_checkpoint(str(start.path))
        return Trained.of(run.checked, folder, meter.spent, limits, done)
    trainer.train(resume_from_checkpoint=str(start.path) if start else None)
    return Trained.of(run.checked, folder, meter.spent, limits, trainer.state.global_step)


def _unseen(steps: int) -> None:
    """Tell nobody of a step."""


def _trainer(run: Prepared, meter: Meter, books: Any) -> Any:
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl.trainer.sft_trainer import SFTTrainer

    class Counting(SFTTrainer):
        """Counts the tokens with a loss of each batch, over all processes."""

        def get_batch_samples(self, *arguments: Any) -> Any:
            batches, items = super().get_batch_samples(*arguments)
            learnt = sum((each["labels"][..., 1:] != NOT_LEARNT).sum() for each in batches)
            if self.accelerator.num_processes > 1 and batches:
                learnt = self.accelerator.reduce(learnt.to(self.accelerator.device), "sum")
            meter.add(gradient_tokens=int(learnt))
            return batches, items

    rows = [{"input_ids": list(row.input_ids), "labels": row.labels} for row in run.rows]
    trainer = Counting(
        model=run.trainable.model,
        args=run.arguments,
        train_dataset=Dataset.from_list(rows),
        processing_class=run.trainable.tokenizer,
        callbacks=[books],
    )
    trainer.remove_callback(PrinterCallback)
    widen_adapter(run.trainable)  # which TRL has narrowed
    return trainer
