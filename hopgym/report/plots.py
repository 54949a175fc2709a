"""Small charts of a run's steps, as shapes in the units of their drawing.

In: what a `StepTally` counted, by run. Out: frozen views that the template writes as SVG.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

from hopgym.evaluation import Estimates
from hopgym.report.table import cell, role_of
from hopgym.report.tally import StepTally
from hopgym.report.wording import counted

# Within the template's drawing of 280 by 150.
_LEFT, _RIGHT, _TOP, _BOTTOM = 34, 270, 8, 122
_MOST_TICKS = 8
_MOST_RADIUS = 8.0


@dataclass(frozen=True, slots=True)
class Tick:
    """A number at an axis."""

    place: str
    text: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A dot, or a column with its interval."""

    x: str
    y: str
    words: str
    radius: str = ""
    low: str = ""
    high: str = ""


@dataclass(frozen=True, slots=True)
class Plot:
    """A chart of one run."""

    run: str
    role: str
    words: str
    """What it shows, for those who do not see it, and below it."""
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    dots: tuple[Mark, ...] = ()
    columns: tuple[Mark, ...] = ()
    width: str = ""
    """Of a column."""
    diagonal: tuple[str, str] | None = None
    """Where the line of equal numbers ends; it starts at the origin."""


class _Scale:
    """Places numbers from 0 to ``most`` on a line."""

    def __init__(self, most: float, start: float, end: float) -> None:
        self._most, self._start, self._end = most, start, end

    def __call__(self, value: float) -> str:
        return f"{self._start + (self._end - self._start) * value / self._most:.1f}"


def against_oracle(tallies: Mapping[str, StepTally]) -> list[Plot]:
    """Return a chart for each run of its steps against the oracle's; none where none are known."""
    known = {run: tally.lengths for run, tally in tallies.items() if tally.lengths}
    pairs = [pair for lengths in known.values() for pair in lengths]
    if not pairs:
        return []
    most_x, most_y = (max(pair[i] for pair in pairs) + 1 for i in (0, 1))
    x, y = _Scale(most_x, _LEFT, _RIGHT), _Scale(most_y, _BOTTOM, _TOP)
    equal = min(most_x, most_y)
    return [
        Plot(
            run,
            role_of(run),
            _length_words(lengths),
            _ticks(most_x, x),
            _ticks(most_y, y),
            dots=_dots(lengths, x, y),
            diagonal=(x(equal), y(equal)),
        )
        for run, lengths in known.items()
    ]


def by_step_number(tallies: Mapping[str, StepTally]) -> list[Plot]:
    """Return a chart for each run of the share of good steps by their number."""
    by_run = {run: tally.by_number for run, tally in tallies.items()}
    known = {run: estimates for run, estimates in by_run.items() if estimates}
    most = max((int(name) for estimates in known.values() for name in estimates), default=0)
    x, y = _Scale(most + 0.5, _LEFT, _RIGHT), _Scale(1.0, _BOTTOM, _TOP)
    width = f"{0.7 * (_RIGHT - _LEFT) / (most + 0.5):.1f}"
    return [
        Plot(
            run,
            role_of(run),
            _accuracy_words(estimates),
            _ticks(most, x)[1:],
            tuple(Tick(y(share), f"{share:.0%}") for share in (0.0, 0.5, 1.0)),
            columns=_columns(estimates, x, y),
            width=width,
        )
        for run, estimates in known.items()
    ]


def _dots(lengths: Mapping[tuple[int, int], int], x: _Scale, y: _Scale) -> tuple[Mark, ...]:
    largest = max(lengths.values())
    return tuple(
        Mark(
            x(oracle),
            y(steps),
            f"oracle {oracle}, agent {steps}: {counted(count, 'episode')}",
            radius=f"{max(1.5, _MOST_RADIUS * sqrt(count / largest)):.1f}",
        )
        # Small dots come last, so that large ones do not hide them.
        for (oracle, steps), count in sorted(lengths.items(), key=lambda item: (-item[1], item[0]))
    )


def _columns(estimates: Estimates, x: _Scale, y: _Scale) -> tuple[Mark, ...]:
    return tuple(
        Mark(
            x(int(name)),
            y(estimate.mean),
            f"step {name}: {estimate.mean:.1%} of {estimate.n:,}",
            low=y(estimate.low),
            high=y(estimate.high),
        )
        for name, estimate in estimates.items()
        if estimate
    )


def _ticks(most: int, scale: _Scale) -> tuple[Tick, ...]:
    every = next(n for n in (1, 2, 5, 10, 20, 50, 100, most) if most / n <= _MOST_TICKS)
    return tuple(Tick(scale(value), str(value)) for value in range(0, most + 1, every))


def _length_words(lengths: Mapping[tuple[int, int], int]) -> str:
    total = sum(lengths.values())

    def share(pairs: Sequence[tuple[int, int]]) -> str:
        return f"{sum(lengths[pair] for pair in pairs) / total:.0%}"

    own, oracle = (sum(p[i] * n for p, n in lengths.items()) / total for i in (1, 0))
    fewer = share([p for p in lengths if p[1] < p[0]])
    more = share([p for p in lengths if p[1] > p[0]])
    return (
        f"On average {own:.1f} steps, the oracle {oracle:.1f}; "
        f"fewer than it in {fewer}, more in {more} of {total:,} episodes."
    )


def _accuracy_words(estimates: Estimates) -> str:
    told = [f"{name}: {cell(each).value}" for name, each in estimates.items() if each]
    return "By step " + ", ".join(told) + "."
