"""Given files: what tells models and data on disk from others under the same path.

In: a path. Out: a short text for the arguments of jobs, so that results of before are not taken for
those of files that have changed since.
"""

import hashlib
from pathlib import Path

_READ_BYTES = 1 << 30
"""Larger files are told apart by size and time."""
_MODEL_FILES = ("*.safetensors", "*.bin", "*.json", "*.jinja")


def content_of(path: Path) -> str:
    """Return 12 hex digits of a file, or of the files of a model's folder.

    What is not on this machine, such as an id of the Hub, gives an empty text. Other folders are
    told apart by the sizes and times of what is in them.
    """
    if path.is_file():
        told = [_told(path)]
    elif path.is_dir():
        model = (path / "config.json", path / "adapter_config.json")
        if any(each.is_file() for each in model):
            files = sorted(each for name in _MODEL_FILES for each in path.glob(name))
            told = [f"{each.name} {_told(each)}" for each in files]
        else:
            files = sorted(each for each in path.rglob("*") if each.is_file())
            told = [f"{each.relative_to(path)} {_stamp(each)}" for each in files]
    else:
        return ""
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:12]


def _told(file: Path) -> str:
    if file.stat().st_size > _READ_BYTES:
        return _stamp(file)
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _stamp(file: Path) -> str:
    found = file.stat()
    return f"{found.st_size} {found.st_mtime_ns}"
