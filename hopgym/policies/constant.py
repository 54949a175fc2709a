"""Policies that read nothing: the same answer always, and prepared texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hopgym.errors import ArgumentError
from hopgym.policies.base import UNKNOWN, PrefixPolicy, write_answer
from hopgym.trajectory import Trajectory


@dataclass(frozen=True, slots=True)
class ConstantPolicy(PrefixPolicy):
    """Gives the same answer to every question at once."""

    answer: str = UNKNOWN

    def act(self, prefix: Trajectory) -> str:
        """Return the answer."""
        return write_answer(prefix, self.answer)


@dataclass(frozen=True, slots=True)
class ScriptedPolicy(PrefixPolicy):
    """Plays prepared texts as they stand, one a step; then it answers ``unknown``.

    Raises:
        ArgumentError: When a script is one string instead of a sequence of them.
    """

    script: Mapping[str, Sequence[str]] | Sequence[str]
    """The texts by step number from 0, for every task or, in a mapping, by task id; steps that
    came with the reset's prefix count."""

    def __post_init__(self) -> None:
        scripts = self.script.values() if isinstance(self.script, Mapping) else [self.script]
        for texts in scripts:
            if isinstance(texts, str):
                raise ArgumentError(
                    f"script must hold a sequence of texts, got the string {texts!r}; "
                    "put it into a list"
                )

    def act(self, prefix: Trajectory) -> str:
        """Return the text of the next step, or the answer ``unknown`` after the last one."""
        scripted = self.script
        texts = scripted.get(prefix.task_id, ()) if isinstance(scripted, Mapping) else scripted
        number = len(prefix.steps)
        return texts[number] if number < len(texts) else write_answer(prefix, UNKNOWN)
