"""The table of tools: what each is called, its argument, and what runs it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hopgym.actions import Action
from hopgym.documents import fold
from hopgym.tools.calculator import calculate
from hopgym.tools.results import Result

if TYPE_CHECKING:
    from hopgym.tools.toolbox import Toolbox


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that agents can call with one argument."""

    name: str
    argument: str
    """Name of the argument in the json dialect and in instructions."""
    description: str
    """What the call does, as one clause, for instructions and JSON schemas."""
    run: Callable[["Toolbox", str, int, np.random.Generator | None], Result] | None
    """Maps toolbox, argument, page (from 1) and noise to the result; None for ``answer``, which
    the environment handles itself."""
    paged: bool = False
    """Whether a call can ask for a further page of a long result."""


TOOLS: Mapping[str, Tool] = {
    tool.name: tool
    for tool in (
        Tool(
            "search",
            "query",
            "finds pages by words and shows their best-matching sentences",
            lambda box, query, page, rng: box.search(query, page, rng),
            paged=True,
        ),
        Tool(
            "lookup",
            "title",
            "shows the page of a title",
            lambda box, title, page, rng: box.lookup_part(title, page),
            paged=True,
        ),
        Tool(
            "calculate",
            "expression",
            "works an arithmetic expression out",
            lambda box, expression, page, rng: Result(calculate(expression)),
        ),
        Tool("answer", "answer", "gives your answer and ends the episode", None),
    )
}
"""All tools by name."""


def argument_names(tools: Sequence[str]) -> dict[str, str]:
    """Return the name of each tool's argument, by tool, in the order of the tools."""
    return {name: TOOLS[name].argument for name in tools}


def normalized_call(action: Action, toolbox: "Toolbox") -> tuple[str, str, int]:
    """Return (tool, folded argument, page), which is equal for calls that mean the same."""
    argument, page = toolbox.paged(action)
    return action.tool, fold(argument), page
