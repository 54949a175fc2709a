"""Loading: a model and its tokenizer from a folder or the Hub, ready to continue text.

In: names and where to put the weights. Out: transformers' own objects, checked for what generation
needs of them.
"""

import hashlib
import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hopgym.errors import ArgumentError, DataError

_SAMPLED = 8
"""Numbers of each weight that go into a digest."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Where a model's weights go, and as what."""

    device: str | None = None
    """``cuda``, ``cuda:1``, ``cpu``, or ``auto`` to spread the layers over all GPUs; None = the
    first GPU, or the CPU where there is none."""
    dtype: str = "auto"
    """Such as ``bfloat16``; ``auto`` is the checkpoint's own."""
    load_in_4bit: bool = False
    """Whether they are held in 4 bits (bitsandbytes' NF4)."""
    adapter: str | None = None
    """Folder or id of a LoRA adapter (peft) to put on the model."""


def load_tokenizer(tokenizer: Any, model: Any = None) -> Any:
    """Return the tokenizer of a folder or an id of the Hub; a loaded one as it is.

    Args:
        tokenizer: The folder, id or tokenizer; None for that of the model.
        model: The folder or id of the model, checked where it is the first to be looked up.

    Raises:
        ArgumentError: When transformers is not installed.
        DataError: When it cannot be loaded.
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
        # Where there is nothing of that name, it is the model that is missing.
        its_own = tokenizer is not None or Path(name).is_dir()
        raise _cannot_load("tokenizer" if its_own else "model", name, problem) from problem


def load_model(model: Any, weights: Weights, threads: int | None = None) -> Any:
    """Return the causal language model of a folder or an id of the Hub, in eval mode.

    Args:
        model: Its name; or a loaded model, which stays where it is and is put into eval mode.
        weights: How to load them; all but ``adapter`` is for names.
        threads: As for `set_threads`; None changes nothing where the model is loaded already.

    Raises:
        ArgumentError: When the model keeps other states than keys and values.
        DataError: When it cannot be loaded.
    """
    if threads is not None or isinstance(model, str):
        set_threads(threads)
    made = _loaded(model, weights) if isinstance(model, str) else model
    _check_states(made)
    if weights.adapter:
        made = add_adapter(made, weights.adapter)
    return made.eval()


def set_threads(threads: int | None = None) -> None:
    """Let torch use so many threads in this process; by default ``OMP_NUM_THREADS``, else one.

    On a busy machine two threads wait for each other ten times as long as they work.
    """
    import torch

    torch.set_num_threads(threads or int(os.environ.get("OMP_NUM_THREADS", 1)))


def add_adapter(model: Any, adapter: str, *, trainable: bool = False) -> Any:
    """Return a model with a LoRA adapter on it, which takes gradients if it is trainable.

    Raises:
        DataError: When the adapter cannot be loaded or is one for another model.
    """
    from peft import PeftModel

    try:
        return PeftModel.from_pretrained(model, adapter, is_trainable=trainable)
    except (OSError, ValueError, RuntimeError) as problem:
        raise _cannot_load("adapter", adapter, problem) from problem


def digest_of(model: Any) -> str:
    """Return 16 hex digits that tell a model's weights from others, read from a few of each."""
    digest = hashlib.sha256()
    for name, weight in model.named_parameters():
        # Weights that live on disk or in main memory until they are used have no numbers here.
        some = [] if weight.is_meta else weight.detach().flatten()[:_SAMPLED].float().tolist()
        digest.update(f"{name} {tuple(weight.shape)} {some}\n".encode())
    return digest.hexdigest()[:16]


def _check_name(model: str) -> None:
    """Refuse what can be no name of a model, before the Hub is asked for it."""
    if "/" not in model and not Path(model).is_dir():
        raise ArgumentError(
            "model: expected a folder with a model or an id of the Hub such as Qwen/Qwen3-0.6B, "
            f"got {model!r}"
        )


def _loaded(name: str, weights: Weights) -> Any:
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    # Nothing said, not None, leaves a checkpoint that is quantised already as it is.
    quantised = dict[str, Any]()
    if weights.load_in_4bit:
        quantised["quantization_config"] = BitsAndBytesConfig(  # type: ignore[no-untyped-call]
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.float32 if weights.dtype == "float32" else torch.bfloat16,
        )
    place = weights.device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        made = AutoModelForCausalLM.from_pretrained(
            name, dtype=weights.dtype, device_map=place, **quantised
        )
    except (OSError, ValueError, ImportError, RuntimeError) as problem:
        raise _cannot_load("model", name, problem) from problem
    if getattr(made, "is_loaded_in_4bit", False):
        _keep_unpacked(made)
    return made


def _keep_unpacked(model: Any) -> None:
    """Keep bitsandbytes from packing 4-bit weights anew for a CPU's AVX512-BF16 instructions.

    It does so for good at the first forward pass in eval mode. What is packed computes in bfloat16
    whatever was asked for, so that a model says other things than in training; and it passes no
    gradient on: adapters would learn from wrong ones, with no more than a warning.
    """
    from bitsandbytes.nn.modules import Linear4bit

    for part in model.modules():
        if isinstance(part, Linear4bit):
            part.support_avx512bf16_for_cpu = False


def _cannot_load(what: str, name: str, problem: Exception) -> DataError:
    return DataError(
        f"{what} must be a folder or an id of the Hub that can be loaded, got {name!r}: {problem}"
    )


def _check_states(model: Any) -> None:
    """Refuse models that cannot be continued from the keys and values of their tokens."""
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

    known = {DynamicLayer, DynamicSlidingWindowLayer}
    other = {type(layer) for layer in DynamicCache(config=model.config).layers} - known
    if other:
        name = model.config.name_or_path or type(model).__name__
        kinds = ", ".join(sorted(kind.__name__ for kind in other))
        raise ArgumentError(
            f"the layers of {name} must keep keys and values of every token, got {kinds}; "
            "use the vllm or openai generator for this model"
        )
