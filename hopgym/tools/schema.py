"""JSON schemas of tools, as OpenAI's API and chat templates take them."""

from typing import Any

from hopgym.tools.table import Tool


def tool_schema(tool: Tool, dialect: str, *, support: bool = False) -> dict[str, Any]:
    """Return the JSON schema of a tool.

    Args:
        tool: The tool.
        dialect: How calls are written; in ``json`` a page of the result can be asked for.
        support: Whether answers name the sentences that support them.
    """
    properties: dict[str, Any] = {tool.argument: {"type": "string"}}
    if tool.paged and dialect == "json":
        description = "Part of a long result, from 1."
        properties["page"] = {"type": "integer", "minimum": 1, "description": description}
    if support and tool.name == "answer":
        description = "What supports the answer, written as the question asks."
        properties["support"] = {"type": "string", "description": description}
    function = {
        "name": tool.name,
        "description": f"{tool.description[0].upper()}{tool.description[1:]}.",
        "parameters": {
            "type": "object",
            "properties": properties,
            "required": [tool.argument],
        },
    }
    return {"type": "function", "function": function}
