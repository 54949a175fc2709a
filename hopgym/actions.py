"""What an agent writes, read as an action: text in, `Action` or `Malformed` out, per dialect.

Parsing is total (any string gives one of the two) and takes time linear in the text. The first
complete call wins; `Parsed.text` is the action text up to its end, which is what trajectories
keep. Thinking in ``<think>...</think>`` is taken off before anything is looked for.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

from hopgym.errors import ArgumentError, did_you_mean

_THINK, _THINK_END = "<think>", "</think>"
_REMEMBERED_TEXTS, _REMEMBERED_CHARS = 2_048, 1_000
_CALL, _CALL_END = "<tool_call>", "</tool_call>"
_SUPPORT, _SUPPORT_END = "<support>", "</support>"
_TRIPLE_PARTS = 3


@dataclass(frozen=True, slots=True)
class Action:
    """A call of a tool with its argument, after a thought."""

    tool: str
    argument: str
    thought: str = ""
    page: int = 1
    """Page of the result as json names it, from 1; the tags dialect writes it into the argument."""
    support: str = ""
    """What an answer names as its support: ``title#sentence index`` with ``|`` between them."""


@dataclass(frozen=True, slots=True)
class Malformed:
    """Text that holds no complete call of a known tool, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """What was read and the text up to the end of the call (the whole text when malformed)."""

    action: Action | Malformed
    text: str


class Dialect(Protocol):
    """How calls are written."""

    name: str

    def parse(self, text: str, tools: Mapping[str, str]) -> Parsed:
        """Return what a text says; ``tools`` maps each tool's name to its argument's name."""

    def write(self, action: Action, tools: Mapping[str, str]) -> str:
        """Return the text of an action; parsing it gives the action back."""

    def example(self, tool: str, argument_name: str) -> str:
        """Return how a call of a tool is written, with the argument's name for its value."""


class Tags:
    """``<search>words</search>``; whatever stands before the tag is the thought."""

    name = "tags"

    def parse(self, text: str, tools: Mapping[str, str]) -> Parsed:
        """Return the first call to be closed; its argument starts at the last opening before."""
        visible = _blank_thinking(text)
        found = _first_tag(visible, tools)
        if found is None:
            return Parsed(Malformed(_why_no_tag(visible, tools)), text)
        tool, start, closing, end = found
        argument = visible[start + len(tool) + 2 : closing].replace("\0", "").strip()
        thought = _thought(text[:start]) if start else ""
        if tool == "answer" and _SUPPORT in argument:
            argument, support = _without_support(argument)
            return Parsed(Action(tool, argument, thought, support=support), text[:end])
        return Parsed(_checked(tool, argument, thought, 1), text[:end])

    def write(self, action: Action, tools: Mapping[str, str]) -> str:
        """Return thought and tag; a page above 1 is written as `` #2`` behind the argument."""
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
        """Return the first closed ``<tool_call>``; a ``page`` may stand beside the argument."""
        visible = _blank_thinking(text)
        first = visible.find(_CALL)
        end = visible.find(_CALL_END, first) if first >= 0 else -1
        if end < 0:
            problem = "is never closed" if first >= 0 else "is missing"
            return Parsed(Malformed(f"{_CALL} {problem}"), text)
        start = visible.rfind(_CALL, 0, end)
        body = visible[start + len(_CALL) : end].replace("\0", "").strip()
        kept = text[: end + len(_CALL_END)]
        return Parsed(_from_json(body, tools, _thought(text[:start])), kept)

    def write(self, action: Action, tools: Mapping[str, str]) -> str:
        """Return thought and call on lines of their own."""
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
        """Return the call with the argument's name for its value."""
        return self.write(Action(tool, argument_name), {tool: argument_name})


DIALECTS: Mapping[str, Dialect] = {"tags": Tags(), "json": Json()}


