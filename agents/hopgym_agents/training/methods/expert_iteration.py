"""Expert iteration: sample with the current policy, keep what is good, imitate it.

In: an environment and a model. Out: the model after steps of SFT, each on the actions of episodes
that it has just played whose reward is above 0: the GOOD ones, or all of right answers.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import islice, pairwise
from typing import Any

from hopgym.errors import require
from hopgym_agents.training.actor import Player
from hopgym_agents.training.callback import Books
from hopgym_agents.training.config import TrainConfig
from hopgym_agents.training.environments import Worlds
from hopgym_agents.training.grpo import seed_of, summed
from hopgym_agents.training.loop import Prepared
from hopgym_agents.training.methods.sft import FIXED, USUAL, most_tokens, with_usual
from hopgym_agents.training.rows import Row, rows_of
from hopgym_agents.training.setup import (
    Setting,
    check_unused,
    count_worlds,
    generated,
    ready,
    setting,
    shown_rows,
    steps_of,
)

METHOD = "filtered"


def prepare(config: TrainConfig) -> Prepared:
    """Return a run that is ready to begin.

    Raises:
        HopgymError: On anything that can be known to keep the run from going through.
    """
    from trl.trainer.sft_config import SFTConfig

    check_unused(METHOD, config)
    longest = config.trl.get("max_length")
    require(longest is None, "trl.max_length", "left out: the context bounds episodes", longest)
    config = with_usual(config, reward="good", filter="none")
    fits = config.batch % config.play.samples == 0
    require(fits, "play.samples", f"a divisor of the batch ({config.batch})", config.play.samples)
    where = setting(config, SFTConfig, USUAL, None, "", **FIXED)
    rows = where.tasks * config.play.samples

    def trainer(books: Books, player: Player) -> Any:
        return _trainer(where, rows, books, player)

    at_once = where.arguments.per_device_train_batch_size
    return ready(METHOD, where, shown_rows(where), steps_of(where, rows), trainer, at_once=at_once)


def _trainer(where: Setting, rows: int, books: Books, player: Player) -> Any:
    import torch
    from datasets import Dataset
    from torch.utils.data import SequentialSampler
    from transformers import PrinterCallback
    from trl.trainer.sft_trainer import SFTTrainer

    played = _Played(where, books, player)
    nothing = Row((where.trainable.tokenizer.pad_token_id,) * 2, (False, False), 0)

    class Playing(SFTTrainer):
        """Turns the tasks of a batch into rows by playing them."""

        def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: Any) -> Any:
            drawn = [number for each in islice(epoch_iterator, num_batches) for number in each]
            if not drawn:
                return [], None
            made = played.rows(self, [number // where.config.play.samples for number in drawn])
            batches = [collator(_features(part, nothing)) for part in _parts(made, num_batches)]
            learnt = summed(self, {"gradient_tokens": sum(sum(row.learnt[1:]) for row in made)})
            books.meter.add(**learnt)
            # Where nothing is kept there is no loss either, and nothing to divide by.
            return batches, torch.tensor(max(learnt["gradient_tokens"], 1), device=device)

        def _get_train_sampler(self, *_: Any) -> Any:
            return SequentialSampler(range(rows))

    numbers: Any = Dataset.from_dict({"input_ids": [[row] for row in range(rows)]})
    trainer = Playing(
        model=where.trainable.model,
        args=where.arguments,
        train_dataset=numbers,
        processing_class=where.trainable.tokenizer,
    )
    collator: Any = trainer.data_collator
    # What the loader brings are numbers of tasks; rows come of them in ``get_batch_samples``.
    trainer.data_collator = _numbers
    trainer.remove_callback(PrinterCallback)
    return trainer


class _Played:
    """Plays tasks and turns what is good of it into rows."""

    def __init__(self, where: Setting, books: Books, player: Player) -> None:
        self._where, self._books, self._player = where, books, player
        self._worlds = Worlds(where.env, books.state.get("seen", 0))
        self._longest = most_tokens(where.trainable, where.arguments)

    def rows(self, trainer: Any, tasks: Sequence[int]) -> list[Row]:
        """Return the rows of tasks, each played as often as it stands there."""
        where, books, wanted = self._where, self._books, Counter(tasks)
        seed = seed_of(trainer, where.config.seed)
        episodes = self._player.play(where.env, wanted.items(), seed)
        books.diagnosis.add_episodes(episodes)
        books.meter.add(**summed(trainer, generated(episodes)))
        count_worlds(books, self._worlds, wanted, trainer)
        made = rows_of(episodes, self._player.encoder, where.rewards)
        # The loss is a sum over all of them: those of like length stand best together.
        fitting = (row for row in made if len(row.input_ids) <= self._longest)
        return sorted(fitting, key=lambda row: len(row.input_ids))


def _numbers(rows: Sequence[Any]) -> Any:
    return [row["input_ids"][0] for row in rows]


def _features(rows: Sequence[Row], nothing: Row) -> list[dict[str, list[int]]]:
    """Return rows as the collator takes them; a batch needs one at least."""
    return [{"input_ids": list(row.input_ids), "labels": row.labels} for row in rows or [nothing]]


def _parts(rows: Sequence[Row], count: int) -> list[Sequence[Row]]:
    """Return rows in so many parts of like size."""
    bounds = [len(rows) * part // count for part in range(count + 1)]
    return [rows[first:last] for first, last in pairwise(bounds)]
