"""Generation: from rendered prefixes to completions, by a server or a model at hand.

In: `Request`s. Out: one `hopgym.Completion` each, in the same order. A generator knows nothing of
environments: what a model is asked stands in the request, how it is asked in its own settings.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from hopgym.trajectory import Completion

Message = dict[str, Any]
"""A chat message: ``role`` (system, user, assistant, tool), ``content``, and for calls
``tool_calls`` as OpenAI's API writes them."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How completions are sampled; every generator takes the same."""

    temperature: float = 1.0
    """0 takes the most likely token each time."""
    top_p: float = 1.0
    top_k: int = 0
    """0 sets no bound."""
    max_tokens: int = 512
    """Most tokens of one completion."""
    stop: tuple[str, ...] = ()
    """Texts behind which a completion ends; they stay in it."""
    seed: int = 0
    """What is drawn depends on (seed, request's key) alone where the generator can promise it."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One action of the agent with what the environment said to it, for exact token histories."""

    text: str
    """The action, up to the end of its call."""
    token_ids: tuple[int, ...]
    """As sampled, where they are known and spell exactly ``text``; else empty."""
    observation: str


@dataclass(frozen=True, slots=True)
class Request:
    """What a model is asked to continue."""

    messages: tuple[Message, ...]
    """The whole conversation so far; the next message is the assistant's."""
    tools: tuple[dict[str, Any], ...] = ()
    """JSON schemas of the tools, for chat templates and servers that take them."""
    opening: int = 1
    """How many of the messages stand before the first turn."""
    turns: tuple[Turn, ...] = ()
    """The rest of the conversation, turn by turn."""
    key: tuple[int, int, int] = (0, 0, 0)
    """(task index, sample, step), which seeds the sampling."""


class Generate(Protocol):
    """A generator."""

    concurrency: int
    """1 = one call at a time on all requests that wait; n = up to n calls at once, of one each."""

    @property
    def fingerprint(self) -> str:
        """Model and settings in words: what tells its runs from others."""

    def __call__(self, requests: Sequence[Request]) -> Sequence[Completion]:
        """Return one completion for each request; failures come as ``error``, never raised."""
