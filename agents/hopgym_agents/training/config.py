"""Configuration: what a training run learns from, how, and how long; the same for every method.

In: options by name, and a recipe's. Out: a checked `TrainConfig`, and the arguments of TRL's own
trainer. Nothing is read or loaded before all of it has been checked.
"""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

from msgspec import Meta, ValidationError, convert

from hopgym.errors import ArgumentError, did_you_mean, require
from hopgym_agents.data.filtering import FILTERS
from hopgym_agents.modeling import PRECISIONS, Precision
from hopgym_agents.prompts import STYLES
from hopgym_agents.training.budget import Limits
from hopgym_agents.training.environments import Play
from hopgym_agents.training.recipes import laid_over, read_toml
from hopgym_agents.training.rewards import JUDGE, NAMES

_OURS: Mapping[str, str] = {
    "output_dir": "--out",
    "seed": "--seed",
    "data_seed": "--seed",
    "per_device_train_batch_size": "--batch",
    "generation_batch_size": "--batch",
    "reward_weights": "--reward",
    "temperature": "--temperature",
    "max_completion_length": "--max-tokens",
    "auto_find_batch_size": "--batch",
    "gradient_checkpointing": "--gradient-checkpointing",
    "activation_checkpointing": "--gradient-checkpointing",
}
"""Settings of TRL that follow from one of ours, which is to be given instead."""
_FIXED = (
    *("dataset_kwargs", "completion_only_loss", "assistant_only_loss", "packing", "padding_free"),
    *("dataset_text_field", "chat_template_path", "eos_token", "pad_token", "truncation_mode"),
    *("save_only_model", "resume_from_checkpoint", "save_total_limit", "model_init_kwargs"),
    *("remove_unused_columns", "load_best_model_at_end", "eval_strategy", "shuffle_dataset"),
    *("dispatch_batches", "split_batches", "num_generations_eval", "mask_truncated_completions"),
    *("min_p", "repetition_penalty", "generation_kwargs", "chat_template_kwargs"),
    *("num_iterations", "steps_per_generation"),
    *("cache_implementation", "use_transformers_paged", "use_transformers_continuous_batching"),
)
"""Settings of TRL that no run may have otherwise: tokens are those of acting, sampled by this
package's own generator, and a killed run goes on from its checkpoints."""
_NUMBERS = {int, float, bool, type(None)}
_SET: Mapping[str, Any] = {
    "logging_steps": 10,
    "save_steps": 100,
    "report_to": "none",
    "disable_tqdm": True,
    "ddp_timeout": 14_400,  # the others wait while one process plays
    "activation_checkpointing": False,  # `load_trainable` has seen to it.
    "save_total_limit": 2,
    "remove_unused_columns": False,
}
"""What TRL's own defaults are replaced by, where nothing is given."""


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """What a run does. Any method takes it; what it has no use for, it refuses."""

    model: str
    """Folder or Hub id of the model that is begun with."""
    out: str
    """Folder of this run: checkpoints, log, and in ``model`` what came of it."""
    run: str = ""
    """Trajectory file or folder of a run, to learn from; methods that play need none."""
    filter: str = ""
    """Which episodes are learnt from; a name of `hopgym_agents.data.filtering.FILTERS`. Empty: the
    method's own, ``process`` for ``sft`` and ``none`` for ``stepwise``."""
    reward: dict[str, float] = field(default_factory=dict)
    """What actions are rewarded for: names of `hopgym_agents.training.rewards.NAMES`, weighed. A
    method that imitates learns those whose reward is above 0. Empty: the method's own."""
    style: str = "plain"
    """How episodes are rendered; the model is to be played with the same."""
    precision: Precision = field(default_factory=Precision)
    batch: Annotated[int, Meta(ge=1)] = 16
    """Rows behind one step of the optimiser, over all processes."""
    limits: Limits = field(default_factory=Limits)
    seed: Annotated[int, Meta(ge=0)] = 0
    """Of the order of the rows, of what is drawn, and of new weights."""
    play: Play = field(default_factory=Play)
    trl: dict[str, Any] = field(default_factory=dict)
    """Settings of TRL's own configuration, by name."""


def read_config(
    given: Mapping[str, Any], recipe: str | os.PathLike[str] | None = None
) -> TrainConfig:
    """Return the `TrainConfig` of options and a recipe; options come before the recipe's.

    Args:
        given: By the names of `TrainConfig`; ``precision``, ``limits``, ``play``, ``reward`` and
            ``trl`` are objects, of which single values may be given.
        recipe: A TOML file of the same names.

    Raises:
        ArgumentError: On names that there are not, values of another type or out of range, and
            what must be given and is not.
        DataError: When the recipe cannot be read.
    """
    below = read_toml(Path(recipe), "a recipe") if recipe is not None else {}
    merged = laid_over(below, given)
    _known(merged, TrainConfig, "")
    for name, kind in (("precision", Precision), ("limits", Limits), ("play", Play)):
        if isinstance(merged.get(name), Mapping):
            _known(merged[name], kind, f"{name}.")
    if isinstance(merged.get("precision"), Mapping):
        usual = PRECISIONS.get(merged["precision"].get("kind", "full"), Precision())
        merged["precision"] = asdict(usual) | merged["precision"]
    for each in ("model", "out"):
        require(bool(merged.get(each)), each, f"given (--{each} ...)", merged.get(each))
    try:
        config = convert(merged, TrainConfig)
    except ValidationError as error:
        what, _, where = str(error).partition(" - at `$.")
        where = where.rstrip("`") or "the options"
        raise ArgumentError(f"{where} cannot be taken: {what[0].lower()}{what[1:]}") from error
    _check_names(config)
    return config


