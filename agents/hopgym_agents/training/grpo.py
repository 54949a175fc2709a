"""Methods that learn by GRPO: TRL's GRPOTrainer over rollouts of this package's own generator.

Its ``rollout_func`` and the mask over what the environment wrote (``env_mask``) are those of TRL
1.16, to which this package is pinned.
"""

import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from hopgym.errors import require
from hopgym_agents.training.config import GRPO_DEFAULTS, TrainConfig
from hopgym_agents.training.method import Method, sum_over_processes

if TYPE_CHECKING:
    from torch import Tensor


_REWARD_COLUMN = "reward_"
_COMPACT_GROUPS = 4
_SMALLEST_GROUP = 8
"""Below this number of rows a forward pass of its own does not pay."""

LogProbs = tuple["Tensor", "Tensor | None", "Tensor | None"]
"""Log-probabilities and entropies of shape (rows, completion columns), and TRL's third item."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """What was sampled for a row."""

    prompt_ids: Sequence[int]
    completion_ids: Sequence[int]
    trained: Sequence[bool]
    """For each token of the completion, whether the model sampled it."""


@dataclass(frozen=True, slots=True)
class RolloutBatch:
    """Rollouts of a batch with their rewards."""

    rollouts: Sequence[Rollout]
    rewards: Mapping[str, Sequence[float]]
    """By name, one value per rollout, in [0, 1]."""


class GRPOMethod(Method):
    """A method whose rollouts are compared within groups that share a row number."""

    trl_defaults: ClassVar[Mapping[str, Any]] = GRPO_DEFAULTS

    @classmethod
    def trl_config(cls) -> Any:
        """Return ``trl.GRPOConfig``."""
        from trl.trainer.grpo_config import GRPOConfig

        return GRPOConfig

    @classmethod
    def trl_fixed(cls, config: TrainConfig) -> Mapping[str, Any]:
        """Return the settings that follow from rewards, temperature and action length.

        Raises:
            ArgumentError: When whole groups do not fill a batch.
        """
        group = config.trl.get("num_generations", cls.all_trl_defaults()["num_generations"])
        fits = type(group) is int and group >= 2 and config.batch % group == 0
        expected = f"a divisor of the batch ({config.batch}), at least 2"
        require(fits, "trl.num_generations", expected, group)
        return {
            "reward_weights": list(config.reward.values()),
            "shuffle_dataset": False,
            "temperature": config.play.temperature,
            "max_completion_length": config.play.max_tokens,
        }

    @classmethod
    def rows_per_sample(cls, arguments: Any) -> int:
        """Return the size of a group."""
        return int(arguments.num_generations)

    @abstractmethod
    def rollouts(self, trainer: Any, rows: list[int]) -> RolloutBatch:
        """Return one rollout per row number, in the same order, with their rewards."""

    def make_trainer(self) -> Any:
        """Return a GRPOTrainer whose prompts are row numbers."""
        from datasets import Dataset
        from transformers import PrinterCallback
        from trl.trainer.grpo_trainer import GRPOTrainer

        class CompactTrainer(GRPOTrainer):
            """Computes no row twice, and little padding."""

            def _get_per_token_logps_and_entropies(
                self, model: Any, ids: Any, mask: Any, keep: int, *arguments: Any, **named: Any
            ) -> Any:
                compute = super()._get_per_token_logps_and_entropies
                # Processes must call a model equally often, and the auxiliary loss of a mixture of
                # experts is defined over the whole batch.
                parallel = self.accelerator.num_processes > 1
                if parallel or arguments or named.get("compute_aux_loss"):
                    return compute(model, ids, mask, keep, *arguments, **named)
                return compute_compacted(compute, model, ids, mask, keep, **named)

        setup = self.run.setup
        readers: Any = [_reward_reader(name) for name in setup.config.reward]
        rows = [str(row) for row in range(self.run.data.row_count)]
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*rollout_func.*")
            trainer = CompactTrainer(
                model=setup.trainable.model,
                args=setup.arguments,
                reward_funcs=readers,
                train_dataset=Dataset.from_dict({"prompt": rows}),
                processing_class=setup.trainable.tokenizer,
                rollout_func=self._rollout_columns,
            )
        trainer.remove_callback(PrinterCallback)
        return trainer

    def _rollout_columns(self, prompts: list[str], trainer: Any) -> dict[str, Any]:
        """Return rollouts as the columns that TRL's ``rollout_func`` gives."""
        batch = self.rollouts(trainer, [int(prompt) for prompt in prompts])
        tokens = sum(sum(rollout.trained) for rollout in batch.rollouts)
        counts = sum_over_processes(trainer, {"gradient_tokens": tokens})
        self.run.state.meter.add(**counts)
        return {
            "prompt_ids": [list(rollout.prompt_ids) for rollout in batch.rollouts],
            "completion_ids": [list(rollout.completion_ids) for rollout in batch.rollouts],
            "env_mask": [[int(on) for on in rollout.trained] for rollout in batch.rollouts],
            # TRL computes them itself, as it needs them with a gradient.
            "logprobs": None,
            **{_REWARD_COLUMN + name: list(values) for name, values in batch.rewards.items()},
        }


