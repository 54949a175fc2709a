"""The articles of PhantomWiki: which of their lines state what.

In: ``articles.json``. Out: one document an article, and `Articles`, which finds the lines that
list a relation's or an attribute's values ("The sisters of Ada Brook are Cleo Dunn, Ivo Jay.").
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from hopgym.benchmarks.records import Content, decode, split_records
from hopgym.documents import Document
from hopgym.errors import DataError

WRITE = "write the folder with pw-generate --article-format json --question-format json"
"""What error messages tell to do about missing or broken files."""

PLURALS = {
    "mother": "mothers", "father": "fathers", "wife": "wives", "husband": "husbands",
    "sister": "sisters", "brother": "brothers", "daughter": "daughters", "son": "sons",
    "friend": "friends",
}  # fmt: skip
"""The relations that articles state, and what they call several."""

_ATTRIBUTE_WORDS = {"dob": "date of birth", "job": "occupation"}

Places = tuple[tuple[str, int | None], ...]
"""Document ids and sentence indexes, as `hopgym.tasks.Evidence` takes them."""

_Line = tuple[int, frozenset[str]]


class _Article(msgspec.Struct):
    title: str
    article: str


_ARTICLES = msgspec.json.Decoder(_Article)


def load_articles(content: Content) -> tuple[Document, ...]:
    """Return a document for each article; its sentences are the lines that are no headings.

    Raises:
        DataError: When the file holds no articles, or one without a title.
    """
    documents: list[Document] = []
    for i, record in enumerate(split_records(content)):
        row = decode(record, _ARTICLES, WRITE)
        if not row.title.strip():
            raise record.error("expected the title of an article, got an empty one; give it one")
        lines = (line.strip() for line in row.article.split("\n"))
        stating = tuple(line for line in lines if line and not line.startswith(("# ", "## ")))
        documents.append(Document(str(i), row.title, stating))
    if not documents:
        raise DataError(f"{content.path}: expected articles, got none; {WRITE}")
    return tuple(documents)


class Articles:
    """Where articles state what of whom they are about.

    Args:
        documents: The articles; where titles repeat, each of them counts.
        attributes: The predicates whose values articles may state.
    """

    def __init__(self, documents: Iterable[Document], attributes: Iterable[str]) -> None:
        words = {word: name for name, plural in PLURALS.items() for word in (name, plural)}
        for name in attributes:
            own = (name, name.replace("_", " "), _ATTRIBUTE_WORDS.get(name, name))
            words |= dict.fromkeys(own, name)
        self._lines: dict[str, dict[str, dict[str, list[_Line]]]] = {}
        for document in documents:
            if document.sentences:
                found = self._lines.setdefault(document.title, {})
                found[document.id] = _read_lines(document, words)

    def listing(self, title: str, predicates: Sequence[str], value: str) -> Places:
        """Return the sentences that list a value, and no other, under one of the predicates."""
        wanted = _pieces((value,))
        return tuple(
            (document, index)
            for document, lines in self._lines.get(title, {}).items()
            for predicate in predicates
            for index, listed in lines.get(predicate, ())
            if listed == wanted
        )

    def listing_all(self, title: str, values: Mapping[str, Iterable[str]]) -> Places:
        """Return the whole pages that list just these values under each of the predicates."""
        wanted = {predicate: _pieces(names) for predicate, names in values.items()}
        return tuple(
            (document, None)
            for document, lines in self._lines.get(title, {}).items()
            if all(_listed(lines, predicate) == names for predicate, names in wanted.items())
        )


def _read_lines(document: Document, words: Mapping[str, str]) -> dict[str, list[_Line]]:
    lines: dict[str, list[_Line]] = {}
    for index, sentence in enumerate(document.sentences):
        for verb in (" is ", " are "):
            start, subject, listed = sentence.partition(f" of {document.title}{verb}")
            stated = words.get(start.removeprefix("The "))
            if subject and stated:
                pieces = _pieces((listed.removesuffix("."),))
                lines.setdefault(stated, []).append((index, pieces))
    return lines


def _listed(lines: Mapping[str, Sequence[_Line]], predicate: str) -> frozenset[str]:
    return frozenset[str]().union(*(listed for _, listed in lines.get(predicate, ())))


def _pieces(names: Iterable[str]) -> frozenset[str]:
    # Articles put commas between names and values, which may hold commas themselves.
    return frozenset(piece for name in names for piece in name.split(", "))
