"""Policies that read nothing: a constant answer, and scripted texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hopgym.errors import ArgumentError
from hopgym.policies.base import UNKNOWN, PrefixPolicy, write_answer
from hopgym.trajectory import Trajectory


@dataclass(frozen=True, slots=True)
class ConstantPolicy(PrefixPolicy):
    """Answers every question with the same text, without a search."""

    answer: str = UNKNOWN

    def act(self, prefix: Trajectory) -> str:
        """Return the answer."""
        return write_answer(prefix, self.answer)


@dataclass(frozen=True, slots=True)
class ScriptedPolicy(PrefixPolicy):
    """Plays given texts unchanged, one per step; then it answers ``unknown``.

    Raises:
        ArgumentError: When a script is one string instead of a sequence of them.
    """

    script: Mapping[str, Sequence[str]] | Sequence[str]
    """The texts by step number, from 0, for every task or, in a mapping, by task id. Steps of the
    reset's prefix count."""

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