def dialect_named(name: str) -> Dialect:
    """Return the dialect of a name; `ArgumentError` for an unknown one."""
    if not isinstance(name, str) or name not in DIALECTS:
        known = ", ".join(DIALECTS)
        hint = did_you_mean(str(name), DIALECTS)
        raise ArgumentError(f"dialect must be one of {known}, got {name!r}{hint}")
    return DIALECTS[name]


class Reader:
    """Reads texts in one dialect for one set of tools; short ones are remembered.

    Args:
        dialect: How calls are written.
        tools: Name of each tool's argument by the tool's name.
    """

    def __init__(self, dialect: Dialect, tools: Mapping[str, str]) -> None:
        self.dialect = dialect
        self.tools = tools
        self._remembered: dict[str, Parsed] = {}

    def read(self, text: str) -> Parsed:
        """Return what a text says, lone surrogates replaced."""
        parsed = self._remembered.get(text)
        if parsed is not None:
            return parsed
        parsed = self.dialect.parse(replace_surrogates(text), self.tools)
        if len(text) <= _REMEMBERED_CHARS:
            if len(self._remembered) >= _REMEMBERED_TEXTS:
                self._remembered.clear()
            self._remembered[text] = parsed
        return parsed


def _blank_thinking(text: str) -> str:
    """Return the text with its thinking overwritten by NULs, so that positions stay the same."""
    if _THINK not in text and _THINK_END not in text:
        return text
    pieces: list[str] = []
    position = 0
    first_end = text.find(_THINK_END)
    if first_end >= 0 and not 0 <= text.find(_THINK) < first_end:
        # Templates that open the thinking inside the prompt leave only its end in the reply.
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
    """Return tool, start, start of the closing tag and end of the first call that is complete."""
    opened: dict[str, int] = {}
    for closing in _closing_tags(tuple(tools)).finditer(text):
        tool, (position, end) = closing[1], closing.span()
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
    tool, arguments = call.get("name"), call.get("arguments")
    if not isinstance(tool, str) or tool not in tools:
        return Malformed('"name" is not a known tool')
    if isinstance(arguments, str):
        arguments = _decode(arguments)
    if not isinstance(arguments, dict) or tools[tool] not in arguments:
        return Malformed(f'"arguments" does not hold "{tools[tool]}"')
    argument, page = _as_text(arguments[tools[tool]]), arguments.get("page", 1)
    if argument is None:
        return Malformed(f'"{tools[tool]}" is not a string')
    if type(page) is not int or page < 1:
        return Malformed('"page" is not a whole number from 1')
    if tool == "answer" and (support := _as_support(arguments.get("support"))):
        return Action(tool, argument.strip(), thought, page, support)
    return _checked(tool, argument.strip(), thought, page)


def _without_support(argument: str) -> tuple[str, str]:
    """Return an answer and what it names behind ``<support>``, closed or not."""
    answer, _, rest = argument.partition(_SUPPORT)
    return answer.strip(), rest.partition(_SUPPORT_END)[0].strip()


def _as_support(value: object) -> str:
    """Return a support as text: a string, or a list of strings, [title, index] and triples."""
    if isinstance(value, str):
        return value.strip()
    return " | ".join(map(_support_item, value)) if isinstance(value, list) else ""


def _support_item(item: object) -> str:
    parts = list(item.values()) if isinstance(item, dict) else item
    parts = parts if isinstance(parts, list) else [parts]
    return (" > " if len(parts) == _TRIPLE_PARTS else "#").join(map(str, parts))


def _decode(body: str) -> Any:
    """Return the decoded JSON, or None for anything that is not valid JSON."""
    import msgspec

    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        return None


def _as_text(value: object) -> str | None:
    """Return a string or number as text and a list of them joined by ``; ``; None for all else."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, Sequence) and all(isinstance(item, str) for item in value):
        return "; ".join(value)
    return None


def replace_surrogates(text: str) -> str:
    """Return the text with every lone surrogate replaced by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
