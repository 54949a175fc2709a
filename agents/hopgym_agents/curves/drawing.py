"""Line charts as shapes in the units of their drawing.

In: points by run, one line for each seed. Out: frozen views that the page writes as SVG: a thin
line for each seed, a thick one for their mean where all of them have points.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

import numpy as np

from hopgym.report.plots import Tick

Line = Sequence[tuple[float, float]]
"""Points (x, y), by growing x."""

WIDTH, HEIGHT = 280, 150
_LEFT, _RIGHT, _TOP, _BOTTOM = 34.0, 270.0, 8.0, 122.0
_TICKS = 5
_LOW_SHARES = 0.25
_MOST_POINTS = 120
COLOURS = 8
"""Different ones; further runs take them again, dashed."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """The lines of one run."""

    run: str
    tone: str
    """Classes of its colour."""
    thin: tuple[str, ...]
    """SVG paths, one for each seed; empty where there is one seed."""
    thick: str
    """The SVG path of the mean."""
    end: tuple[str, str]
    """Where the mean ends."""
    words: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A quantity of all runs."""

    title: str
    x_title: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Drawn, ...]
    words: str
    """What it shows, for those who do not see it."""


def chart(
    title: str,
    x_title: str,
    lines: Mapping[str, Sequence[Line]],
    tones: Mapping[str, str],
    *,
    share: bool,
) -> Chart | None:
    """Return the chart of a quantity; None where no run has a point.

    Args:
        title: Of the chart.
        x_title: Of its axis.
        lines: By run, one for each seed.
        tones: Classes of the runs' colours.
        share: Whether the quantity lies in [0, 1]; it is told in percent.
    """
    known = {run: [thinned(each) for each in own if each] for run, own in lines.items()}
    known = {run: own for run, own in known.items() if own}
    if not known:
        return None
    xs, ys = (
        [point[i] for own in known.values() for line in own for point in line] for i in (0, 1)
    )
    x = _Scale(0.0, max(xs) or 1.0, _LEFT, _RIGHT)
    # Shares have one scale, so that charts can be compared, but for small ones.
    whole = share and max(ys) > _LOW_SHARES
    low, high = (0.0, 1.0) if whole else _bounds(min(ys), max(ys))
    y = _Scale(low, high, _BOTTOM, _TOP)
    drawn = tuple(_drawn(run, own, tones[run], x, y, share) for run, own in known.items())
    told = "; ".join(each.words for each in drawn)
    return Chart(
        title,
        x_title,
        tuple(Tick(x(value), short(value)) for value in _nice(0.0, max(xs) or 1.0)),
        tuple(Tick(y(value), _value(value, share)) for value in _y_ticks(low, high, whole)),
        drawn,
        f"{title} against {x_title}. {told}.",
    )


def tones_of(runs: Sequence[str]) -> dict[str, str]:
    """Return the classes of the colour of each run."""
    return {
        run: f"tone{number % COLOURS}" + (" again" if number >= COLOURS else "")
        for number, run in enumerate(runs)
    }


def mean_line(lines: Sequence[Line]) -> Line:
    """Return the mean of lines over the span that all of them have, interpolated between points."""
    if len(lines) == 1:
        return lines[0]
    first, last = max(line[0][0] for line in lines), min(line[-1][0] for line in lines)
    xs = sorted({x for line in lines for x, _ in line if first <= x <= last})
    if not xs:
        return ()
    ys = np.mean([np.interp(xs, *np.array(line, float).T) for line in lines], axis=0)
    return thinned(list(zip(xs, map(float, ys), strict=True)))


def thinned(line: Line) -> Line:
    """Return a line of a bounded number of points, each the mean of some that follow each other."""
    if len(line) <= _MOST_POINTS:
        return line
    parts = np.array_split(np.array(line, float), _MOST_POINTS)
    return [(float(x), float(y)) for x, y in (part.mean(axis=0) for part in parts)]


def short(value: float) -> str:
    """Return a number in few signs: ``12k``, ``1.5M``, ``0.02``."""
    for size, sign in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{sign}"
    return f"{value:.3g}"


class _Scale:
    """Places numbers from ``low`` to ``high`` on a line."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self._low, self._span = low, (high - low) or 1.0
        self._start, self._length = start, end - start

    def __call__(self, value: float) -> str:
        inside = min(1.0, max(0.0, (value - self._low) / self._span))
        return f"{self._start + self._length * inside:.1f}"


def _drawn(run: str, own: Sequence[Line], tone: str, x: _Scale, y: _Scale, share: bool) -> Drawn:
    mean = mean_line(own) or own[0]
    end = mean[-1]
    thin = tuple(_path(line, x, y) for line in own) if len(own) > 1 else ()
    words = f"{run}: {_value(mean[0][1], share)} to {_value(end[1], share)}"
    return Drawn(run, tone, thin, _path(mean, x, y), (x(end[0]), y(end[1])), words)


def _path(line: Line, x: _Scale, y: _Scale) -> str:
    return "M" + "L".join(f"{x(a)} {y(b)}" for a, b in line)


def _bounds(low: float, high: float) -> tuple[float, float]:
    """Return where an axis begins and ends: at 0 where that is not far."""
    low = min(low, 0.0) if low < high / 2 or low < 0 else low
    ticks = _nice(low, high)
    return min(low, ticks[0]), max(high, ticks[-1])


def _nice(low: float, high: float) -> list[float]:
    """Return some round numbers from one to another."""
    span = (high - low) or abs(high) or 1.0
    rough = span / _TICKS
    size = 10.0 ** floor(log10(rough))
    step = next(size * n for n in (1, 2, 5, 10) if size * n >= rough * 0.999)
    return [step * n for n in range(ceil(low / step - 1e-9), floor(high / step + 1e-9) + 1)] or [
        low
    ]


def _y_ticks(low: float, high: float, whole: bool) -> list[float]:
    return [0.0, 0.25, 0.5, 0.75, 1.0] if whole else _nice(low, high)


def _value(value: float, share: bool) -> str:
    return f"{100 * value:.3g}%" if share else short(value)
