"""Configuration of a training run, the same for every method, and TRL's arguments made from it."""

import os
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, get_args, get_type_hints

from msgspec import Meta, ValidationError, convert

from hopgym.errors import ArgumentError, DataError, did_you_mean, require
from hopgym_agents.data.filtering import FILTERS
from hopgym_agents.modeling.precision import PRECISIONS, Precision
from hopgym_agents.prompts import STYLES
from hopgym_agents.training.budget import Limits
from hopgym_agents.training.environments import PlaySettings
from hopgym_agents.training.rewards import JUDGE, REWARD_NAMES

_FOLLOWING: Mapping[str, str] = {
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
"""Settings of TRL that follow from an option of this package, which is to be given instead."""
_FIXED = (
    *("dataset_kwargs", "completion_only_loss", "assistant_only_loss", "packing", "padding_free"),
    *("dataset_text_field", "chat_template_path", "eos_token", "pad_token", "truncation_mode"),
    *("save_only_model", "resume_from_checkpoint", "save_total_limit", "model_init_kwargs"),
    *("remove_unused_columns", "load_best_model_at_end", "eval_strategy", "shuffle_dataset"),
    *("dispatch_batches", "split_batches", "num_generations_eval", "mask_truncated_completions"),
    *("min_p", "repetition_penalty", "generation_kwargs", "chat_template_kwargs"),
    *("num_iterations", "steps_per_generation", "train_sampling_strategy"),
    *("cache_implementation", "use_transformers_paged", "use_transformers_continuous_batching"),
)
"""Settings of TRL that cannot be given: the tokens are those of acting, sampled by this package's
generator, and a killed run resumes from its checkpoints."""
_NUMBERS = {int, float, bool, type(None)}
_DEFAULTS: Mapping[str, Any] = {
    "logging_steps": 10,
    "save_steps": 100,
    "report_to": "none",
    "disable_tqdm": True,
    "ddp_timeout": 14_400,  # The other processes wait while one plays.
    "activation_checkpointing": False,  # `load_trainable` handles it.
    "save_total_limit": 2,
    "remove_unused_columns": False,
}
"""Values that replace TRL's defaults."""
IMITATION_DEFAULTS: Mapping[str, Any] = {
    "learning_rate": 2e-5,
    "max_length": None,  # A cut row would lose the actions at its end.
}
"""Defaults of methods that use TRL's SFTTrainer; ``trl.NAME`` overrides one."""
GRPO_DEFAULTS: Mapping[str, Any] = {
    "learning_rate": 1e-5,
    "num_generations": 8,
    # Rewards of 0 and 1 divided by their deviation would weight nearly solved groups more.
    "scale_rewards": "none",
    "beta": 0.0,
}
"""Defaults of methods that use TRL's GRPOTrainer; ``trl.NAME`` overrides one."""


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Options of a training run. A method refuses those it has no use for."""

    model: str
    """Folder or Hub id of the start model."""
    out: str
    """Folder of the run: log, checkpoints, and the trained model in ``model``."""
    run: str = ""
    """Trajectory file or folder of a recorded run to learn from."""
    filter: str = ""
    """Which episodes are learned from; by default the method's: process for sft, else none."""
    reward: dict[str, float] = field(default_factory=dict)
    """Rewards of actions by name, with weights; by default the method's."""
    style: str = "plain"
    """How episodes are rendered; play the trained model with the same."""
    precision: Precision = field(default_factory=Precision)
    batch: Annotated[int, Meta(ge=1)] = 16
    """Rows per optimizer step, over all processes."""
    limits: Limits = field(default_factory=Limits)
    seed: Annotated[int, Meta(ge=0)] = 0
    """Seed of the order of the rows, of sampling, and of new weights."""
    play: PlaySettings = field(default_factory=PlaySettings)
    trl: dict[str, Any] = field(default_factory=dict)
    """Settings of TRL's own configuration, by name."""


def read_config(
    options: Mapping[str, Any], recipe: str | os.PathLike[str] | None = None
) -> TrainConfig:
    """Return the `TrainConfig` of options and a recipe; options win over the recipe.

    Args:
        options: By the names of `TrainConfig`; ``precision``, ``limits``, ``play``, ``reward`` and
            ``trl`` are objects that may hold some of their values.
        recipe: A TOML file of the same names.

    Raises:
        ArgumentError: On unknown names, values of the wrong type or out of range, and missing
            options.
        DataError: When the recipe cannot be read.
    """
    defaults = read_toml(Path(recipe), "a recipe") if recipe is not None else {}
    merged = merge_options(defaults, options)
    _check_known(merged, TrainConfig, "")
    for name, kind in (("precision", Precision), ("limits", Limits), ("play", PlaySettings)):
        if isinstance(merged.get(name), Mapping):
            _check_known(merged[name], kind, f"{name}.")
    if isinstance(merged.get("precision"), Mapping):
        preset = PRECISIONS.get(merged["precision"].get("kind", "full"), Precision())
        merged["precision"] = asdict(preset) | merged["precision"]
    for name in ("model", "out"):
        require(bool(merged.get(name)), name, f"given (--{name} ...)", merged.get(name))
    try:
        config = convert(merged, TrainConfig)
    except ValidationError as error:
        problem, _, place = str(error).partition(" - at `$.")
        place = place.rstrip("`") or "the options"
        message = f"{place} cannot be taken: {problem[0].lower()}{problem[1:]}"
        raise ArgumentError(message) from error
    _check_values(config)
    return config


def _check_values(config: TrainConfig) -> None:
    for name, values, known in (
        ("filter", (config.filter,) if config.filter else (), tuple(FILTERS)),
        ("reward", tuple(config.reward), REWARD_NAMES),
        ("style", (config.style,), tuple(STYLES)),
    ):
        for value in values:
            hint = did_you_mean(value, known)
            require(value in known, name, f"one of {', '.join(known)}{hint}", value)
    for name, weight in config.reward.items():
        require(weight > 0, f"reward.{name}", "a weight above 0", weight)
    limit = config.limits.dev_success
    expected = "left out, or --dev N given: the tasks that it is measured on"
    require(limit is None or config.play.dev > 0, "limits.dev_success", expected, limit)
    matching = (JUDGE in config.reward) == bool(config.play.judge)
    expected = f"given where the reward {JUDGE} is, and nowhere else (--play.judge.model ...)"
    require(matching, "play.judge", expected, config.play.judge)


def trl_arguments(
    config: TrainConfig, kind: Any, folder: Path, defaults: Mapping[str, Any], **fixed: Any
) -> Any:
    """Return TRL's configuration of a run.

    Args:
        config: Of the run.
        kind: TRL's class, such as ``trl.SFTConfig``.
        folder: Where checkpoints go.
        defaults: Values of the method that replace TRL's defaults.
        fixed: Values of the method that cannot be given.

    Raises:
        ArgumentError: On settings that TRL does not have or that follow from other options, on
            values it refuses, on a batch that the processes cannot share, and on settings that
            need CUDA without it.
    """
    import torch

    _check_trl(config.trl, kind)
    cuda = torch.cuda.is_available() and not config.trl.get("use_cpu")
    if not cuda:
        _refuse_cuda_only(config.trl)
        limit = config.limits.gpu_seconds
        require(limit is None, "limits.gpu_seconds", "left out where no GPU spends any", limit)
    settings = {
        **_DEFAULTS,
        **defaults,
        "bf16": cuda and torch.cuda.is_bf16_supported(),
        "dataloader_pin_memory": cuda,
        "use_cpu": not cuda,
        **config.trl,
        "output_dir": str(folder),
        "seed": config.seed,
        "per_device_train_batch_size": _rows_per_device(config),
        **fixed,
    }
    try:
        return kind(**settings)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"{kind.__name__} refuses the settings given: {error}") from error


