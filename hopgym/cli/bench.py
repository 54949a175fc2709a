"""``hopgym bench``: how fast it is, against what it is compared with, in one run.

In: nothing. Out: a row per figure: the median of several rounds, the peer, the ratio, and the
bound that the project holds itself to. Everything is timed in this process unless a row says that
it is a process of its own.
"""

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from hopgym.cli.display import console, new_table, print_json, say
from hopgym.errors import DataError


@dataclass(frozen=True, slots=True)
class Row:
    """One figure."""

    name: str
    value: float
    unit: str
    bound: str
    """What it should be, as ``>= 1.5`` of ratio or value; empty where there is no bound."""
    ratio: float | None = None
    """How many times the peer; None without one."""
    peer: str = ""


Measure = Callable[[int], Iterator[Row]]
"""From a number of rounds to figures."""


def median(rounds: int, timed: Callable[[], float]) -> float:
    """Return the median of what several rounds give."""
    return statistics.median(timed() for _ in range(rounds))


def seconds(work: Callable[[], object]) -> float:
    """Return how long some work takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


_PHANTOMWIKI = {(25, "direct"): 7.1, (1000, "direct"): 195.0, (100, "all"): 358.0}
"""Seconds that PhantomWiki 1.0.2 took for 500 questions at depth 20, by people and relations
(easy mode for direct, hard for all), measured on two cores of the same class of machine."""

_LOOKUPS = 200
_MEGABYTE = 1024.0


def bench(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    rounds: Annotated[
        int, typer.Option(min=1, help="Rounds of each figure; the median counts.")
    ] = 5,
    large: Annotated[
        bool, typer.Option(help="Also 1,000,000 people, and with --hotpotqa as many paragraphs.")
    ] = False,
    hotpotqa: Annotated[
        Path | None,
        typer.Option(help="Only files and corpora, made by repeating this HotpotQA file."),
    ] = None,
) -> None:
    """Time worlds, questions, steps, resets, searches and imports."""
    measures = (*_MEASURES, _million) if large else _MEASURES
    if hotpotqa is not None:
        measures = measures_of(hotpotqa, large=large)
    rows: list[Row] = []
    stopped = False
    try:
        for measure in measures:
            for row in measure(rounds):
                rows.append(row)
                if not as_json:
                    say(f"{row.name}: {row.value:,.4g} {row.unit}", style="quiet")
    except KeyboardInterrupt:
        stopped = True
    if as_json:
        print_json([asdict(row) for row in rows])
    elif rows:
        console().print(_table(rows))
    if stopped:
        say(f"Stopped after {len(rows)} figures.", style="warning")
        raise typer.Exit(130)


def _table(rows: Sequence[Row]) -> Any:
    table = new_table("", "figure", "median", "unit", "ratio", "to", "bound")
    for row in rows:
        ratio = "" if row.ratio is None else f"{row.ratio:,.2f}x"
        table.add_row(row.name, f"{row.value:,.4g}", row.unit, ratio, row.peer, row.bound)
    return table


def _source(size: int, relations: str, questions: int, seed: int = 0) -> Any:
    """Return a source of chains, attributes and counts of up to nine hops, bounds lifted."""
    from hopgym.worlds.people.settings import QuestionSettings, WorldSettings
    from hopgym.worlds.people.source import PeopleSource

    asked = QuestionSettings(
        questions_per_world=questions,
        hops=(1, 9),
        kinds=("chain", "attribute", "count"),
        max_answers=1_000,
        max_oracle_steps=10_000,
    )
    return PeopleSource(WorldSettings(size=size, relations=relations, world_seed=seed), asked)


def _worlds(rounds: int) -> Iterator[Row]:
    seeds = iter(range(1_000_000))

    def made(size: int, relations: str) -> float:
        source = _source(size, relations, 500, next(seeds))

        def work() -> None:
            source[499]
            for page in source.world(0).corpus:
                assert page.sentences

        return seconds(work)

    made(25, "all")
    for (size, relations), peer in _PHANTOMWIKI.items():
        taken = median(rounds, lambda size=size, relations=relations: made(size, relations))  # type: ignore[misc]
        bound = {25: ">= 100x", 1000: ">= 500x", 100: ">= 1000x"}[size]
        name = f"world, pages and 500 questions, {size} people, {relations} relations"
        yield Row(name, taken, "s", bound, peer / taken, "PhantomWiki")


def _questions(rounds: int) -> Iterator[Row]:
    from hopgym.worlds.people.settings import QuestionSettings, WorldSettings
    from hopgym.worlds.people.source import PeopleSource

    def standard(seed: int) -> Any:
        asked = QuestionSettings(questions_per_world=3_000)
        return PeopleSource(WorldSettings(size=1_000, world_seed=seed), asked)

    def rate(make: Callable[[int], Any], seeds: Iterator[int]) -> float:
        source = make(next(seeds))
        source[999]
        return 2_000 / seconds(lambda: source[2_999])

    seeds = iter(range(1_000_000))
    name = "questions in a world of 1,000 people"
    value = median(rounds, lambda: rate(standard, seeds))
    yield Row(f"{name}, default arguments", value, "/s", ">= 10000")
    lifted = median(rounds, lambda: rate(lambda seed: _source(1_000, "direct", 3_000, seed), seeds))
    yield Row(f"{name}, chains, attributes, counts of 1 to 9 hops", lifted, "/s", "")


def _generate(rounds: int) -> Iterator[Row]:
    def process() -> float:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "hopgym", "generate", "hopgym/People-v0"]
            command += ["--size", "1000", "--questions", "500", "--out", folder]
            return seconds(lambda: subprocess.run(command, check=True, capture_output=True))

    taken = median(rounds, process)
    peer = _PHANTOMWIKI[1000, "direct"]
    name = "hopgym generate, 1,000 people, 500 questions (process)"
    yield Row(name, taken, "s", ">= 100x", peer / taken, "PhantomWiki")


def _steps(rounds: int) -> Iterator[Row]:
    import gymnasium

    built: dict[str, Any] = {"worlds": 1, "questions_per_world": 20}
    lookups = gymnasium.make("hopgym/People-v0", max_steps=_LOOKUPS, **built)
    cart = gymnasium.make("CartPole-v1")
    titles = [lookups.unwrapped.corpus.pages.title(i) for i in range(25)]  # type: ignore[attr-defined]
    texts = [f"<lookup>{title}</lookup>" for title in titles]

    def steps_of(env: Any, actions: Sequence[Any]) -> float:
        """Return steps a second over 10,000 steps, resets included."""
        env.reset(seed=0)

        def work() -> None:
            for i in range(10_000):
                _, _, terminated, truncated, _ = env.step(actions[i % len(actions)])
                if terminated or truncated:
                    env.reset()

        return 10_000 / seconds(work)

    steps_of(lookups, texts), steps_of(cart, (0, 1))
    pairs = [(steps_of(lookups, texts), steps_of(cart, (0, 1))) for _ in range(2 * rounds)]
    ratio = statistics.median(ours / theirs for ours, theirs in pairs)
    ours = statistics.median(ours for ours, _ in pairs)
    yield Row(
        "lookup step through gymnasium.make", ours, "/s", ">= 1.5x", ratio, "CartPole-v1 step"
    )


def _resets(rounds: int) -> Iterator[Row]:
    import gymnasium

    built = gymnasium.make("hopgym/People-v0", questions_per_world=500, worlds=1).unwrapped
    built.reset(options={"index": 499})

    def again() -> None:
        for _ in range(5_000):
            built.reset()

    rate = median(rounds, lambda: 5_000 / seconds(again))
    yield Row("reset in a built world", rate, "/s", ">= 20000")
    fresh = gymnasium.make("hopgym/People-v0", questions_per_world=1).unwrapped

    def anew() -> None:
        for _ in range(200):
            fresh.reset()

    rate = median(rounds, lambda: 200 / seconds(anew))
    yield Row("reset with a fresh world of 25 people", rate, "/s", ">= 500")


def _searches(rounds: int) -> Iterator[Row]:
    for people, bound in ((450, "<= 0.15"), (18_500, "<= 3")):
        source = _source(people, "direct", 500)
        corpus = source[0].corpus
        queries = [source[i].question.text for i in range(200)]
        corpus.search("river", 5)

        def middle(corpus: Any = corpus, queries: Sequence[str] = queries) -> float:
            return statistics.median(seconds(lambda q=q: corpus.search(q, 5)) for q in queries)  # type: ignore[misc]

        milliseconds = 1_000 * median(rounds, middle)
        yield Row(f"search over {len(corpus):,} pages, p50", milliseconds, "ms", bound)


def _processes(rounds: int) -> Iterator[Row]:
    def run(*arguments: str) -> float:
        command = [sys.executable, *arguments]
        return seconds(lambda: subprocess.run(command, check=True, capture_output=True))

    pairs = [
        (run("-c", "import hopgym"), run("-c", "import gymnasium")) for _ in range(2 * rounds + 1)
    ]
    more = 1_000 * statistics.median(ours - theirs for ours, theirs in pairs)
    yield Row("import hopgym over import gymnasium (process)", more, "ms", "<= 50")
    listed = median(rounds, lambda: run("-m", "hopgym", "list"))
    yield Row("hopgym list (process)", listed, "s", "<= 0.8")


def _million(rounds: int) -> Iterator[Row]:
    from hopgym.worlds.people.settings import QuestionSettings, WorldSettings
    from hopgym.worlds.people.source import PeopleSource

    asked = QuestionSettings(questions_per_world=1_000)
    source = PeopleSource(WorldSettings(size=1_000_000), asked)
    taken = seconds(lambda: source[999])
    yield Row("1,000,000 people and 1,000 questions", taken, "s", "<= 60")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _MEGABYTE
    yield Row("peak memory of that", peak, "MiB", "<= 4096")


_MEASURES: tuple[Measure, ...] = (
    _worlds,
    _questions,
    _generate,
    _steps,
    _resets,
    _searches,
    _processes,
)

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
    from hopgym.benchmarks.hotpotqa import HotpotQASource
    from hopgym.benchmarks.predictions import PredictionEntry

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
        entries = {each.id: PredictionEntry(f"the {each.answers[0]} of it", facts) for each in gold}
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
