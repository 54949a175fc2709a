"""``hopgym bench``: times the package, beside references where there are some.

Each figure is a median over several rounds, with its bound and the ratio to its reference. All
work runs in this process, unless the name of the figure says "(process)".
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

import gymnasium
import typer

from hopgym.benchmarks.hotpotqa import HotpotQASource
from hopgym.benchmarks.predictions import PredictionEntry
from hopgym.cli.display import console, new_table, print_json, say
from hopgym.errors import DataError
from hopgym.storage import open_corpus
from hopgym.worlds.people.settings import QuestionSettings, WorldSettings
from hopgym.worlds.people.source import PeopleSource


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure."""

    name: str
    value: float
    unit: str
    bound: str
    """Bound of the ratio or the value, such as ``>= 1.5``; empty if there is none."""
    ratio: float | None = None
    """How many times better than the reference; None if there is none."""
    reference: str = ""


Measure = Callable[[int], Iterator[Figure]]
"""Takes a number of rounds and yields figures."""


def median(rounds: int, timed: Callable[[], float]) -> float:
    """Return the median over several rounds."""
    return statistics.median(timed() for _ in range(rounds))


def seconds(work: Callable[[], object]) -> float:
    """Return the seconds that a call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


_PHANTOMWIKI = {(25, "direct"): 7.1, (1000, "direct"): 195.0, (100, "all"): 358.0}
"""Seconds of PhantomWiki 1.0.2 for 500 questions at depth 20, by people and relations.

