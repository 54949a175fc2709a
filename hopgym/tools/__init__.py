"""The tools that an agent can call."""

from hopgym.tools.toolbox import (
    TOOLS,
    Tool,
    Toolbox,
    ToolSettings,
    argument_names,
    normalized_call,
)

__all__ = ["TOOLS", "Tool", "ToolSettings", "Toolbox", "argument_names", "normalized_call"]
