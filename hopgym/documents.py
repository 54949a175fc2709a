"""Documents and the corpus they form: lookup by title and BM25 search over pages.

In: a sequence of pages, given or rendered on demand. Out: document positions, never text; what
an agent gets to read of them is decided in `hopgym.tools`.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

_TOKEN = re.compile(r"\d+(?:[.,/:-]\d+)+|\w+(?:[-']\w+)*")
_SCORE_DECIMALS = 6
_MOST_TITLE_CHARS, _CUT_TITLE_CHARS = 200, 20
_JOINS_BEFORE = re.compile(r"\w-?\Z")
_JOINS_AFTER = re.compile(r"-?\w")
_SENTENCE_END = re.compile(r"(?<=[.!?])([\"'”’)\]]*)\s+")


@dataclass(frozen=True, slots=True)
class Document:
    """A page: an id unique in its corpus, a title that may repeat, and its sentences in order."""

    id: str
    title: str
    sentences: tuple[str, ...]


class Pages(Protocol):
    """Where a corpus gets its documents from; rendering may happen at each ``[]``."""

    def __len__(self) -> int:
        """Return the number of documents."""

    def __getitem__(self, position: int, /) -> Document:
        """Return the document at a 0-based position."""

    def title(self, position: int, /) -> str:
        """Return the title at a 0-based position without rendering the page."""

    def position(self, document_id: str, /) -> int:
        """Return the 0-based position of a document id; `KeyError` for an unknown one."""


class PageList:
    """`Pages` held in memory.

    Args:
        documents: The documents; their ids must differ (checked by whoever loads them).
    """

    def __init__(self, documents: Sequence[Document]) -> None:
        self._documents = tuple(documents)
        self._positions = {document.id: i for i, document in enumerate(self._documents)}

    def __len__(self) -> int:
        return len(self._documents)

    def __getitem__(self, position: int, /) -> Document:
        return self._documents[position]

    def title(self, position: int, /) -> str:
        """Return the title at a 0-based position."""
        return self._documents[position].title

    def position(self, document_id: str, /) -> int:
        """Return the 0-based position of a document id; `KeyError` for an unknown one."""
        return self._positions[document_id]


def fold(text: str) -> str:
    """Return text after NFKC, case folding and white space folding: the form titles match in."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return " ".join(text.casefold().split())


def tokenize(text: str) -> list[str]:
    """Return the search tokens of a text, in order.

    Words keep inner hyphens and apostrophes (``o'brien-smith``), numbers and dates stay whole
    (``1931-05-12``, ``1,234``), and a possessive ``'s`` is dropped.
    """
    folded = fold(text).replace("’", "'")
    return [token.removesuffix("'s") for token in _TOKEN.findall(folded)]


def cut_title(text: str) -> tuple[str, str]:
    """Return title and text of a page that names no title.

    The title is the first of several lines where it has at most 200 characters, the text what
    follows; else the title is the first 20 characters, and the text is all.
    """
    first, _, rest = text.strip().partition("\n")
    if rest and len(first.rstrip()) <= _MOST_TITLE_CHARS:
        return first.rstrip(), rest
    return text.strip()[:_CUT_TITLE_CHARS].rstrip(), text


def split_sentences(text: str) -> tuple[str, ...]:
    """Return the sentences of a text, none empty.

    It is cut at line breaks and behind each ``.``, ``!`` or ``?`` (closing quotes and brackets
    included) that white space follows; abbreviations are cut too.
    """
    # The closing quotes, which the pattern takes with the white space, stay with their sentence.
    marked = _SENTENCE_END.sub(lambda match: (match[1] or "") + "\n", text)
    return tuple(piece.strip() for piece in marked.split("\n") if piece.strip())


def stands_whole(phrase: str, text: str) -> bool:
    """Return whether a phrase occurs in a text as it is written, between word borders."""
    start = text.find(phrase) if phrase else -1
    while start >= 0:
        end = start + len(phrase)
        before, after = text[max(start - 2, 0) : start], text[end : end + 2]
        joined_before = phrase[0].isalnum() and _JOINS_BEFORE.search(before)
        joined_after = phrase[-1].isalnum() and _JOINS_AFTER.match(after)
        if not joined_before and not joined_after:
            return True
        start = text.find(phrase, start + 1)
    return False


def without_marks(title: str) -> str:
    """Return the letters and digits of a title, without accents and case, run together."""
    decomposed = unicodedata.normalize("NFKD", title).casefold()
    return "".join(c for c in decomposed if c.isalnum())


