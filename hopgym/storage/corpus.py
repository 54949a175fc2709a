"""A corpus that reads its pages and scores from an index on disk when they are needed."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from hopgym.documents import Corpus, Document
from hopgym.search import best_first, fold, tokenize, without_marks
from hopgym.storage.arrays import Strings, Table, load_array


class StoredPages:
    """The `hopgym.documents.Pages` of an index; the id of a page is its position as text.

    Args:
        folder: The folder of the index.
    """

    def __init__(self, folder: Path) -> None:
        self._stored = Strings(folder, "pages")
        self._decode = msgspec.msgpack.Decoder(list[str]).decode
        self._all = range(len(self._stored))

    def __len__(self) -> int:
        return len(self._all)

    def __getitem__(self, position: int, /) -> Document:
        number = self._all[position]
        title, *sentences = self._decode(self._stored[number])
        return Document(str(number), title, tuple(sentences))

    def title(self, position: int, /) -> str:
        """Return the title at a 0-based position."""
        return self._decode(self._stored[self._all[position]])[0]

    def position(self, document_id: str, /) -> int:
        """Return the 0-based position of a document id; `KeyError` for an unknown one."""
        if document_id.isdecimal() and len(document_id) <= len(str(len(self._all))):
            number = int(document_id)
            # "007" and digits of other scripts are not ids.
            if number in self._all and str(number) == document_id:
                return number
        raise KeyError(document_id)


class StoredCorpus(Corpus):
    """A corpus on disk, opened by `hopgym.storage.open_corpus`; its description is ``"external"``.

    It finds and ranks like a `Corpus` over the same documents, except that an empty title cannot
    be looked up. Its files are memory-mapped, so that only the parts in use are read and processes
    share them. Copying returns the corpus itself; a pickle stores only where it comes from.

    Args:
        folder: The folder of the index.
        digest: SHA-256 of the source file, in hex.
        reopen: A function and its arguments that open the same corpus again after unpickling.

    Raises:
        OSError: When a file of the index cannot be read.
        ValueError: When the files of the index do not belong together.
    """

    def __init__(
        self,
        folder: Path,
        digest: str,
        reopen: tuple[Callable[..., "StoredCorpus"], tuple[Any, ...]],
    ) -> None:
        super().__init__(StoredPages(folder), "external")
        self.digest = digest
        """SHA-256 of the source file's bytes, in hex."""
        self._reopen = reopen
        self._titles = Table(folder, "titles")
        self._letters = Table(folder, "letters")
        self._scores = _StoredScores(folder, len(self))

    def __reduce__(self) -> tuple[Callable[..., "StoredCorpus"], tuple[Any, ...]]:
        return self._reopen

    def lookup(self, title: str) -> tuple[int, ...]:
        """Return the positions of all documents with a title, compared after `fold`."""
        folded = fold(title)
        candidates = self._titles.candidates(folded) if folded else ()
        return tuple(i for i in candidates if fold(self.pages.title(i)) == folded)

    def similar_title(self, title: str) -> str | None:
        """Return a title that is equal without accents, case, spaces and punctuation, or None."""
        letters = without_marks(title)
        titles = map(self.pages.title, self._letters.candidates(letters) if letters else ())
        return next((title for title in titles if without_marks(title) == letters), None)

    def search(self, query: str, limit: int) -> list[int]:
        """Return the positions of at most ``limit`` documents that share a token with the query.

        They are ranked like those of `Corpus.search`.
        """
        return self._scores.search(tokenize(query), limit)


class _StoredScores:
    """The BM25 scores of an index, by word."""

    def __init__(self, folder: Path, pages: int) -> None:
        self._strings = Strings(folder, "words")
        self._numbers = Table(folder, "vocabulary")
        self._matrix: dict[str, Any] = {
            "data": load_array(folder / "scores.npy"),
            "indices": load_array(folder / "places.npy"),
            "indptr": load_array(folder / "borders.npy"),
            "num_docs": pages,
        }
        if self._matrix["indptr"][-1] != len(self._matrix["data"]):
            raise ValueError("expected the number of scores that the last border gives")
        self._bm25: Any = None

    def _number(self, word: str) -> int | None:
        written = word.encode("utf-8", "surrogatepass")
        candidates = self._numbers.candidates(word)
        return next((number for number in candidates if self._strings[number] == written), None)

    def search(self, tokens: Sequence[str], limit: int) -> list[int]:
        numbers = map(self._number, set(tokens))
        # Sorted, because sums of rounded numbers depend on their order.
        known = sorted(number for number in numbers if number is not None)
        if not known or limit < 1:
            return []
        if self._bm25 is None:
            import bm25s

            bm25 = bm25s.BM25(method="lucene")
            bm25.scores = self._matrix
            bm25.nonoccurrence_array = None
            self._bm25 = bm25
        return best_first(self._bm25.get_scores_from_ids(known), limit)
