"""Native tool calls: tools as JSON schemas, actions as ``tool_calls``, and those back as text.

In: tools and actions of the json dialect, or what a server answered. Out: what OpenAI's API and
chat templates take, or the text that the environment reads.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hopgym.actions import Action
from hopgym.tools import TOOLS
from hopgym.trajectory import Trajectory
from hopgym_agents.generate import Message

_PAGED = ("search", "lookup")
_CALL, _CALL_END = "<tool_call>", "</tool_call>"


def called(number: int, text: str, action: Action, said: str) -> tuple[Message, Message]:
    """Return the messages of a turn: the assistant's call and the tool's reply.

    Args:
        number: Of the turn, from 1.
        text: What the agent wrote, up to the end of its call.
        action: What that says.
        said: The reply.
    """
    # Some templates want ids of nine letters and digits.
    call_id = f"call{number:05d}"
    arguments: dict[str, str | int] = {TOOLS[action.tool].argument: action.argument}
    if action.page != 1:
        arguments["page"] = action.page
    if action.support:
        arguments["support"] = action.support
    call = {"name": action.tool, "arguments": json.dumps(arguments, ensure_ascii=False)}
    asked: Message = {
        "role": "assistant",
        "content": text[: max(text.rfind(_CALL), 0)].strip(),
        "tool_calls": [{"id": call_id, "type": "function", "function": call}],
    }
    return asked, {"role": "tool", "tool_call_id": call_id, "content": said}


def write_tool_calls(content: str | None, calls: Sequence[Mapping[str, Any]]) -> str:
    """Return the text, in the json dialect, of a message whose calls a server has parsed.

    Args:
        content: What the message says beside them.
        calls: As OpenAI's API writes them; what is missing or odd in them is left to the
            environment, which calls it malformed.
    """
    parts = [content] if content else []
    for call in calls:
        function = call.get("function")
        if not isinstance(function, Mapping):
            function = {}
        named = {"name": function.get("name"), "arguments": function.get("arguments")}
        # An argument that holds a tag, such as the end of a call, must not be taken for one.
        written = json.dumps(named, ensure_ascii=False).replace("<", "\\u003c")
        parts.append(f"{_CALL}\n{written}\n{_CALL_END}")
    return "\n".join(parts)


def tool_schemas(prefix: Trajectory) -> tuple[dict[str, Any], ...]:
    """Return the JSON schemas of a prefix's tools, as OpenAI's API and chat templates take them."""
    support = bool(prefix.env_kwargs.get("ask_support"))
    return tuple(_schema(name, support) for name in prefix.tools)


def _schema(name: str, support: bool) -> dict[str, Any]:
    tool = TOOLS[name]
    properties: dict[str, Any] = {tool.argument: {"type": "string"}}
    if name in _PAGED:
        told = "Part of a long result, from 1."
        properties["page"] = {"type": "integer", "minimum": 1, "description": told}
    if name == "answer" and support:
        told = "What supports the answer, written as the question asks."
        properties["support"] = {"type": "string", "description": told}
    parameters = {"type": "object", "properties": properties, "required": [tool.argument]}
    described = f"{tool.description[0].upper()}{tool.description[1:]}."
    function = {"name": name, "description": described, "parameters": parameters}
    return {"type": "function", "function": function}