class Corpus:
    """Documents with lookup by title and BM25 search.

    The title table is built at the first lookup and the search index at the first search. A
    corpus never changes, so copies of an environment share it.

    Args:
        pages: The documents, or what renders them.
        description: What the corpus is, for ``info["corpus"]`` (``"world"``, ``"record"``, ...).
    """

    def __init__(self, pages: Pages, description: str) -> None:
        self.pages = pages
        self.description = description
        self._by_title: dict[str, tuple[int, ...]] | None = None
        self._by_letters: dict[str, str] | None = None
        self._index: _SearchIndex | None = None

    def __len__(self) -> int:
        """Return the number of documents."""
        return len(self.pages)

    def __getitem__(self, position: int) -> Document:
        """Return the document at a 0-based position."""
        return self.pages[position]

    def __iter__(self) -> Iterator[Document]:
        """Iterate over the documents in order, rendering each as it comes."""
        return (self.pages[i] for i in range(len(self.pages)))

    def __deepcopy__(self, memo: dict[int, Any]) -> "Corpus":
        """Return the corpus itself: it never changes."""
        return self

    def document(self, document_id: str) -> Document:
        """Return the document of an id; `KeyError` for an unknown one."""
        return self.pages[self.pages.position(document_id)]

    def title_of(self, document_id: str) -> str:
        """Return the title of a document id without rendering; `KeyError` for an unknown one."""
        return self.pages.title(self.pages.position(document_id))

    def lookup(self, title: str) -> tuple[int, ...]:
        """Return the positions of all documents of a title, compared after `fold`."""
        if self._by_title is None:
            # Filled before others see it: environments in threads share a corpus.
            by_title: dict[str, list[int]] = {}
            for i in range(len(self.pages)):
                by_title.setdefault(fold(self.pages.title(i)), []).append(i)
            self._by_title = {key: tuple(positions) for key, positions in by_title.items()}
        return self._by_title.get(fold(title), ())

    def similar_title(self, title: str) -> str | None:
        """Return a title equal but for accents, case, spaces and punctuation, or None."""
        if self._by_letters is None:
            titles = (self.pages.title(i) for i in reversed(range(len(self.pages))))
            self._by_letters = {without_marks(title): title for title in titles}
        wanted = without_marks(title)
        return self._by_letters.get(wanted) if wanted else None

    def search(self, query: str, limit: int) -> list[int]:
        """Return positions of at most ``limit`` documents that share a token with the query.

        Best BM25 score first (Lucene's variant over title and sentences); equal scores stand in
        corpus order, so that the result is the same on any machine.
        """
        if self._index is None:
            self._index = _SearchIndex(self.pages)
        return self._index.search(tokenize(query), limit)


class _SearchIndex:
    """A BM25 index over title and sentences of every page."""

    def __init__(self, pages: Pages) -> None:
        import bm25s

        vocabulary: dict[str, int] = {}
        token_ids: list[np.ndarray[Any, np.dtype[np.int32]]] = []
        for i in range(len(pages)):
            page = pages[i]
            tokens = tokenize(page.title)
            for sentence in page.sentences:
                tokens += tokenize(sentence)
            ids = [vocabulary.setdefault(token, len(vocabulary)) for token in tokens]
            token_ids.append(np.array(ids, dtype=np.int32))
        self._vocabulary = vocabulary
        self._bm25: Any = None
        if vocabulary:
            self._bm25 = bm25s.BM25(method="lucene")
            self._bm25.index((token_ids, vocabulary), show_progress=False)

    def search(self, tokens: Sequence[str], limit: int) -> list[int]:
        known = sorted({self._vocabulary[t] for t in tokens if t in self._vocabulary})
        if not known or limit < 1:
            return []
        return best_first(self._bm25.get_scores_from_ids(known), limit)


def best_first(scores: np.ndarray[Any, np.dtype[np.float32]], limit: int) -> list[int]:
    """Return the positions of at most ``limit`` scores above 0, the best first, ties in order.

    Scores are compared after rounding, so that the result is the same on any machine.
    """
    found = np.flatnonzero(scores > 0)
    scores = scores[found].round(_SCORE_DECIMALS)
    if limit < len(found):
        # Everything at or above the limit-th best score, so that ties at the cut are kept.
        kept = scores >= np.partition(scores, -limit)[-limit]
        found, scores = found[kept], scores[kept]
    order = np.lexsort((found, -scores))[:limit]
    return [int(i) for i in found[order]]
