"""Parses an agent's text as an `Action`, in the dialects ``tags`` and ``json``.

Every string is an `Action` or `Malformed`, and parsing takes linear time. The first complete call
is used; `Parsed.text` is the text up to its end, which trajectories record. Thinking inside
``<think>...</think>`` is ignored.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

from hopgym.errors import ArgumentError, did_you_mean

_THINK = "<think>"
_THINK_END = "</think>"
_CALL = "<tool_call>"
_CALL_END = "</tool_call>"
_SUPPORT = "<support>"
_SUPPORT_END = "</support>"
_CACHED_TEXTS = 2_048
_CACHED_CHARS = 1_000
_TRIPLE_PARTS = 3


@dataclass(frozen=True, slots=True)
class Action:
    """A call of a tool with one argument."""

    tool: str
    argument: str
    thought: str = ""
    """The text before the call."""
    page: int = 1
    """Page of the result, from 1; the tags dialect writes it as part of the argument."""
    support: str = ""
    """Supporting sentences that an answer names: ``title#sentence index``, separated by ``|``."""


@dataclass(frozen=True, slots=True)
class Malformed:
    """A text without a complete call of a known tool."""

    reason: str
    """Why it is not a call."""


@dataclass(frozen=True, slots=True)
class Parsed:
    """The result of parsing a text."""

    action: Action | Malformed
    text: str
    """The text up to the end of the first complete call; all of it if there is none."""


class Dialect(Protocol):
    """How calls are written."""

    name: str

    def parse(self, text: str, tools: Mapping[str, str]) -> Parsed:
        """Parse a text; ``tools`` maps the name of each tool to the name of its argument."""

    def write(self, action: Action, tools: Mapping[str, str]) -> str:
        """Return the text of an action; parsing it returns the action."""

    def example(self, tool: str, argument_name: str) -> str:
        """Return an example call of a tool, with the argument's name as its value."""


class Tags:
    """``<search>words</search>``; the text before the tag is the thought."""

    name = "tags"

    def parse(self, text: str, tools: Mapping[str, str]) -> Parsed:
        """Return the first call with a closing tag; it starts at the last opening tag before."""
        visible = _blank_thinking(text)
        tag = _first_tag(visible, tools)
        if tag is None:
            return Parsed(Malformed(_why_no_tag(visible, tools)), text)
        tool, start, closing, end = tag
        argument = visible[start + len(tool) + 2 : closing].replace("\0", "").strip()
        thought = _thought(text[:start]) if start else ""
        if tool == "answer" and _SUPPORT in argument:
            argument, support = _without_support(argument)
            return Parsed(Action(tool, argument, thought, support=support), text[:end])
        return Parsed(_checked(tool, argument, thought, 1), text[:end])

    def write(self, action: Action, tools: Mapping[str, str]) -> str:
        """Return thought and tag; a page above 1 follows the argument, as in `` #2``."""
        argument = action.argument if action.page == 1 else f"{action.argument} #{action.page}"
        argument += f" {_SUPPORT}{action.support}{_SUPPORT_END}" if action.support else ""
        thought = f"{action.thought}\n" if action.thought else ""
        return f"{thought}<{action.tool}>{argument}</{action.tool}>"

    def example(self, tool: str, argument_name: str) -> str:
        """Return ``<tool>argument name</tool>``."""
        return f"<{tool}>{argument_name}</{tool}>"


class Json:
    """``<tool_call>{"name": ..., "arguments": {...}}</tool_call>``, as Qwen3's template writes."""

    name = "json"

    def parse(self, text: str, tools: Mapping[str, str]) -> Parsed:
        """Return the first closed ``<tool_call>``; its arguments may include a ``page``."""
        visible = _blank_thinking(text)
        first = visible.find(_CALL)
        end = visible.find(_CALL_END, first) if first >= 0 else -1
        if end < 0:
            problem = "is never closed" if first >= 0 else "is missing"
            return Parsed(Malformed(f"{_CALL} {problem}"), text)
        start = visible.rfind(_CALL, 0, end)
        body = visible[start + len(_CALL) : end].replace("\0", "").strip()
        action = _from_json(body, tools, _thought(text[:start]))
        return Parsed(action, text[: end + len(_CALL_END)])

    def write(self, action: Action, tools: Mapping[str, str]) -> str:
        """Return thought and call on separate lines."""
        import msgspec

        arguments: dict[str, str | int] = {tools[action.tool]: action.argument}
        if action.page != 1:
            arguments["page"] = action.page
        if action.support:
            arguments["support"] = action.support
        call = msgspec.json.encode({"name": action.tool, "arguments": arguments}).decode()
        thought = f"{action.thought}\n" if action.thought else ""
        return f"{thought}{_CALL}\n{call}\n{_CALL_END}"

    def example(self, tool: str, argument_name: str) -> str:
        """Return the call with the argument's name as its value."""
        return self.write(Action(tool, argument_name), {tool: argument_name})


DIALECTS: Mapping[str, Dialect] = {"tags": Tags(), "json": Json()}


def dialect_named(name: str) -> Dialect:
    """Return the dialect with a name; raise `ArgumentError` if it is unknown."""
    if not isinstance(name, str) or name not in DIALECTS:
        known = ", ".join(DIALECTS)
        hint = did_you_mean(str(name), DIALECTS)
        raise ArgumentError(f"dialect must be one of {known}, got {name!r}{hint}")
    return DIALECTS[name]


