"""The environments by id, registered with Gymnasium when this package is imported."""

from hopgym.registry.benchmarks import BENCHMARKS
from hopgym.registry.factory import FACTORIES, EnvironmentFactory, UnknownArgumentError, register
from hopgym.registry.worlds import WORLDS

__all__ = ["FACTORIES", "EnvironmentFactory", "UnknownArgumentError", "register"]

for _factory in (*WORLDS, *BENCHMARKS):
    register(_factory)


def __getattr__(name: str) -> EnvironmentFactory:
    """Return the factory of an id: Gymnasium looks ``hopgym.registry:ID`` up as an attribute."""
    if name in FACTORIES:
        return FACTORIES[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