def _check_trl(settings: Mapping[str, Any], kind: Any) -> None:
    """Refuse settings that TRL does not have, that cannot be given, or of another type."""
    known = get_type_hints(kind)
    for name, value in settings.items():
        if name in _FOLLOWING:
            raise ArgumentError(f"trl.{name} follows from {_FOLLOWING[name]}; give that instead")
        if name in _FIXED:
            raise ArgumentError(
                f"trl.{name} is set by the method and cannot be given; leave it out"
            )
        if name not in known:
            hint = did_you_mean(str(name), known)
            raise ArgumentError(f"trl must hold settings of {kind.__name__}, got {name!r}{hint}")
        if not set(get_args(known[name]) or (known[name],)) <= _NUMBERS:
            continue  # TRL checks names itself.
        try:
            convert(value, known[name])
        except ValidationError as error:
            problem = str(error).replace("`", "")
            message = f"{problem[0].lower()}{problem[1:]}"
            raise ArgumentError(f"trl.{name} cannot be taken: {message}") from error


def _refuse_cuda_only(settings: Mapping[str, Any]) -> None:
    for name in ("fp16", "tf32", "use_liger_kernel", "use_vllm"):
        if settings.get(name):
            raise ArgumentError(f"trl.{name} needs CUDA, got none; leave it out, or train on a GPU")
    if str(settings.get("optim", "")).startswith("paged_"):
        raise ArgumentError(
            f"trl.optim must be one that runs without CUDA, got {settings['optim']!r}; leave it "
            "out, or train on a GPU"
        )


