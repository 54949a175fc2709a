"""GRPO: TRL's GRPOTrainer over completions that come from this package's own generator.

In: rows that stand for tasks or states, and a function that acts at them. Out: a trainer. Its
``rollout_func`` and the mask over what the environment wrote (``env_mask``) are those of TRL 1.16,
to which this package is pinned.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hopgym_agents.training.callback import Books
from hopgym_agents.training.compaction import compacted
from hopgym_agents.training.config import TrainConfig
from hopgym_agents.training.setup import Setting, check_groups

USUAL: Mapping[str, Any] = {
    "num_generations": 8,
    "scale_rewards": "none",
    "beta": 0.0,
    "learning_rate": 1e-5,
}
"""Instead of TRL's defaults. Rewards of 0 and 1
are not divided by their deviation, which would count nearly solved groups for more."""
_REWARD = "reward_"


@dataclass(frozen=True, slots=True)
class Rollout:
    """What was sampled for a row."""

    prompt_ids: Sequence[int]
    completion_ids: Sequence[int]
    learnt: Sequence[bool]
    """For each token of the completion, whether the model wrote it."""


Act = Callable[[Sequence[int], int], tuple[Sequence[Rollout], Mapping[str, Sequence[float]]]]
"""Takes the numbers of rows, each as often as it is to be sampled, and a seed; returns what was
sampled for each, and its rewards by name."""


def grpo_config() -> Any:
    """Return TRL's class of arguments."""
    from trl.trainer.grpo_config import GRPOConfig

    return GRPOConfig


def fixed(config: TrainConfig) -> dict[str, Any]:
    """Return the arguments that the options decide; checked, as they go into TRL's."""
    check_groups(config, config.trl.get("num_generations", USUAL["num_generations"]))
    return {
        "reward_weights": list(config.reward.values()),
        "shuffle_dataset": False,
        "temperature": config.play.temperature,
        "max_completion_length": config.play.max_tokens,
    }


def make_trainer(where: Setting, rows: int, books: Books, act: Act) -> Any:
    """Return a GRPOTrainer whose rows are numbers from 0, sampled by a function of one's own.

    Args:
        where: Model, arguments and rewards.
        rows: How many there are.
        books: What is spent is added to them.
        act: What samples.
    """
    from datasets import Dataset
    from transformers import PrinterCallback
    from trl.trainer.grpo_trainer import GRPOTrainer

    class Compact(GRPOTrainer):
        """Computes no row twice, and little padding."""

        def _get_per_token_logps_and_entropies(
            self, model: Any, ids: Any, mask: Any, keep: int, *given: Any, **named: Any
        ) -> Any:
            compute = super()._get_per_token_logps_and_entropies
            # Processes must call a model equally often, and a loss of experts is over whole rows.
            if self.accelerator.num_processes > 1 or given or named.get("compute_aux_loss"):
                return compute(model, ids, mask, keep, *given, **named)
            return compacted(compute, model, ids, mask, keep, **named)

    readers: Any = [_reader(name) for name in where.config.reward]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*rollout_func.*")
        trainer = Compact(
            model=where.trainable.model,
            args=where.arguments,
            reward_funcs=readers,
            train_dataset=Dataset.from_dict({"prompt": [str(row) for row in range(rows)]}),
            processing_class=where.trainable.tokenizer,
            rollout_func=_rollout_func(where, books, act),
        )
    trainer.remove_callback(PrinterCallback)
    return trainer


def seed_of(trainer: Any, seed: int) -> int:
    """Return the seed of what is sampled now: of the run, the step, and this process."""
    accelerator = trainer.accelerator
    steps = int(trainer.state.global_step) * accelerator.num_processes
    return int(seed * 1_000_003 + steps + accelerator.process_index)


def summed(trainer: Any, counts: Mapping[str, int]) -> dict[str, int]:
    """Return counts summed over all processes."""
    import torch

    accelerator = trainer.accelerator
    if accelerator.num_processes == 1:
        return dict(counts)
    own = torch.tensor(list(counts.values()), device=accelerator.device)
    return dict(zip(counts, accelerator.reduce(own, "sum").tolist(), strict=True))


def _rollout_func(where: Setting, books: Books, act: Act) -> Callable[..., dict[str, Any]]:
    def rollout(prompts: list[str], trainer: Any) -> dict[str, Any]:
        numbers = [int(prompt) for prompt in prompts]
        sampled, rewards = act(numbers, seed_of(trainer, where.config.seed))
        learnt = sum(sum(each.learnt) for each in sampled)
        books.meter.add(**summed(trainer, {"gradient_tokens": learnt}))
        return {
            "prompt_ids": [list(each.prompt_ids) for each in sampled],
            "completion_ids": [list(each.completion_ids) for each in sampled],
            "env_mask": [[int(on) for on in each.learnt] for each in sampled],
            # TRL computes them again, as it needs them with a gradient anyway.
            "logprobs": None,
            **{_REWARD + name: list(values) for name, values in rewards.items()},
        }

    return rollout


def _reader(name: str) -> Callable[..., list[float]]:
    """Return TRL's reward function for rewards that came with what was sampled."""

    def reward(**columns: Any) -> list[float]:
        return list(columns[_REWARD + name])

    reward.__name__ = name
    return reward