Easy mode for direct, hard mode for all; measured on two cores of the same class of machine."""

_LOOKUPS = 200
_MEGABYTE = 1024.0


def bench(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    rounds: Annotated[
        int, typer.Option(min=1, help="Rounds of each figure; the median counts.")
    ] = 5,
    large: Annotated[
        bool, typer.Option(help="Also 1,000,000 people, or with --hotpotqa 1,000,000 paragraphs.")
    ] = False,
    hotpotqa: Annotated[
        Path | None,
        typer.Option(help="Time only files and corpora, built by repeating this HotpotQA file."),
    ] = None,
) -> None:
    """Time worlds, questions, steps, resets, searches and imports."""
    measures = (*_MEASURES, _million) if large else _MEASURES
    if hotpotqa is not None:
        measures = measures_of(hotpotqa, large=large)
    figures: list[Figure] = []
    stopped = False
    try:
        for measure in measures:
            for figure in measure(rounds):
                figures.append(figure)
                if not as_json:
                    say(f"{figure.name}: {figure.value:,.4g} {figure.unit}", style="quiet")
    except KeyboardInterrupt:
        stopped = True
    if as_json:
        print_json([asdict(figure) for figure in figures])
    elif figures:
        console().print(_table(figures))
    if stopped:
        say(f"Stopped after {len(figures)} figures.", style="warning")
        raise typer.Exit(130)


def _table(figures: Sequence[Figure]) -> Any:
    table = new_table("", "figure", "median", "unit", "ratio", "to", "bound")
    for figure in figures:
        ratio = "" if figure.ratio is None else f"{figure.ratio:,.2f}x"
        value = f"{figure.value:,.4g}"
        table.add_row(figure.name, value, figure.unit, ratio, figure.reference, figure.bound)
    return table


def _source(size: int, relations: str, questions: int, seed: int = 0) -> Any:
    """Return a source of chains, attributes and counts of up to nine hops, without bounds."""
    settings = QuestionSettings(
        questions_per_world=questions,
        hops=(1, 9),
        kinds=("chain", "attribute", "count"),
        max_answers=1_000,
        max_oracle_steps=10_000,
    )
    return PeopleSource(WorldSettings(size=size, relations=relations, world_seed=seed), settings)


def _worlds(rounds: int) -> Iterator[Figure]:
    seeds = iter(range(1_000_000))

    def build(size: int, relations: str) -> float:
        source = _source(size, relations, 500, next(seeds))

        def work() -> None:
            source[499]
            for page in source.world(0).corpus:
                assert page.sentences

        return seconds(work)

    build(25, "all")
    for (size, relations), reference in _PHANTOMWIKI.items():
        duration = median(rounds, lambda size=size, relations=relations: build(size, relations))  # type: ignore[misc]
        bound = {25: ">= 100x", 1000: ">= 500x", 100: ">= 1000x"}[size]
        name = f"world, pages and 500 questions, {size} people, {relations} relations"
        yield Figure(name, duration, "s", bound, reference / duration, "PhantomWiki")


def _questions(rounds: int) -> Iterator[Figure]:
    def standard(seed: int) -> Any:
        settings = QuestionSettings(questions_per_world=3_000)
        return PeopleSource(WorldSettings(size=1_000, world_seed=seed), settings)

    def rate(make: Callable[[int], Any], seeds: Iterator[int]) -> float:
        source = make(next(seeds))
        source[999]
        return 2_000 / seconds(lambda: source[2_999])

    seeds = iter(range(1_000_000))
    name = "questions in a world of 1,000 people"
    value = median(rounds, lambda: rate(standard, seeds))
    yield Figure(f"{name}, default arguments", value, "/s", ">= 10000")
    lifted = median(rounds, lambda: rate(lambda seed: _source(1_000, "direct", 3_000, seed), seeds))
    yield Figure(f"{name}, chains, attributes, counts of 1 to 9 hops", lifted, "/s", "")


def _generate(rounds: int) -> Iterator[Figure]:
    def process() -> float:
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "hopgym", "generate", "hopgym/People-v0"]
            command += ["--size", "1000", "--questions", "500", "--out", folder]
            return seconds(lambda: subprocess.run(command, check=True, capture_output=True))

    duration = median(rounds, process)
    reference = _PHANTOMWIKI[1000, "direct"]
    name = "hopgym generate, 1,000 people, 500 questions (process)"
    yield Figure(name, duration, "s", ">= 100x", reference / duration, "PhantomWiki")


def _steps(rounds: int) -> Iterator[Figure]:
    built: dict[str, Any] = {"worlds": 1, "questions_per_world": 20}
    lookups = gymnasium.make("hopgym/People-v0", max_steps=_LOOKUPS, **built)
    cart = gymnasium.make("CartPole-v1")
    titles = [lookups.unwrapped.corpus.pages.title(i) for i in range(25)]  # type: ignore[attr-defined]
    texts = [f"<lookup>{title}</lookup>" for title in titles]

    def steps_of(env: Any, actions: Sequence[Any]) -> float:
        """Return steps per second over 10,000 steps, resets included."""
        env.reset(seed=0)

        def work() -> None:
            for i in range(10_000):
                _, _, terminated, truncated, _ = env.step(actions[i % len(actions)])
                if terminated or truncated:
                    env.reset()

        return 10_000 / seconds(work)

    steps_of(lookups, texts)
    steps_of(cart, (0, 1))
    pairs = [(steps_of(lookups, texts), steps_of(cart, (0, 1))) for _ in range(2 * rounds)]
    ratio = statistics.median(ours / theirs for ours, theirs in pairs)
    ours = statistics.median(ours for ours, _ in pairs)
    yield Figure(
        "lookup step through gymnasium.make", ours, "/s", ">= 1.5x", ratio, "CartPole-v1 step"
    )


def _resets(rounds: int) -> Iterator[Figure]:
    built = gymnasium.make("hopgym/People-v0", questions_per_world=500, worlds=1).unwrapped
    built.reset(options={"index": 499})

    def reset_built() -> None:
        for _ in range(5_000):
            built.reset()

    rate = median(rounds, lambda: 5_000 / seconds(reset_built))
    yield Figure("reset in a built world", rate, "/s", ">= 20000")
    fresh = gymnasium.make("hopgym/People-v0", questions_per_world=1).unwrapped

    def reset_fresh() -> None:
        for _ in range(200):
            fresh.reset()

    rate = median(rounds, lambda: 200 / seconds(reset_fresh))
    yield Figure("reset with a fresh world of 25 people", rate, "/s", ">= 500")


def _searches(rounds: int) -> Iterator[Figure]:
    for people, bound in ((450, "<= 0.15"), (18_500, "<= 3")):
        source = _source(people, "direct", 500)
        corpus = source[0].corpus
        queries = [source[i].question.text for i in range(200)]
        corpus.search("river", 5)

        def median_search(corpus: Any = corpus, queries: Sequence[str] = queries) -> float:
            return statistics.median(seconds(lambda q=q: corpus.search(q, 5)) for q in queries)  # type: ignore[misc]

        milliseconds = 1_000 * median(rounds, median_search)
        yield Figure(f"search over {len(corpus):,} pages, p50", milliseconds, "ms", bound)


def _processes(rounds: int) -> Iterator[Figure]:
    def run(*arguments: str) -> float:
        command = [sys.executable, *arguments]
        return seconds(lambda: subprocess.run(command, check=True, capture_output=True))

    pairs = [
        (run("-c", "import hopgym"), run("-c", "import gymnasium")) for _ in range(2 * rounds + 1)
    ]
    difference = 1_000 * statistics.median(ours - theirs for ours, theirs in pairs)
    yield Figure("import hopgym over import gymnasium (process)", difference, "ms", "<= 50")
    listed = median(rounds, lambda: run("-m", "hopgym", "list"))
    yield Figure("hopgym list (process)", listed, "s", "<= 0.8")


def _million(rounds: int) -> Iterator[Figure]:
    source = PeopleSource(
        WorldSettings(size=1_000_000), QuestionSettings(questions_per_world=1_000)
    )
    duration = seconds(lambda: source[999])
    yield Figure("1,000,000 people and 1,000 questions", duration, "s", "<= 60")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _MEGABYTE
    yield Figure("peak memory of that", peak, "MiB", "<= 4096")


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
_PARAGRAPHS = 200_000
_PARAGRAPHS_LARGE = 1_000_000
_QUERIES = 100
_SETTLED = 2.5
"""Seconds after which a file counts as unchanged."""

_LOADED = """
import resource, sys, time
from hopgym.benchmarks.hotpotqa import HotpotQASource
start = time.perf_counter()
source = HotpotQASource(sys.argv[1], corpus=sys.argv[2])
if sys.argv[2] == "split":
    corpus = source[0].corpus
    start = time.perf_counter()
    corpus.search("river", 5)
