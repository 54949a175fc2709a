"""The chart engine: turns numbers into shapes, which ``charts.html.j2`` draws as SVG.

Reports and learning curves share it. Coordinates are strings in the units of the view box
`AREA`; bars and stacks are measured in percent of their width.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10, sqrt

import numpy as np

from hopgym.evaluation import Estimate, Estimates
from hopgym.report.text import counted

Points = Sequence[tuple[float, float]]
"""Points (x, y) of a line, sorted by x."""

COLORS = 8
"""The number of line colors; further lines reuse them, dashed."""

_MAX_X_TICKS = 8
_TICKS = 5
_MAX_RADIUS = 8.0
_MIN_RADIUS = 1.5
_COLUMN_WIDTH = 0.7
_MAX_POINTS = 120
_MAX_SMALL_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Area:
    """The view box of a chart and the area inside it where values are plotted."""

    width: int
    height: int
    left: int
    right: int
    top: int
    bottom: int


AREA = Area(width=280, height=150, left=34, right=270, top=8, bottom=122)
"""The area of every chart."""


class Scale:
    """Maps values in [low, high] to coordinates between two ends; values outside are clamped."""

    def __init__(self, low: float, high: float, start: float, end: float) -> None:
        self._low = low
        self._span = (high - low) or 1.0
        self._start = start
        self._length = end - start

    def __call__(self, value: float) -> str:
        """Return the coordinate of a value."""
        inside = min(1.0, max(0.0, (value - self._low) / self._span))
        return f"{self._start + self._length * inside:.1f}"


def x_scale(low: float, high: float) -> Scale:
    """Return a horizontal scale over the plot area."""
    return Scale(low, high, AREA.left, AREA.right)


def y_scale(low: float, high: float) -> Scale:
    """Return a vertical scale over the plot area."""
    return Scale(low, high, AREA.bottom, AREA.top)


@dataclass(frozen=True, slots=True)
class Tick:
    """A labeled position on an axis."""

    position: str
    text: str


@dataclass(frozen=True, slots=True)
class RunLines:
    """The lines of one run: its mean, and one per seed if there are several."""

    run: str
    color: str
    """CSS classes of the color."""
    seeds: tuple[str, ...]
    """SVG paths of the seeds; empty for a single seed."""
    mean: str
    """SVG path of the mean."""
    end: tuple[str, str]
    """Coordinates of the last point of the mean."""
    text: str
    """First and last value, as a tooltip."""


@dataclass(frozen=True, slots=True)
class Dot:
    """A dot whose area stands for a count."""

    x: str
    y: str
    radius: str
    text: str
    """Tooltip."""


@dataclass(frozen=True, slots=True)
class ColumnMark:
    """A vertical column with an interval."""

    x: str
    y: str
    low: str
    high: str
    text: str
    """Tooltip."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart with two axes that shows lines, dots or columns."""

    title: str
    description: str
    """What the chart shows, in words, for screen readers."""
    x_title: str
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    y_title: str = ""
    lines: tuple[RunLines, ...] = ()
    dots: tuple[Dot, ...] = ()
    columns: tuple[ColumnMark, ...] = ()
    column_width: str = ""
    diagonal: tuple[str, str] | None = None
    """End of the dashed line x = y, which starts at the origin."""
    role: str = ""
    """``floor``, ``ceiling`` or empty: the role of a run, shown beside the title and as color."""
    caption: str = ""
    """Text below the chart."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A horizontal bar with an interval, in percent of its width."""

    mean: str
    low: str
    high: str


def bar(estimate: Estimate | None) -> Bar | None:
    """Return the bar of a share in [0, 1]; None without an estimate."""
    if estimate is None:
        return None
    return Bar(percent(estimate.mean), percent(estimate.low), percent(estimate.high))


def stack(counts: Iterable[tuple[str, int]]) -> tuple[tuple[str, str, str], ...]:
    """Return a stacked bar: color, start and width in percent of each part that is not empty.

    Args:
        counts: Color and count of each part.
    """
    parts = [(color, count) for color, count in counts if count]
    total = sum(count for _, count in parts)
    segments = []
    start = 0
    for color, count in parts:
        segments.append((color, percent(start / total), percent(count / total)))
        start += count
    return tuple(segments)


