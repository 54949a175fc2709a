"""Policies: what plays, as one kind of function; how any other becomes one; how they are asked.

A policy is a function without a memory: it gets each episode so far and says what to do next, so
that a run can be spread over slots and threads, stopped and taken up again.
"""

import hashlib
import inspect
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from threading import Lock
from typing import Any, cast

from hopgym.actions import replace_surrogates
from hopgym.errors import HopgymError
from hopgym.runs.trajectory_file import as_recorded
from hopgym.trajectory import Completion, StopReason, Trajectory, transcript

Policy = Callable[[Sequence[Trajectory]], Sequence[str | Completion]]
"""From episodes so far (their ``reason`` is RUNNING) to the next action text of each.

It may carry, beside the call:

- ``concurrency``, an int, 1 by default: 1 = one call at a time on all episodes that wait; n = up to
  n calls at once in threads, of one episode each.
- ``seeded(seed)``, which returns the policy to use in a run of that seed.
- ``fingerprint``, a string that tells it from others, so that no file holds the episodes of two.
"""

_MANY = re.compile(
    r"(\w+\.)*(Sequence|Iterable|Collection|[Ll]ist)"
    r"\[(ForwardRef\()?['\"]?(\w+\.)*Trajectory['\"]?\)?\]"
)
_TO_TAKE_MANY = "to take many episodes annotate the first parameter Sequence[Trajectory]"
_NOT_ASYNC = (
    "async functions are not supported: give a plain function that returns the reply, with an "
    "attribute concurrency = N to have N calls at once in threads"
)


def as_policy(function: Callable[..., Any]) -> Policy:
    """Return a policy that calls a function, which is itself one if it takes many episodes.

    It does if its first parameter is annotated ``Sequence[Trajectory]`` (or list, Iterable,
    Collection), or if it has an attribute ``batched``, set to True. Any other function gets the
    transcript of one episode, a string, and returns the next action, a string or `Completion`.

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
        return [self._reply(transcript(each.prompt, each.steps)) for each in prefixes]

    def seeded(self, seed: int) -> "_OneByOne":
        seeded = getattr(self._function, "seeded", None)
        return _OneByOne(seeded(seed)) if seeded else self

    def _reply(self, text: str) -> str | Completion:
        reply = self._function(text)
        _refuse_coroutine(reply)
        if isinstance(reply, list | tuple):
            kind = type(reply).__name__
            raise HopgymError(
                f"a function of one transcript must return a string or a Completion, got a {kind}; "
                f"{_TO_TAKE_MANY}"
            )
        return reply


class Asker:
    """Asks a policy for replies, and makes a call that fails again, one episode at a time.

    A call fails if it raises, leaves by ``sys.exit``, or gives another number of replies than
    asked for. An episode whose own call fails again gets a reply that ends it with AGENT_ERROR.
    It may be called from several threads.

    Args:
        policy: What is asked.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.forgiven = 0
        """Calls that failed and, made again, gave a reply for an episode at least."""
        self._first = ""
        self._lock = Lock()

    def __call__(self, prefixes: Sequence[Trajectory]) -> list[str | Completion]:
        """Return one usable reply for each episode."""
        together = getattr(self.policy, "batched", True)
        groups = [prefixes] if together else [[prefix] for prefix in prefixes]
        return [reply for group in groups for reply in self._ask(group)]

    @property
    def told(self) -> str:
        """The number of `forgiven` calls and what the first of them raised, in words."""
        calls = "1 call" if self.forgiven == 1 else f"{self.forgiven:,} calls"
        return f"{calls} of the policy failed and, made again, went well; the first: {self._first}"

    def _ask(self, prefixes: Sequence[Trajectory]) -> list[str | Completion]:
        try:
            return _replies(self.policy, prefixes)
        except (Exception, SystemExit) as error:
            again = [self._once_more(prefix) for prefix in prefixes]
            if not all(isinstance(reply, Completion) and reply.error for reply in again):
                with self._lock:
                    self.forgiven += 1
                    self._first = self._first or _told(error)
            return again

    def _once_more(self, prefix: Trajectory) -> str | Completion:
        try:
            return _replies(self.policy, [prefix])[0]
        except (Exception, SystemExit) as error:
            return _failed(error)


def _replies(policy: Policy, prefixes: Sequence[Trajectory]) -> list[str | Completion]:
    """Return one usable reply for each episode; raise what the policy raises."""
    replies = policy(prefixes)
    _refuse_coroutine(replies)
    if isinstance(replies, str) or len(replies) != len(prefixes):
        actual = "a string" if isinstance(replies, str) else f"{len(replies)}"
        raise HopgymError(f"a policy must return a list of {len(prefixes)} replies, got {actual}")
    return [_usable(reply) for reply in replies]


def _refuse_coroutine(reply: object) -> None:
    if inspect.isawaitable(reply):
        if inspect.iscoroutine(reply):
            reply.close()  # Else Python warns that nobody waited for it.
        raise HopgymError(_NOT_ASYNC)


def _usable(reply: object) -> str | Completion:
    if isinstance(reply, str):
        return reply
    if not isinstance(reply, Completion):
        return _failed(TypeError(f"a reply must be a string or a Completion, got {reply!r:.200}"))
    try:
        text, error = replace_surrogates(reply.text), replace_surrogates(reply.error)
        return as_recorded(replace(reply, text=text, error=error))
    except Exception as problem:
        return _failed(problem)


def _failed(error: BaseException) -> Completion:
    return Completion("", error=_told(error), error_reason=StopReason.AGENT_ERROR)


def _told(error: BaseException) -> str:
    return replace_surrogates(f"{type(error).__name__}: {error}")


def _name_of(function: Callable[..., Any]) -> str:
    """Return a function's name with a digest of its code, so that no two share a run's file."""
    name = getattr(function, "__qualname__", type(function).__qualname__)
    code = getattr(function, "__code__", None)
    if code is None:
        return name
    decisive = (code.co_code, [c for c in code.co_consts if isinstance(c, str | int | float)])
    return f"{name}-{hashlib.sha256(repr(decisive).encode()).hexdigest()[:16]}"


def _takes_many(function: Callable[..., Any]) -> bool:
    if getattr(function, "batched", None) is True:
        return True
    # Names that only type checkers import cannot be evaluated; their text is as good.
    for evaluated in (True, False):
        with suppress(Exception):
            parameters = inspect.signature(function, eval_str=evaluated).parameters
            kind = next(iter(parameters.values())).annotation
            return bool(_MANY.fullmatch(kind if isinstance(kind, str) else repr(kind)))
    return False
