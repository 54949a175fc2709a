"""The base class of the built-in policies, and functions that write calls."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from hopgym.actions import Action, dialect_named
from hopgym.tools import argument_names
from hopgym.trajectory import Completion, Trajectory

UNKNOWN = "unknown"
"""The answer of a policy that does not know one."""


class PrefixPolicy(ABC):
    """A policy that acts on each prefix independently of the others in the batch."""

    __slots__ = ()

    def __call__(self, prefixes: Sequence[Trajectory]) -> list[str | Completion]:
        """Return one action for each prefix, in the same order."""
        return [self.act(prefix) for prefix in prefixes]

    @property
    def fingerprint(self) -> str:
        """Class and settings as text, which differ between runs of different policies."""
        return repr(self)

    @abstractmethod
    def act(self, prefix: Trajectory) -> str | Completion:
        """Return the action that follows a prefix."""


def write_call(prefix: Trajectory, action: Action) -> str:
    """Return the text of a call in the dialect of a trajectory."""
    return dialect_named(prefix.dialect).write(action, argument_names(prefix.tools))


def write_answer(prefix: Trajectory, answer: str) -> str:
    """Return the text of an answer in the dialect of a trajectory."""
    return write_call(prefix, Action("answer", answer))


def budget_ends(prefix: Trajectory) -> bool:
    """Return whether the last observation says that one step is left."""
    return bool(prefix.steps) and prefix.steps[-1].observation.endswith("[1 step left]")
