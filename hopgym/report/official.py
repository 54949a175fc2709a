"""Official metrics in a table: a run's, whole, by kind of question and by hops.

In: an evaluation and its source. Out: rows of words for the terminal and the page.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hopgym.evaluation import Evaluation
from hopgym.tasks import TaskSource

if TYPE_CHECKING:
    from rich.table import Table

ABSENT = "–"


@dataclass(frozen=True, slots=True)
class OfficialTable:
    """Metrics by group of tasks, in words, in the unit of the official script."""

    scoring: str
    """What they follow."""
    unit: str
    """``percent`` or ``shares of 1``."""
    groups: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    """A metric's name, and its value for each group."""


def official_table(evaluation: Evaluation, source: TaskSource) -> OfficialTable | None:
    """Return a run's official metrics; None where the source has no script of its own."""
    if not source.has_script or not evaluation.official:
        return None
    groups = _groups(evaluation)
    printed = {name: source.printed(metrics) for name, metrics in groups.items()}
    places = 2 if source.percent else 3
    rows = tuple(
        (metric, tuple(_cell(values.get(metric), places) for values in printed.values()))
        for metric in evaluation.official
    )
    unit = "percent" if source.percent else "shares of 1"
    return OfficialTable(source.scoring, unit, tuple(groups), rows)


def official_text(table: OfficialTable, width: int) -> list["Table"]:
    """Return the table for a terminal, in as many pieces side by side as its width asks for."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    pieces: list[Table] = []
    for part in _parts(table, width):
        drawn = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
        drawn.add_column("metric", no_wrap=True)
        for place in part:
            drawn.add_column(Text(table.groups[place]), justify="right", no_wrap=True)
        for metric, cells in table.rows:
            drawn.add_row(metric, *(cells[place] for place in part))
        pieces.append(drawn)
    return pieces


def unjudged_line(evaluation: Evaluation) -> list[str]:
    """Return how many episodes were not judged, in words; nothing where all were."""
    estimate = evaluation.metrics["unjudged"]
    count = round(estimate.mean * estimate.n) if estimate else 0
    if not count:
        return []
    told = f"The steps of {count:,} of {evaluation.episodes:,} episodes are not judged"
    return [f"{told}: their evidence is not known, or not in the corpus."]


def _parts(table: OfficialTable, width: int) -> list[list[int]]:
    """Return which groups stand in each piece of a table that is not wider than asked for."""
    room = width - max(len(metric) for metric, _ in table.rows)
    parts: list[list[int]] = [[]]
    left = room
    for place, group in enumerate(table.groups):
        cells = (row[1][place] for row in table.rows)
        wide = 3 + max(len(group), *map(len, cells))
        if wide > left and parts[-1]:
            parts.append([])
            left = room
        parts[-1].append(place)
        left -= wide
    return parts


def _groups(evaluation: Evaluation) -> dict[str, Mapping[str, float]]:
    """Return the metrics by the name of each group of tasks; a single kind is no group."""
    groups: dict[str, Mapping[str, float]] = {"all": evaluation.official}
    if len(evaluation.official_by_kind) > 1:
        groups |= {kind or "no kind": each for kind, each in evaluation.official_by_kind.items()}
    known = evaluation.official_by_hops.keys() - {"0"}
    for count, each in evaluation.official_by_hops.items() if known else ():
        words = {"0": "hops unknown", "1": "1 hop"}.get(count, f"{count} hops")
        groups[words] = each
    return groups


def _cell(value: float | None, places: int) -> str:
    return ABSENT if value is None else f"{value:.{places}f}"
