"""The environments by id: one small factory each, registered with Gymnasium at import."""

from hopgym.registry import worlds  # noqa: I001 (in every list the worlds come first)
from hopgym.registry import benchmarks
from hopgym.registry.factory import FACTORIES, Factory, UnknownArgumentError, environment

__all__ = ["FACTORIES", "Factory", "UnknownArgumentError", "benchmarks", "environment", "worlds"]
