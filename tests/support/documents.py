"""Corpora as plain values, to compare them."""

from hopgym.documents import Corpus


def read_back(corpus: Corpus) -> list[tuple[str, tuple[str, ...]]]:
    return [(page.title, page.sentences) for page in corpus]
