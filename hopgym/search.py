"""How texts are compared and searched: folding, tokens, BM25 scores and the order of results.

`SearchIndex` holds an index in memory; `hopgym.storage.corpus` searches one on disk by the same
rules.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

_TOKEN = re.compile(r"\d+(?:[.,/:-]\d+)+|\w+(?:[-']\w+)*")
_SCORE_DECIMALS = 6


def fold(text: str) -> str:
    """Return a text after NFKC, case folding and white space folding; titles match in this form."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return " ".join(text.casefold().split())


def without_marks(title: str) -> str:
    """Return only the letters and digits of a title, without accents and case."""
    decomposed = unicodedata.normalize("NFKD", title).casefold()
    return "".join(c for c in decomposed if c.isalnum())


def tokenize(text: str) -> list[str]:
    """Return the search tokens of a text, in order.

    Words keep inner hyphens and apostrophes (``o'brien-smith``), numbers and dates stay whole
    (``1931-05-12``, ``1,234``), and a possessive ``'s`` is dropped.
    """
    folded = fold(text).replace("’", "'")
    return [token.removesuffix("'s") for token in _TOKEN.findall(folded)]


class SearchIndex:
    """A BM25 index in memory (Lucene's variant).

    Args:
        texts: For each page its title and sentences, in the order of the pages.
    """

    def __init__(self, texts: Iterable[Sequence[str]]) -> None:
        import bm25s

        vocabulary: dict[str, int] = {}
        token_ids: list[np.ndarray[Any, np.dtype[np.int32]]] = []
        for parts in texts:
            tokens = [token for part in parts for token in tokenize(part)]
            ids = [vocabulary.setdefault(token, len(vocabulary)) for token in tokens]
            token_ids.append(np.array(ids, dtype=np.int32))
        self._vocabulary = vocabulary
        self._bm25: Any = None
        if vocabulary:
            self._bm25 = bm25s.BM25(method="lucene")
            self._bm25.index((token_ids, vocabulary), show_progress=False)

    def search(self, query: str, limit: int) -> list[int]:
        """Return the positions of at most ``limit`` pages that share a token with the query.

        They are ordered as by `best_first`.
        """
        known = sorted({self._vocabulary[t] for t in tokenize(query) if t in self._vocabulary})
        if not known or limit < 1:
            return []
        return best_first(self._bm25.get_scores_from_ids(known), limit)


def best_first(scores: np.ndarray[Any, np.dtype[np.float32]], limit: int) -> list[int]:
    """Return the positions of at most ``limit`` positive scores, best first, ties by position.

    Scores are rounded before they are compared, so that the result is the same on every machine.
    """
    positions = np.flatnonzero(scores > 0)
    scores = scores[positions].round(_SCORE_DECIMALS)
    if limit < len(positions):
        # All scores equal to the limit-th best one stay, so that ties are broken by position.
        candidates = scores >= np.partition(scores, -limit)[-limit]
        positions = positions[candidates]
        scores = scores[candidates]
    order = np.lexsort((positions, -scores))[:limit]
    return [int(i) for i in positions[order]]
