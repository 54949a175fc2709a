"""Figures of files and corpora: records read, scored and searched, and corpora kept on disk.

In: a HotpotQA file, whose records are repeated under new ids and whose paragraphs are repeated
with changes until there are enough. Memory and indexing are of processes of their own.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from hopgym.cli.timing import Measure, Row, median, seconds
from hopgym.errors import DataError

_RECORDS = 7_405
"""Questions of HotpotQA's development set."""
_PARAGRAPHS, _MANY_PARAGRAPHS = 200_000, 1_000_000
_QUERIES = 100
_SETTLED = 2.5

_LOADED = """
import resource, sys, time
from hopgym.benchmarks.hotpotqa import HotpotQASource
start = time.perf_counter()
source = HotpotQASource(sys.argv[1], corpus=sys.argv[2])
if sys.argv[2] == "split":
    corpus = source[0].corpus
    start = time.perf_counter()
    corpus.search("river", 5)
taken = time.perf_counter() - start
print(taken, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, len(source[0].corpus))
"""
_INDEXED = """
import resource, sys, time
from hopgym.storage import open_corpus
start = time.perf_counter()
open_corpus(sys.argv[1], cache=sys.argv[2])
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def measures_of(path: Path, *, large: bool) -> tuple[Measure, ...]:
    """Return the figures to take on a HotpotQA file, with a large corpus or without."""
    sizes = (_PARAGRAPHS, _MANY_PARAGRAPHS) if large else (_PARAGRAPHS,)
    return (partial(_records, path), *(partial(_corpus, path, size) for size in sizes))


def _records(path: Path, rounds: int) -> Iterator[Row]:
    from hopgym.benchmarks.entries import Entry
    from hopgym.benchmarks.hotpotqa import HotpotQASource

    with tempfile.TemporaryDirectory() as folder:
        repeated = Path(folder) / "records.json"
        repeated.write_text(json.dumps(_repeated(_rows(path), _RECORDS)), encoding="utf-8")
        loaded = [_process(_LOADED, str(repeated), "record") for _ in range(rounds)]
        name = f"{_RECORDS:,} HotpotQA records loaded (process)"
        yield Row(name, statistics.median(each[0] for each in loaded), "s", "<= 3")
        yield Row("peak memory of that", max(each[1] for each in loaded), "MiB", "<= 600")
        indexed = [_process(_LOADED, str(repeated), "split") for _ in range(rounds)]
        name = f"their split corpus of {indexed[0][2]:,.0f} paragraphs indexed (process)"
        yield Row(name, statistics.median(each[0] for each in indexed), "s", "<= 15")
        yield Row("peak memory of that", max(each[1] for each in indexed), "MiB", "")
        source = HotpotQASource(repeated)
        gold = [source[index].question for index in range(len(source))]
        facts = (("Ada", 0), ("Bob", 1))
        entries = {each.id: Entry(f"the {each.answers[0]} of it", facts) for each in gold}
        taken = median(rounds, lambda: seconds(lambda: source.score_entries(entries)))
        yield Row(f"{_RECORDS:,} HotpotQA predictions scored", taken, "s", "<= 1")


def _corpus(path: Path, size: int, rounds: int) -> Iterator[Row]:
    from hopgym.storage import open_corpus

    with tempfile.TemporaryDirectory() as folder:
        file, cache = Path(folder) / "corpus.jsonl", Path(folder) / "cache"
        queries = _write_corpus(_rows(path), file, size)
        built = _process(_INDEXED, str(file), str(cache))
        yield Row(f"{size:,} paragraphs indexed on disk (process)", built[0], "s", "")
        yield Row("peak memory of that", built[1], "MiB", "")
        kept = sum(each.stat().st_size for each in cache.rglob("*") if each.is_file()) / 2**20
        yield Row("room of that index on disk", kept, "MiB", "")
        # A file just written is read again at the next opening; what counts comes after that.
        time.sleep(max(0.0, file.stat().st_mtime + _SETTLED - time.time()))
        open_corpus(file, cache=cache)
        opened = 1_000 * median(rounds, lambda: seconds(lambda: open_corpus(file, cache=cache)))
        yield Row(f"index of {size:,} paragraphs opened", opened, "ms", "")
        corpus = open_corpus(file, cache=cache)
        corpus.search(queries[0], 5)
        each = [seconds(lambda q=q: corpus.search(q, 5)) for q in queries]  # type: ignore[misc]
        yield Row(
            f"search over {size:,} paragraphs, p50", 1_000 * statistics.median(each), "ms", ""
        )


def _rows(path: Path) -> list[dict[str, Any]]:
    from hopgym.benchmarks.hotpotqa import HotpotQASource

    HotpotQASource(path)  # tells what is wrong with the file, if anything is
    rows = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(rows, list) or not isinstance(rows[0].get("context"), list):
        raise DataError(f"{path}: expected the official layout, a JSON list; take that file")
    return rows


def _repeated(rows: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """Return so many records: those at hand again and again, with new ids and other sentences."""
    made = []
    for number in range(count):
        row, again = rows[number % len(rows)], number // len(rows)
        context = row["context"]
        if again:
            context = [[title, [f"{s} {again}" for s in text]] for title, text in context]
        made.append(row | {"_id": f"{number:024x}", "context": context})
    return made


def _write_corpus(rows: list[dict[str, Any]], file: Path, count: int) -> list[str]:
    """Write so many paragraphs with titles of their own; return questions to search them with."""
    paragraphs = [
        (title, "".join(text).split(" ")) for row in rows for title, text in row["context"]
    ]
    with file.open("w", encoding="utf-8") as out:
        for number in range(count):
            title, words = paragraphs[number % len(paragraphs)]
            other = paragraphs[(7 * number + number // len(paragraphs)) % len(paragraphs)][1]
            # Every fifth word comes from another paragraph.
            mixed = [
                other[i % len(other)] if i % 5 == number % 5 else w for i, w in enumerate(words)
            ]
            text = " ".join(mixed)
            out.write(json.dumps({"title": f"{title} {number}", "text": text}) + "\n")
    return [row["question"] for row in rows[:_QUERIES]]


def _process(code: str, *arguments: str) -> list[float]:
    command = [sys.executable, "-c", code, *arguments]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [float(word) for word in printed.split()]
