"""Documents: tokens, titles, and a search whose order is the same everywhere."""

import copy
import itertools
import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hopgym.documents import Corpus, Document, PageList
from hopgym.search import fold, tokenize

repeatable = settings(derandomize=True, deadline=None, max_examples=60)


def corpus(*pages: tuple[str, str]) -> Corpus:
    return Corpus(PageList([Document(f"d{i}", *page(*p)) for i, p in enumerate(pages)]), "test")


def page(title: str, text: str) -> tuple[str, tuple[str, ...]]:
    return title, tuple(text.split("|")) if text else ()


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Ada Brook was born.", ["ada", "brook", "was", "born"]),
        ("O'Brien-Smith", ["o'brien-smith"]),
        ("O’Brien", ["o'brien"]),
        ("Ada's bees", ["ada", "bees"]),
        ("Ada’s bees", ["ada", "bees"]),
        ("o'brien's", ["o'brien"]),
        ("the Brooks' house", ["the", "brooks", "house"]),
        ("don't", ["don't"]),
        ("born 1931-05-12.", ["born", "1931-05-12"]),
        ("12/05/1931", ["12/05/1931"]),
        ("at 10:30, 1,234 people", ["at", "10:30", "1,234", "people"]),
        ("3.14, 5.", ["3.14", "5"]),
        ("12-year-old", ["12-year-old"]),
        ("naïve ＡＢＣ", ["naïve", "abc"]),  # noqa: RUF001
        ("STRASSE straße", ["strasse", "strasse"]),
        ("- ' ’ …!?", []),
        ("", []),
    ],
)
def test_tokens(text: str, tokens: list[str]) -> None:
    assert tokenize(text) == tokens


@repeatable
@given(st.text(max_size=80))
def test_any_text_has_folded_tokens(text: str) -> None:
    tokens = tokenize(text)
    assert tokens == tokenize(fold(text))
    assert all(token == token.casefold() and not token.isspace() for token in tokens)


@pytest.mark.parametrize(
    "title",
    [
        "Zoë O’Hara",
        "zoë o’hara",
        "  Zoë\u00a0\tO’Hara\n",
        "ZOE\u0308 O’HARA",
        "Ｚoë O’Hara",  # noqa: RUF001
    ],
)
def test_titles_match_after_folding(title: str) -> None:
    assert corpus(("Ada Brook", ""), ("Zoë O’Hara", "")).lookup(title) == (1,)


@pytest.mark.parametrize("title", ["", " ", "Zoë", "Zoe O’Hara", "Zoë O'Hara", "Zoë O’Hara 2"])
def test_other_titles_do_not_match(title: str) -> None:
    assert corpus(("Ada Brook", ""), ("Zoë O’Hara", "")).lookup(title) == ()


def test_a_repeated_title_finds_all_its_pages() -> None:
    pages = corpus(("Elm", "a tree"), ("Oak", ""), ("ELM", "a town"), ("elm ", ""))
    assert pages.lookup("Elm") == (0, 2, 3)


@pytest.mark.parametrize(
    ("title", "similar"),
    [
        ("zoe ohara", "Zoë O’Hara"),
        ("Zoë O'Hara", "Zoë O’Hara"),
        ("ZOE-O.HARA!", "Zoë O’Hara"),
        ("Zoë  O’ Hara", "Zoë O’Hara"),
        ("ada-brook", "Ada Brook"),
        ("Ada", None),
        ("Ada Brooks", None),
        ("…", None),
        ("", None),
    ],
)
def test_near_misses_are_told(title: str, similar: str | None) -> None:
    assert corpus(("Ada Brook", ""), ("Zoë O’Hara", "")).similar_title(title) == similar


TREES = (
    ("Elm", "The elm is a tree.|It grows in Elmstead."),
    ("Oak", "The oak is a tree."),
    ("Oak", "The oak is a tree."),
    ("Bee", "Bees live in an oak.|Bees make honey."),
    ("Oak", "The oak is a tree."),
    ("Pool", ""),
)


def test_search_finds_what_shares_a_token() -> None:
    pages = corpus(*TREES)
    assert set(pages.search("tree", 10)) == {0, 1, 2, 4}
    assert pages.search("HONEY?", 10) == [3]
    assert pages.search("Pool", 10) == [5]
    assert pages.search("bee honey", 10)[0] == 3
    for query in ("zebra", "", "…", " #2"):
        assert pages.search(query, 10) == []
    assert pages.search("tree", 0) == []


