"""Text generation: requests in, completions out, from a server or a model in this process.

A generator knows nothing about environments. The request holds the conversation, and the generator
holds the settings.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from hopgym.trajectory import Completion

Message = dict[str, Any]
"""A chat message with ``role`` (system, user, assistant or tool) and ``content``; calls are in
``tool_calls``, in the format of OpenAI's API."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """Sampling settings, the same for every generator."""

    temperature: float = 1.0
    """0 selects the most likely token."""
    top_p: float = 1.0
    top_k: int = 0
    """0 disables the limit."""
    max_tokens: int = 512
    """Maximum number of tokens of a completion."""
    stop: tuple[str, ...] = ()
    """Texts that end a completion; they remain part of it."""
    seed: int = 0
    """Together with the key of a request it determines the sampled tokens, where the generator can
    guarantee that."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One action and the observation that follows it, for exact token histories."""

    text: str
    """The action, up to the end of its call."""
    token_ids: tuple[int, ...]
    """The sampled tokens if they are known and decode to exactly ``text``, else empty."""
    observation: str


@dataclass(frozen=True, slots=True)
class Request:
    """A conversation for a model to continue."""

    messages: tuple[Message, ...]
    """The conversation so far; the next message is the assistant's."""
    tools: tuple[dict[str, Any], ...] = ()
    """JSON schemas of the tools, for chat templates and servers that support them."""
    opening: int = 1
    """Number of messages before the first turn."""
    turns: tuple[Turn, ...] = ()
    """The messages after the opening, as turns."""
    key: tuple[int, int, int] = (0, 0, 0)
    """(task index, sample, step), which seeds the sampling."""


class Generator(Protocol):
    """Continues conversations."""

    concurrency: int
    """1: one call at a time, with all waiting requests. n: up to n concurrent calls with one
    request each."""

    @property
    def fingerprint(self) -> str:
        """Description of model and settings; runs with different ones are kept apart."""

    def __call__(self, requests: Sequence[Request]) -> Sequence[Completion]:
        """Return one completion per request, in order; failures are returned as ``error``."""


def seed_sequence(sampling: Sampling, request: Request) -> np.random.SeedSequence:
    """Return the seeds of a request, which depend on the sampling seed and the key only."""
    return np.random.SeedSequence(sampling.seed, spawn_key=request.key)


def request_seed(sampling: Sampling, request: Request) -> int:
    """Return the seed of a request in [0, 2**31), for engines that take a number."""
    return int(seed_sequence(sampling, request).generate_state(1)[0]) & 0x7FFF_FFFF
