"""Learning curves of training runs as one HTML page.

In: the logs of runs, some seeds of each. Out: success on held-out tasks against what was spent, and
what else the logs tell, as charts that need nothing from elsewhere.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hopgym.runs.line_file import whole_file
from hopgym_agents.curves.drawing import Chart, Line, chart, tones_of
from hopgym_agents.curves.page import Section, Table, render_page

Point = Mapping[str, Any]
Runs = Mapping[str, Sequence[Path]]
"""By name, ``progress.jsonl`` of each seed; files that are missing are passed over."""

COSTS = {"generated_tokens": "generated tokens", "cpu_seconds": "CPU seconds"}
"""What success is drawn against."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """Something that a point of a log may tell."""

    title: str
    value: Callable[[Point], float | None]
    share: bool = False
    """Whether it lies in [0, 1]."""


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
        runs: Logs by the name of what they are of; each of the several is a seed.
        path: The file, made with its folders.
        title: Of the page.
        lead: What stands below it.
        tables: What stands above the curves.
        below: What stands below them.
    """
    tones = tones_of(list(runs))
    page = render_page(title, tables, sections_of(runs), tones, lead=lead, below=below)
    with whole_file(Path(path), "path") as file:
        file.write(page)


def sections_of(runs: Runs) -> list[Section]:
    """Return the charts of runs; a quantity that no log tells has none."""
    logs = {run: [read_points(path) for path in paths] for run, paths in runs.items()}
    every = [point for own in logs.values() for log in own for point in log]
    moving = [name for name in COSTS if any(point.get(name) for point in every)]
    cost = next(iter(moving), "cpu_seconds")
    success = Quantity("success", _dev("success"), share=True)
    against = [_chart(logs, success, name, f"success by {COSTS[name]}") for name in moving]
    still = [run for run, own in logs.items() if own and not _moves(own, "generated_tokens")]
    note = "Greedy on held-out tasks; thin lines are seeds, thick ones their mean. "
    note += f"Without generated tokens: {', '.join(still)}." if still else ""
    hops = sorted(
        {n for point in every for n in (point.get("dev") or {}).get("by_hops", {})}, key=int
    )
    steps = sorted({n for point in every for n in point.get("good_by_step") or {}}, key=int)
    by_hops = [Quantity(f"{n} hop{'s' * (n != '1')}", _dev_hops(n), share=True) for n in hops]
    good = [Quantity(f"step {n}", _good(n), share=True) for n in steps]
    found = [
        Section("Success on held-out tasks", _drawn(against), note, wide=True),
        Section("Success by hops", _small(logs, by_hops, cost)),
        Section("GOOD actions by step", _small(logs, good, cost), "The share of sampled actions."),
        Section(
            "While training", _small(logs, _DIAGNOSTICS, cost), "Of sampled episodes and batches."
        ),
    ]
    return [each for each in found if each.charts]


def read_points(path: Path) -> list[dict[str, Any]]:
    """Return the points of a log; none where it is missing, and no line half written by a kill."""
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


def _dev(name: str) -> Callable[[Point], float | None]:
    return lambda point: (point.get("dev") or {}).get(name)


def _dev_hops(hops: str) -> Callable[[Point], float | None]:
    return lambda point: (point.get("dev") or {}).get("by_hops", {}).get(hops, {}).get("success")


def _good(step: str) -> Callable[[Point], float | None]:
    def value(point: Point) -> float | None:
        good, actions = (point.get("good_by_step") or {}).get(step, (0, 0))
        return good / actions if actions else None

    return value


def _logged(name: str) -> Callable[[Point], float | None]:
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


def _moves(logs: Iterable[Sequence[Point]], cost: str) -> bool:
    return any(point.get(cost) for log in logs for point in log)


def _small(
    logs: Mapping[str, Sequence[Sequence[Point]]], wanted: Iterable[Quantity], cost: str
) -> tuple[Chart, ...]:
    return _drawn(_chart(logs, each, cost, each.title) for each in wanted)


def _chart(
    logs: Mapping[str, Sequence[Sequence[Point]]], quantity: Quantity, cost: str, title: str
) -> Chart | None:
    lines: dict[str, list[Line]] = {
        run: [_line(log, quantity, cost) for log in own] if _moves(own, cost) else []
        for run, own in logs.items()
    }
    return chart(title, COSTS[cost], lines, tones_of(list(logs)), share=quantity.share)


def _line(log: Sequence[Point], quantity: Quantity, cost: str) -> Line:
    told = ((point.get(cost, 0), quantity.value(point)) for point in log)
    return [(float(x), float(y)) for x, y in told if y is not None]


def _drawn(charts: Iterable[Chart | None]) -> tuple[Chart, ...]:
    return tuple(each for each in charts if each is not None)