def test_exact_ties_stand_in_corpus_order() -> None:
    pages = corpus(*TREES)
    assert [i for i in pages.search("oak tree", 10) if TREES[i][0] == "Oak"] == [1, 2, 4]
    same = corpus(*[("Elm", "The same page.")] * 300)
    assert same.search("page", 300) == list(range(300))
    for limit in (1, 2, 7, 299):
        assert same.search("page", limit) == list(range(limit))


def random_corpus(seed: int, count: int) -> tuple[Corpus, list[list[str]]]:
    rng = np.random.default_rng(seed)
    words = [f"w{i}" for i in range(9)]
    texts = [[*rng.choice(words, size=rng.integers(1, 7))] for _ in range(count)]
    return corpus(*[(" ".join(text[:1]), " ".join(text[1:])) for text in texts]), texts


@pytest.mark.parametrize("seed", range(4))
def test_the_order_is_that_of_bm25(seed: int) -> None:
    pages, texts = random_corpus(seed, 80)
    lengths = sum(map(len, texts)) / len(texts)
    query = ["w0", "w3", "w7"]

    def score(text: list[str]) -> float:
        # Lucene's variant: idf = ln(1 + (N - n + .5) / (n + .5)), k1 = 1.5, b = 0.75.
        total = 0.0
        for word in query:
            n = sum(word in other for other in texts)
            tf = Counter(text)[word]
            idf = math.log(1 + (len(texts) - n + 0.5) / (n + 0.5))
            total += idf * tf / (tf + 1.5 * (0.25 + 0.75 * len(text) / lengths))
        return total

    found = pages.search(" ".join(query), len(texts))
    scores = [score(texts[i]) for i in found]
    assert {i for i, text in enumerate(texts) if set(text) & set(query)} == set(found)
    assert all(a > b - 2e-4 for a, b in itertools.pairwise(scores))


@pytest.mark.parametrize("seed", range(4))
def test_fewer_results_are_the_first_of_more(seed: int) -> None:
    pages, _ = random_corpus(seed, 80)
    again, _ = random_corpus(seed, 80)
    for query in ("w1", "w0 w3 w7", "w2 w2 w9", "w4 zebra"):
        everything = pages.search(query, 80)
        assert everything == again.search(query, 80) == pages.search(query, 1000)
        for limit in range(1, 80):
            assert again.search(query, limit) == everything[:limit]


def test_a_word_of_every_page_still_finds_pages() -> None:
    pages = corpus(*[(f"t{i}", "common words stand here on all pages") for i in range(8000)])
    assert len(pages.search("common", 5)) == 5


def test_the_order_of_words_does_not_matter() -> None:
    pages, _ = random_corpus(5, 60)
    assert pages.search("w1 w2 w3", 60) == pages.search("w3 w1 w2 w1", 60)


def test_corpora_without_words_can_be_searched() -> None:
    assert corpus(("…", "!")).search("a", 5) == []
    assert corpus().search("a", 5) == [] and corpus().lookup("a") == ()


def test_documents_by_position_and_id() -> None:
    pages = corpus(*TREES)
    assert len(pages) == 6 and pages[3].title == pages.title_of("d3") == "Bee"
    assert [document.id for document in pages] == [f"d{i}" for i in range(6)]
    assert pages.document("d3").sentences == ("Bees live in an oak.", "Bees make honey.")
    assert pages.description == "test"
    for unknown in (pages.document, pages.title_of):
        with pytest.raises(KeyError):
            unknown("d6")


class CountingPages(PageList):
    rendered = 0

    def __getitem__(self, position: int, /) -> Document:
        self.rendered += 1
        return super().__getitem__(position)


def test_titles_are_read_without_rendering_and_the_index_is_built_once() -> None:
    pages = CountingPages([Document(f"d{i}", *page(*p)) for i, p in enumerate(TREES)])
    trees = Corpus(pages, "test")
    trees.lookup("Oak"), trees.similar_title("o-a-k"), trees.title_of("d2")
    assert pages.rendered == 0
    trees.search("oak", 3), trees.search("elm", 3)
    assert pages.rendered == len(TREES)


def test_copies_share_the_corpus() -> None:
    pages = corpus(*TREES)
    assert copy.deepcopy(pages) is pages and copy.deepcopy({"a": [pages]})["a"][0] is pages
