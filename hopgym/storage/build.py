"""Builds the index of a corpus from its pages, in bounded memory.

Word counts are written to temporary files in runs sorted by word. The scores are then computed for
one range of words after another, each merged from all runs. Memory grows with the vocabulary and
by a few numbers per page.
"""

import math
from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec
import numpy as np

from hopgym.documents import Document
from hopgym.search import fold, tokenize, without_marks
from hopgym.storage.arrays import (
    Array,
    StringsWriter,
    TableWriter,
    load_array,
    open_array,
    save_array,
)

_RUN_TOKENS = 1 << 22
_RANGE_SCORES = 1 << 23
_REPORT_EVERY = 1_000
_PAGE_BITS = 32
_PAGE_MASK = (1 << _PAGE_BITS) - 1


def write_index(
    pages: Iterable[Document], folder: Path, advance: Callable[[int], None] | None = None
) -> int:
    """Write the files of an index into an empty folder and return the number of pages.

    Args:
        pages: The pages, iterated once.
        folder: The folder.
        advance: Called with the number of pages indexed since the last call.
    """
    encode = msgspec.msgpack.Encoder().encode
    counts = _WordCounts(folder)
    titles = TableWriter()
    letters = TableWriter()
    number = -1
    with StringsWriter(folder, "pages") as stored:
        for number, page in enumerate(pages):
            stored.add(encode((page.title, *page.sentences)))
            if title := fold(page.title):
                titles.add(title, number)
            if key := without_marks(page.title):
                letters.add(key, number)
            # No token contains white space, so that one call can tokenize the joined sentences.
            counts.add(tokenize("\n".join((page.title, *page.sentences))))
            if advance and (number + 1) % _REPORT_EVERY == 0:
                advance(_REPORT_EVERY)
    titles.save(folder, "titles")
    letters.save(folder, "letters")
    counts.save()
    if advance and (rest := (number + 1) % _REPORT_EVERY):
        advance(rest)
    return number + 1


class _WordCounts:
    """Counts of each word on each page; words are numbered in order of their first use."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._vocabulary: defaultdict[str, int] = defaultdict()
        self._vocabulary.default_factory = self._vocabulary.__len__
        self._lengths = array("q")
        self._pending = array("i")
        self._runs: list[Path] = []
        self._pages_in_runs = 0

    def add(self, tokens: list[str]) -> None:
        self._pending.extend(map(self._vocabulary.__getitem__, tokens))
        self._lengths.append(len(tokens))
        if len(self._pending) >= _RUN_TOKENS:
            self._spill()

    def _spill(self) -> None:
        """Write the counts of the pending pages, sorted by word, then page."""
        # A copy, because an array that numpy views cannot grow.
        lengths = np.array(self._lengths[self._pages_in_runs :], dtype=np.int64)
        pages = np.arange(self._pages_in_runs, self._pages_in_runs + len(lengths), dtype=np.int64)
        keys = np.array(self._pending, dtype=np.int64) << _PAGE_BITS
        keys |= np.repeat(pages, lengths)
        keys.sort()
        first = np.flatnonzero(np.diff(keys, prepend=-1))
        counts = np.diff(first, append=len(keys))
        run = self._folder / f"run{len(self._runs)}"
        run.mkdir()
        save_array(run / "keys.npy", keys[first], "<i8")
        save_array(run / "counts.npy", counts, "<i4")
        self._runs.append(run)
        self._pages_in_runs += len(lengths)
        del self._pending[:]

    def save(self) -> None:
        """Write words and scores, and remove the runs."""
        self._spill()
        table = TableWriter()
        with StringsWriter(self._folder, "words") as strings:
            for word, number in self._vocabulary.items():
                strings.add(word.encode())
                table.add(word, number)
        table.save(self._folder, "vocabulary")
        lengths = np.frombuffer(self._lengths, dtype=np.int64)
        _write_scores(self._folder, self._runs, lengths, len(self._vocabulary))
        for run in self._runs:
            for file in run.iterdir():
                file.unlink()
            run.rmdir()


def _write_scores(folder: Path, runs: list[Path], lengths: Array, vocabulary: int) -> None:
    """Write the BM25 score of each word on each of its pages, as the columns of a sparse matrix."""
    import bm25s

    pairs = [(load_array(run / "keys.npy"), load_array(run / "counts.npy")) for run in runs]
    page_counts = np.zeros(vocabulary, dtype=np.int64)
    for keys, _ in pairs:
        page_counts += np.bincount(keys >> _PAGE_BITS, minlength=vocabulary)
    borders = np.concatenate(([0], np.cumsum(page_counts)))
    save_array(folder / "borders.npy", borders, "<i8")
    model = bm25s.BM25(method="lucene")
    # The formula of bm25s, in its order of operations: search in memory must rank the same.
    mean = lengths.mean() or 1.0
    norms = model.k1 * ((1 - model.b) + model.b * lengths / mean)
    rarities = _rarities(page_counts, len(lengths))
    total = int(borders[-1])
    with (
        open_array(folder / "places.npy", "<i4", total) as places,
        open_array(folder / "scores.npy", "<f4", total) as scores,
    ):
        for start, end in _ranges(borders):
            pages, counts = _merged(pairs, borders, start, end)
            pages.astype("<i4").tofile(places)
            parts = counts / (norms[pages] + counts)
            parts *= np.repeat(rarities[start:end], page_counts[start:end])
            parts.astype("<f4").tofile(scores)


def _rarities(page_counts: Array, pages: int) -> Array:
    """Return the inverse document frequency of each word in Lucene's variant."""
    values, places = np.unique(page_counts, return_inverse=True)
    # `math.log` like bm25s, because that of numpy may differ in the last digit.
    logs = [math.log(1 + (pages - n + 0.5) / (n + 0.5)) for n in values.tolist()]
    return np.array(logs, dtype=np.float32)[places]


def _ranges(borders: Array) -> Iterator[tuple[int, int]]:
    """Yield ranges of words with a bounded number of scores in each, and at least one word."""
    start = 0
    while start < len(borders) - 1:
        most = borders[start] + _RANGE_SCORES
        end = max(start + 1, int(np.searchsorted(borders, most, "right")) - 1)
        yield start, end
        start = end


def _merged(
    runs: list[tuple[Array, Array]], borders: Array, start: int, end: int
) -> tuple[Array, Array]:
    """Return pages and counts of a range of words, sorted by word, then page."""
    free = borders[start:end] - borders[start]
    size = int(borders[end] - borders[start])
    pages = np.empty(size, dtype=np.int64)
    counts = np.empty(size, dtype=np.float64)
    for keys, times in runs:
        low, high = np.searchsorted(keys, (start << _PAGE_BITS, end << _PAGE_BITS))
        part = keys[low:high]
        word_numbers = (part >> _PAGE_BITS) - start
        per_word = np.bincount(word_numbers, minlength=end - start)
        # The first free place of its word, plus its rank among the entries of that word.
        places = np.arange(len(part)) + (free - (np.cumsum(per_word) - per_word))[word_numbers]
        pages[places] = part & _PAGE_MASK
        counts[places] = times[low:high]
        free += per_word
    return pages, counts
