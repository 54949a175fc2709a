"""The tools: what each is called, what it takes, and what it shows.

In: an action and a corpus. Out: a `Result`, the observation text together with exactly which
corpus text stands in it in full, which is all that an agent is taken to have read.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hopgym.actions import Action
from hopgym.documents import Corpus, Document, fold, tokenize
from hopgym.errors import require
from hopgym.tools.calculator import calculate
from hopgym.tools.results import Composer, Result

_ECHO_CHARS = 200
_CACHED_LOOKUPS = 4096
_PAGE_SUFFIX = re.compile(r"(.*\S)\s+#([1-9]\d{0,5})", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ToolSettings:
    """How the tools behave; the defaults are the clean tools."""

    search_k: int = 5
    """Results of a search, at least 1."""
    search_returns: str = "snippet"
    """``snippet`` (best-matching sentences) or ``page`` (every sentence)."""
    snippet_sentences: int = 2
    """Sentences of a snippet, at least 1."""
    sentence_numbers: bool = False
    """Whether sentences stand with their numbers on the page, from 0."""
    search_noise: float = 0.0
    """Chance in [0, 1] that a search result is replaced by a random page."""
    tool_failure: float = 0.0
    """Chance in [0, 1] that a tool call fails and shows nothing."""
    noise_seed: int = 0
    """Seed of noise and failures, 0 or more."""

    def __post_init__(self) -> None:
        returns = self.search_returns
        numbers = self.sentence_numbers
        require(isinstance(numbers, bool), "sentence_numbers", "True or False", numbers)
        require(returns in ("snippet", "page"), "search_returns", "'snippet' or 'page'", returns)
        for name, least in (("search_k", 1), ("snippet_sentences", 1), ("noise_seed", 0)):
            value = getattr(self, name)
            ok = isinstance(value, int) and not isinstance(value, bool) and value >= least
            require(ok, name, f"a whole number from {least}", value)
        for name in ("search_noise", "tool_failure"):
            chance = getattr(self, name)
            is_number = isinstance(chance, int | float) and not isinstance(chance, bool)
            ok = is_number and 0 <= chance <= 1
            require(ok, name, "a number in [0, 1]", chance)


@dataclass(frozen=True, slots=True)
class Tool:
    """A row of the table of tools."""

    name: str
    argument: str
    """The argument's name in the json dialect and in instructions."""
    description: str
    """What the call gives, one sentence, for instructions and tool schemas."""
    run: Callable[["Toolbox", str, int, np.random.Generator | None], Result] | None
    """From toolbox, argument, page (from 1) and noise to the result; None for ``answer``."""