duration = time.perf_counter() - start
print(duration, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, len(source[0].corpus))
"""
_INDEXED = """
import resource, sys, time
from hopgym.storage import open_corpus
start = time.perf_counter()
open_corpus(sys.argv[1], cache=sys.argv[2])
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def measures_of(path: Path, *, large: bool) -> tuple[Measure, ...]:
    """Return the measures of a HotpotQA file, with a large corpus if ``large``."""
    sizes = (_PARAGRAPHS, _PARAGRAPHS_LARGE) if large else (_PARAGRAPHS,)
    return (partial(_records, path), *(partial(_corpus, path, size) for size in sizes))


def _records(path: Path, rounds: int) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        repeated = Path(folder) / "records.json"
        repeated.write_text(json.dumps(_repeated(_rows(path), _RECORDS)), encoding="utf-8")
        loaded = [_process(_LOADED, str(repeated), "record") for _ in range(rounds)]
        name = f"{_RECORDS:,} HotpotQA records loaded (process)"
        yield Figure(name, statistics.median(run[0] for run in loaded), "s", "<= 3")
        yield Figure("peak memory of that", max(run[1] for run in loaded), "MiB", "<= 600")
        indexed = [_process(_LOADED, str(repeated), "split") for _ in range(rounds)]
        name = f"their split corpus of {indexed[0][2]:,.0f} paragraphs indexed (process)"
        yield Figure(name, statistics.median(run[0] for run in indexed), "s", "<= 15")
        yield Figure("peak memory of that", max(run[1] for run in indexed), "MiB", "")
        source = HotpotQASource(repeated)
        gold = [source[index].question for index in range(len(source))]
        facts = (("Ada", 0), ("Bob", 1))
        entries = {item.id: PredictionEntry(f"the {item.answers[0]} of it", facts) for item in gold}
        duration = median(rounds, lambda: seconds(lambda: source.score_entries(entries)))
        yield Figure(f"{_RECORDS:,} HotpotQA predictions scored", duration, "s", "<= 1")


