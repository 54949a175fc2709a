"""The tools that an agent can call."""

from hopgym.tools.schema import tool_schema
from hopgym.tools.table import TOOLS, Tool, argument_names
from hopgym.tools.toolbox import Toolbox, ToolSettings, normalized_call

__all__ = [
    "TOOLS",
    "Tool",
    "ToolSettings",
    "Toolbox",
    "argument_names",
    "normalized_call",
    "tool_schema",
]