class Reader:
    """Parses texts in one dialect for one set of tools, with a cache for short texts.

    Args:
        dialect: How calls are written.
        tools: The name of each tool's argument by the tool's name.
    """

    def __init__(self, dialect: Dialect, tools: Mapping[str, str]) -> None:
        self.dialect = dialect
        self.tools = tools
        self._cache: dict[str, Parsed] = {}

    def read(self, text: str) -> Parsed:
        """Parse a text after replacing lone surrogates."""
        parsed = self._cache.get(text)
        if parsed is not None:
            return parsed
        parsed = self.dialect.parse(replace_surrogates(text), self.tools)
        if len(text) <= _CACHED_CHARS:
            if len(self._cache) >= _CACHED_TEXTS:
                self._cache.clear()
            self._cache[text] = parsed
        return parsed


def _blank_thinking(text: str) -> str:
    """Return the text with its thinking replaced by NULs, so that positions do not change."""
    if _THINK not in text and _THINK_END not in text:
        return text
    pieces: list[str] = []
    position = 0
    first_end = text.find(_THINK_END)
    if first_end >= 0 and not 0 <= text.find(_THINK) < first_end:
        # If the chat template opens the thinking in the prompt, the reply only has its end.
        position = first_end + len(_THINK_END)
        pieces.append("\0" * position)
    while (start := text.find(_THINK, position)) >= 0:
        end = text.find(_THINK_END, start)
        end = len(text) if end < 0 else end + len(_THINK_END)
        pieces += (text[position:start], "\0" * (end - start))
        position = end
    pieces.append(text[position:])
    return "".join(pieces)


def _first_tag(text: str, tools: Mapping[str, str]) -> tuple[str, int, int, int] | None:
    """Return tool, start, start of the closing tag, and end of the first complete call."""
    opened: dict[str, int] = {}
    for closing in _closing_tags(tuple(tools)).finditer(text):
        tool = closing[1]
        position, end = closing.span()
        opening = f"<{tool}>"
        if tool not in opened:
            opened[tool] = text.find(opening)
        if 0 <= opened[tool] < position:
            return tool, text.rfind(opening, 0, position), position, end
    return None


@lru_cache
def _closing_tags(tools: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(f"</({'|'.join(tools)})>")


def _thought(before: str) -> str:
    return before.replace(_THINK, "").replace(_THINK_END, "").strip()


def _checked(tool: str, argument: str, thought: str, page: int) -> Action | Malformed:
    if not argument and tool != "answer":
        return Malformed(f"the argument of {tool} is empty")
    return Action(tool, argument, thought, page)


def _why_no_tag(visible: str, tools: Mapping[str, str]) -> str:
    opened = [tool for tool in tools if f"<{tool}>" in visible]
    if opened:
        return f"<{opened[0]}> is never closed"
    return "no call of a known tool"


def _from_json(body: str, tools: Mapping[str, str], thought: str) -> Action | Malformed:
    call = _decode(body)
    if not isinstance(call, dict):
        return Malformed("the call is not a JSON object")
    tool = call.get("name")
    arguments = call.get("arguments")
    if not isinstance(tool, str) or tool not in tools:
        return Malformed('"name" is not a known tool')
    if isinstance(arguments, str):
        arguments = _decode(arguments)
    if not isinstance(arguments, dict) or tools[tool] not in arguments:
        return Malformed(f'"arguments" does not hold "{tools[tool]}"')
    argument = _as_text(arguments[tools[tool]])
    page = arguments.get("page", 1)
    if argument is None:
        return Malformed(f'"{tools[tool]}" is not a string')
    if type(page) is not int or page < 1:
        return Malformed('"page" is not a whole number from 1')
    if tool == "answer" and (support := _as_support(arguments.get("support"))):
        return Action(tool, argument.strip(), thought, page, support)
    return _checked(tool, argument.strip(), thought, page)


def _without_support(argument: str) -> tuple[str, str]:
    """Return an answer and the text after ``<support>``, which need not be closed."""
    answer, _, rest = argument.partition(_SUPPORT)
    return answer.strip(), rest.partition(_SUPPORT_END)[0].strip()


def _as_support(value: object) -> str:
    """Return a support as text: a string, or a list of strings, [title, index] pairs or triples."""
    if isinstance(value, str):
        return value.strip()
    return " | ".join(map(_support_item, value)) if isinstance(value, list) else ""


def _support_item(item: object) -> str:
    parts = list(item.values()) if isinstance(item, dict) else item
    parts = parts if isinstance(parts, list) else [parts]
    return (" > " if len(parts) == _TRIPLE_PARTS else "#").join(map(str, parts))


def _decode(body: str) -> Any:
    """Return the decoded JSON, or None if it is not valid."""
    import msgspec

    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None


def _as_text(value: object) -> str | None:
    """Return a string or number as text, and a list of strings joined by ``; ``; else None."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, Sequence) and all(isinstance(item, str) for item in value):
        return "; ".join(value)
    return None


def replace_surrogates(text: str) -> str:
    """Return a text with each lone surrogate replaced by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
