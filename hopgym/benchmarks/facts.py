"""Gold facts: what a record annotates, and where a corpus shows it.

In: facts by title and sentence, with the record's own paragraphs. Out: evidence in the record, in
the paragraphs of the whole file, or in a corpus from elsewhere with sentences of its own.
"""

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from hopgym.documents import Corpus, Document, PageList
from hopgym.tasks import Evidence

Place = tuple[str, int | None]
Call = tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class Fact:
    """A gold fact as a record annotates it."""

    title: str
    """Of the page that shows it."""
    index: int | None
    """0-based sentence; None stands for the whole paragraph."""
    text: str = ""
    """The sentence, or the paragraph; empty where the record's own paragraphs lack it."""
    own: tuple[tuple[int, int | None], ...] = ()
    """(position among the record's paragraphs, sentence) pairs of which any one shows it."""
    elsewhere: bool = False
    """Whether the record has no page of that title, so that another one may show the fact."""


def sentence_facts(
    facts: Iterable[tuple[str, int]], paragraphs: Sequence[Document]
) -> tuple[Fact, ...]:
    """Return gold sentences, given by title and 0-based index, with where a record shows them.

    Titles are compared as official scripts do, by character. A page without a title cannot be
    looked up, and a sentence out of range is shown nowhere.
    """
    found: list[Fact] = []
    for title, index in facts:
        named = [i for i, page in enumerate(paragraphs) if page.title == title and title.strip()]
        own = tuple((i, index) for i in named if 0 <= index < len(paragraphs[i].sentences))
        text = paragraphs[own[0][0]].sentences[index].strip() if own else ""
        found.append(Fact(title, index, text, own, elsewhere=not named and bool(title.strip())))
    return tuple(found)


def in_record(fact: Fact, call: Call) -> list[Evidence]:
    """Return a fact as evidence in the record's own paragraphs; nothing where they lack it."""
    return _evidence(fact, tuple((str(position), index) for position, index in fact.own), call)


def in_split(fact: Fact, places: Sequence[str], corpus: Corpus, call: Call) -> list[Evidence]:
    """Return a fact as evidence in the paragraphs of the whole file.

    Args:
        fact: The fact.
        places: The document ids of the record's own paragraphs.
        corpus: The paragraphs. Those of other records are looked at only where the record has no
            page of the fact's title.
        call: The search that is declared for it.
    """
    own = tuple(dict.fromkeys((places[position], index) for position, index in fact.own))
    if own or not fact.elsewhere:
        return _evidence(fact, own, call)
    pages = [corpus[position] for position in corpus.lookup(fact.title)]
    least = 0 if fact.index is None else fact.index
    right = [page for page in pages if page.title == fact.title and least < len(page.sentences)]
    return _evidence(fact, tuple((page.id, fact.index) for page in right if least >= 0), call)


def in_external(fact: Fact, corpus: Corpus, call: Call) -> list[Evidence]:
    """Return a fact as evidence in a corpus with sentences of its own.

    That are the sentences of a page of its title in which its text stands; for a paragraph, and
    where the record lacks the text, the whole page. Titles are compared with their HTML entities
    resolved, as corpora write them so and HotpotQA does not.
    """
    title = html.unescape(fact.title)
    found = [*corpus.lookup(fact.title), *corpus.lookup(title)]
    pages = [corpus[position] for position in dict.fromkeys(found)]
    right = [each for each in pages if html.unescape(each.title) == title and each.sentences]
    if fact.elsewhere:
        return _evidence(fact, tuple((page.id, None) for page in right), call)
    spans = ((page, _span(fact.text, page.sentences)) for page in right)
    page, span = next(((page, span) for page, span in spans if span), (None, ()))
    if page is None:
        return []
    if fact.index is None:
        return _evidence(fact, ((page.id, None),), call)
    return [Evidence(page.sentences[i].strip(), ((page.id, i),), call) for i in span]


def _evidence(fact: Fact, shown_by: tuple[Place, ...], call: Call) -> list[Evidence]:
    return [Evidence(fact.text.strip() or fact.title, shown_by, call)] if shown_by else []


def _span(text: str, sentences: Sequence[str]) -> Sequence[int]:
    """Return the indices of the sentences over which a text runs, white space apart."""
    wanted, start = "".join(text.split()), 0
    ends = []
    for sentence in sentences:
        start += len("".join(sentence.split()))
        ends.append(start)
    begin = "".join("".join(each.split()) for each in sentences).find(wanted) if wanted else -1
    if begin < 0:
        return ()
    first = next(i for i, end in enumerate(ends) if begin < end)
    last = next(i for i, end in enumerate(ends) if begin + len(wanted) <= end)
    return range(first, last + 1)


@dataclass(frozen=True, slots=True)
class SplitCorpus:
    """All paragraphs of a file."""

    corpus: Corpus
    places: tuple[tuple[str, ...], ...]
    """By record, the document id of each of its paragraphs."""

    @classmethod
    def of(
        cls, records: Iterable[Sequence[Document]], further: Iterable[Document]
    ) -> "SplitCorpus":
        """Return the paragraphs of all records, then further ones; equal title and text once."""
        documents: dict[tuple[str, tuple[str, ...]], Document] = {}

        def place(paragraph: Document) -> str:
            key = (paragraph.title, paragraph.sentences)
            if key not in documents:
                documents[key] = replace(paragraph, id=str(len(documents)))
            return documents[key].id

        places = tuple(tuple(map(place, paragraphs)) for paragraphs in records)
        for document in further:
            place(document)
        return cls(Corpus(PageList(tuple(documents.values())), "split"), places)