def _check_names(config: TrainConfig) -> None:
    for name, values, among in (
        ("filter", (config.filter,) if config.filter else (), tuple(FILTERS)),
        ("reward", tuple(config.reward), NAMES),
        ("style", (config.style,), tuple(STYLES)),
    ):
        for value in values:
            hint = did_you_mean(value, among)
            require(value in among, name, f"one of {', '.join(among)}{hint}", value)
    for name, weight in config.reward.items():
        require(weight > 0, f"reward.{name}", "a weight above 0", weight)
    ends, dev = config.limits.dev_success, config.play.dev
    mend = "left out, or --dev N given: the tasks that it is measured on"
    require(ends is None or dev > 0, "limits.dev_success", mend, ends)
    asked, told = JUDGE in config.reward, bool(config.play.judge)
    mend = f"given where the reward {JUDGE} is, and nowhere else (--play.judge.model ...)"
    require(asked == told, "play.judge", mend, config.play.judge)


def trl_arguments(
    config: TrainConfig, kind: Any, folder: Path, usual: Mapping[str, Any], **fixed: Any
) -> Any:
    """Return TRL's configuration of a run.

    Args:
        config: The run's.
        kind: TRL's class, such as ``trl.SFTConfig``.
        folder: Where checkpoints go.
        usual: What takes the place of TRL's defaults in a method, where nothing is given.
        fixed: What the method sets, whatever is given.

    Raises:
        ArgumentError: On settings that TRL does not have or that follow from ours, values that it
            refuses, a batch that the processes cannot share, and what needs CUDA without it.
    """
    import torch

    _check_trl(config.trl, kind)
    cuda = torch.cuda.is_available() and not config.trl.get("use_cpu")
    if not cuda:
        _refuse_cuda_only(config.trl)
        limit = config.limits.gpu_seconds
        require(limit is None, "limits.gpu_seconds", "left out where no GPU spends any", limit)
    settings = {
        **_SET,
        **usual,
        "bf16": cuda and torch.cuda.is_bf16_supported(),
        "dataloader_pin_memory": cuda,
        "use_cpu": not cuda,
        **config.trl,
        "output_dir": str(folder),
        "seed": config.seed,
        "per_device_train_batch_size": _share(config),
        **fixed,
    }
    try:
        return kind(**settings)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"{kind.__name__} refuses the settings given: {error}") from error


def _check_trl(given: Mapping[str, Any], kind: Any) -> None:
    """Refuse settings that TRL does not have, that are not to be given, or of another type."""
    known = get_type_hints(kind)
    for name, value in given.items():
        if name in _OURS:
            raise ArgumentError(f"trl.{name} follows from {_OURS[name]}; give that instead")
        if name in _FIXED:
            raise ArgumentError(
                f"trl.{name} is set by the method and cannot be given; leave it out"
            )
        if name not in known:
            hint = did_you_mean(str(name), known)
            raise ArgumentError(f"trl must hold settings of {kind.__name__}, got {name!r}{hint}")
        if not set(get_args(known[name]) or (known[name],)) <= _NUMBERS:
            continue  # TRL looks at names itself.
        try:
            convert(value, known[name])
        except ValidationError as error:
            what = str(error).replace("`", "")
            told = f"{what[0].lower()}{what[1:]}"
            raise ArgumentError(f"trl.{name} cannot be taken: {told}") from error


def _refuse_cuda_only(given: Mapping[str, Any]) -> None:
    for name in ("fp16", "tf32", "use_liger_kernel", "use_vllm"):
        if given.get(name):
            raise ArgumentError(f"trl.{name} needs CUDA, got none; leave it out, or train on a GPU")
    if str(given.get("optim", "")).startswith("paged_"):
        raise ArgumentError(
            f"trl.optim must be one that runs without CUDA, got {given['optim']!r}; leave it out, "
            "or train on a GPU"
        )


def _share(config: TrainConfig) -> int:
    """Return how many rows of a batch one process takes at a time."""
    processes = int(os.environ.get("WORLD_SIZE", 1))
    accumulated: int = config.trl.get("gradient_accumulation_steps", 1)
    require(accumulated >= 1, "trl.gradient_accumulation_steps", "at least 1", accumulated)
    parts = processes * accumulated
    expected = f"a multiple of processes times gradient_accumulation_steps ({parts})"
    require(config.batch % parts == 0, "batch", expected, config.batch)
    return config.batch // parts


def _known(given: Mapping[str, Any], kind: Any, prefix: str) -> None:
    names = [each.name for each in fields(kind)]
    for name in given:
        if name not in names:
            hint = did_you_mean(str(name), names)
            raise ArgumentError(
                f"a training run takes {', '.join(prefix + each for each in names)}, "
                f"got {prefix + str(name)!r}{hint}"
            )
