"""Settings of an environment: the arguments that every id accepts besides those of the tools."""

from dataclasses import dataclass, fields
from typing import Any

from hopgym.actions import dialect_named
from hopgym.errors import require

MODES = ("tools", "one_turn", "closed_book")
REWARDS = ("outcome", "process", "both")
SCORES = ("f1", "em")


@dataclass(frozen=True, slots=True)
class EnvSettings:
    """Budget, dialect, mode and reward of an environment."""

    max_steps: int = 16
    """Step budget of an episode, at least 1; it is 1 in ``one_turn`` and ``closed_book``."""
    max_malformed: int = 3
    """Number of consecutive malformed texts that truncates an episode, at least 1."""
    dialect: str = "tags"
    """How calls are written: ``tags`` or ``json``."""
    mode: str = "tools"
    """``tools``; ``one_turn``: pages in the prompt, answer at once; ``closed_book``: no pages."""
    reward: str = "outcome"
    """The reward of a step: ``outcome``, ``process``, or ``both`` added."""
    score: str = "f1"
    """The outcome reward: ``f1`` or ``em``, both in [0, 1]."""
    step_penalty: float = 0.0
    """Subtracted from the reward of every step, at least 0."""
    instructions: bool = True
    """Whether prompts explain how to write calls, and observations count the steps left."""
    reveal: bool = False
    """Whether ``info["gold"]`` is filled at every step, with the oracle's next action."""
    ask_support: bool = False
    """Whether prompts ask for the sentences that support the answer."""
    context_chars: int = 32_000
    """Maximum number of characters of pages in a ``one_turn`` prompt, at least 0."""

    def __post_init__(self) -> None:
        dialect_named(self.dialect)
        for name in ("max_steps", "max_malformed", "context_chars"):
            value = getattr(self, name)
            least = 0 if name == "context_chars" else 1
            ok = isinstance(value, int) and not isinstance(value, bool) and value >= least
            require(ok, name, f"a whole number from {least}", value)
        for name, known in (("mode", MODES), ("reward", REWARDS), ("score", SCORES)):
            value = getattr(self, name)
            ok = isinstance(value, str) and value in known
            require(ok, name, f"one of {', '.join(known)}", value)
        penalty: Any = self.step_penalty
        is_number = isinstance(penalty, int | float) and not isinstance(penalty, bool)
        ok = is_number and 0 <= penalty < float("inf")
        require(ok, "step_penalty", "a finite number from 0", penalty)
        for name in ("instructions", "reveal", "ask_support"):
            value = getattr(self, name)
            require(isinstance(value, bool), name, "True or False", value)

    @property
    def budget(self) -> int:
        """Number of steps of an episode in this mode."""
        return self.max_steps if self.mode == "tools" else 1


def field_names(settings: type) -> tuple[str, ...]:
    """Return the names of the fields of a settings dataclass, in order."""
    return tuple(field.name for field in fields(settings))
