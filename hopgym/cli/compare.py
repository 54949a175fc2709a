"""``hopgym compare``: compares runs task by task, with paired bootstrap intervals."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from hopgym.cli.display import console, new_table, print_json, progress
from hopgym.errors import DataError, require
from hopgym.evaluation.bootstrap import plain_fields
from hopgym.evaluation.comparison import (
    SHARE_MEANING,
    Comparison,
    Difference,
    Differences,
    compare,
    means_by_task,
)
from hopgym.registry.lookup import source_of
from hopgym.runs.reader import StoredRun, read_runs

if TYPE_CHECKING:
    from rich.table import Table

_WIDTH = 100
_NAME_WIDTH = 17
_GROUP_WIDTH = 20
_IDS = 5
_TITLES = {"success": "success", "f1": "F1", "supported": "supported", "steps": "steps"}
_COUNTS = frozenset({"steps"})
_ABSENT = "–"
_UNKNOWN = "unknown"


def compare_runs(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN RUN...", help="Trajectory files or folders of runs."),
    ],
    common: Annotated[
        bool,
        typer.Option("--common", help="Compare on the tasks that all runs share."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Compare runs with the first one on the same tasks.

    Differences are taken task by task, so their 95% intervals are narrower
    than those of each run. They are in success, F1, supported answers and
    steps, overall, by hops and by kind, with the tasks won and lost.
    """
    stored_runs = read_runs(runs, progress)
    require(len(stored_runs) > 1, "RUN", "two or more different runs", ", ".join(map(str, runs)))
    first, *other_runs = stored_runs
    for other in other_runs:
        _check_source(first, other)
    shared = frozenset.intersection(*(run.task_ids for run in stored_runs))
    if not common:
        for other in other_runs:
            _check_tasks(first, other)
    elif not shared:
        names = ", ".join(run.name for run in stored_runs)
        raise DataError(f"runs must have tasks in common, got {names}, which all share none")
    for other in other_runs:
        _check_finished(first, other, shared)
    source = source_of(first.path, first.record)
    episodes = [
        [episode for episode in run.episodes if episode.task_id in shared] for run in stored_runs
    ]
    means = means_by_task(episodes, source)
    comparisons = [compare(means[0], other_means) for other_means in means[1:]]
    if as_json:
        print_json(_plain(stored_runs, comparisons))
        return
    for other, comparison in zip(other_runs, comparisons, strict=True):
        _print(first, other, comparison, len(shared))


def _check_source(first: StoredRun, other: StoredRun) -> None:
    """Refuse runs on different sources, even if their task ids agree."""
    if first.header.source == other.header.source:
        return
    shared = len(first.task_ids & other.task_ids)
    raise DataError(
        f"{other.name}: expected tasks of the same source as those of {first.name}, got another "
        f"one. What differs: {_difference(first, other)}. {shared:,} task ids stand in both, which "
        "says nothing across sources. Play both runs with the same id and arguments"
    )


def _difference(first: StoredRun, other: StoredRun) -> str:
    """Describe how the environments of two runs differ."""
    if first.record.env_id != other.record.env_id:
        return f"the id, {first.record.env_id or 'none'} and {other.record.env_id or 'none'}"
    changed = _settings(first, other)
    if changed:
        return ", ".join(
            f"{name} ({_setting(old)} and {_setting(new)})" for name, (old, new) in changed.items()
        )
    versions = {first.header.version, other.header.version}
    if len(versions) > 1:
        return f"the version of hopgym, {first.header.version} and {other.header.version}"
    return "what the files of the tasks hold, under the same id and arguments"


def _settings(first: StoredRun, other: StoredRun) -> dict[str, tuple[Any, Any]]:
    """Return the environment arguments that differ; None stands for one that is not set."""
    names = dict.fromkeys([*first.record.env_kwargs, *other.record.env_kwargs])
    pairs = {
        name: (first.record.env_kwargs.get(name), other.record.env_kwargs.get(name))
        for name in names
    }
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _check_tasks(first: StoredRun, other: StoredRun) -> None:
    """Refuse runs on different tasks of one source."""
    shared = len(first.task_ids & other.task_ids)
    first_only = len(first.task_ids) - shared
    other_only = len(other.task_ids) - shared
    if not first_only + other_only:
        return
    fix = "add --common to compare on these alone" if shared else "play both on the same tasks"
    raise DataError(
        f"{other.name}: expected the tasks of {first.name}, got others: the two share "
        f"{shared:,}, {first_only:,} more were played in {first.name} alone and {other_only:,} in "
        f"{other.name} alone; {fix}"
    )


