"""Runs tool calls over a corpus: search and lookup, with optional noise and failures.

A `Result` holds the observation together with exactly the corpus text that it shows in full, which
is all that an agent is assumed to have read.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hopgym.actions import Action
from hopgym.documents import Corpus, Document
from hopgym.errors import require
from hopgym.search import fold, tokenize
from hopgym.tools.results import Composer, Result
from hopgym.tools.table import TOOLS

_ECHO_CHARS = 200
_CACHED_LOOKUPS = 4096
_PAGE_SUFFIX = re.compile(r"(.*\S)\s+#([1-9]\d{0,5})", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ToolSettings:
    """How the tools behave; with the defaults they neither fail nor return noise."""

    search_k: int = 5
    """Number of search results on a page, at least 1."""
    search_returns: str = "snippet"
    """``snippet`` (best-matching sentences) or ``page`` (every sentence)."""
    snippet_sentences: int = 2
    """Number of sentences in a snippet, at least 1."""
    sentence_numbers: bool = False
    """Whether each sentence is preceded by its number on the page, from 0."""
    search_noise: float = 0.0
    """Probability in [0, 1] that a search result is replaced by a random page."""
    tool_failure: float = 0.0
    """Probability in [0, 1] that a tool call fails and shows nothing."""
    noise_seed: int = 0
    """Seed for noise and failures, 0 or more."""

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


class Toolbox:
    """Runs tool calls over one corpus.

    Args:
        corpus: The documents that search and lookup read.
        settings: How the tools behave.
    """

    def __init__(self, corpus: Corpus, settings: ToolSettings) -> None:
        self.corpus = corpus
        self.settings = settings
        self._looked_up: dict[tuple[str, int], Result] = {}

    def call(self, action: Action, rng: np.random.Generator | None = None) -> Result:
        """Run a call of any tool except ``answer`` and return its result.

        Args:
            action: The call.
            rng: Randomness for this step's failure and noise; None disables both.
        """
        if rng is not None and rng.random() < self.settings.tool_failure:
            return Result(f"{action.tool} failed this time; try it again.", failed=True)
        run = TOOLS[action.tool].run
        assert run is not None, "the environment handles answers itself"
        argument, page = self.paged(action)
        return run(self, argument, page, rng)

    def paged(self, action: Action) -> tuple[str, int]:
        """Return argument and page of a call; a trailing `` #2`` means page 2.

        The suffix stays part of the argument if a page of that full title exists, in
        ``calculate``, and if a json call has a ``page`` already.
        """
        argument = action.argument
        if action.page != 1 or "#" not in argument or action.tool == "calculate":
            return argument, action.page
        match = _PAGE_SUFFIX.fullmatch(argument[-1000:]) if len(argument) <= 1000 else None
        if match is None or self.corpus.lookup(argument):
            return argument, 1
        return match[1], int(match[2])

    def search(self, query: str, page: int, rng: np.random.Generator | None = None) -> Result:
        """Return a page of search results, each with its title and best-matching sentences.

        Args:
            query: The words to search for.
            page: Page of results, from 1.
            rng: Randomness for noise; None disables it.
        """
        k = self.settings.search_k
        positions = self.corpus.search(query, page * k)[(page - 1) * k :]
        if rng is not None and self.settings.search_noise:
            noisy = [
                int(rng.integers(len(self.corpus)))
                if rng.random() < self.settings.search_noise
                else position
                for position in positions
            ]
            positions = list(dict.fromkeys(noisy))
        if not positions:
            more = " more" if page > 1 else ""
            return Result(f"No{more} results for {_echo(query)}.")
        tokens = frozenset(tokenize(query))
        composer = Composer(numbered=self.settings.sentence_numbers)
        for number, position in enumerate(positions, start=(page - 1) * k + 1):
            document = self.corpus[position]
            composer.heading(f"[{number}] ", document.title)
            for index in self._snippet(document, tokens):
                composer.sentence(document, index)
        return composer.result()

    def lookup(self, title: str, page: int) -> Result:
        """Return a part of the pages of a title.

        If several pages have the title, all of them are shown, each with its number.

        Args:
            title: The title, compared after `hopgym.search.fold`.
            page: Part of a long result, from 1.
        """
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

    def lookup_part(self, title: str, page: int) -> Result:
        """Return the result of `lookup`, from a cache where possible."""
        key = (title, page)
        result = self._looked_up.get(key)
        if result is None:
            result = self.lookup(title, page)
            if result.sentences:
                if len(self._looked_up) >= _CACHED_LOOKUPS:
                    self._looked_up.clear()
                self._looked_up[key] = result
        return result

    def _snippet(self, document: Document, tokens: frozenset[str]) -> Sequence[int]:
        count = len(document.sentences)
        if self.settings.search_returns == "page" or count <= self.settings.snippet_sentences:
            return range(count)
        overlap = [len(tokens.intersection(tokenize(s))) for s in document.sentences]
        best = sorted(range(count), key=lambda i: (-overlap[i], i))
        return sorted(best[: self.settings.snippet_sentences])


def normalized_call(action: Action, toolbox: Toolbox) -> tuple[str, str, int]:
    """Return (tool, folded argument, page), which is equal for calls that mean the same."""
    argument, page = toolbox.paged(action)
    return action.tool, fold(argument), page


def _echo(text: str) -> str:
    shortened = text if len(text) <= _ECHO_CHARS else text[:_ECHO_CHARS] + "…"
    return f'"{shortened}"'
