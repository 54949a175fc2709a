"""Recipes: tables of options in TOML, laid one over another.

In: files and mappings. Out: plain mappings; their names and values are checked by whoever asks.
"""

import tomllib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from hopgym.errors import DataError


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """Return the tables of a file.

    Args:
        path: Of the file.
        what: What it is to be, for the error.

    Raises:
        DataError: When there is no such file, or it is no TOML.
    """
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: expected {what} in TOML, got none ({error})") from error


def merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return one table over another: tables are merged, other values replaced.

    A table over a list of tables is merged into each of them.
    """
    found = dict(under)
    for name, value in over.items():
        there = found.get(name)
        if isinstance(value, Mapping) and isinstance(there, Mapping):
            found[name] = merged(there, value)
        elif isinstance(value, Mapping) and isinstance(there, list | tuple):
            found[name] = [merged(each, value) for each in there]
        else:
            found[name] = value
    return found


def laid_over(
    options: Mapping[str, Any], over: Mapping[str, Any], whole: Collection[str] = ("reward",)
) -> dict[str, Any]:
    """Return options of a training run with others over them.

    Args:
        options: Those below.
        over: Those above.
        whole: Tables that are one choice: another one replaces them, and is not added to them.
    """
    return merged(options, over) | {name: over[name] for name in whole if name in over}