def percent(share: float) -> str:
    """Return a share in percent with two decimals, without the sign."""
    return f"{100 * share:.2f}"


def dot_chart(
    title: str,
    counts: Mapping[tuple[int, int], int],
    x_title: str,
    y_title: str,
    limits: tuple[int, int],
    *,
    caption: str,
    role: str = "",
) -> Chart:
    """Return a chart of episodes by two counts, with the line of equal counts.

    Args:
        title: The name of the run.
        counts: Number of episodes by (x, y).
        x_title: What x counts.
        y_title: What y counts.
        limits: The largest x and y on the axes.
        caption: A summary in words.
        role: See `Chart.role`.
    """
    x_max, y_max = limits
    x = x_scale(0, x_max)
    y = y_scale(0, y_max)
    largest = max(counts.values())
    dots = tuple(
        Dot(
            x(x_count),
            y(y_count),
            f"{max(_MIN_RADIUS, _MAX_RADIUS * sqrt(count / largest)):.1f}",
            f"{x_title} {x_count}, {y_title} {y_count}: {counted(count, 'episode')}",
        )
        # Large dots first, so that they do not hide small ones.
        for (x_count, y_count), count in sorted(counts.items(), key=lambda item: (-item[1], item))
    )
    return Chart(
        title,
        caption,
        x_title,
        _count_ticks(x_max, x),
        _count_ticks(y_max, y),
        y_title,
        dots=dots,
        diagonal=(x(min(limits)), y(min(limits))),
        role=role,
        caption=caption,
    )


def column_chart(
    title: str, estimates: Estimates, x_title: str, x_max: int, *, caption: str, role: str = ""
) -> Chart:
    """Return a chart of shares by number, a column with an interval each.

    Args:
        title: The name of the run.
        estimates: Shares in [0, 1] by number from 1, as text.
        x_title: What is numbered.
        x_max: The largest number on the axis.
        caption: A summary in words.
        role: See `Chart.role`.
    """
    x = x_scale(0, x_max + 0.5)
    y = y_scale(0.0, 1.0)
    columns = tuple(
        ColumnMark(
            x(int(name)),
            y(estimate.mean),
            y(estimate.low),
            y(estimate.high),
            f"{x_title} {name}: {estimate.mean:.1%} of {estimate.n:,}",
        )
        for name, estimate in estimates.items()
        if estimate
    )
    return Chart(
        title,
        caption,
        x_title,
        _count_ticks(x_max, x)[1:],
        tuple(Tick(y(share), f"{share:.0%}") for share in (0.0, 0.5, 1.0)),
        columns=columns,
        column_width=f"{_COLUMN_WIDTH * (AREA.right - AREA.left) / (x_max + 0.5):.1f}",
        role=role,
        caption=caption,
    )


def line_chart(
    title: str,
    x_title: str,
    runs: Mapping[str, Sequence[Points]],
    colors: Mapping[str, str],
    *,
    share: bool,
) -> Chart | None:
    """Return a chart of one quantity over several runs; None if no run has a point.

    Args:
        title: The quantity.
        x_title: What it is plotted against.
        runs: The points of each seed, by name of the run.
        colors: CSS classes of each run's color; see `color_classes`.
        share: Whether the quantity is a share in [0, 1], printed in percent.
    """
    seeds_of = {run: [thinned(points) for points in seeds if points] for run, seeds in runs.items()}
    seeds_of = {run: seeds for run, seeds in seeds_of.items() if seeds}
    points = [point for seeds in seeds_of.values() for seed in seeds for point in seed]
    if not points:
        return None
    x_max = max(x for x, _ in points) or 1.0
    ys = [y for _, y in points]
    # Shares have a common scale so that charts can be compared, unless all values are small.
    full_scale = share and max(ys) > _MAX_SMALL_SHARE
    low, high = (0.0, 1.0) if full_scale else _limits(min(ys), max(ys))
    x = x_scale(0.0, x_max)
    y = y_scale(low, high)
    lines = [_run_lines(run, seeds, colors[run], x, y, share) for run, seeds in seeds_of.items()]
    y_values = [0.0, 0.25, 0.5, 0.75, 1.0] if full_scale else round_numbers(low, high)
    return Chart(
        title,
        f"{title} against {x_title}. {'; '.join(line.text for line in lines)}.",
        x_title,
        tuple(Tick(x(value), compact(value)) for value in round_numbers(0.0, x_max)),
        tuple(Tick(y(value), _value_text(value, share)) for value in y_values),
        lines=tuple(lines),
    )


