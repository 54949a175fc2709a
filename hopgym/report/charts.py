"""What a report lays out by run: bars by group, how episodes ended, tokens and attempts.

In: evaluations and counts by run. Out: frozen views with lengths in percent, ready to be drawn.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from hopgym.evaluation import Estimate, Estimates, Evaluation, TokenTotal
from hopgym.evaluation.endings import ENDINGS, Ending
from hopgym.report.table import ABSENT, Cell, cell, role_of
from hopgym.report.wording import hops_words


@dataclass(frozen=True, slots=True)
class Bar:
    """A share with its interval."""

    run: str
    role: str
    value: str
    interval: str
    drawn: tuple[str, str, str] | None
    """Mean, low and high in percent of the width; None where there is no estimate."""
    count: str = ""
    """Episodes it is over, in words; empty where it stands elsewhere."""


@dataclass(frozen=True, slots=True)
class Group:
    """The bars of all runs over one group of questions."""

    title: str
    episodes: str
    """How many, in words; empty where the runs differ in it."""
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Stack:
    """How the episodes of one run ended."""

    run: str
    role: str
    counts: tuple[int, ...]
    """By the endings of the chart."""
    parts: tuple[tuple[str, str, str], ...]
    """Tone, start and width in percent, of each ending that occurs."""


def bar(run: str, estimate: Estimate | None) -> Bar:
    """Return the bar of a share of one run."""
    words = cell(estimate)
    drawn = None
    if estimate is not None:
        drawn = _percent(estimate.mean), _percent(estimate.low), _percent(estimate.high)
    return Bar(run, role_of(run), words.value, words.interval, drawn)


def by_hops(evaluations: Mapping[str, Evaluation]) -> list[Group]:
    """Return success by number of hops, a group for each."""
    groups = {run: evaluation.by_hops for run, evaluation in evaluations.items()}
    names = sorted({hops for each in groups.values() for hops in each}, key=int)
    return [_group(groups, hops, hops_words(int(hops))) for hops in names]


def by_kind(evaluations: Mapping[str, Evaluation]) -> list[Group]:
    """Return success by kind of question, a group for each."""
    groups = {run: evaluation.by_kind for run, evaluation in evaluations.items()}
    names = sorted({kind for each in groups.values() for kind in each})
    return [_group(groups, kind, kind or "kind unknown") for kind in names]


def stacks(endings: Mapping[str, Mapping[str, int]]) -> tuple[list[Ending], list[Stack]]:
    """Return the endings that occur in any run, and each run's counts of them."""
    occurring = [e for e in ENDINGS if any(counts.get(e.name) for counts in endings.values())]
    return occurring, [_stack(run, counts, occurring) for run, counts in endings.items()]


def tokens_rows(evaluations: Mapping[str, Evaluation]) -> list[tuple[str, list[str]]]:
    """Return the runs that tell tokens: generated ones and those of prompts, sum and mean each."""
    return [
        (run, [*_words(evaluation.tokens.generated), *_words(evaluation.tokens.prompt)])
        for run, evaluation in evaluations.items()
        if evaluation.tokens
    ]


def attempts_rows(
    evaluations: Mapping[str, Evaluation],
) -> list[tuple[str, list[tuple[str, Cell]]]]:
    """Return the runs that tried tasks several times, with pass@k and the majority's vote."""
    return [
        (
            run,
            [
                *((f"pass@{k}", cell(each)) for k, each in evaluation.pass_at.items()),
                ("majority", cell(evaluation.majority)),
            ],
        )
        for run, evaluation in evaluations.items()
        if evaluation.majority
    ]


def _words(total: TokenTotal | None) -> tuple[str, str]:
    return (f"{total.sum:,}", f"{total.mean:,.1f}") if total else (ABSENT, ABSENT)


def _group(groups: Mapping[str, Mapping[str, Estimates]], name: str, title: str) -> Group:
    found: Callable[[str], Estimate | None] = lambda run: groups[run].get(name, {}).get("success")  # noqa: E731
    estimates = {run: found(run) for run in groups}
    counts = {estimate.n for estimate in estimates.values() if estimate is not None}
    bars = [bar(run, each) for run, each in estimates.items()]
    if len(counts) == 1:
        return Group(title, f"{counts.pop():,} each", tuple(bars))
    told = (f"n {each.n:,}" if each else "" for each in estimates.values())
    return Group(title, "", tuple(replace(b, count=n) for b, n in zip(bars, told, strict=True)))


def _stack(run: str, counts: Mapping[str, int], endings: list[Ending]) -> Stack:
    total = sum(counts.values())
    parts, start = [], 0
    for ending in endings:
        if count := counts.get(ending.name, 0):
            parts.append((ending.tone, _percent(start / total), _percent(count / total)))
            start += count
    return Stack(run, role_of(run), tuple(counts.get(e.name, 0) for e in endings), tuple(parts))


def _percent(share: float) -> str:
    return f"{100 * share:.2f}"
