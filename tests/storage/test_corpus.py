"""External corpora: they look up and rank as a corpus in memory does, from files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hopgym.documents import Corpus, Document, PageList
from hopgym.storage import arrays, build, open_corpus
from tests.support.documents import read_back

ROWS: list[dict[str, Any]] = [
    {"title": "Elm", "text": "The elm is a tree. It grows in Elmstead."},
    {"title": "Oak", "text": "The oak is a tree.", "id": "Elm"},
    {"title": "Zoë O’Hara", "text": "She planted an oak."},
    {"title": "ELM ", "text": "A town."},
    {
        "title": "Bee",
        "sentences": ["Bees live in oaks. Or two.", "Bees make 1,234 g of honey’s."],
    },
    {"title": "", "text": "Nothing is known of 日本 and naïve ＡＢＣ."},  # noqa: RUF001
    {"title": "Pool", "text": ""},
]
PAGES = [
    ("Elm", ("The elm is a tree.", "It grows in Elmstead.")),
    ("Oak", ("The oak is a tree.",)),
    ("Zoë O’Hara", ("She planted an oak.",)),
    ("ELM", ("A town.",)),
    ("Bee", ("Bees live in oaks. Or two.", "Bees make 1,234 g of honey’s.")),
    ("", ("Nothing is known of 日本 and naïve ＡＢＣ.",)),  # noqa: RUF001
    ("Pool", ()),
]


def in_memory(stored: Corpus) -> Corpus:
    return Corpus(PageList(list(stored)), "memory")


def random_rows(seed: int, count: int) -> list[dict[str, str]]:
    rng = np.random.default_rng(seed)
    words = [f"w{i}" for i in range(60)]
    return [
        {
            "title": " ".join(rng.choice(words[:9], size=rng.integers(0, 3))) + f" {i % 40}",
            "text": ". ".join(rng.choice(words, size=min(60, int(rng.zipf(1.5))))),
        }
        for i in range(count)
    ]


@pytest.mark.parametrize("seed", range(3))
def test_it_ranks_as_a_corpus_in_memory(
    write: Any, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    # Many runs and ranges, as a large corpus has them.
    monkeypatch.setattr(build, "_RUN_TOKENS", 700)
    monkeypatch.setattr(build, "_RANGE_SCORES", 90)
    stored = open_corpus(write([*random_rows(seed, 900), *ROWS]))
    memory = in_memory(stored)
    rng = np.random.default_rng(seed)
    queries = [
        "oak",
        "Tree honey",
        "the w1 zebra",
        "日本 abc",
        "zebra",
        "",
        "…",
        "w1 w1 w2",
        "1,234",
    ]
    queries += [
        " ".join(f"w{i}" for i in rng.integers(70, size=rng.integers(1, 9))) for _ in range(150)
    ]
    for query in queries:
        for limit in (0, 1, 5, 2_000):
            assert stored.search(query, limit) == memory.search(query, limit), query
    titles = {page.title for page in memory}
    for title in [*titles, "zoe ohara", "w1-W2 7", "elm", "nobody", "…", "\ud800", "oak\ud800"]:
        assert stored.similar_title(title) == memory.similar_title(title)
        if title:
            assert stored.lookup(title.upper()) == memory.lookup(title.upper())
    assert len(titles) > 100


def test_the_scores_are_those_of_bm25s(write: Any, own_cache: Path) -> None:
    stored = open_corpus(write([*random_rows(9, 500), *ROWS]))
    memory = in_memory(stored)
    memory.search("x", 1)
    theirs = memory._index._bm25.scores  # type: ignore[union-attr]
    (index,) = (own_cache / "corpora").iterdir()
    # The last of theirs is a column for no word at all.
    borders = arrays.load_array(index / "borders.npy")
    assert np.array_equal(borders, theirs["indptr"][: len(borders)])
    assert np.array_equal(arrays.load_array(index / "places.npy"), theirs["indices"])
    ours = arrays.load_array(index / "scores.npy")
    assert np.array_equal(ours, theirs["data"]) and ours.dtype == theirs["data"].dtype


def test_an_empty_title_cannot_be_looked_up(write: Any) -> None:
    corpus = open_corpus(write(ROWS))
    assert corpus.lookup("") == corpus.lookup("  ") == () and corpus.similar_title("") is None
    assert corpus.lookup("elm") == (0, 3)


def test_equal_hashes_do_no_harm(write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrays, "text_hash", lambda text: len(text) % 2)
    stored = open_corpus(write(ROWS))
    memory = in_memory(stored)
    for page in memory:
        for text in (page.title, *page.sentences, page.title[:-1]):
            assert stored.search(text, 9) == memory.search(text, 9)
            assert not text or stored.lookup(text) == memory.lookup(text)
            assert stored.similar_title(text) == memory.similar_title(text)


def test_pages_without_words(write: Any) -> None:
    corpus = open_corpus(write([{"title": "…", "text": "!"}, {"title": "?", "text": ""}]))
    assert corpus.search("a", 5) == [] and corpus.lookup("?") == (1,)
    assert read_back(corpus) == [("…", ("!",)), ("?", ())]


def test_documents_by_position_and_id(write: Any) -> None:
    corpus = open_corpus(write(ROWS))
    assert read_back(corpus) == PAGES
    assert (len(corpus), corpus.description) == (len(PAGES), "external")
    assert [page.id for page in corpus] == [str(i) for i in range(len(PAGES))]
    assert corpus.document("4") == corpus[4] == Document("4", *PAGES[4])
    assert corpus.title_of("4") == "Bee" and corpus[-1].id == str(len(PAGES) - 1)
    with pytest.raises(IndexError):
        corpus[len(PAGES)]
    for unknown in ("7", "-1", "04", "4 ", "٣", "", "Elm", "1" * 9_999):
        with pytest.raises(KeyError):
            corpus.document(unknown)
        with pytest.raises(KeyError):
            corpus.title_of(unknown)
