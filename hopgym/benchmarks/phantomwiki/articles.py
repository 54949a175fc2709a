"""Read PhantomWiki's articles and find the lines that state a fact.

A line lists the values of a relation or attribute: "The sisters of Ada Brook are Cleo Dunn, Ivo
Jay."
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from hopgym.benchmarks.records import Content, decode, split_records
from hopgym.documents import Document
from hopgym.errors import DataError

REGENERATE = "write the folder with pw-generate --article-format json --question-format json"
"""How to fix missing or broken files; the end of error messages."""

PLURALS = {
    "mother": "mothers", "father": "fathers", "wife": "wives", "husband": "husbands",
    "sister": "sisters", "brother": "brothers", "daughter": "daughters", "son": "sons",
    "friend": "friends",
}  # fmt: skip
"""The plural of each relation that articles state."""

_ATTRIBUTE_PHRASES = {"dob": "date of birth", "job": "occupation"}

Places = tuple[tuple[str, int | None], ...]
"""Document ids and sentence indices, as in `hopgym.tasks.Evidence.shown_by`."""

_ListedLine = tuple[int, frozenset[str]]
"""Sentence index and the pieces of the values that it lists."""


class _Article(msgspec.Struct):
    title: str
    article: str


_ARTICLES = msgspec.json.Decoder(_Article)


def load_articles(content: Content) -> tuple[Document, ...]:
    """Return a document for each article; its sentences are the lines that are not headings.

    Raises:
        DataError: If the file has no articles, or one without a title.
    """
    documents: list[Document] = []
    for i, record in enumerate(split_records(content)):
        row = decode(record, _ARTICLES, REGENERATE)
        if not row.title.strip():
            raise record.error("expected the title of an article, got an empty one; give it one")
        lines = (line.strip() for line in row.article.split("\n"))
        sentences = tuple(line for line in lines if line and not line.startswith(("# ", "## ")))
        documents.append(Document(str(i), row.title, sentences))
    if not documents:
        raise DataError(f"{content.path}: expected articles, got none; {REGENERATE}")
    return tuple(documents)


class Articles:
    """An index of the facts that articles state about their subjects.

    Args:
        documents: The articles; articles with the same title are all used.
        attributes: The predicates whose values articles may state.
    """

    def __init__(self, documents: Iterable[Document], attributes: Iterable[str]) -> None:
        phrases = {noun: name for name, plural in PLURALS.items() for noun in (name, plural)}
        for name in attributes:
            synonyms = (name, name.replace("_", " "), _ATTRIBUTE_PHRASES.get(name, name))
            phrases |= dict.fromkeys(synonyms, name)
        self._lines: dict[str, dict[str, dict[str, list[_ListedLine]]]] = {}
        """By title, document id and predicate."""
        for document in documents:
            if document.sentences:
                same_title = self._lines.setdefault(document.title, {})
                same_title[document.id] = _read_lines(document, phrases)

    def listing(self, title: str, predicates: Sequence[str], value: str) -> Places:
        """Return the sentences that list only one value, under one of the predicates.

        Args:
            title: Title of the articles.
            predicates: Relations or attributes.
            value: The value.
        """
        expected = _pieces((value,))
        return tuple(
            (document, index)
            for document, lines in self._lines.get(title, {}).items()
            for predicate in predicates
            for index, listed in lines.get(predicate, ())
            if listed == expected
        )

    def listing_all(self, title: str, values: Mapping[str, Iterable[str]]) -> Places:
        """Return the pages that list exactly the given values for each predicate.

        Args:
            title: Title of the articles.
            values: The values by predicate.
        """
        expected = {predicate: _pieces(names) for predicate, names in values.items()}
        return tuple(
            (document, None)
            for document, lines in self._lines.get(title, {}).items()
            if all(_listed(lines, predicate) == names for predicate, names in expected.items())
        )


def _read_lines(document: Document, phrases: Mapping[str, str]) -> dict[str, list[_ListedLine]]:
    lines: dict[str, list[_ListedLine]] = {}
    for index, sentence in enumerate(document.sentences):
        for verb in (" is ", " are "):
            start, subject, listed = sentence.partition(f" of {document.title}{verb}")
            predicate = phrases.get(start.removeprefix("The "))
            if subject and predicate:
                pieces = _pieces((listed.removesuffix("."),))
                lines.setdefault(predicate, []).append((index, pieces))
    return lines


def _listed(lines: Mapping[str, Sequence[_ListedLine]], predicate: str) -> frozenset[str]:
    return frozenset[str]().union(*(listed for _, listed in lines.get(predicate, ())))


def _pieces(names: Iterable[str]) -> frozenset[str]:
    # Articles separate values by commas, and a value may itself contain commas.
    return frozenset(piece for name in names for piece in name.split(", "))
