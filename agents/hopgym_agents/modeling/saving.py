"""Saving of trained models and adapters, and merging of an adapter into its base.

A folder is replaced atomically, so that a killed process leaves the old one or the new one.
"""

import ctypes
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hopgym.errors import ArgumentError
from hopgym_agents.generate.loading import add_adapter, load_tokenizer, weights_digest
from hopgym_agents.modeling.precision import Precision, check_packages, resolve_device
from hopgym_agents.modeling.trainable import (
    RECORD,
    Trainable,
    check_base,
    check_name,
    load_base,
    read_record,
)

_MODEL_FILES = ("config.json", "adapter_config.json")
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def save_trained(trainable: Trainable, path: str | Path) -> None:
    """Save a trained model with its tokenizer: the complete model, or only the adapter.

    A folder of an earlier save is replaced with everything in it. If the process is killed, either
    the old folder or the new one is complete. (On systems other than Linux there is an instant in
    which only ``PATH.old`` exists; the next save restores it first.) With several processes, call
    this in one of them.

    Args:
        trainable: The result of `load_trainable`, trained since.
        path: A folder that is new, empty, or holds a model or adapter.

    Raises:
        ArgumentError: If the folder holds something else.
    """
    precision = trainable.precision
    model = trainable.model
    with _replaced_folder(Path(path)) as folder:
        if precision.kind == "full":
            model.save_pretrained(folder)
        else:
            # Trainers add other adapters; and peft would ask the Hub about the embeddings.
            model.save_pretrained(
                folder, selected_adapters=["default"], save_embedding_layers=False
            )
            record = {
                "kind": precision.kind,
                "rank": precision.rank,
                "alpha": precision.alpha,
                "dtype": precision.dtype,
                "base": trainable.base,
            }
            (folder / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        trainable.tokenizer.save_pretrained(folder)


def merge_adapter(
    base: str | Path, adapter: str | Path, path: str | Path, *, device: str = "auto"
) -> None:
    """Merge an adapter into its base and save the result as a model.

    The adapter of a 4-bit base is merged into the dequantized weights, as it was trained on them.
    The sum is computed in float32 and saved in the type of the training.

    Args:
        base: Folder or id of the model that the adapter was trained on.
        adapter: A folder of `save_trained`.
        path: Where to save, as for `save_trained`.
        device: Where to compute, as for `load_trainable`.

    Raises:
        ArgumentError: If one of the three is invalid, the adapter was trained on another base, or a
            package is missing.
        DataError: If something cannot be loaded.
    """
    import torch

    record = read_record(adapter)
    precision = Precision(record["kind"], record["rank"], record["alpha"], dtype=record["dtype"])
    check_packages(precision.kind)
    name = check_name(base)
    _check_target(Path(path))
    tokenizer = load_tokenizer(str(adapter))
    model = load_base(name, precision, resolve_device(device))
    check_base(record, weights_digest(model), adapter, name)
    if precision.kind == "qlora":
        model = model.dequantize()
    merged = add_adapter(model.to(torch.float32), str(adapter)).merge_and_unload(safe_merge=True)
    with _replaced_folder(Path(path)) as folder:
        merged.to(getattr(torch, precision.dtype)).save_pretrained(folder)
        tokenizer.save_pretrained(folder)


@contextmanager
def _replaced_folder(path: Path) -> Iterator[Path]:
    """Yield a folder to write into, which replaces ``path`` once it is complete."""
    _check_target(path)
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    old = _old_folder(path)
    if old.exists() and not path.exists():
        old.rename(path)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        yield partial
        _move(partial, path)
    finally:
        # It holds the replaced folder, or one that could not be completed.
        shutil.rmtree(partial, ignore_errors=True)


def _old_folder(path: Path) -> Path:
    return path.with_name(f"{path.name}.old")


def _check_target(path: Path) -> None:
    """Refuse to replace a folder that is not a model."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        known = any((path / name).is_file() for name in _MODEL_FILES)
        if not known:
            raise ArgumentError(
                "path must be a folder that is new, empty or holds a model, got "
                f"{str(path)!r}, which holds something else; name another one"
            )


def _move(partial: Path, path: Path) -> None:
    """Rename a folder to ``path``; an existing folder there may get the name ``partial``."""
    if not path.exists():
        partial.rename(path)
        return
    if _exchange(partial, path):
        return
    # Elsewhere a folder with content cannot be replaced atomically.
    old = _old_folder(path)
    shutil.rmtree(old, ignore_errors=True)
    path.rename(old)
    partial.rename(path)
    shutil.rmtree(old)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange the names of two folders atomically; return whether this system supports it."""
    try:
        rename = ctypes.CDLL(None).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    names = os.fsencode(one), os.fsencode(other)
    return bool(rename(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0)
