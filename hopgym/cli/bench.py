"""``hopgym bench``: how fast it is, against what it is compared with, in one run.

In: nothing. Out: a row per figure: the median of several rounds, the peer, the ratio, and the
bound that the project holds itself to. Everything is timed in this process unless a row says that
it is a process of its own.
"""

import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from hopgym.cli.display import console, new_table, print_json, say
from hopgym.cli.timing import Measure, Row, median, seconds

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
    from hopgym.cli.bench_data import measures_of

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
            command = [sys.executable, "-m", "hopgym.cli", "generate", "hopgym/People-v0"]
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
    listed = median(rounds, lambda: run("-m", "hopgym.cli", "list"))
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
