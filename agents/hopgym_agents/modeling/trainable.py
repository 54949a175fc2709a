"""Models in training: loaded with a precision, with gradients for the trained parameters only.

Everything that can be checked without the weights is checked before they are loaded.
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
    WeightOptions,
    add_adapter,
    load_model,
    load_tokenizer,
    weights_digest,
)
from hopgym_agents.modeling.precision import (
    Precision,
    check_packages,
    resolve_device,
    resolve_dtype,
)

RECORD = "hopgym_adapter.json"
"""File in an adapter's folder with the precision and the digest of the base."""


@dataclass(frozen=True, slots=True)
class Trainable:
    """A loaded model, whose trained parameters require gradients."""

    model: Any
    """A model of transformers; ``lora`` and ``qlora``: of peft, with the adapter ``default``."""
    tokenizer: Any
    precision: Precision
    """The requested precision, with ``auto`` resolved."""
    optimizer: str
    """Value of the argument ``optim`` in the configurations of TRL and transformers."""
    base: str = ""
    """Digest of the base model's weights; empty for ``full``."""


def load_trainable(
    model: str | Path,
    precision: Precision,
    *,
    device: str = "auto",
    seed: int = 0,
    adapter: str | Path | None = None,
    chat_settings: Mapping[str, Any] | None = None,
) -> Trainable:
    """Load a model for training, in training mode.

    Args:
        model: A folder or Hub id.
        precision: Data types, and which parameters are trained.
        device: ``cpu``, ``cuda``, ``cuda:1``, or ``auto`` for the GPU of this process
            (``LOCAL_RANK``, by default the first), or the CPU without one.
        seed: Seed of a new adapter's weights, 0 or more.
        adapter: A folder of `save_trained` whose training continues, instead of a new adapter.
        chat_settings: Further arguments of the chat template.

    Raises:
        ArgumentError: Before weights are loaded, if there is no such model, it lacks a chat
            template or pad token, its template is unsuitable (`ChatEncoder`), a package or CUDA is
            missing, or the adapter was trained with another precision; afterwards, if the adapter
            was trained on another base, or the weights are quantized although the precision is not.
        DataError: If something cannot be loaded.
    """
    require(type(seed) is int and seed >= 0, "seed", "a whole number from 0", seed)
    check_packages(precision.kind)
    device = resolve_device(device)
    if precision.kind == "full" and adapter is not None:
        raise ArgumentError(
            f"adapter must be None for the kind full, got {str(adapter)!r}; merge it into its base "
            "and train what comes out, or take the kind lora or qlora"
        )
    name = check_name(model)
    precision = resolve_dtype(precision, device)
    record = read_record(adapter) if adapter is not None else {}
    _check_precision(record, precision, adapter)
    tokenizer = load_tokenizer(None, name)
    check_tokenizer(tokenizer, chat_settings)
    loaded = load_base(name, precision, device)
    base = "" if precision.kind == "full" else weights_digest(loaded)
    if adapter is not None:
        check_base(record, base, adapter, name)
        loaded = add_adapter(loaded, str(adapter), trainable=True)
    elif precision.kind != "full":
        loaded = _add_new_adapter(loaded, precision, seed)
    if precision.gradient_checkpointing:
        _enable_checkpointing(loaded)
    paged = precision.kind == "qlora" and device.startswith("cuda")
    optimizer = "paged_adamw_8bit" if paged else "adamw_torch"
    return Trainable(loaded.train(), tokenizer, precision, optimizer, base)


def widen_adapter(trainable: Trainable) -> None:
    """Convert an adapter's weights back to float32, before the first step of a new trainer.

    TRL's trainers convert the adapter of a 4-bit base to bfloat16, whose eight bits of precision
    lose the small steps of reinforcement learning. A model without an adapter does not change.
    """
    for weight in trainable.model.parameters():
        if weight.requires_grad:
            weight.data = weight.data.float()


def check_name(model: str | Path) -> str:
    """Return the name of a model as a string.

    Raises:
        ArgumentError: If it is a folder that does not exist or holds no model.
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
    """Check that a tokenizer can be used for training.

    Raises:
        ArgumentError: If it has no pad token, no chat template, or an unsuitable one.
    """
    request = Request(
        messages=(
            *({"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}),
            *({"role": "user", "content": "three"}, {"role": "assistant", "content": "four"}),
            {"role": "user", "content": "five"},
        ),
        turns=(Turn("two", (), "three"), Turn("four", (), "five")),
    )
    ChatEncoder(tokenizer, settings=chat_settings).encode(request)
    if tokenizer.pad_token_id is None:
        name = getattr(tokenizer, "name_or_path", "") or type(tokenizer).__name__
        raise ArgumentError(
            f"the tokenizer of {name} must have a pad token, got none; set its pad_token to a "
            "special token that ends nothing, such as '<|endoftext|>' where <|im_end|> ends a "
            "turn, and save it with save_pretrained"
        )


def load_base(name: str, precision: Precision, device: str) -> Any:
    """Load a model without an adapter, in a precision whose type is resolved.

    Raises:
        ArgumentError: If the weights are quantized although the precision is not.
        DataError: If the model cannot be loaded.
    """
    quantized = precision.kind == "qlora"
    loaded = load_model(name, WeightOptions(device, precision.dtype, quantized))
    if getattr(loaded, "is_quantized", False) and not quantized:
        raise ArgumentError(
            f"the kind {precision.kind} needs weights that are not quantized, got those of {name}; "
            "take the model they were made from, or the kind qlora"
        )
    return loaded


def read_record(adapter: str | Path) -> dict[str, Any]:
    """Return the record that `save_trained` wrote into an adapter's folder.

    Raises:
        ArgumentError: If there is no such file.
        DataError: If the file is invalid.
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
    """Raise an `ArgumentError` if an adapter was trained on weights other than the loaded ones."""
    if record["base"] != base:
        raise ArgumentError(
            f"the adapter {str(adapter)!r} must go on the weights it was trained on, got those of "
            f"{name!r}, which are others (digest {base}, not {record['base']})"
        )


def _check_precision(
    record: Mapping[str, Any], precision: Precision, adapter: str | Path | None
) -> None:
    for name in ("kind", "rank", "alpha", "dtype") if record else ():
        requested = getattr(precision, name)
        expected = f"{record[name]!r} as in the adapter {str(adapter)!r}"
        require(record[name] == requested, name, expected, requested)


def _add_new_adapter(model: Any, precision: Precision, seed: int) -> Any:
    import torch
    from peft import LoraConfig, get_peft_model

    # No dropout: policies must sample from the distribution that is trained.
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


def _enable_checkpointing(model: Any) -> None:
    # Transformers is about to drop the second name; older versions lack the first.
    names = ("activation_checkpointing_enable", "gradient_checkpointing_enable")
    enable = next(getattr(model, name) for name in names if hasattr(model, name))
    enable({"use_reentrant": False})