def _reward_reader(name: str) -> Callable[..., list[float]]:
    """Return a TRL reward function that reads the rewards that came with the rollouts."""

    def reward(**columns: Any) -> list[float]:
        return list(columns[_REWARD_COLUMN + name])

    reward.__name__ = name
    return reward


def compute_compacted(
    compute: Callable[..., LogProbs],
    model: Any,
    input_ids: "Tensor",
    attention_mask: "Tensor",
    logits_to_keep: int,
    **settings: Any,
) -> LogProbs:
    """Return what TRL's method for log-probabilities and entropies returns, for less work.

    Distinct rows are computed once each, next to rows of similar length. A confident policy samples
    the same action of a state again and again, and early and late states of an episode share a
    batch, so most of a padded batch is repetition and padding.

    Args:
        compute: TRL's method.
        model: The model.
        input_ids: Shape (rows, columns), with the completion's columns last.
        attention_mask: Same shape.
        logits_to_keep: Number of completion columns.
        settings: Further arguments of the method.
    """
    import torch
    from torch.nn.functional import pad

    columns = input_ids.shape[1]
    both = torch.cat([input_ids, attention_mask], dim=1)
    unique, inverse = torch.unique(both, dim=0, return_inverse=True)
    ids = unique[:, :columns]
    mask = unique[:, columns:]
    order: list[Any] = []
    logps: list[Any] = []
    entropies: list[Any] = []
    for rows, start, stop in _groups_by_length(mask):
        cut = columns - stop
        group_ids = ids[rows][:, start:stop]
        group_mask = mask[rows][:, start:stop]
        result = compute(model, group_ids, group_mask, logits_to_keep - cut, **settings)
        order.append(rows)
        logps.append(pad(result[0], (0, cut)))
        if result[1] is not None:
            entropies.append(pad(result[1], (0, cut)))
    back = torch.argsort(torch.cat(order))[inverse]
    return torch.cat(logps)[back], torch.cat(entropies)[back] if entropies else None, None


def _groups_by_length(mask: "Tensor") -> Iterator[tuple["Tensor", int, int]]:
    """Yield row numbers of similar length, and the columns in use: first, and one past the last."""
    import torch

    columns = mask.shape[1]
    first = mask.argmax(dim=1)
    last = columns - mask.flip(1).argmax(dim=1)
    by_length = torch.argsort(last - first, stable=True)
    count = max(1, min(_COMPACT_GROUPS, len(by_length) // _SMALLEST_GROUP))
    for rows in torch.tensor_split(by_length, count):
        yield rows, int(first[rows].min()), int(last[rows].max())
