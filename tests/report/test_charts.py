"""The chart engine: scales, ticks, means and the shapes of charts."""

import pytest

from hopgym.evaluation import Estimate
from hopgym.report.charts import (
    bar,
    color_classes,
    column_chart,
    compact,
    dot_chart,
    line_chart,
    mean_points,
    round_numbers,
    stack,
    thinned,
)


def test_means_are_over_the_span_of_all() -> None:
    assert mean_points([[(0, 0.0), (4, 4.0)], [(2, 0.0), (6, 0.0)]]) == [(2.0, 1.0), (4.0, 2.0)]
    assert mean_points([[(0, 1.0), (1, 1.0)], [(2, 0.0), (3, 0.0)]]) == ()


def test_long_lines_are_thinned() -> None:
    line = thinned([(float(x), float(x % 2)) for x in range(10_000)])
    assert len(line) == 120
    assert all(0.4 < y < 0.6 for _, y in line)


def test_scales() -> None:
    tones = color_classes([f"r{n}" for n in range(9)])
    assert tones["r8"] == f"{tones['r0']} again"
    low = line_chart("t", "x", {"r0": [[(0, 0.01), (9, 0.02)]]}, tones, share=True)
    high = line_chart("t", "x", {"r0": [[(0, 0.01), (9, 0.6)]]}, tones, share=True)
    assert low is not None and high is not None
    assert [tick.text for tick in high.y_ticks] == ["0%", "25%", "50%", "75%", "100%"]
    assert low.y_ticks[-1].text == "2%"
    flat = line_chart("t", "x", {"r0": [[(5, 3.0)]]}, tones, share=False)
    assert flat is not None and flat.y_ticks


@pytest.mark.parametrize(
    ("value", "told"), [(0, "0"), (12_000, "12k"), (1_500_000, "1.5M"), (0.021, "0.021")]
)
def test_short_numbers(value: float, told: str) -> None:
    assert compact(value) == told


@pytest.mark.parametrize(
    ("low", "high", "count", "expected"),
    [
        (0.0, 1.0, 5, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.0, 12_000.0, 5, [0.0, 5_000.0, 10_000.0]),
        (-1.0, 1.0, 2, [-1.0, 0.0, 1.0]),
        (3.0, 3.0, 5, [3.0]),
    ],
)
def test_ticks_are_round_numbers(
    low: float, high: float, count: int, expected: list[float]
) -> None:
    assert round_numbers(low, high, count) == pytest.approx(expected)


def test_dots_share_the_axes_that_are_passed() -> None:
    chart = dot_chart("mine", {(2, 3): 4, (1, 1): 1}, "oracle", "agent", (3, 4), caption="c")
    assert [tick.text for tick in chart.x_ticks] == ["0", "1", "2", "3"]
    assert [tick.text for tick in chart.y_ticks] == ["0", "1", "2", "3", "4"]
    assert [(dot.radius, dot.text) for dot in chart.dots] == [
        ("8.0", "oracle 2, agent 3: 4 episodes"),
        ("4.0", "oracle 1, agent 1: 1 episode"),
    ]
    assert chart.diagonal == (chart.x_ticks[3].position, chart.y_ticks[3].position)


def test_axes_of_counts_have_few_ticks() -> None:
    for most in (1, 8, 9, 70, 81, 999, 40_000):
        chart = dot_chart("mine", {(1, 1): 1}, "x", "y", (most, most), caption="c")
        assert len(chart.x_ticks) <= 10
        assert all(float(tick.text).is_integer() for tick in chart.x_ticks)


def test_columns_have_intervals_within_the_plot_area() -> None:
    estimates = {"1": Estimate(0.5, 0.0, 1.0, 8), "2": None}
    chart = column_chart("mine", estimates, "step", 2, caption="c", role="floor")
    assert [tick.text for tick in chart.y_ticks] == ["0%", "50%", "100%"]
    (column,) = chart.columns
    assert (column.low, column.y, column.high) == tuple(tick.position for tick in chart.y_ticks)
    assert column.text == "step 1: 50.0% of 8"


def test_bars_and_stacks_are_in_percent() -> None:
    assert bar(None) is None
    found = bar(Estimate(0.5, 0.25, 1.0, 4))
    assert found is not None and (found.mean, found.low, found.high) == ("50.00", "25.00", "100.00")
    parts = stack([("lucky", 1), ("wrong", 0), ("none", 3)])
    assert parts == (("lucky", "0.00", "25.00"), ("none", "25.00", "75.00"))
