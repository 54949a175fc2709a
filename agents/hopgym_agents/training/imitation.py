"""Methods that imitate: chosen actions of episodes, trained on with TRL's SFTTrainer."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, pairwise
from typing import Any, ClassVar

from hopgym_agents.training.config import IMITATION_DEFAULTS, TrainConfig
from hopgym_agents.training.method import Method, sum_over_processes
from hopgym_agents.training.rows import TrainingRow


class ImitationMethod(Method):
    """A method whose rollouts are rows of tokens with a loss on chosen actions."""

    shuffle: ClassVar[bool] = False
    """Whether rows come in random order, decided by the seed; else by number."""
    trl_defaults: ClassVar[Mapping[str, Any]] = IMITATION_DEFAULTS

    @classmethod
    def trl_config(cls) -> Any:
        """Return ``trl.SFTConfig``."""
        from trl.trainer.sft_config import SFTConfig

        return SFTConfig

    @classmethod
    def trl_fixed(cls, config: TrainConfig) -> Mapping[str, Any]:
        """Return the settings that keep TRL from preparing the dataset itself."""
        return {"dataset_kwargs": {"skip_prepare_dataset": True}}

    @abstractmethod
    def rollouts(self, trainer: Any, rows: list[int]) -> Sequence[TrainingRow]:
        """Return the rows to train on; there may be fewer than row numbers, or none."""

    def make_trainer(self) -> Any:
        """Return an SFTTrainer whose dataset holds row numbers."""
        import torch
        from datasets import Dataset
        from torch.utils.data import SequentialSampler
        from transformers import PrinterCallback
        from trl.trainer.sft_trainer import SFTTrainer

        setup = self.run.setup
        row_count = self.run.data.row_count
        pad = setup.trainable.tokenizer.pad_token_id
        nothing = TrainingRow((pad,) * 2, (False, False), 0)
        method = self

        class RolloutTrainer(SFTTrainer):
            """Turns the row numbers of a batch into rows."""

            def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: Any) -> Any:
                drawn = list(islice(epoch_iterator, num_batches))
                if not drawn:
                    return [], None
                rows = method.rollouts(self, [number for batch in drawn for number in batch])
                # A batch without any row to train on still needs one that has no loss.
                batches = [
                    collate(_features(part or [nothing])) for part in _parts(rows, len(drawn))
                ]
                local = {"gradient_tokens": sum(row.gradient_tokens for row in rows)}
                counts = sum_over_processes(self, local)
                method.run.state.meter.add(**counts)
                return batches, torch.tensor(max(counts["gradient_tokens"], 1), device=device)

            def _get_train_sampler(self, *arguments: Any) -> Any:
                if method.shuffle:
                    return super()._get_train_sampler(*arguments)
                return SequentialSampler(range(row_count))

        numbers: Any = Dataset.from_dict({"input_ids": [[row] for row in range(row_count)]})
        trainer = RolloutTrainer(
            model=setup.trainable.model,
            args=setup.arguments,
            train_dataset=numbers,
            processing_class=setup.trainable.tokenizer,
        )
        collate: Any = trainer.data_collator
        trainer.data_collator = _row_numbers
        trainer.remove_callback(PrinterCallback)
        return trainer


def _row_numbers(rows: Sequence[Any]) -> Any:
    return [row["input_ids"][0] for row in rows]


def _features(rows: Sequence[TrainingRow]) -> list[dict[str, list[int]]]:
    """Return rows in the form that TRL's collator takes."""
    return [{"input_ids": list(row.input_ids), "labels": row.labels} for row in rows]


def _parts(rows: Sequence[TrainingRow], count: int) -> Iterator[Sequence[TrainingRow]]:
    """Yield rows in a number of consecutive parts of nearly equal size."""
    bounds = [len(rows) * part // count for part in range(count + 1)]
    for start, stop in pairwise(bounds):
        yield rows[start:stop]
