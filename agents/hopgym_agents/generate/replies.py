"""Parsing of a chat-completions reply into a `hopgym.Completion`.

Servers differ in what they leave out and in where they put thinking and stop texts; those
differences are settled here.
"""

import json
import math
import re
from collections.abc import Sequence
from typing import Any

import msgspec

from hopgym.actions import replace_surrogates
from hopgym.errors import HopgymError
from hopgym.trajectory import Completion
from hopgym_agents.tool_calls import write_tool_calls

_THINK_END = "</think>"
_MAX_TOKENS = 10**12
_MAX_ERROR_BYTES = 16_384
_MAX_MESSAGE_CHARS = 500
_CONTEXT = re.compile(
    r"context[ _-]?(length|size|window)|maximum (model|prompt|sequence|input) length"
    r"|max_model_len|prompt (is )?too long|inputs` tokens \+ `max_new_tokens",
    re.IGNORECASE,
)


class UnusableReply(HopgymError):
    """A successful reply without the expected content; the request can be retried."""


class _Message(msgspec.Struct):
    content: str | list[Any] | None = None
    refusal: str | None = None
    reasoning_content: Any = None
    reasoning: Any = None
    tool_calls: list[dict[str, Any]] | None = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None
    stop_reason: Any = msgspec.UNSET
    """What ended it, in vLLM: a stop text, or a token id or null for the end of the turn."""
    matched_stop: Any = msgspec.UNSET
    """The same, in SGLang."""
    logprobs: Any = None
    token_ids: Any = None
    error: Any = None


class _Reply(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: Any = None


def parse_completion(content: bytes, stop: Sequence[str]) -> Completion:
    """Return the completion of a reply, from its first choice.

    Its text is the thinking in ``<think>...</think>``, the content, and native tool calls in the
    dialect ``json``, up to and including the first stop text. ``finish_reason`` is ``stop``,
    ``length``, ``refused``, ``empty`` for a reply without content, or the server's own word.

    Args:
        content: Body of the reply, JSON.
        stop: The stop texts of the request.

    Raises:
        UnusableReply: If the body is not JSON, holds no choice, or an error instead of one.
    """
    reply = _decode(content)
    if not reply.choices or reply.choices[0].error or reply.choices[0].finish_reason == "error":
        raise UnusableReply(f"a reply without a completion: {error_details(content)[0]}")
    choice = reply.choices[0]
    message = choice.message
    complete = write_tool_calls(_plain_text(message.content), message.tool_calls or ())
    answer = _end_at_stop(complete, choice, stop)
    text = answer or message.refusal or ""
    thinking = message.reasoning_content or message.reasoning
    if isinstance(thinking, str) and thinking:
        text = f"<think>{thinking}{_THINK_END}{text}"
    # A server that continued after the stop text returns tokens that the text does not have.
    token_ids, logprobs = _tokens(choice) if len(answer) >= len(complete) else ((), ())
    # A malformed usage field is no reason to discard the text.
    usage = reply.usage if isinstance(reply.usage, dict) else {}
    return Completion(
        replace_surrogates(text),
        token_ids,
        logprobs,
        generated_tokens=_count(usage.get("completion_tokens")) or len(token_ids) or len(logprobs),
        prompt_tokens=_count(usage.get("prompt_tokens")),
        finish_reason=_finish_reason(choice, answer),
    )


def is_context_error(message: str) -> bool:
    """Return whether an error message says that a prompt exceeds the model's context."""
    return bool(_CONTEXT.search(message))


def error_details(content: bytes) -> tuple[str, frozenset[str]]:
    """Return the message of an error's body, shortened, and the error codes in it."""
    text = content[:_MAX_ERROR_BYTES].decode(errors="replace").strip()
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return text[:_MAX_MESSAGE_CHARS], frozenset()
    error = body.get("error", body) if isinstance(body, dict) else body
    if not isinstance(error, dict):
        return str(error)[:_MAX_MESSAGE_CHARS], frozenset()
    message = error.get("message") or error.get("detail") or text
    codes = (error.get("code"), error.get("type"))
    return (
        str(message)[:_MAX_MESSAGE_CHARS],
        frozenset(code for code in codes if isinstance(code, str)),
    )


def _decode(content: bytes) -> _Reply:
    try:
        # Broken UTF-8 and lone surrogates come from the model: a retry would not help.
        body = json.loads(content.decode(errors="replace"))
        return msgspec.convert(body, _Reply)
    except (ValueError, RecursionError) as error:
        start = content[:80].decode(errors="replace")
        raise UnusableReply(f"a reply that is no chat completion ({error}): {start!r}") from error


def _plain_text(content: str | list[Any] | None) -> str:
    """Return the text of a content field, which some servers send in parts."""
    if not isinstance(content, list):
        return content or ""
    texts = (part.get("text") for part in content if isinstance(part, dict))
    return "".join(text for text in texts if isinstance(text, str))


def _end_at_stop(text: str, choice: _Choice, stop: Sequence[str]) -> str:
    """Return a text up to the first stop text, which most servers remove and some keep.

    If the server names the stop text, that one is restored. Otherwise it is the one that closes
    the last open call. A model that ends its turn inside a call looks the same, and has its call
    closed; sending no stop texts would avoid that, but then every model would continue, at a cost,
    to the end of its turn.
    """
    start = max(text.rfind(_THINK_END), 0)
    ends = [text.find(end, start) + len(end) for end in stop if text.find(end, start) >= 0]
    if ends:
        return text[: min(ends)]
    if choice.finish_reason != "stop":
        return text
    reason = choice.matched_stop if choice.stop_reason is msgspec.UNSET else choice.stop_reason
    if reason is None or isinstance(reason, int):
        return text
    return text + (reason if reason in stop else _closing_tag(text[start:], stop))


def _closing_tag(text: str, stop: Sequence[str]) -> str:
    """Return the stop text ``</name>`` of the last ``<name>`` in a text, or nothing."""
    opened = {text.rfind(f"<{end[2:]}"): end for end in stop if end.startswith("</")}
    last = max(opened, default=-1)
    return opened[last] if last >= 0 else ""


def _tokens(choice: _Choice) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Return token ids and log-probabilities, each empty unless it is complete and valid."""
    listed = choice.logprobs.get("content") if isinstance(choice.logprobs, dict) else None
    tokens = listed if isinstance(listed, list) else []
    logprobs: list[Any] = [
        token.get("logprob") if isinstance(token, dict) else None for token in tokens
    ]
    token_ids = choice.token_ids if isinstance(choice.token_ids, list) else []
    return (
        tuple(token_ids) if all(type(token) is int and token >= 0 for token in token_ids) else (),
        tuple(map(float, logprobs)) if all(map(_is_finite, logprobs)) else (),
    )


def _count(value: Any) -> int:
    """Return a number of tokens, 0 if the server sent no plausible one."""
    return int(value) if _is_finite(value) and 0 <= value < _MAX_TOKENS else 0


def _is_finite(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _finish_reason(choice: _Choice, answer: str) -> str:
    reason = choice.finish_reason or "stop"
    if choice.message.refusal or reason == "content_filter":
        return "refused"
    if not answer.strip() and reason != "length":
        return "empty"
    return "stop" if reason in ("tool_calls", "function_call") else reason
