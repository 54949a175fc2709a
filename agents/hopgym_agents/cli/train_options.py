"""Words: the options of a training run as they are typed.

In: words of the command line. Out: the mapping that `hopgym_agents.training.config.read_config`
takes. Every option has its place there (``--limits.cpu_seconds 40``); where one name tells it, that
will do (``--cpu-seconds 40``), and what is no option is an argument of the environment.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from hopgym.arguments import read_arguments
from hopgym.errors import ArgumentError
from hopgym_agents.modeling import Precision
from hopgym_agents.training.budget import Limits
from hopgym_agents.training.config import TrainConfig
from hopgym_agents.training.environments import Play

_NESTED: Mapping[str, Any] = {"precision": Precision, "limits": Limits, "play": Play}
_SHORT: Mapping[str, tuple[str, ...]] = {
    each.name: (table, each.name) for table, kind in _NESTED.items() for each in fields(kind)
} | {"precision": ("precision", "kind")}
_TABLES = ("reward", "trl", *_NESTED)


def read_words(words: Sequence[str]) -> dict[str, Any]:
    """Return the options that words give, by the names of `TrainConfig`, tables as mappings.

    Raises:
        ArgumentError: On words that belong to no option.
    """
    plain, given = read_arguments(words)
    if plain:
        raise ArgumentError(f"train takes METHOD and options as --name value, got {plain[0]!r}")
    options: dict[str, Any] = {}
    for name, value in given.items():
        _put(options, _path(name), value)
    named = options.get("reward", {})
    if not isinstance(named, Mapping):
        options["reward"] = _rewards(named if isinstance(named, list) else [named])
    return options


def _path(name: str) -> tuple[str, ...]:
    """Return where an option has its place."""
    first, *rest = name.split(".")
    if rest and first in _TABLES:
        return (first, *rest)
    if rest:
        raise ArgumentError(f"options of a table are of {', '.join(_TABLES)}, got {name!r}")
    if first in _SHORT:
        return _SHORT[first]
    if first in {each.name for each in fields(TrainConfig)}:
        return (first,)
    return ("play", "kwargs", first)


def _put(options: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    *tables, last = path
    for table in tables:
        options = options.setdefault(table, {})
    options[last] = value


def _rewards(parts: Sequence[object]) -> dict[str, float]:
    """Return the rewards of ``good`` or ``good=1,format=0.1``."""
    found: dict[str, float] = {}
    for part in map(str, parts):
        name, _, weight = part.partition("=")
        try:
            found[name] = float(weight) if weight else 1.0
        except ValueError as error:
            expected = "names, or NAME=WEIGHT, with commas between them"
            raise ArgumentError(f"reward must be {expected}, got {part!r}") from error
    return found