class Toolbox:
    """The tools over one corpus, with one set of settings.

    Args:
        corpus: What search and lookup read.
        settings: How they behave. Failures and noise take their randomness from ``rng``.
    """

    def __init__(self, corpus: Corpus, settings: ToolSettings) -> None:
        self.corpus = corpus
        self.settings = settings
        self._looked_up: dict[tuple[str, int], Result] = {}

    def call(self, action: Action, rng: np.random.Generator | None = None) -> Result:
        """Return what a call of any tool but ``answer`` shows.

        Args:
            action: The call.
            rng: Source of this step's failure and noise; None gives the clean tools.
        """
        if rng is not None and rng.random() < self.settings.tool_failure:
            return Result(f"{action.tool} failed this time; try it again.", failed=True)
        run = TOOLS[action.tool].run
        assert run is not None, "the environment handles answers itself"
        argument, page = self.paged(action)
        return run(self, argument, page, rng)

    def paged(self, action: Action) -> tuple[str, int]:
        """Return argument and page of a call, reading a trailing `` #2`` as the page.

        The suffix stays part of the argument where a page of that whole title exists, in
        ``calculate``, and where json names the page.
        """
        argument = action.argument
        if action.page != 1 or "#" not in argument or action.tool == "calculate":
            return argument, action.page
        match = _PAGE_SUFFIX.fullmatch(argument[-1000:]) if len(argument) <= 1000 else None
        if match is None or self.corpus.lookup(argument):
            return argument, 1
        return match[1], int(match[2])

    def search(self, query: str, page: int, rng: np.random.Generator | None = None) -> Result:
        """Return one page of search results, each a title and its best-matching sentences."""
        k = self.settings.search_k
        found = self.corpus.search(query, page * k)[(page - 1) * k :]
        if rng is not None and self.settings.search_noise:
            noise = [
                int(rng.integers(len(self.corpus)))
                if rng.random() < self.settings.search_noise
                else position
                for position in found
            ]
            found = list(dict.fromkeys(noise))
        if not found:
            more = " more" if page > 1 else ""
            return Result(f"No{more} results for {_echo(query)}.")
        words = frozenset(tokenize(query))
        composer = Composer(numbered=self.settings.sentence_numbers)
        for number, position in enumerate(found, start=(page - 1) * k + 1):
            document = self.corpus[position]
            composer.heading(f"[{number}] ", document.title)
            for index in self._snippet(document, words):
                composer.sentence(document, index)
        return composer.result()

    def lookup(self, title: str, page: int) -> Result:
        """Return the pages of a title, all of them numbered where it repeats, in parts if long."""
        positions = self.corpus.lookup(title)
        if not positions:
            similar = self.corpus.similar_title(title)
            hint = f" A page titled {_echo(similar)} exists." if similar else ""
            return Result(f"No page is titled {_echo(title)}.{hint}")
        composer = Composer(numbered=self.settings.sentence_numbers)
        for number, position in enumerate(positions, start=1):
            document = self.corpus[position]
            prefix = f"({number} of {len(positions)}) " if len(positions) > 1 else ""
            composer.heading(prefix, document.title)
            for index in range(len(document.sentences)):
                composer.sentence(document, index)
        return composer.part(page)

    def lookup_part(self, title: str, page: int, rng: np.random.Generator | None = None) -> Result:
        """Return `lookup`'s result, remembered for the next time; no noise touches it."""
        key = (title, page)
        result = self._looked_up.get(key)
        if result is None:
            result = self.lookup(title, page)
            if result.sentences:
                if len(self._looked_up) >= _CACHED_LOOKUPS:
                    self._looked_up.clear()
                self._looked_up[key] = result
        return result

    def _snippet(self, document: Document, words: frozenset[str]) -> Sequence[int]:
        count = len(document.sentences)
        if self.settings.search_returns == "page" or count <= self.settings.snippet_sentences:
            return range(count)
        overlap = [len(words.intersection(tokenize(s))) for s in document.sentences]
        best = sorted(range(count), key=lambda i: (-overlap[i], i))
        return sorted(best[: self.settings.snippet_sentences])


_SEARCH = "finds pages by words and shows their best-matching sentences"

TOOLS: Mapping[str, Tool] = {
    tool.name: tool
    for tool in (
        Tool("search", "query", _SEARCH, lambda box, *call: box.search(*call)),
        Tool("lookup", "title", "shows the page of a title", Toolbox.lookup_part),
        Tool(
            "calculate",
            "expression",
            "works an arithmetic expression out",
            lambda box, expression, page, rng: Result(calculate(expression)),
        ),
        Tool("answer", "answer", "gives your answer and ends the episode", None),
    )
}


def argument_names(tools: Sequence[str]) -> dict[str, str]:
    """Return the argument's name of each tool, in the given order."""
    return {name: TOOLS[name].argument for name in tools}


def normalized_call(action: Action, toolbox: Toolbox) -> tuple[str, str, int]:
    """Return what makes two calls the same: tool, folded argument and page."""
    argument, page = toolbox.paged(action)
    return action.tool, fold(argument), page


def _echo(text: str) -> str:
    shown = text if len(text) <= _ECHO_CHARS else text[:_ECHO_CHARS] + "…"
    return f'"{shown}"'
