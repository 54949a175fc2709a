"""Policies: what plays, as one kind of function, and how any other function becomes one.

A policy is a function without a memory: it gets each episode so far and says what to do next, so
that a run can be spread over slots and threads, stopped and taken up again.
"""

import hashlib
import inspect
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, cast

from hopgym.trajectory import Completion, Trajectory, transcript

Policy = Callable[[Sequence[Trajectory]], Sequence[str | Completion]]
"""From episodes so far (their ``reason`` is RUNNING) to the next action text of each.

It may carry, beside the call:

- ``concurrency``, an int, 1 by default: 1 = one call at a time on all episodes that wait; n = up to
  n calls at once in threads, of one episode each.
- ``seeded(seed)``, which returns the policy to use in a run of that seed.
- ``fingerprint``, a string that tells it from others, so that no file holds the episodes of two.
"""

_MANY = re.compile(r"(\w+\.)*Sequence\[(ForwardRef\()?['\"]?(\w+\.)*Trajectory['\"]?\)?\]")


def as_policy(function: Callable[..., Any]) -> Policy:
    """Return a policy that calls a function, which is itself one if it takes many episodes.

    It does if its first parameter is annotated ``Sequence[Trajectory]``. Any other function gets
    the transcript of one episode, a string, and returns the next action, a string or `Completion`.

    A run's file is bound to the function's name and code. Whatever else decides its answers, such
    as a model's name, belongs into an attribute ``fingerprint`` of the function.
    """
    return cast(Policy, function) if _takes_many(function) else _OneByOne(function)


class _OneByOne:
    """A function of one transcript, as a policy."""

    batched = False

    def __init__(self, function: Callable[[str], str | Completion]) -> None:
        self._function = function
        self.concurrency: int = getattr(function, "concurrency", 1)
        self.fingerprint: str = getattr(function, "fingerprint", "") or _name_of(function)

    def __call__(self, prefixes: Sequence[Trajectory]) -> list[str | Completion]:
        return [self._function(transcript(each.prompt, each.steps)) for each in prefixes]

    def seeded(self, seed: int) -> "_OneByOne":
        seeded = getattr(self._function, "seeded", None)
        return _OneByOne(seeded(seed)) if seeded else self


def _name_of(function: Callable[..., Any]) -> str:
    """Return a function's name with a digest of its code, so that no two share a run's file."""
    name = getattr(function, "__qualname__", type(function).__qualname__)
    code = getattr(function, "__code__", None)
    if code is None:
        return name
    decisive = (code.co_code, [c for c in code.co_consts if isinstance(c, str | int | float)])
    return f"{name}-{hashlib.sha256(repr(decisive).encode()).hexdigest()[:16]}"


def _takes_many(function: Callable[..., Any]) -> bool:
    # Names that only type checkers import cannot be evaluated; their text is as good.
    for evaluated in (True, False):
        with suppress(Exception):
            parameters = inspect.signature(function, eval_str=evaluated).parameters
            kind = next(iter(parameters.values())).annotation
            return bool(_MANY.fullmatch(kind if isinstance(kind, str) else repr(kind)))
    return False
