"""The language-model policy: prefixes are rendered, and a generator continues them.

It has no memory between calls: a model sees the rendering of its prefix and nothing else.
"""

import copy
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hopgym.env import HopEnv
from hopgym.errors import require
from hopgym.policy import Policy
from hopgym.trajectory import Completion, Trajectory
from hopgym_agents.generate import Generator, Message, Request, Sampling
from hopgym_agents.options import LLMOptions, create_generator, read_options
from hopgym_agents.prompts import (
    PLAIN,
    Style,
    build_request,
    drop_turns,
    estimate_tokens,
    get_style,
    render,
    stop_texts,
)

_REFUSALS = ("refused", "refusal", "content_filter")
_REASONS_WITHOUT_TEXT = ("context", "length")
"""Finish reasons that explain a missing text better than ``empty``."""


@dataclass(frozen=True, slots=True)
class Preview:
    """The input of a model at a prefix."""

    messages: tuple[Message, ...]
    tools: tuple[dict[str, Any], ...]
    """JSON schemas of the tools; empty if the messages describe the calls."""
    tokens: int
    """Number of tokens of messages and tools."""
    exact: bool
    """Whether the model's tokenizer counted the tokens; otherwise they are an estimate."""


class LLMPolicy:
    """Plays with a language model.

    Args:
        generate: Continues conversations. Its ``encoder`` (a `hopgym_agents.chat.ChatEncoder`) or
            its method ``count_tokens(request)`` counts the tokens of a prefix; without either, a
            token is taken to be three characters.
        style: How prefixes are rendered.
        max_context: Maximum number of tokens of a prefix with its completion, at least 1. An
            episode that would need more ends with the reason ``context``. None: no limit.
        drop_middle: Whether such an episode continues without its earliest turns, with a visible
            marker in their place. Its prompt then no longer extends that of the previous step: the
            guarantee of `hopgym_agents.chat` and the caches that rely on it are lost.

    Raises:
        ArgumentError: If ``max_context`` is out of range, leaves no room besides the longest
            completion, or is missing with ``drop_middle``.
    """

    def __init__(
        self,
        generate: Generator,
        style: Style = PLAIN,
        *,
        max_context: int | None = None,
        drop_middle: bool = False,
    ) -> None:
        ok = max_context is None or (type(max_context) is int and max_context >= 1)
        require(ok, "max_context", "a whole number from 1, or None", max_context)
        expected = "given with drop_middle, as a number of tokens"
        require(not drop_middle or max_context is not None, "max_context", expected, max_context)
        expected = f"above the {_completion_limit(generate)} tokens that a completion may have"
        fits = max_context is None or max_context > _completion_limit(generate)
        require(fits, "max_context", expected, max_context)
        self.generate = generate
        self.style = style
        self.max_context = max_context
        self.drop_middle = drop_middle

    @property
    def concurrency(self) -> int:
        """Number of concurrent calls that the generator supports; see `hopgym.policy.Policy`."""
        return self.generate.concurrency

    @property
    def fingerprint(self) -> str:
        """Description of generator, style and context; runs with different ones are kept apart."""
        style = self.style
        digest = hashlib.sha256(style.template.encode()).hexdigest()[:16]
        rendering = f"{digest} {style.role} {style.native}"  # not the name: files move
        context = f"{self.max_context} {self.drop_middle}"
        return f"llm: {self.generate.fingerprint}; style {rendering}; context {context}"

    def seeded(self, seed: int) -> "LLMPolicy":
        """Return the policy for a run with a seed, which is added to the sampling seed."""
        sampling = getattr(self.generate, "sampling", None)
        if not seed or not isinstance(sampling, Sampling):
            return self
        generate: Any = copy.copy(self.generate)
        generate.sampling = replace(sampling, seed=sampling.seed + seed)
        policy = copy.copy(self)
        policy.generate = generate
        return policy

    def __call__(self, prefixes: Sequence[Trajectory]) -> list[Completion]:
        """Return the completion of each prefix, in order.

        Raises:
            ArgumentError: If the style does not support a prefix.
        """
        fitted = [self._fit(build_request(prefix, self.style)) for prefix in prefixes]
        requests = [request for request in fitted if request is not None]
        replies = list(self.generate(requests)) if requests else []
        expected = f"{len(requests)} replies"
        require(len(replies) == len(requests), "generate", expected, len(replies))
        too_long = Completion("", finish_reason="context")
        remaining = iter(replies)
        return [
            too_long if request is None else _with_finish_reason(next(remaining))
            for request in fitted
        ]

    def preview(self, prefix: Trajectory) -> Preview:
        """Return the model's input at a prefix, without generating.

        Raises:
            ArgumentError: If the style does not support the prefix.
        """
        request = build_request(prefix, self.style)
        tokens, exact = self._count(request)
        return Preview(request.messages, request.tools, tokens, exact)

    def _fit(self, request: Request) -> Request | None:
        """Return a request that fits the context, or None if none does."""
        if self.max_context is None:
            return request
        room = self.max_context - _completion_limit(self.generate)
        droppable = len(request.turns) - 1 if self.drop_middle else 0
        for dropped in range(max(droppable, 0) + 1):
            shorter = drop_turns(request, dropped) if dropped else request
            if self._count(shorter)[0] <= room:
                return shorter
        return None

    def _count(self, request: Request) -> tuple[int, bool]:
        """Return the number of tokens of a request, and whether it is exact."""
        encoder = getattr(self.generate, "encoder", None)
        if encoder is not None:
            return len(encoder.encode(request)), True
        count = getattr(self.generate, "count_tokens", None)
        return (int(count(request)), True) if count else (estimate_tokens(request), False)


def llm(env: HopEnv, options: Mapping[str, Any]) -> Policy:
    """Return the policy of a language model for an environment (entry point ``llm``).

    Args:
        env: The environment to play; its dialect and tools determine where an action ends.
        options: Values for `hopgym_agents.options.LLMOptions`, by name.

    Raises:
        ArgumentError: If an option is unknown, missing, out of range or of another generator, or
            the environment does not support the style.
    """
    checked = read_options(options)
    style = get_style(checked.style, checked.template)
    _check_style(style, env)
    # A server that receives the schemas of tools finds the end of a call by itself.
    stops = checked.stop and not (style.native and checked.generator == "openai")
    tools = (tool.name for tool in env.tools)
    stop = stop_texts(env.settings.dialect, tools) if stops else ()
    return LLMPolicy(
        create_generator(checked, stop),
        style,
        max_context=checked.max_context,
        drop_middle=checked.drop_middle,
    )


llm.options = LLMOptions  # type: ignore[attr-defined]  # for `hopgym list --policy llm`


def _check_style(style: Style, env: HopEnv) -> None:
    """Render the start of an episode on a copy of the environment, to fail before a run does."""
    trial = copy.copy(env)
    trial.render_mode = None
    trial.reset(options={"index": 0})
    trial.step("")
    render(trial.trajectory(), style)


def _completion_limit(generate: Generator) -> int:
    """Return the maximum number of tokens of a completion, 0 if the generator has no limit."""
    sampling = getattr(generate, "sampling", None)
    return sampling.max_tokens if isinstance(sampling, Sampling) else 0


def _with_finish_reason(completion: Completion) -> Completion:
    """Return a completion whose finish reason says whether it was refused or is empty."""
    if completion.error:
        return completion
    if completion.finish_reason in _REFUSALS:
        return replace(completion, finish_reason="refused")
    if not completion.text.strip() and completion.finish_reason not in _REASONS_WITHOUT_TEXT:
        return replace(completion, finish_reason="empty")
    return completion
