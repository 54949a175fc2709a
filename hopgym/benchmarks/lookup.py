"""Benchmarks on the command line: by name, with the arguments that are their own.

In: words. Out: what the catalogue knows of a benchmark, the class that reads and scores it, and
keyword arguments for that class.
"""

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from hopgym.errors import ArgumentError, did_you_mean

if TYPE_CHECKING:
    from hopgym.benchmarks.base import BenchmarkSource
    from hopgym.benchmarks.catalogue import Dataset


def dataset_named(name: str) -> "Dataset":
    """Return the benchmark of a name, an id or a title, in any case.

    Raises:
        ArgumentError: When there is none.
    """
    from hopgym.benchmarks.catalogue import DATASETS

    known = {
        _folded(spelled): dataset
        for dataset in DATASETS
        for spelled in (dataset.title, dataset.env_id, dataset.name)
        if spelled
    }
    if _folded(name) not in known:
        names = [dataset.name for dataset in DATASETS]
        close = did_you_mean(_folded(name), known)
        for spelled, dataset in known.items():
            close = close.replace(repr(spelled), repr(dataset.name))
        raise ArgumentError(
            f"a benchmark must be one of {', '.join(names)}, got {name!r}{close}; "
            "hopgym data list describes them"
        )
    return known[_folded(name)]


def _folded(name: str) -> str:
    return name.strip().lower().removeprefix("hopgym/").removesuffix("-v0")


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
