"""In which numbers a model is trained, and where: what can be told without any model.

In: words and numbers of a user. Out: a checked precision, and a device that is there.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from types import MappingProxyType

from hopgym.errors import ArgumentError, did_you_mean, require

_NEEDS = {"full": (), "lora": ("peft",), "qlora": ("peft", "bitsandbytes")}
_TYPES = ("auto", "float32", "bfloat16")


@dataclass(frozen=True, slots=True)
class Precision:
    """In which numbers a model is trained, and what of it.

    Raises:
        ArgumentError: On a kind or type that is none, or numbers below 1.
    """

    kind: str = "full"
    """``full``: float32, all parameters. ``lora``: LoRA on all linear layers, the base as it is.
    ``qlora``: the same, the base in 4 bits (NF4, its scales quantised too)."""
    rank: int = 16
    """Of LoRA's matrices, from 1."""
    alpha: int = 32
    """What LoRA adds is multiplied by alpha / rank; from 1."""
    gradient_checkpointing: bool = False
    """Whether layers are computed again in the backward pass, for less memory and more time."""
    dtype: str = "auto"
    """Type of the parameters that are not in 4 bits, and of what is computed with those that are:
    ``float32``, ``bfloat16``, or ``auto`` for bfloat16 on CUDA and float32 on a CPU. Always
    float32 for ``full``; LoRA's own are always loaded as float32."""

    def __post_init__(self) -> None:
        hint = did_you_mean(str(self.kind), _NEEDS)
        require(self.kind in _NEEDS, "kind", f"one of {', '.join(_NEEDS)}{hint}", self.kind)
        for name, number in (("rank", self.rank), ("alpha", self.alpha)):
            require(type(number) is int and number >= 1, name, "a whole number from 1", number)
        types = _TYPES[:2] if self.kind == "full" else _TYPES
        expected = f"one of {', '.join(types)} for the kind {self.kind}"
        require(self.dtype in types, "dtype", expected, self.dtype)


PRECISIONS: Mapping[str, Precision] = MappingProxyType(
    {
        "full": Precision(),
        "lora": Precision("lora"),
        "qlora": Precision("qlora", gradient_checkpointing=True),
    }
)
"""The usual settings of each kind."""


def resolved(precision: Precision, place: str) -> Precision:
    """Return a precision with the type that ``auto`` comes to on a device."""
    if precision.dtype != "auto":
        return precision
    half = place.startswith("cuda") and precision.kind != "full"
    return replace(precision, dtype="bfloat16" if half else "float32")


def check_packages(kind: str) -> None:
    """Raise an `ArgumentError` unless all that a kind needs is installed."""
    missing = [each for each in ("torch", "transformers", *_NEEDS[kind]) if not find_spec(each)]
    if missing:
        raise ArgumentError(
            f"the kind {kind} needs {', '.join(missing)}; pip install 'hopgym[train]' brings it"
        )


def place_of(device: str) -> str:
    """Return the device that ``auto`` comes to in this process; another one as it is.

    Raises:
        ArgumentError: On a name that is none, or CUDA where torch sees none.
    """
    import torch

    kind = device.partition(":")[0]
    require(kind in ("auto", "cpu", "cuda"), "device", "auto, cpu, cuda or cuda:N", device)
    present = torch.cuda.is_available()
    if kind == "cuda" and not present:
        raise ArgumentError(
            f"device must be cpu or auto on this machine, got {device!r}, and torch sees no CUDA"
        )
    if device == "auto":
        return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if present else "cpu"
    return device
