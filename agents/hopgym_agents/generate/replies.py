"""Replies: what a chat-completions server answers, read as a `hopgym.Completion`.

In: the bytes of a reply, and the stop texts that the server was sent. Servers differ in what they
leave out and where they put thinking; all of that is settled here.
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
_MOST_TOKENS = 10**12
_MAX_ERROR_BYTES = 16_384
_MAX_MESSAGE_CHARS = 500
_CONTEXT = re.compile(
    r"context[ _-]?(length|size|window)|maximum (model|prompt|sequence|input) length"
    r"|max_model_len|prompt (is )?too long|inputs` tokens \+ `max_new_tokens",
    re.IGNORECASE,
)


class UnusableReply(HopgymError):
    """Raised by a reader for a successful reply without the expected content."""


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
    """What ended it, as vLLM says: a stop text, or a token's id or null for the model's own end."""
    matched_stop: Any = msgspec.UNSET
    """The same, as SGLang says."""
    logprobs: Any = None
    token_ids: Any = None
    error: Any = None


class _Reply(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: Any = None


def completion_of(content: bytes, stop: Sequence[str]) -> Completion:
    """Return the completion of a reply, of its first choice.

    Its text is the thinking in ``<think>...</think>``, the content, and native tool calls as the
    dialect ``json`` writes them, up to the first stop text, which stays. ``finish_reason`` is
    ``stop``, ``length``, ``refused``, ``empty`` for a reply without content, or a word of the
    server's own.

    Args:
        content: The reply's body, JSON.
        stop: The texts that the completion was to end with.

    Raises:
        UnusableReply: When the body is no JSON, holds no choice or an error in its place.
    """
    reply = _read(content)
    if not reply.choices or reply.choices[0].error or reply.choices[0].finish_reason == "error":
        raise UnusableReply(f"a reply without a completion: {error_details(content)[0]}")
    choice = reply.choices[0]
    message = choice.message
    whole = write_tool_calls(_plain(message.content), message.tool_calls or ())
    said = _ended(whole, choice, stop)
    text = said or message.refusal or ""
    thought = message.reasoning_content or message.reasoning
    if isinstance(thought, str) and thought:
        text = f"<think>{thought}{_THINK_END}{text}"
    # A server that wrote on behind the stop text gives tokens that the text does not have.
    token_ids, logprobs = _tokens(choice) if len(said) >= len(whole) else ((), ())
    # What is told beside the text is no reason to throw the text away.
    usage = reply.usage if isinstance(reply.usage, dict) else {}
    return Completion(
        replace_surrogates(text),
        token_ids,
        logprobs,
        generated_tokens=_count(usage.get("completion_tokens")) or len(token_ids) or len(logprobs),
        prompt_tokens=_count(usage.get("prompt_tokens")),
        finish_reason=_finish(choice, said),
    )


def is_about_context(message: str) -> bool:
    """Return whether an error says that a prompt does not fit a model's context."""
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


def _read(content: bytes) -> _Reply:
    try:
        # Broken UTF-8 and halves of characters are a model's doing: no reason to ask again.
        body = json.loads(content.decode(errors="replace"))
        return msgspec.convert(body, _Reply)
    except (ValueError, RecursionError) as error:
        start = content[:80].decode(errors="replace")
        raise UnusableReply(f"a reply that is no chat completion ({error}): {start!r}") from error


def _plain(content: str | list[Any] | None) -> str:
    """Return a content's text, which some servers give in parts."""
    if not isinstance(content, list):
        return content or ""
    texts = (part.get("text") for part in content if isinstance(part, dict))
    return "".join(text for text in texts if isinstance(text, str))


def _ended(said: str, choice: _Choice, stop: Sequence[str]) -> str:
    """Return what was said up to the first stop text, which most servers cut off and some keep.

    Those that tell which one it was are believed. The others' is told by what it closes: a call
    that was opened last and not closed. A model that ends by itself inside a call looks the same,
    and has its call closed; sending no stop texts would avoid that, but then every model would
    write on, and be paid for, to the end of its turn.
    """
    start = max(said.rfind(_THINK_END), 0)
    found = [said.find(text, start) + len(text) for text in stop if said.find(text, start) >= 0]
    if found:
        return said[: min(found)]
    if choice.finish_reason != "stop":
        return said
    told = choice.matched_stop if choice.stop_reason is msgspec.UNSET else choice.stop_reason
    if told is None or isinstance(told, int):
        return said
    return said + (told if told in stop else _closing(said[start:], stop))


def _closing(said: str, stop: Sequence[str]) -> str:
    """Return the stop text ``</name>`` whose ``<name>`` stands last, or nothing."""
    opened = {said.rfind(f"<{text[2:]}"): text for text in stop if text.startswith("</")}
    last = max(opened, default=-1)
    return opened[last] if last >= 0 else ""


def _tokens(choice: _Choice) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Return ids and log-probabilities as far as the server gives them, whole or not at all."""
    listed = choice.logprobs.get("content") if isinstance(choice.logprobs, dict) else None
    tokens = listed if isinstance(listed, list) else []
    logprobs: list[Any] = [
        token.get("logprob") if isinstance(token, dict) else None for token in tokens
    ]
    token_ids = choice.token_ids if isinstance(choice.token_ids, list) else []
    return (
        tuple(token_ids) if all(type(each) is int and each >= 0 for each in token_ids) else (),
        tuple(map(float, logprobs)) if all(map(_is_finite, logprobs)) else (),
    )


def _count(told: Any) -> int:
    """Return a number of tokens, 0 where the server tells none that can be one."""
    return int(told) if _is_finite(told) and 0 <= told < _MOST_TOKENS else 0


def _is_finite(told: Any) -> bool:
    return type(told) in (int, float) and math.isfinite(told)


def _finish(choice: _Choice, said: str) -> str:
    reason = choice.finish_reason or "stop"
    if choice.message.refusal or reason == "content_filter":
        return "refused"
    if not said.strip() and reason != "length":
        return "empty"
    return "stop" if reason in ("tool_calls", "function_call") else reason