def _check_finished(first: StoredRun, other: StoredRun, shared: frozenset[str]) -> None:
    """Refuse two runs without a task that both played without an error."""
    finished = [{episode.task_id for episode in run.episodes} & shared for run in (first, other)]
    if finished[0] & finished[1]:
        return
    counts = " and ".join(
        f"{len(tasks):,} in {run.name} ({run.errors:,} episodes ended in an error of the policy)"
        for run, tasks in zip((first, other), finished, strict=True)
    )
    raise DataError(
        f"{other.name}: expected tasks that it and {first.name} both played without an error, got "
        f"none: of {len(shared):,} common tasks, {counts}; run the same command again to play "
        "those anew"
    )


def _setting(value: object) -> str:
    return "the default" if value is None else repr(value)


def _plain(stored_runs: Sequence[StoredRun], comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """Return runs and comparisons as plain JSON."""
    first, *other_runs = stored_runs
    runs = {
        run.name: {
            "path": str(run.path),
            "episodes": len(run.episodes),
            "tasks": len(run.task_ids),
            "errors": run.errors,
        }
        for run in stored_runs
    }
    plain = [
        {"other": other.name, "settings": _settings(first, other), "even": comparison.even}
        | asdict(comparison, dict_factory=plain_fields)
        for other, comparison in zip(other_runs, comparisons, strict=True)
    ]
    return {
        "source": first.header.source,
        "first": first.name,
        "runs": runs,
        "share": SHARE_MEANING,
        "comparisons": plain,
    }


def _print(first: StoredRun, other: StoredRun, comparison: Comparison, shared: int) -> None:
    out = console(markup=False)  # The name of a run may contain brackets.

    def print_line(text: str, style: str | None = None) -> None:
        out.print(text, style=style, width=_WIDTH)

    print_line(f"{other.name} against {first.name}: {comparison.tasks:,} common tasks", "bold")
    for name, (old, new) in _settings(first, other).items():
        print_line(f"{name}: {_setting(old)} in {first.name}, {_setting(new)} in {other.name}")
    if left_out := shared - comparison.tasks:
        print_line(f"Left out, as a run has only errors of its policy there: {left_out:,} tasks.")
    out.print(_overall_table(first.name, other.name, comparison))
    print_line(f"share: {SHARE_MEANING}.", "dim")
    out.print()
    out.print(_groups_table(comparison))
    out.print()
    for label, ids in (("won", comparison.won), ("lost", comparison.lost)):
        more = f", and {len(ids) - _IDS:,} more (--json)" if len(ids) > _IDS else ""
        print_line(f"{label} {len(ids):,}{': ' if ids else ''}{', '.join(ids[:_IDS])}{more}")
    print_line(f"even {comparison.even:,}")
    out.print()


def _overall_table(first: str, other: str, comparison: Comparison) -> "Table":
    table = new_table("", "", first, other, "difference", "95% interval", "share", "tasks")
    for column in table.columns[1:3]:
        column.overflow = "fold"
        column.max_width = _NAME_WIDTH
    for name, difference in comparison.metrics.items():
        if difference is None:
            table.add_row(_TITLES[name], *[_ABSENT] * 5, "0")
            continue
        change, interval = _change(difference, name)
        values = (_value(difference.first, name), _value(difference.other, name))
        share = f"{difference.share:.3f}"
        table.add_row(_TITLES[name], *values, change, interval, share, f"{difference.n:,}")
    return table


def _groups_table(comparison: Comparison) -> "Table":
    """Return the differences by hops and by kind, with each interval below its mean."""
    titles = [_TITLES[name] for name in comparison.metrics]
    table = new_table("Differences by hops and kind", "", "tasks", *titles)
    table.columns[0].overflow = "fold"
    table.columns[0].max_width = _GROUP_WIDTH
    for hops, differences in comparison.by_hops.items():
        label = {"0": "hops unknown", "1": "1 hop"}.get(hops, f"{hops} hops")
        table.add_row(label, *_cells(differences))
    table.add_section()
    for kind, differences in comparison.by_kind.items():
        table.add_row(kind or "any kind", *_cells(differences))
    return table


def _cells(differences: Differences) -> list[str | Text]:
    success = differences["success"]
    cells: list[str | Text] = [f"{success.n:,}" if success else "0"]
    for name, difference in differences.items():
        if difference is None:
            cells.append(_ABSENT)
        else:
            change, interval = _change(difference, name)
            cells.append(Text.assemble(change, "\n", (interval, "dim")))
    return cells


def _value(value: float, name: str) -> str:
    return f"{value:.2f}" if name in _COUNTS else f"{100 * value:.1f}%"


def _change(difference: Difference, name: str) -> tuple[str, str]:
    """Return a difference and its interval as text; shares are in percentage points."""
    scale, digits = (1, 2) if name in _COUNTS else (100, 1)
    mean, low, high = (
        # Rounded before it is formatted, so that -0.0 does not occur. 100.0 would be too wide.
        f"{round(scale * value, digits) + 0.0:+.{digits}f}".replace("100.0", "100")
        for value in (difference.mean, difference.low, difference.high)
    )
    return mean, f"{low} to {high}" if difference.low < difference.high else _UNKNOWN
