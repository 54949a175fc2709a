"""Documents, and corpora with lookup by title and search over pages.

Both return positions of documents; `hopgym.tools` decides how much of them an agent reads.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from hopgym.search import SearchIndex, fold, without_marks

_MAX_TITLE_CHARS = 200
_CUT_TITLE_CHARS = 20
_JOINS_BEFORE = re.compile(r"\w-?\Z")
_JOINS_AFTER = re.compile(r"-?\w")
_SENTENCE_END = re.compile(r"(?<=[.!?])([\"'”’)\]]*)\s+")


@dataclass(frozen=True, slots=True)
class Document:
    """A page of a corpus."""

    id: str
    """Unique in its corpus."""
    title: str
    """Several pages may have the same title."""
    sentences: tuple[str, ...]
    """The text in order."""


class Pages(Protocol):
    """The documents of a corpus; an implementation may render a page on each access."""

    def __len__(self) -> int:
        """Return the number of documents."""

    def __getitem__(self, position: int, /) -> Document:
        """Return the document at a 0-based position."""

    def title(self, position: int, /) -> str:
        """Return the title at a 0-based position without rendering the page."""

    def position(self, document_id: str, /) -> int:
        """Return the 0-based position of a document id; raise `KeyError` if it is unknown."""


class PageList:
    """`Pages` held in memory.

    Args:
        documents: The documents. Their ids must be unique; the caller checks this.
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


def cut_title(text: str) -> tuple[str, str]:
    """Return title and text of a page without an explicit title.

    If the page has several lines and the first has at most 200 characters, that line is the title
    and the rest is the text. Otherwise the title is the first 20 characters and the text is all.
    """
    first, _, rest = text.strip().partition("\n")
    if rest and len(first.rstrip()) <= _MAX_TITLE_CHARS:
        return first.rstrip(), rest
    return text.strip()[:_CUT_TITLE_CHARS].rstrip(), text


def split_sentences(text: str) -> tuple[str, ...]:
    """Return the non-empty sentences of a text.

    The text is split at line breaks and at white space after ``.``, ``!`` or ``?`` with closing
    quotes and brackets; also after abbreviations.
    """
    # The pattern matches closing quotes with the white space, but they belong to the sentence.
    marked = _SENTENCE_END.sub(lambda match: (match[1] or "") + "\n", text)
    return tuple(piece.strip() for piece in marked.split("\n") if piece.strip())


def stands_whole(phrase: str, text: str) -> bool:
    """Return whether a phrase occurs in a text verbatim, between word boundaries."""
    start = text.find(phrase) if phrase else -1
    while start >= 0:
        end = start + len(phrase)
        joined_before = phrase[0].isalnum() and _JOINS_BEFORE.search(
            text[max(start - 2, 0) : start]
        )
        joined_after = phrase[-1].isalnum() and _JOINS_AFTER.match(text[end : end + 2])
        if not joined_before and not joined_after:
            return True
        start = text.find(phrase, start + 1)
    return False


class Corpus:
    """Documents with lookup by title and BM25 search.

    The title table is built at the first lookup and the search index at the first search. A corpus
    is immutable, so that copies of an environment share it.

    Args:
        pages: The documents.
        description: The kind of corpus for ``info["corpus"]`` (``"world"``, ``"record"``, ...).
    """

    def __init__(self, pages: Pages, description: str) -> None:
        self.pages = pages
        self.description = description
        self._by_title: dict[str, tuple[int, ...]] | None = None
        self._by_letters: dict[str, str] | None = None
        self._index: SearchIndex | None = None

    def __len__(self) -> int:
        """Return the number of documents."""
        return len(self.pages)

    def __getitem__(self, position: int) -> Document:
        """Return the document at a 0-based position."""
        return self.pages[position]

    def __iter__(self) -> Iterator[Document]:
        """Iterate over the documents in order."""
        return (self.pages[i] for i in range(len(self.pages)))

    def __deepcopy__(self, memo: dict[int, Any]) -> "Corpus":
        """Return the corpus itself, as it is immutable."""
        return self

    def document(self, document_id: str) -> Document:
        """Return the document with an id; raise `KeyError` if it is unknown."""
        return self.pages[self.pages.position(document_id)]

    def title_of(self, document_id: str) -> str:
        """Return the title of a document without rendering it; `KeyError` if the id is unknown."""
        return self.pages.title(self.pages.position(document_id))

    def lookup(self, title: str) -> tuple[int, ...]:
        """Return the positions of all documents with a title, compared after `fold`."""
        if self._by_title is None:
            # Assigned only when complete, as environments in threads share a corpus.
            by_title: dict[str, list[int]] = {}
            for i in range(len(self.pages)):
                by_title.setdefault(fold(self.pages.title(i)), []).append(i)
            self._by_title = {key: tuple(positions) for key, positions in by_title.items()}
        return self._by_title.get(fold(title), ())

    def similar_title(self, title: str) -> str | None:
        """Return a title that differs only in accents, case, spaces or punctuation, or None."""
        if self._by_letters is None:
            titles = (self.pages.title(i) for i in reversed(range(len(self.pages))))
            self._by_letters = {without_marks(title): title for title in titles}
        letters = without_marks(title)
        return self._by_letters.get(letters) if letters else None

    def search(self, query: str, limit: int) -> list[int]:
        """Return the positions of at most ``limit`` documents that share a token with the query.

        They are ordered by BM25 score (Lucene's variant over title and sentences), and equal scores
        by position, so that the result is the same on every machine.
        """
        if self._index is None:
            self._index = SearchIndex((page.title, *page.sentences) for page in self)
        return self._index.search(query, limit)
