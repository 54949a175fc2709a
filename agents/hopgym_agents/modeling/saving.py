"""Saving: what was trained becomes a folder at one instant, and an adapter one with its base.

In: a model in memory, or an adapter's folder and its base. Out: folders that transformers, peft
and the generators here load.
"""

import ctypes
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hopgym.errors import ArgumentError
from hopgym_agents.generate.loading import add_adapter, digest_of, load_tokenizer
from hopgym_agents.modeling.precision import Precision, check_packages, place_of
from hopgym_agents.modeling.trainable import (
    RECORD,
    Trainable,
    check_base,
    check_name,
    load_base,
    read_record,
)

_MODEL_FILES = ("config.json", "adapter_config.json")
_HERE, _EXCHANGE = -100, 2  # AT_FDCWD and RENAME_EXCHANGE of Linux


def save_trained(trainable: Trainable, path: str | Path) -> None:
    """Write what was trained, with the tokenizer: the whole model, or the adapter alone.

    A folder of an earlier save is replaced with all that is in it. Whenever the process is killed,
    the old folder or the new one is there, whole. (But for an instant on systems other than Linux,
    which leaves the old one as ``PATH.old``; the next save puts it back first.) With several
    processes, one of them saves.

    Args:
        trainable: What `load_trainable` gave, its model trained since.
        path: A folder: new, empty, or one with a model or an adapter.

    Raises:
        ArgumentError: When it holds something else.
    """
    precision, model = trainable.precision, trainable.model
    with _whole_folder(Path(path)) as folder:
        if precision.kind == "full":
            model.save_pretrained(folder)
        else:
            # Trainers put others beside it; and peft would ask the Hub about the embeddings.
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
    """Write a model that does without an adapter what its base does with it.

    The adapter of a base in 4 bits goes into the very numbers that those 4 bits stand for, as it
    was trained on them. It is added in float32, and written in the type it was trained in.

    Args:
        base: The folder or id that the adapter was trained on.
        adapter: A folder of `save_trained`.
        path: As `save_trained` takes it, and put in place in the same way.
        device: Where it is computed, as `load_trainable` says.

    Raises:
        ArgumentError: When one of the three is not what it has to be, the base is another one than
            the adapter was trained on, or a package is missing.
        DataError: When something cannot be loaded.
    """
    import torch

    record = read_record(adapter)
    precision = Precision(record["kind"], record["rank"], record["alpha"], dtype=record["dtype"])
    check_packages(precision.kind)
    name = check_name(base)
    _check_target(Path(path))
    tokenizer = load_tokenizer(str(adapter))
    model = load_base(name, precision, place_of(device))
    check_base(record, digest_of(model), adapter, name)
    if precision.kind == "qlora":
        model = model.dequantize()
    merged = add_adapter(model.to(torch.float32), str(adapter)).merge_and_unload(safe_merge=True)
    with _whole_folder(Path(path)) as folder:
        merged.to(getattr(torch, precision.dtype)).save_pretrained(folder)
        tokenizer.save_pretrained(folder)


@contextmanager
def _whole_folder(path: Path) -> Iterator[Path]:
    """Give a folder to write into, and put it in the place of another once it is written."""
    _check_target(path)
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    partial, aside = _beside(path)
    if aside.exists() and not path.exists():
        aside.rename(path)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        yield partial
        _put(partial, path)
    finally:
        # What has been replaced, or could not be written.
        shutil.rmtree(partial, ignore_errors=True)


def _beside(path: Path) -> tuple[Path, Path]:
    """Return where a folder is written, and where the one before it waits."""
    return path.with_name(f"{path.name}.partial"), path.with_name(f"{path.name}.old")


def _check_target(path: Path) -> None:
    """Refuse to replace what is no model."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        known = any((path / name).is_file() for name in _MODEL_FILES)
        if not known:
            raise ArgumentError(
                "path must be a folder that is new, empty or holds a model, got "
                f"{str(path)!r}, which holds something else; name another one"
            )


def _put(partial: Path, path: Path) -> None:
    """Rename a folder to where another one may be, which then has the first one's name."""
    if not path.exists():
        partial.rename(path)
        return
    if _exchange(partial, path):
        return
    # Elsewhere a full folder cannot be replaced at one instant: the old one waits beside.
    _, aside = _beside(path)
    shutil.rmtree(aside, ignore_errors=True)
    path.rename(aside)
    partial.rename(path)
    shutil.rmtree(aside)


def _exchange(one: Path, other: Path) -> bool:
    """Let two folders change names at one instant, and tell whether this system can do that."""
    try:
        rename = ctypes.CDLL(None).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    names = os.fsencode(one), os.fsencode(other)
    return bool(rename(_HERE, names[0], _HERE, names[1], _EXCHANGE) == 0)
