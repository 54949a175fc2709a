"""The results tables of runs: plain rows, cells as text, and tables for the terminal."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from hopgym.evaluation import Estimate, Evaluation
from hopgym.evaluation.bootstrap import plain_fields
from hopgym.report.text import hops_text
from hopgym.tasks import TaskSource

ABSENT = "–"
"""Printed for a metric that applies to no episode."""

_UNKNOWN = "unknown"
_INTERVALS = "95% bootstrap intervals over tasks, Wilson's where all tasks score 0 or all score 1"
_PRIVILEGED = "Privileged steps, which used a title that was not shown"
_FLOORS = "floors are policies that do not reason"

_ROLES = {
    "oracle": "ceiling",
    **dict.fromkeys(("guess", "constant", "unknown", "exhaustive", "first", "random"), "floor"),
}


@dataclass(frozen=True, slots=True)
class Column:
    """A metric of the results table."""

    name: str
    """Its name in `hopgym.evaluation.METRICS`."""
    title: str
    """The heading of the column."""
    share: bool
    """Whether it is a share in [0, 1], printed in percent."""
    meaning: str
    """An explanation in one sentence."""


COLUMNS = (
    Column("success", "success", True, "The share of episodes with the right answer."),
    Column("f1", "F1", True, "The mean F1 of the answers; an episode without one counts as 0."),
    Column(
        "supported", "supported", True,
        "The share of episodes with the right answer that had read a whole proof of it.",
    ),
    Column(
        "process_accuracy", "process accuracy", True,
        "The share of steps that brought evidence, or were a supported answer.",
    ),
    Column("regret", "regret", False, "Steps beyond those of the oracle, at least 0."),
    Column("steps", "steps", False, "Steps of an episode."),
)  # fmt: skip
"""The metrics in the order of the table, of its JSON and of the page."""


@dataclass(frozen=True, slots=True)
class Cell:
    """An estimate as text."""

    value: str
    interval: str
    """``low–high``, or ``unknown``; empty without an estimate."""


@dataclass(frozen=True, slots=True)
class OfficialTable:
    """Official metrics by group of tasks as text, in the unit of the official script."""

    scoring: str
    """The script or paper that defines the metrics."""
    unit: str
    """``percent`` or ``shares of 1``."""
    groups: tuple[str, ...]
    """The headings of the columns."""
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    """The name of each metric, and its value for each group."""


def role_of(run: str) -> str:
    """Return ``floor``, ``ceiling`` or an empty string, by the last part of a run's name."""
    return _ROLES.get(run.rpartition("/")[2], "")


def caption_of(privileged: Mapping[str, int]) -> str:
    """Return the caption of a table of runs, which explains intervals, floors and privileged steps.

    Args:
        privileged: The number of privileged steps by run.
    """
    has_floors = "floor" in map(role_of, privileged)
    caption = f"{_INTERVALS}; {_FLOORS}." if has_floors else f"{_INTERVALS}."
    counts = [f"{run} {count:,}" for run, count in privileged.items() if count]
    return f"{caption} {_PRIVILEGED}: {', '.join(counts)}." if counts else caption


def privileged_steps(evaluation: Evaluation) -> int:
    """Return how many steps of all episodes used information not shown to the agent."""
    estimate = evaluation.metrics["privileged"]
    return round(estimate.mean * estimate.n) if estimate else 0


def cell(estimate: Estimate | None, share: bool = True) -> Cell:
    """Return an estimate as text, a share in percent."""
    if estimate is None:
        return Cell(ABSENT, "")
    if not estimate.has_interval:
        value = f"{100 * estimate.mean:.1f}%" if share else f"{estimate.mean:.2f}"
        return Cell(value, _UNKNOWN)
    if share:
        ends = (f"{100 * end:.1f}" for end in (estimate.low, estimate.high))
        short = ({"0.0": "0", "100.0": "100"}.get(end, end) for end in ends)
        return Cell(f"{100 * estimate.mean:.1f}%", "–".join(short))
    ends = (f"{end:.2f}" if end < 10 else f"{end:.1f}" for end in (estimate.low, estimate.high))
    return Cell(f"{estimate.mean:.2f}", "–".join(ends))


def episodes_cell(evaluation: Evaluation) -> Cell:
    """Return the number of episodes, and that of the errors left out if there are any."""
    errors = evaluation.errors
    left_out = f"+{errors} error{'s' if errors > 1 else ''}" if errors else ""
    return Cell(f"{evaluation.episodes:,}", left_out)


