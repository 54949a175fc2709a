"""The class or function that scores a benchmark, and the arguments that it takes.

Importing this module loads no benchmark.
"""

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from hopgym.benchmarks.catalogue import Dataset
from hopgym.errors import ArgumentError, did_you_mean

if TYPE_CHECKING:
    from hopgym.benchmarks.base import BenchmarkSource


def source_class(dataset: Dataset) -> "type[BenchmarkSource[Any]]":
    """Return the class that reads and scores a benchmark that has an environment."""
    loaded: type[BenchmarkSource[Any]] = load_scorer(dataset)
    return loaded


def load_scorer(dataset: Dataset) -> Any:
    """Return the source class of a benchmark, or the function of one that is scored only."""
    module, _, name = dataset.source.partition(":")
    return getattr(import_module(module), name)


def reader_arguments(dataset: Dataset) -> tuple[str, ...]:
    """Return the names of the arguments that decide how a file is read and scored.

    The argument that chooses the form of the benchmark comes first, if there is one.
    """
    if not dataset.env_id:
        return ("version",) if dataset.name == "squad" else ()
    source = source_class(dataset)
    return (*filter(None, (source.variant_argument, source.second_file_argument)), "limit")


def check_reader_arguments(dataset: Dataset, arguments: Iterable[str]) -> None:
    """Check that all arguments are among `reader_arguments`.

    Raises:
        ArgumentError: If one is not; the message names the closest known one.
    """
    names = reader_arguments(dataset)
    for name in arguments:
        if name not in names:
            expected = f"among {', '.join(names)}" if names else "none"
            raise ArgumentError(
                f"further arguments of {dataset.name} must be {expected}, got {name!r}"
                f"{did_you_mean(name, names)}"
            )


def select_arguments(arguments: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Return the arguments with one of the names and a value other than None."""
    return {name: arguments[name] for name in names if arguments.get(name) is not None}
