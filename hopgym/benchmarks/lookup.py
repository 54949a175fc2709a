"""The class or function that reads and scores a benchmark, and the arguments that it takes."""

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from hopgym.benchmarks.catalogue import Dataset
from hopgym.errors import ArgumentError, did_you_mean

if TYPE_CHECKING:
    from hopgym.benchmarks.base import BenchmarkSource


def source_class(dataset: "Dataset") -> "type[BenchmarkSource[Any]]":
    """Return the class that reads and scores a benchmark.

    Args:
        dataset: One with an environment.
    """
    loaded: type[BenchmarkSource[Any]] = scorer(dataset)
    return loaded


def scorer(dataset: "Dataset") -> Any:
    """Return what scores a benchmark: a class, or a function where it is scored only."""
    module, _, name = dataset.source.partition(":")
    return getattr(import_module(module), name)


def own_names(dataset: "Dataset") -> tuple[str, ...]:
    """Return the names of the arguments that say how a benchmark's file is read and scored.

    The one that chooses its form comes first, where there is one.
    """
    if not dataset.env_id:
        return ("version",) if dataset.name == "squad" else ()
    source = source_class(dataset)
    return (*filter(None, (source.variant_argument, source.further_argument)), "limit")


def check_own(dataset: "Dataset", arguments: Iterable[str]) -> None:
    """Raise an `ArgumentError` for an argument that is not among `own_names`."""
    names = own_names(dataset)
    for name in arguments:
        if name not in names:
            expected = f"among {', '.join(names)}" if names else "none"
            raise ArgumentError(
                f"further arguments of {dataset.name} must be {expected}, got {name!r}"
                f"{did_you_mean(name, names)}"
            )


def as_given(arguments: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return those of some arguments that have a name and a value."""
    return {name: arguments[name] for name in names if arguments.get(name) is not None}
