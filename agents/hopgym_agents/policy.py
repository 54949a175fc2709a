"""The policy of a language model: prefixes are rendered, a generator continues them.

In: episodes so far. Out: a completion each, with what is known of how it came about. Nothing is
remembered between calls: what a model sees is the rendering of its prefix.
"""

import copy
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from hopgym.errors import require
from hopgym.trajectory import Completion, Trajectory
from hopgym_agents.generate import Generate, Message, Request, Sampling
from hopgym_agents.prompts import PLAIN, Style, estimate_tokens, request_of, without_middle

_REFUSALS = ("refused", "refusal", "content_filter")
_NO_TEXT = ("context", "length")
"""Reasons that say better than ``empty`` why there is no text."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What a model would be asked."""

    messages: tuple[Message, ...]
    tools: tuple[dict[str, Any], ...]
    """JSON schemas of the tools; empty where the messages say how to call them."""
    tokens: int
    """Of all of it."""
    exact: bool
    """Whether the tokens were counted by the model's own tokenizer; else they are an estimate."""


class LLMPolicy:
    """Plays with a language model.

    Args:
        generate: What continues a conversation. Where it has an ``encoder`` (a
            `hopgym_agents.chat.ChatEncoder`) or ``count_tokens(request)``, these count the tokens
            of a prefix; else three characters are taken for one.
        style: How prefixes are worded.
        max_context: Most tokens of a prefix and its completion together, at least 1. An episode
            that would need more ends with the reason ``context``. None sets no bound.
        drop_middle: Whether such an episode goes on without its earliest turns, with a visible
            marker in their place. What the model sees then no longer extends what it saw a step
            before: the guarantee of `hopgym_agents.chat` is given up, and caches with it.

    Raises:
        ArgumentError: On a ``max_context`` that is out of range, leaves no room beside the longest
            completion, or is missing with ``drop_middle``.
    """

    def __init__(
        self,
        generate: Generate,
        style: Style = PLAIN,
        *,
        max_context: int | None = None,
        drop_middle: bool = False,
    ) -> None:
        ok = max_context is None or (type(max_context) is int and max_context >= 1)
        require(ok, "max_context", "a whole number from 1, or None", max_context)
        needs = "given with drop_middle, as a number of tokens"
        require(not drop_middle or max_context is not None, "max_context", needs, max_context)
        above = f"above the {_longest(generate)} tokens that a completion may have"
        fits = max_context is None or max_context > _longest(generate)
        require(fits, "max_context", above, max_context)
        self.generate = generate
        self.style = style
        self.max_context = max_context
        self.drop_middle = drop_middle

    @property
    def concurrency(self) -> int:
        """How many calls at once the generator takes; see `hopgym.policy.Policy`."""
        return self.generate.concurrency

    @property
    def fingerprint(self) -> str:
        """Generator, style and context in words: what tells its runs from those of others."""
        style = self.style
        words = hashlib.sha256(style.template.encode()).hexdigest()[:16]
        styled = f"{words} {style.role} {style.native}"  # not the name: files move
        context = f"{self.max_context} {self.drop_middle}"
        return f"llm: {self.generate.fingerprint}; style {styled}; context {context}"

    def seeded(self, seed: int) -> "LLMPolicy":
        """Return the policy for a run of a seed, which is added to the sampling's own."""
        sampling = getattr(self.generate, "sampling", None)
        if not seed or not isinstance(sampling, Sampling):
            return self
        generate: Any = copy.copy(self.generate)
        generate.sampling = replace(sampling, seed=sampling.seed + seed)
        twin = copy.copy(self)
        twin.generate = generate
        return twin

    def __call__(self, prefixes: Sequence[Trajectory]) -> list[Completion]:
        """Return the completion of each prefix, in the same order.

        Raises:
            ArgumentError: When the style does not go with a prefix.
        """
        requests = [self._fitting(request_of(prefix, self.style)) for prefix in prefixes]
        asked = [request for request in requests if request is not None]
        replies = list(self.generate(asked)) if asked else []
        full = Completion("", finish_reason="context")
        require(len(replies) == len(asked), "generate", f"{len(asked)} replies", len(replies))
        coming = iter(replies)
        return [full if request is None else _told(next(coming)) for request in requests]

    def preview(self, prefix: Trajectory) -> Preview:
        """Return what would be asked at a prefix, without asking it.

        Raises:
            ArgumentError: When the style does not go with the prefix.
        """
        request = request_of(prefix, self.style)
        tokens, exact = self._count(request)
        return Preview(request.messages, request.tools, tokens, exact)

    def _fitting(self, request: Request) -> Request | None:
        """Return a request that fits the context, or None where there is none."""
        if self.max_context is None:
            return request
        room = self.max_context - _longest(self.generate)
        droppable = len(request.turns) - 1 if self.drop_middle else 0
        for dropped in range(max(droppable, 0) + 1):
            shorter = without_middle(request, dropped) if dropped else request
            if self._count(shorter)[0] <= room:
                return shorter
        return None

    def _count(self, request: Request) -> tuple[int, bool]:
        """Return the tokens of a request, and whether they were counted, not estimated."""
        encoder = getattr(self.generate, "encoder", None)
        if encoder is not None:
            return len(encoder.encode(request)), True
        count = getattr(self.generate, "count_tokens", None)
        return (int(count(request)), True) if count else (estimate_tokens(request), False)


def _longest(generate: Generate) -> int:
    """Return the most tokens of a completion; 0 where the generator does not say."""
    sampling = getattr(generate, "sampling", None)
    return sampling.max_tokens if isinstance(sampling, Sampling) else 0


def _told(completion: Completion) -> Completion:
    """Return a completion that says whether it is refused or empty, as far as that is known."""
    if completion.error:
        return completion
    if completion.finish_reason in _REFUSALS:
        return replace(completion, finish_reason="refused")
    if not completion.text.strip() and completion.finish_reason not in _NO_TEXT:
        return replace(completion, finish_reason="empty")
    return completion
