"""The results table: which columns there are, as plain rows, as cells, and for the terminal.

In: evaluations by the name of their run. Out: rows in the same order.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hopgym.evaluation import Estimate, Evaluation
from hopgym.evaluation.bootstrap import plain_fields

if TYPE_CHECKING:
    from rich.table import Table

ABSENT = "–"
"""Printed where no episode has what a metric is about."""

_UNKNOWN = "unknown"
_INTERVALS = "95% bootstrap intervals over tasks, Wilson's where all tasks come to 0 or all to 1"
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
    """In `hopgym.evaluation.METRICS`."""
    title: str
    share: bool
    """Whether it is a share in [0, 1], printed in percent."""
    meaning: str
    """One sentence."""


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
    """An estimate in words."""

    value: str
    interval: str
    """``low–high``, or ``unknown``; empty where there is no estimate."""


def role_of(run: str) -> str:
    """Return ``floor``, ``ceiling`` or nothing, by the last part of a run's name."""
    return _ROLES.get(run.rpartition("/")[2], "")


def caption_of(privileged: Mapping[str, int]) -> str:
    """Return what a table of runs has to explain: floors and privileged steps, where there are any.

    Args:
        privileged: Name of each run, to its number of privileged steps.
    """
    floors = "floor" in map(role_of, privileged)
    caption = f"{_INTERVALS}; {_FLOORS}." if floors else f"{_INTERVALS}."
    told = [f"{run} {count:,}" for run, count in privileged.items() if count]
    return f"{caption} {_PRIVILEGED}: {', '.join(told)}." if told else caption


def privileged_steps(evaluation: Evaluation) -> int:
    """Return how many steps of all episodes used what was not shown."""
    estimate = evaluation.metrics["privileged"]
    return round(estimate.mean * estimate.n) if estimate else 0


def cell(estimate: Estimate | None, share: bool = True) -> Cell:
    """Return an estimate in words, a share in percent."""
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
    """Return the number of episodes in words, and that of the errors left out, if any."""
    errors = evaluation.errors
    left_out = f"+{errors} error{'s' if errors > 1 else ''}" if errors else ""
    return Cell(f"{evaluation.episodes:,}", left_out)


def results_rows(evaluations: Mapping[str, Evaluation]) -> list[dict[str, Any]]:
    """Return the table as plain JSON: each metric ``{mean, low, high, n}`` or None.

    ``low`` and ``high`` are None where no interval is known.
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


def results_table(evaluations: Mapping[str, Evaluation]) -> "Table":
    """Return the table for the terminal, each interval under its mean; it fits 80 columns."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=0,
        caption=caption_of({run: privileged_steps(each) for run, each in evaluations.items()}),
        caption_justify="left",
    )
    table.add_column("run", overflow="fold")
    for title in (*(column.title for column in COLUMNS), "episodes"):
        table.add_column(title, justify="right")

    def two_lines(first: str, second: str) -> Text:
        return Text.assemble(first, "\n", (second, "dim"))

    for run, evaluation in evaluations.items():
        cells = [cell(evaluation.metrics[c.name], c.share) for c in COLUMNS]
        cells.append(episodes_cell(evaluation))
        numbers = (two_lines(each.value, each.interval) for each in cells)
        table.add_row(two_lines(run, role_of(run)), *numbers)
    return table


def _plain(estimate: Estimate | None) -> dict[str, Any] | None:
    return None if estimate is None else asdict(estimate, dict_factory=plain_fields)
