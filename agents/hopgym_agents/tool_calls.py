"""Native tool calls: JSON schemas of tools, and conversion of calls from and to text."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hopgym.actions import Action
from hopgym.tools import TOOLS, tool_schema
from hopgym.trajectory import Trajectory
from hopgym_agents.generate import Message

_CALL = "<tool_call>"
_CALL_END = "</tool_call>"


def build_call_messages(
    number: int, text: str, action: Action, reply: str
) -> tuple[Message, Message]:
    """Return the messages of a turn: the assistant's call and the tool's reply.

    Args:
        number: Number of the turn, from 1.
        text: The agent's text, up to the end of its call.
        action: The action in that text.
        reply: The tool's reply.
    """
    # Some chat templates require ids of nine letters and digits.
    call_id = f"call{number:05d}"
    arguments: dict[str, str | int] = {TOOLS[action.tool].argument: action.argument}
    if action.page != 1:
        arguments["page"] = action.page
    if action.support:
        arguments["support"] = action.support
    call = {"name": action.tool, "arguments": json.dumps(arguments, ensure_ascii=False)}
    message: Message = {
        "role": "assistant",
        "content": text[: max(text.rfind(_CALL), 0)].strip(),
        "tool_calls": [{"id": call_id, "type": "function", "function": call}],
    }
    return message, {"role": "tool", "tool_call_id": call_id, "content": reply}


def write_tool_calls(content: str | None, calls: Sequence[Mapping[str, Any]]) -> str:
    """Return the text, in the dialect ``json``, of a message with parsed calls.

    Args:
        content: Text of the message besides the calls.
        calls: Calls in the format of OpenAI's API. Invalid ones are written as they are; the
            environment reports them as malformed.
    """
    parts = [content] if content else []
    for call in calls:
        function = call.get("function")
        if not isinstance(function, Mapping):
            function = {}
        body = {"name": function.get("name"), "arguments": function.get("arguments")}
        # Escaped: a tag within an argument must not end the call.
        escaped = json.dumps(body, ensure_ascii=False).replace("<", "\\u003c")
        parts.append(f"{_CALL}\n{escaped}\n{_CALL_END}")
    return "\n".join(parts)


def tool_schemas(prefix: Trajectory) -> tuple[dict[str, Any], ...]:
    """Return the schemas of a prefix's tools, in the format of OpenAI's API."""
    support = bool(prefix.env_kwargs.get("ask_support"))
    return tuple(tool_schema(TOOLS[name], "json", support=support) for name in prefix.tools)
