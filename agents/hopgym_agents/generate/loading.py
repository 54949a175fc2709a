"""Loading of models and tokenizers from a folder or the Hub, checked for use in generation."""

import hashlib
import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hopgym.errors import ArgumentError, DataError

_NUMBERS_PER_WEIGHT = 8
"""Numbers of each weight that enter a digest."""


@dataclass(frozen=True, slots=True)
class WeightOptions:
    """Device and data type of a model's weights."""

    device: str | None = None
    """``cuda``, ``cuda:1``, ``cpu``, or ``auto`` to spread the layers over all GPUs; None selects
    the first GPU, or the CPU without one."""
    dtype: str = "auto"
    """Data type such as ``bfloat16``; ``auto`` is the checkpoint's."""
    load_in_4bit: bool = False
    """Whether to quantize the weights to 4 bits (NF4 of bitsandbytes)."""
    adapter: str | None = None
    """Folder or Hub id of a LoRA adapter (peft) to add to the model."""


def load_tokenizer(tokenizer: Any, model: Any = None) -> Any:
    """Return the tokenizer of a folder or Hub id; a loaded tokenizer is returned as is.

    Args:
        tokenizer: The folder, id or tokenizer; None for the tokenizer of the model.
        model: Folder or id of the model, which is then checked first.

    Raises:
        ArgumentError: If transformers is not installed.
        DataError: If the tokenizer cannot be loaded.
    """
    if find_spec("transformers") is None:
        raise ArgumentError(
            "a local model needs the package transformers; pip install 'hopgym[train]' brings it"
        )
    if isinstance(model, str):
        _check_name(model)
    name = model if tokenizer is None else tokenizer
    if not isinstance(name, str):
        return name
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as problem:
        # If nothing of that name exists, it is the model that is missing.
        exists = tokenizer is not None or Path(name).is_dir()
        raise _loading_error("tokenizer" if exists else "model", name, problem) from problem


def load_model(model: Any, options: WeightOptions, threads: int | None = None) -> Any:
    """Return the causal language model of a folder or Hub id, in eval mode.

    Args:
        model: Its name; or a loaded model, which keeps its device and is set to eval mode.
        options: How to load the weights; a loaded model uses only ``adapter``.
        threads: See `set_threads`; None changes nothing for a loaded model.

    Raises:
        ArgumentError: If the model's cache holds more than keys and values of every token.
        DataError: If the model cannot be loaded.
    """
    if threads is not None or isinstance(model, str):
        set_threads(threads)
    loaded = _load_weights(model, options) if isinstance(model, str) else model
    _check_states(loaded)
    if options.adapter:
        loaded = add_adapter(loaded, options.adapter)
    return loaded.eval()


def set_threads(threads: int | None = None) -> None:
    """Set the number of torch's threads; by default ``OMP_NUM_THREADS``, else 1.

    On a busy machine two threads spend ten times as long waiting for each other as working.
    """
    import torch

    torch.set_num_threads(threads or int(os.environ.get("OMP_NUM_THREADS", 1)))


def add_adapter(model: Any, adapter: str, *, trainable: bool = False) -> Any:
    """Return a model with a LoRA adapter, whose weights require gradients if it is trainable.

    Raises:
        DataError: If the adapter cannot be loaded or does not fit the model.
    """
    from peft import PeftModel

    try:
        return PeftModel.from_pretrained(model, adapter, is_trainable=trainable)
    except (OSError, ValueError, RuntimeError) as problem:
        raise _loading_error("adapter", adapter, problem) from problem


def weights_digest(model: Any) -> str:
    """Return 16 hex digits that identify a model's weights, computed from a few of each."""
    digest = hashlib.sha256()
    for name, weight in model.named_parameters():
        # Weights that are offloaded to disk or main memory have no numbers here.
        numbers = (
            []
            if weight.is_meta
            else weight.detach().flatten()[:_NUMBERS_PER_WEIGHT].float().tolist()
        )
        digest.update(f"{name} {tuple(weight.shape)} {numbers}\n".encode())
    return digest.hexdigest()[:16]


def _check_name(model: str) -> None:
    """Refuse names that cannot be a model's, before the Hub is asked."""
    if "/" not in model and not Path(model).is_dir():
        raise ArgumentError(
            "model: expected a folder with a model or an id of the Hub such as Qwen/Qwen3-0.6B, "
            f"got {model!r}"
        )


def _load_weights(name: str, options: WeightOptions) -> Any:
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    # An absent argument, unlike None, leaves a checkpoint that is already quantized as it is.
    quantization = dict[str, Any]()
    if options.load_in_4bit:
        compute_dtype = torch.float32 if options.dtype == "float32" else torch.bfloat16
        quantization["quantization_config"] = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=compute_dtype,
        )
    device = options.device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        model = AutoModelForCausalLM.from_pretrained(
            name, dtype=options.dtype, device_map=device, **quantization
        )
    except (OSError, ValueError, ImportError, RuntimeError) as problem:
        raise _loading_error("model", name, problem) from problem
    if getattr(model, "is_loaded_in_4bit", False):
        _disable_repacking(model)
    return model


def _disable_repacking(model: Any) -> None:
    """Stop bitsandbytes from repacking 4-bit weights for a CPU's AVX512-BF16 instructions.

    It does so permanently at the first forward pass in eval mode. Repacked weights compute in
    bfloat16 whatever type was requested, so that a model differs from its training; and they pass
    no gradient: adapters would be trained on wrong ones, with a mere warning.
    """
    from bitsandbytes.nn.modules import Linear4bit

    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False


def _loading_error(kind: str, name: str, problem: Exception) -> DataError:
    return DataError(
        f"{kind} must be a folder or an id of the Hub that can be loaded, got {name!r}: {problem}"
    )


def _check_states(model: Any) -> None:
    """Refuse models that cannot be continued from the keys and values of their tokens."""
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

    supported = {DynamicLayer, DynamicSlidingWindowLayer}
    unsupported = {type(layer) for layer in DynamicCache(config=model.config).layers} - supported
    if unsupported:
        name = model.config.name_or_path or type(model).__name__
        kinds = ", ".join(sorted(kind.__name__ for kind in unsupported))
        raise ArgumentError(
            f"the layers of {name} must keep keys and values of every token, got {kinds}; "
            "use the vllm or openai generator for this model"
        )
