"""Precision of training and choice of the device, checked without loading a model."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from types import MappingProxyType

from hopgym.errors import ArgumentError, did_you_mean, require

_PACKAGES = {"full": (), "lora": ("peft",), "qlora": ("peft", "bitsandbytes")}
_TYPES = ("auto", "float32", "bfloat16")


@dataclass(frozen=True, slots=True)
class Precision:
    """Data types of a model in training, and which of its parameters are trained.

    Raises:
        ArgumentError: If the kind or type is unknown, or a number is below 1.
    """

    kind: str = "full"
    """``full``: all parameters in float32. ``lora``: LoRA on all linear layers, with a frozen base.
    ``qlora``: the same with the base in 4 bits (NF4 with double quantization)."""
    rank: int = 16
    """Rank of LoRA's matrices, at least 1."""
    alpha: int = 32
    """LoRA's output is multiplied by alpha / rank; at least 1."""
    gradient_checkpointing: bool = False
    """Whether to recompute layers in the backward pass, which saves memory and costs time."""
    dtype: str = "auto"
    """Type of the parameters that are not in 4 bits, and of computations with those that are:
    ``float32``, ``bfloat16``, or ``auto`` for bfloat16 on CUDA and float32 on a CPU. ``full`` is
    always float32, and so are LoRA's weights when they are loaded."""

    def __post_init__(self) -> None:
        hint = did_you_mean(str(self.kind), _PACKAGES)
        require(self.kind in _PACKAGES, "kind", f"one of {', '.join(_PACKAGES)}{hint}", self.kind)
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
"""The default settings of each kind."""


def resolve_dtype(precision: Precision, device: str) -> Precision:
    """Return a precision with the type that ``auto`` means on a device."""
    if precision.dtype != "auto":
        return precision
    half = device.startswith("cuda") and precision.kind != "full"
    return replace(precision, dtype="bfloat16" if half else "float32")


def check_packages(kind: str) -> None:
    """Raise an `ArgumentError` if a package that a kind needs is missing."""
    needed = ("torch", "transformers", *_PACKAGES[kind])
    missing = [package for package in needed if not find_spec(package)]
    if missing:
        raise ArgumentError(
            f"the kind {kind} needs {', '.join(missing)}; pip install 'hopgym[train]' brings it"
        )


def resolve_device(device: str) -> str:
    """Return the device that ``auto`` means in this process; any other is returned as is.

    Raises:
        ArgumentError: If the name is unknown, or torch finds no CUDA for a CUDA device.
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
