"""A model that can be trained: loaded in the wanted numbers, with what is to move and nothing else.

In: a folder or an id of the Hub, and a precision. Out: model, tokenizer and optimiser. All that
can be told without the weights is told before they are loaded.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hopgym.errors import ArgumentError, DataError, require
from hopgym_agents.chat import ChatEncoder
from hopgym_agents.generate import Request, Turn
from hopgym_agents.generate.loading import (
    Weights,
    add_adapter,
    digest_of,
    load_model,
    load_tokenizer,
)
from hopgym_agents.modeling.precision import Precision, check_packages, place_of, resolved

RECORD = "hopgym_adapter.json"
"""The file beside an adapter that says on which numbers of which base it was trained."""


@dataclass(frozen=True, slots=True)
class Trainable:
    """A model in memory whose parameters require gradients where they are to be trained."""

    model: Any
    """transformers' own; peft's with one adapter, ``default``, for ``lora`` and ``qlora``."""
    tokenizer: Any
    precision: Precision
    """As asked for, with the type that ``auto`` came to."""
    optimizer: str
    """Name for the argument ``optim`` of TRL's and transformers' configs."""
    base: str = ""
    """`digest_of` the base under the adapter; empty for ``full``."""


def load_trainable(
    model: str | Path,
    precision: Precision,
    *,
    device: str = "auto",
    seed: int = 0,
    adapter: str | Path | None = None,
    chat_settings: Mapping[str, Any] | None = None,
) -> Trainable:
    """Return a model ready to be trained, in training mode.

    Args:
        model: A folder or an id of the Hub.
        precision: In which numbers, and what of it is trained.
        device: ``cpu``, ``cuda``, ``cuda:1``, or ``auto`` for the GPU of this process
            (``LOCAL_RANK``, the first where it is not set) and the CPU where there is none.
        seed: Of a new adapter's weights, 0 or more.
        adapter: A folder of `save_trained` whose training goes on, in place of a new adapter.
        chat_settings: Further arguments with which the chat template is to be used.

    Raises:
        ArgumentError: Before weights are loaded, when there is no model of that name, it lacks a
            chat template or pad token, its template cannot be used (`ChatEncoder`), a package or
            CUDA is missing, or the adapter was trained in another precision; after it, when it
            was trained on another base, or the weights are quantised and that was not asked for.
        DataError: When something cannot be loaded.
    """
    require(type(seed) is int and seed >= 0, "seed", "a whole number from 0", seed)
    check_packages(precision.kind)
    place = place_of(device)
    if precision.kind == "full" and adapter is not None:
        raise ArgumentError(
            f"adapter must be None for the kind full, got {str(adapter)!r}; merge it into its base "
            "and train what comes out, or take the kind lora or qlora"
        )
    name = check_name(model)
    precision = resolved(precision, place)
    record = read_record(adapter) if adapter is not None else {}
    _check_precision(record, precision, adapter)
    tokenizer = load_tokenizer(None, name)
    check_tokenizer(tokenizer, chat_settings)
    made = load_base(name, precision, place)
    base = "" if precision.kind == "full" else digest_of(made)
    if adapter is not None:
        check_base(record, base, adapter, name)
        made = add_adapter(made, str(adapter), trainable=True)
    elif precision.kind != "full":
        made = _with_new_adapter(made, precision, seed)
    if precision.gradient_checkpointing:
        _checkpoint_layers(made)
    paged = precision.kind == "qlora" and place.startswith("cuda")
    optimizer = "paged_adamw_8bit" if paged else "adamw_torch"
    return Trainable(made.train(), tokenizer, precision, optimizer, base)


def widen_adapter(trainable: Trainable) -> None:
    """Put an adapter's weights back into float32, between making a trainer and its first step.

    TRL's trainers turn those on a base in 4 bits into bfloat16, whose eight bits swallow the small
    steps of reinforcement learning. What all parameters are trained of stays as it is.
    """
    for weight in trainable.model.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()


def check_name(model: str | Path) -> str:
    """Return a model's name as transformers takes it.

    Raises:
        ArgumentError: When it is a folder that is not there, or one without a model.
    """
    name = str(model)
    folder = Path(name)
    if not folder.is_dir():
        if isinstance(model, Path) or folder.is_absolute() or name.startswith((".", "~")):
            raise ArgumentError(f"model must be a folder with a model, got {name!r}, which is none")
        return name
    if not (folder / "config.json").is_file():
        other = ", but with an adapter: name its base, and it as adapter"
        hint = other if (folder / "adapter_config.json").is_file() else ""
        raise ArgumentError(
            f"model must be a folder with a model, got {name!r}, which is one without a "
            f"config.json{hint}"
        )
    return name


def check_tokenizer(tokenizer: Any, chat_settings: Mapping[str, Any] | None = None) -> None:
    """Raise unless a tokenizer has what training needs.

    Raises:
        ArgumentError: When it has no pad token, no chat template, or one that cannot be used.
    """
    asked = Request(
        messages=(
            *({"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}),
            *({"role": "user", "content": "three"}, {"role": "assistant", "content": "four"}),
            {"role": "user", "content": "five"},
        ),
        turns=(Turn("two", (), "three"), Turn("four", (), "five")),
    )
    ChatEncoder(tokenizer, settings=chat_settings).encode(asked)
    if tokenizer.pad_token_id is None:
        name = getattr(tokenizer, "name_or_path", "") or type(tokenizer).__name__
        raise ArgumentError(
            f"the tokenizer of {name} must have a pad token, got none; set its pad_token to a "
            "special token that ends nothing, such as '<|endoftext|>' where <|im_end|> ends a "
            "turn, and save it with save_pretrained"
        )


def load_base(name: str, precision: Precision, place: str) -> Any:
    """Return a model's weights in a precision whose type is resolved, without an adapter.

    Raises:
        ArgumentError: When they are quantised and that was not asked for.
        DataError: When they cannot be loaded.
    """
    quantised = precision.kind == "qlora"
    made = load_model(name, Weights(place, precision.dtype, quantised))
    if getattr(made, "is_quantized", False) and not quantised:
        raise ArgumentError(
            f"the kind {precision.kind} needs weights that are not quantised, got those of {name}; "
            "take the model they were made from, or the kind qlora"
        )
    return made


def read_record(adapter: str | Path) -> dict[str, Any]:
    """Return what `save_trained` wrote beside an adapter.

    Raises:
        ArgumentError: When there is no such file.
        DataError: When it cannot be read.
    """
    path = Path(adapter) / RECORD
    if not path.is_file():
        raise ArgumentError(
            f"adapter must be a folder that save_trained wrote, got {str(adapter)!r}, which holds "
            f"no {RECORD}"
        )
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        Precision(record["kind"], record["rank"], record["alpha"], dtype=record["dtype"])
        str(record["base"])
    except (ValueError, KeyError, TypeError) as problem:
        raise DataError(
            f"{path} must say kind, rank, alpha, dtype and base of an adapter: {problem!r}"
        ) from problem
    return record


def check_base(record: Mapping[str, Any], base: str, adapter: str | Path, name: str) -> None:
    """Raise an `ArgumentError` when an adapter was trained on other weights than those loaded."""
    if record["base"] != base:
        raise ArgumentError(
            f"the adapter {str(adapter)!r} must go on the weights it was trained on, got those of "
            f"{name!r}, which are others (digest {base}, not {record['base']})"
        )


def _check_precision(
    record: Mapping[str, Any], precision: Precision, adapter: str | Path | None
) -> None:
    for name in ("kind", "rank", "alpha", "dtype") if record else ():
        asked = getattr(precision, name)
        expected = f"{record[name]!r} as in the adapter {str(adapter)!r}"
        require(record[name] == asked, name, expected, asked)


def _with_new_adapter(model: Any, precision: Precision, seed: int) -> Any:
    import torch
    from peft import LoraConfig, get_peft_model

    # No dropout: what policies sample and what is trained must be the same distribution.
    config = LoraConfig(
        r=precision.rank,
        lora_alpha=precision.alpha,
        lora_dropout=0.0,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    devices = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        return get_peft_model(model, config)


def _checkpoint_layers(model: Any) -> None:
    # Transformers is about to drop the second name, and older ones do not know the first.
    names = ("activation_checkpointing_enable", "gradient_checkpointing_enable")
    enable = next(getattr(model, each) for each in names if hasattr(model, each))
    enable({"use_reentrant": False})