def _corpus(path: Path, size: int, rounds: int) -> Iterator[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "corpus.jsonl"
        cache = Path(folder) / "cache"
        queries = _write_corpus(_rows(path), file, size)
        built = _process(_INDEXED, str(file), str(cache))
        yield Figure(f"{size:,} paragraphs indexed on disk (process)", built[0], "s", "")
        yield Figure("peak memory of that", built[1], "MiB", "")
        size_on_disk = sum(item.stat().st_size for item in cache.rglob("*") if item.is_file())
        yield Figure("size of that index on disk", size_on_disk / 2**20, "MiB", "")
        # A file that has just been written is hashed again when it is opened; that is not timed.
        time.sleep(max(0.0, file.stat().st_mtime + _SETTLED - time.time()))
        open_corpus(file, cache=cache)
        opened = 1_000 * median(rounds, lambda: seconds(lambda: open_corpus(file, cache=cache)))
        yield Figure(f"index of {size:,} paragraphs opened", opened, "ms", "")
        corpus = open_corpus(file, cache=cache)
        corpus.search(queries[0], 5)
        durations = [seconds(lambda q=q: corpus.search(q, 5)) for q in queries]  # type: ignore[misc]
        milliseconds = 1_000 * statistics.median(durations)
        yield Figure(f"search over {size:,} paragraphs, p50", milliseconds, "ms", "")


def _rows(path: Path) -> list[dict[str, Any]]:
    HotpotQASource(path)  # Raises if the file is not sound.
    rows = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(rows, list) or not isinstance(rows[0].get("context"), list):
        raise DataError(f"{path}: expected the official layout, a JSON list; take that file")
    return rows


def _repeated(rows: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """Return ``count`` records by repeating the rows with new ids and changed sentences."""
    records = []
    for number in range(count):
        row = rows[number % len(rows)]
        repetition = number // len(rows)
        context = row["context"]
        if repetition:
            context = [[title, [f"{s} {repetition}" for s in text]] for title, text in context]
        records.append(row | {"_id": f"{number:024x}", "context": context})
    return records


def _write_corpus(rows: list[dict[str, Any]], file: Path, count: int) -> list[str]:
    """Write ``count`` paragraphs with different titles; return questions to search them with."""
    paragraphs = [
        (title, "".join(text).split(" ")) for row in rows for title, text in row["context"]
    ]
    with file.open("w", encoding="utf-8") as out:
        for number in range(count):
            title, tokens = paragraphs[number % len(paragraphs)]
            other = paragraphs[(7 * number + number // len(paragraphs)) % len(paragraphs)][1]
            # Every fifth word comes from another paragraph.
            mixed = [
                other[i % len(other)] if i % 5 == number % 5 else token
                for i, token in enumerate(tokens)
            ]
            text = " ".join(mixed)
            out.write(json.dumps({"title": f"{title} {number}", "text": text}) + "\n")
    return [row["question"] for row in rows[:_QUERIES]]


def _process(code: str, *arguments: str) -> list[float]:
    command = [sys.executable, "-c", code, *arguments]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [float(text) for text in output.split()]