def _rows_per_device(config: TrainConfig) -> int:
    """Return how many rows of a batch one process takes at a time."""
    processes = int(os.environ.get("WORLD_SIZE", 1))
    accumulated: int = config.trl.get("gradient_accumulation_steps", 1)
    require(accumulated >= 1, "trl.gradient_accumulation_steps", "at least 1", accumulated)
    parts = processes * accumulated
    expected = f"a multiple of processes times gradient_accumulation_steps ({parts})"
    require(config.batch % parts == 0, "batch", expected, config.batch)
    return config.batch // parts


def _check_known(options: Mapping[str, Any], kind: Any, prefix: str) -> None:
    names = [item.name for item in fields(kind)]
    for name in options:
        if name not in names:
            hint = did_you_mean(str(name), names)
            raise ArgumentError(
                f"a training run takes {', '.join(prefix + known for known in names)}, "
                f"got {prefix + str(name)!r}{hint}"
            )


def read_toml(path: Path, expected: str) -> dict[str, Any]:
    """Return the tables of a file.

    Args:
        path: The file.
        expected: What the file should be, for the error.

    Raises:
        DataError: When there is no such file, or it is not TOML.
    """
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: expected {expected} in TOML, got none ({error})") from error


def merge_tables(defaults: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return one table with another over it: nested tables are merged, other values replaced.

    A table over a list of tables is merged into each of them.
    """
    merged = dict(defaults)
    for name, value in overrides.items():
        default = merged.get(name)
        if isinstance(value, Mapping) and isinstance(default, Mapping):
            merged[name] = merge_tables(default, value)
        elif isinstance(value, Mapping) and isinstance(default, list | tuple):
            merged[name] = [merge_tables(item, value) for item in default]
        else:
            merged[name] = value
    return merged


def merge_options(
    defaults: Mapping[str, Any],
    overrides: Mapping[str, Any],
    replaced: Collection[str] = ("reward",),
) -> dict[str, Any]:
    """Return options of a training run with others over them.

    Args:
        defaults: The options below.
        overrides: The options above.
        replaced: Tables that are replaced as a unit instead of merged.
    """
    units = {name: overrides[name] for name in replaced if name in overrides}
    return merge_tables(defaults, overrides) | units
