"""Learning curves of training runs, as one self-contained HTML page.

Plots success on held-out tasks against the cost of training, and the other quantities of the
training logs. The page serves a single run as well as a study of several runs and seeds.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hopgym.report.assets import render
from hopgym.report.charts import Chart, Points, color_classes, line_chart
from hopgym.runs.line_file import whole_file

LogPoint = Mapping[str, Any]
"""One line of a training log."""

Runs = Mapping[str, Sequence[Path]]
"""The ``progress.jsonl`` of each seed, by name of the run; missing files are ignored."""

COSTS = {"generated_tokens": "generated tokens", "cpu_seconds": "CPU seconds"}
"""The costs that success is plotted against: fields of a log with their titles."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table of texts."""

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    """Text below the table."""


@dataclass(frozen=True, slots=True)
class Section:
    """Charts under a common heading."""

    title: str
    charts: tuple[Chart, ...]
    note: str = ""
    """Text below the charts."""
    wide: bool = False
    """Whether the charts are large."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A quantity that points of a log may contain."""

    title: str
    value: Callable[[LogPoint], float | None]
    """Reads the quantity; None if a point does not contain it."""
    share: bool = False
    """Whether it is a share in [0, 1]."""


def write_curves(
    runs: Runs,
    path: Path,
    title: str,
    *,
    lead: str = "",
    tables: Sequence[Table] = (),
    below: Sequence[Table] = (),
) -> None:
    """Write the learning curves of runs as one HTML file.

    Args:
        runs: Logs by name of the run, one per seed.
        path: The file to write; missing folders are created.
        title: The heading of the page.
        lead: Text below the heading.
        tables: Tables above the curves.
        below: Tables below the curves.
    """
    page = render(
        "curves.html.j2",
        title=title,
        lead=lead,
        tables=tables,
        sections=sections_of(runs),
        tables_below=below,
        colors=color_classes(list(runs)),
    )
    with whole_file(Path(path), "path") as file:
        file.write(page)


def sections_of(runs: Runs) -> list[Section]:
    """Return the charts of runs, without those of quantities that no log contains."""
    logs = {run: [read_points(path) for path in paths] for run, paths in runs.items()}
    points = [point for seeds in logs.values() for log in seeds for point in log]
    spent = [cost for cost in COSTS if any(point.get(cost) for point in points)]
    cost = next(iter(spent), "cpu_seconds")
    success = Quantity("success", _dev("success"), share=True)
    by_cost = [_chart(logs, success, name, f"success by {COSTS[name]}") for name in spent]
    hop_counts = {n for point in points for n in (point.get("dev") or {}).get("by_hops", {})}
    by_hops = [
        Quantity(f"{n} hop{'s' * (n != '1')}", _dev_by_hops(n), share=True)
        for n in sorted(hop_counts, key=int)
    ]
    steps = {n for point in points for n in point.get("good_by_step") or {}}
    good = [Quantity(f"step {n}", _good(n), share=True) for n in sorted(steps, key=int)]
    sections = [
        Section("Success on held-out tasks", _existing(by_cost), _success_note(logs), wide=True),
        Section("Success by hops", _charts(logs, by_hops, cost)),
        Section("GOOD actions by step", _charts(logs, good, cost), "The share of sampled actions."),
        Section(
            "While training", _charts(logs, _DIAGNOSTICS, cost), "Of sampled episodes and batches."
        ),
    ]
    return [section for section in sections if section.charts]


def read_points(path: Path) -> list[dict[str, Any]]:
    """Return the points of a log; empty if the file is missing.

    An incomplete last line, left by a killed process, is ignored.
    """
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


_Logs = Mapping[str, Sequence[Sequence[LogPoint]]]
"""The points of each seed, by name of the run."""


def _success_note(logs: _Logs) -> str:
    note = "Greedy on held-out tasks; thin lines are seeds, thick ones their mean. "
    without_tokens = [
        run for run, seeds in logs.items() if seeds and not _is_spent(seeds, "generated_tokens")
    ]
    if without_tokens:
        note += f"Without generated tokens: {', '.join(without_tokens)}."
    return note


def _dev(name: str) -> Callable[[LogPoint], float | None]:
    return lambda point: (point.get("dev") or {}).get(name)


def _dev_by_hops(hops: str) -> Callable[[LogPoint], float | None]:
    return lambda point: (point.get("dev") or {}).get("by_hops", {}).get(hops, {}).get("success")


def _good(step: str) -> Callable[[LogPoint], float | None]:
    def value(point: LogPoint) -> float | None:
        good, actions = (point.get("good_by_step") or {}).get(step, (0, 0))
        return good / actions if actions else None

    return value


def _logged(name: str) -> Callable[[LogPoint], float | None]:
    return lambda point: point.get(name)


_DIAGNOSTICS = (
    Quantity("success of samples", _logged("success"), share=True),
    Quantity("F1 on held-out tasks", _dev("f1"), share=True),
    Quantity("reward", _logged("reward")),
    Quantity("groups of equal rewards", _logged("zero_variance"), share=True),
    Quantity("entropy", _logged("entropy")),
    Quantity("KL", _logged("kl")),
    Quantity("malformed actions", _logged("malformed"), share=True),
    Quantity("repeated calls", _logged("repeat"), share=True),
    Quantity("searches per hop", _logged("searches_per_hop")),
    Quantity("loss", _logged("loss")),
)


def _is_spent(seeds: Iterable[Sequence[LogPoint]], cost: str) -> bool:
    return any(point.get(cost) for log in seeds for point in log)


def _charts(logs: _Logs, quantities: Iterable[Quantity], cost: str) -> tuple[Chart, ...]:
    return _existing(_chart(logs, quantity, cost, quantity.title) for quantity in quantities)


def _chart(logs: _Logs, quantity: Quantity, cost: str, title: str) -> Chart | None:
    # A run that never spends the cost would be a vertical line at 0.
    points = {
        run: [_points(log, quantity, cost) for log in seeds] if _is_spent(seeds, cost) else []
        for run, seeds in logs.items()
    }
    colors = color_classes(list(logs))
    return line_chart(title, COSTS[cost], points, colors, share=quantity.share)


def _points(log: Sequence[LogPoint], quantity: Quantity, cost: str) -> Points:
    pairs = ((point.get(cost, 0), quantity.value(point)) for point in log)
    return [(float(x), float(y)) for x, y in pairs if y is not None]


def _existing(charts: Iterable[Chart | None]) -> tuple[Chart, ...]:
    return tuple(chart for chart in charts if chart is not None)
