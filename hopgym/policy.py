"""Policies: their type, the conversion of other functions to it, and calls with retries.

A policy is a stateless function: it gets each episode so far and returns the next action, so that a
run can be spread over slots and threads, stopped and resumed.
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
"""Maps running episodes (``stop_reason`` RUNNING) to the next action text of each.

It may have these attributes:

- ``concurrency``, an int, 1 by default: with 1, one call at a time gets all waiting episodes; with
  n, up to n calls run at once in threads, with one episode each.
- ``seeded(seed)``, which returns the policy for a run with that seed.
- ``fingerprint``, a string that differs between policies, so that a file holds episodes of only
  one.
"""

_BATCH_ANNOTATION = re.compile(
    r"(\w+\.)*(Sequence|Iterable|Collection|[Ll]ist)"
    r"\[(ForwardRef\()?['\"]?(\w+\.)*Trajectory['\"]?\)?\]"
)
_BATCH_HINT = "to take many episodes annotate the first parameter Sequence[Trajectory]"
_NOT_ASYNC = (
    "async functions are not supported: give a plain function that returns the reply, with an "
    "attribute concurrency = N to have N calls at once in threads"
)


def as_policy(function: Callable[..., Any]) -> Policy:
    """Return a function as a policy; functions of a batch of episodes are returned unchanged.

    A function takes a batch if its first parameter is annotated ``Sequence[Trajectory]`` (or list,
    Iterable, Collection), or if it has an attribute ``batched`` that is True. Any other function
    gets the transcript of one episode, a string, and returns the next action, a string or
    `Completion`.

    A trajectory file belongs to the function's name and code. Whatever else decides its answers,
    such as the name of a model, should be in an attribute ``fingerprint`` of the function.
    """
    return cast(Policy, function) if _takes_batch(function) else _TranscriptPolicy(function)


class _TranscriptPolicy:
    """A function of one transcript as a policy."""

    batched = False

    def __init__(self, function: Callable[[str], str | Completion]) -> None:
        self._function = function
        self.concurrency: int = getattr(function, "concurrency", 1)
        self.fingerprint: str = getattr(function, "fingerprint", "") or _describe_function(function)

    def __call__(self, prefixes: Sequence[Trajectory]) -> list[str | Completion]:
        return [self._reply(transcript(prefix.prompt, prefix.steps)) for prefix in prefixes]

    def seeded(self, seed: int) -> "_TranscriptPolicy":
        seeded = getattr(self._function, "seeded", None)
        return _TranscriptPolicy(seeded(seed)) if seeded else self

    def _reply(self, text: str) -> str | Completion:
        reply = self._function(text)
        _refuse_coroutine(reply)
        if isinstance(reply, list | tuple):
            kind = type(reply).__name__
            raise HopgymError(
                f"a function of one transcript must return a string or a Completion, got a {kind}; "
                f"{_BATCH_HINT}"
            )
        return reply


class PolicyCaller:
    """Calls a policy, and repeats a failed call for one episode at a time.

    A call fails if it raises, calls ``sys.exit``, or returns a wrong number of replies. If the
    repeated call for an episode fails too, its reply ends the episode with AGENT_ERROR. Threads may
    share a caller.

    Args:
        policy: The policy to call.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.recovered = 0
        """Number of failed calls that returned at least one reply when they were repeated."""
        self._first_error = ""
        self._lock = Lock()

    def __call__(self, prefixes: Sequence[Trajectory]) -> list[str | Completion]:
        """Return one valid reply for each episode."""
        is_batched = getattr(self.policy, "batched", True)
        groups = [prefixes] if is_batched else [[prefix] for prefix in prefixes]
        return [reply for group in groups for reply in self._call(group)]

    @property
    def summary(self) -> str:
        """A sentence with the number of `recovered` calls and the error of the first."""
        calls = "1 call" if self.recovered == 1 else f"{self.recovered:,} calls"
        return (
            f"{calls} of the policy failed and, made again, went well; the first: "
            f"{self._first_error}"
        )

    def _call(self, prefixes: Sequence[Trajectory]) -> list[str | Completion]:
        try:
            return _replies(self.policy, prefixes)
        except (Exception, SystemExit) as error:
            replies = [self._retry(prefix) for prefix in prefixes]
            if not all(isinstance(reply, Completion) and reply.error for reply in replies):
                with self._lock:
                    self.recovered += 1
                    self._first_error = self._first_error or _error_text(error)
            return replies

    def _retry(self, prefix: Trajectory) -> str | Completion:
        try:
            return _replies(self.policy, [prefix])[0]
        except (Exception, SystemExit) as error:
            return _failed(error)


def _replies(policy: Policy, prefixes: Sequence[Trajectory]) -> list[str | Completion]:
    """Return one valid reply for each episode; let the policy's exceptions through."""
    replies = policy(prefixes)
    _refuse_coroutine(replies)
    if isinstance(replies, str) or len(replies) != len(prefixes):
        actual = "a string" if isinstance(replies, str) else f"{len(replies)}"
        raise HopgymError(f"a policy must return a list of {len(prefixes)} replies, got {actual}")
    return [_validated(reply) for reply in replies]


def _refuse_coroutine(reply: object) -> None:
    if inspect.isawaitable(reply):
        if inspect.iscoroutine(reply):
            reply.close()  # Otherwise Python warns that it was never awaited.
        raise HopgymError(_NOT_ASYNC)


def _validated(reply: object) -> str | Completion:
    if isinstance(reply, str):
        return reply
    if not isinstance(reply, Completion):
        return _failed(TypeError(f"a reply must be a string or a Completion, got {reply!r:.200}"))
    try:
        text = replace_surrogates(reply.text)
        error = replace_surrogates(reply.error)
        return as_recorded(replace(reply, text=text, error=error))
    except Exception as problem:
        return _failed(problem)


def _failed(error: BaseException) -> Completion:
    return Completion("", error=_error_text(error), error_reason=StopReason.AGENT_ERROR)


def _error_text(error: BaseException) -> str:
    return replace_surrogates(f"{type(error).__name__}: {error}")


def _describe_function(function: Callable[..., Any]) -> str:
    """Return a function's name with a digest of its code, so that each has files of its own."""
    name = getattr(function, "__qualname__", type(function).__qualname__)
    code = getattr(function, "__code__", None)
    if code is None:
        return name
    decisive = (code.co_code, [c for c in code.co_consts if isinstance(c, str | int | float)])
    return f"{name}-{hashlib.sha256(repr(decisive).encode()).hexdigest()[:16]}"


def _takes_batch(function: Callable[..., Any]) -> bool:
    if getattr(function, "batched", None) is True:
        return True
    # Names imported only for type checkers cannot be evaluated; their text is used instead.
    for evaluated in (True, False):
        with suppress(Exception):
            parameters = inspect.signature(function, eval_str=evaluated).parameters
            annotation = next(iter(parameters.values())).annotation
            return bool(
                _BATCH_ANNOTATION.fullmatch(
                    annotation if isinstance(annotation, str) else repr(annotation)
                )
            )
    return False