def results_rows(evaluations: Mapping[str, Evaluation]) -> list[dict[str, Any]]:
    """Return the results table as plain JSON: each metric ``{mean, low, high, n}`` or None.

    ``low`` and ``high`` are None if the interval is unknown.
    """
    return [
        {
            "run": run,
            "role": role_of(run),
            **{c.name: _plain(evaluation.metrics[c.name]) for c in COLUMNS},
            "episodes": evaluation.episodes,
            "tasks": evaluation.tasks,
            "errors": evaluation.errors,
        }
        for run, evaluation in evaluations.items()
    ]


def results_table(evaluations: Mapping[str, Evaluation]) -> Table:
    """Return the results table for a terminal of 80 columns, with intervals below the means."""
    privileged = {run: privileged_steps(evaluation) for run, evaluation in evaluations.items()}
    table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=0,
        caption=caption_of(privileged),
        caption_justify="left",
    )
    table.add_column("run", overflow="fold")
    for title in (*(column.title for column in COLUMNS), "episodes"):
        table.add_column(title, justify="right")
    for run, evaluation in evaluations.items():
        cells = [cell(evaluation.metrics[c.name], c.share) for c in COLUMNS]
        cells.append(episodes_cell(evaluation))
        numbers = (_two_lines(c.value, c.interval) for c in cells)
        table.add_row(_two_lines(run, role_of(run)), *numbers)
    return table


def official_table(evaluation: Evaluation, source: TaskSource) -> OfficialTable | None:
    """Return a run's official metrics; None if the source has no official script."""
    if not source.has_script or not evaluation.official:
        return None
    groups = _official_groups(evaluation)
    printed = {name: source.printed(metrics) for name, metrics in groups.items()}
    digits = 2 if source.percent else 3
    rows = tuple(
        (metric, tuple(_official_cell(values.get(metric), digits) for values in printed.values()))
        for metric in evaluation.official
    )
    unit = "percent" if source.percent else "shares of 1"
    return OfficialTable(source.scoring, unit, tuple(groups), rows)


def official_text(table: OfficialTable, width: int) -> list[Table]:
    """Return the official metrics for a terminal, split into tables that fit its width."""
    tables: list[Table] = []
    for columns in _split_columns(table, width):
        part = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
        part.add_column("metric", no_wrap=True)
        for column in columns:
            part.add_column(Text(table.groups[column]), justify="right", no_wrap=True)
        for metric, cells in table.rows:
            part.add_row(metric, *(cells[column] for column in columns))
        tables.append(part)
    return tables


def unjudged_line(evaluation: Evaluation) -> list[str]:
    """Return a remark on the episodes that were not judged; empty if all were."""
    estimate = evaluation.metrics["unjudged"]
    count = round(estimate.mean * estimate.n) if estimate else 0
    if not count:
        return []
    counts = f"{count:,} of {evaluation.episodes:,} episodes"
    return [
        f"The steps of {counts} are not judged: their evidence is not known, or not in the corpus."
    ]


def _two_lines(first: str, second: str) -> Text:
    return Text.assemble(first, "\n", (second, "dim"))


def _plain(estimate: Estimate | None) -> dict[str, Any] | None:
    return None if estimate is None else asdict(estimate, dict_factory=plain_fields)


def _split_columns(table: OfficialTable, width: int) -> list[list[int]]:
    """Return the columns of each part of a table, such that no part is wider than ``width``."""
    available = width - max(len(metric) for metric, _ in table.rows)
    parts: list[list[int]] = [[]]
    left = available
    for column, group in enumerate(table.groups):
        cells = (row[1][column] for row in table.rows)
        column_width = 3 + max(len(group), *map(len, cells))
        if column_width > left and parts[-1]:
            parts.append([])
            left = available
        parts[-1].append(column)
        left -= column_width
    return parts


def _official_groups(evaluation: Evaluation) -> dict[str, Mapping[str, float]]:
    """Return the official metrics by heading: all tasks, then by kind and hops if these differ."""
    groups: dict[str, Mapping[str, float]] = {"all": evaluation.official}
    if len(evaluation.official_by_kind) > 1:
        for kind, metrics in evaluation.official_by_kind.items():
            groups[kind or "no kind"] = metrics
    if evaluation.official_by_hops.keys() - {"0"}:
        for hops, metrics in evaluation.official_by_hops.items():
            groups[hops_text(int(hops))] = metrics
    return groups


def _official_cell(value: float | None, digits: int) -> str:
    return ABSENT if value is None else f"{value:.{digits}f}"