def color_classes(runs: Sequence[str]) -> dict[str, str]:
    """Return the CSS classes of each run's color."""
    return {
        run: f"tone{number % COLORS}" + (" again" if number >= COLORS else "")
        for number, run in enumerate(runs)
    }


def mean_points(seeds: Sequence[Points]) -> Points:
    """Return the interpolated mean of several lines, over the range of x that all of them cover."""
    if len(seeds) == 1:
        return seeds[0]
    first = max(points[0][0] for points in seeds)
    last = min(points[-1][0] for points in seeds)
    xs = sorted({x for points in seeds for x, _ in points if first <= x <= last})
    if not xs:
        return ()
    ys = np.mean([np.interp(xs, *np.array(points, float).T) for points in seeds], axis=0)
    return thinned(list(zip(xs, map(float, ys), strict=True)))


def round_numbers(low: float, high: float, count: int = _TICKS) -> list[float]:
    """Return about ``count`` round numbers in [low, high], in steps of 1, 2 or 5 times 10**n."""
    step = _round_step(((high - low) or abs(high) or 1.0) / count)
    first = ceil(low / step - 1e-9)
    last = floor(high / step + 1e-9)
    return [step * n for n in range(first, last + 1)] or [low]


def compact(value: float) -> str:
    """Return a number in few characters: ``12k``, ``1.5M``, ``0.02``."""
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{suffix}"
    return f"{value:.3g}"


def _round_step(least: float) -> float:
    size = 10.0 ** floor(log10(least))
    return next(size * n for n in (1, 2, 5, 10) if size * n >= least * 0.999)


def _count_ticks(most: int, scale: Scale) -> tuple[Tick, ...]:
    step = max(1, round(_round_step(most / _MAX_X_TICKS)))
    return tuple(Tick(scale(value), str(value)) for value in range(0, most + 1, step))


def _limits(low: float, high: float) -> tuple[float, float]:
    """Return the ends of an axis, which starts at 0 unless that is far from all values."""
    low = min(low, 0.0) if low < high / 2 or low < 0 else low
    ticks = round_numbers(low, high)
    return min(low, ticks[0]), max(high, ticks[-1])


def _run_lines(
    run: str, seeds: Sequence[Points], color: str, x: Scale, y: Scale, share: bool
) -> RunLines:
    mean = mean_points(seeds) or seeds[0]
    end = mean[-1]
    paths = tuple(_path(points, x, y) for points in seeds) if len(seeds) > 1 else ()
    text = f"{run}: {_value_text(mean[0][1], share)} to {_value_text(end[1], share)}"
    return RunLines(run, color, paths, _path(mean, x, y), (x(end[0]), y(end[1])), text)


def _path(points: Points, x: Scale, y: Scale) -> str:
    return "M" + "L".join(f"{x(a)} {y(b)}" for a, b in points)


def thinned(points: Points) -> Points:
    """Return at most `_MAX_POINTS` points, each the mean of several consecutive ones."""
    if len(points) <= _MAX_POINTS:
        return points
    parts = np.array_split(np.array(points, float), _MAX_POINTS)
    return [(float(x), float(y)) for x, y in (part.mean(axis=0) for part in parts)]


def _value_text(value: float, share: bool) -> str:
    return f"{100 * value:.3g}%" if share else compact(value)
