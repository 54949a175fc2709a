"""The table of tools: what each is called, its argument, and what runs it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hopgym.tools.calculator import calculate
from hopgym.tools.results import Result


class CorpusReader(Protocol):
    """What tools read pages with; see `hopgym.tools.Toolbox`."""

    def search(self, query: str, page: int, rng: np.random.Generator | None) -> Result:
        """Return a page of search results."""

    def lookup_part(self, title: str, page: int) -> Result:
        """Return a part of the pages of a title."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that agents can call with one argument."""

    name: str
    argument: str
    """Name of the argument in the json dialect and in instructions."""
    description: str
    """What the call does, as one clause, for instructions and JSON schemas."""
    run: Callable[[CorpusReader, str, int, np.random.Generator | None], Result] | None
    """Maps reader, argument, page (from 1) and noise to the result; None for ``answer``, which
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
            lambda reader, query, page, rng: reader.search(query, page, rng),
            paged=True,
        ),
        Tool(
            "lookup",
            "title",
            "shows the page of a title",
            lambda reader, title, page, rng: reader.lookup_part(title, page),
            paged=True,
        ),
        Tool(
            "calculate",
            "expression",
            "works an arithmetic expression out",
            lambda reader, expression, page, rng: Result(calculate(expression)),
        ),
        Tool("answer", "answer", "gives your answer and ends the episode", None),
    )
}
"""All tools by name."""


def argument_names(tools: Sequence[str]) -> dict[str, str]:
    """Return the name of each tool's argument, by tool, in the order of the tools."""
    return {name: TOOLS[name].argument for name in tools}
