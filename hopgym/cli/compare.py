"""``hopgym compare``: runs on the same tasks, task by task, with paired bootstrap intervals."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hopgym.cli.display import console, new_table, print_json, progress
from hopgym.errors import DataError, require

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from hopgym.evaluation.comparison import Comparison, Difference, Differences
    from hopgym.runs.reader import KeptRun

_WIDTH = 100
_NAME_WIDTH, _PART_WIDTH = 17, 20
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
        typer.Option("--common", help="Compare on the tasks that all share, leave out the rest."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Compare runs with the first one on the same tasks.

    Differences are taken task by task, so that their 95% intervals are
    narrower than those of each run: success, F1, supported answers and
    steps, whole, by hops and by kind, with the tasks won and lost.
    """
    from hopgym.evaluation.comparison import compare, means_by_task
    from hopgym.registry.lookup import source_of
    from hopgym.runs.reader import read_runs

    kept = read_runs(runs, progress)
    require(len(kept) > 1, "RUN", "two or more different runs", ", ".join(map(str, runs)))
    first, *others = kept
    for other in others:
        _check_source(first, other)
    shared = frozenset.intersection(*(run.played for run in kept))
    if not common:
        for other in others:
            _check_tasks(first, other)
    elif not shared:
        names = ", ".join(run.name for run in kept)
        raise DataError(f"runs must have tasks in common, got {names}, which all share none")
    for other in others:
        _check_finished(first, other, shared)
    source = source_of(first.path, first.record)
    on_shared = [[each for each in run.episodes if each.task_id in shared] for run in kept]
    figures = means_by_task(on_shared, source)
    compared = [compare(figures[0], each) for each in figures[1:]]
    if as_json:
        print_json(_plain(kept, compared))
        return
    for other, comparison in zip(others, compared, strict=True):
        _print(first, other, comparison, len(shared))


def _check_source(first: "KeptRun", other: "KeptRun") -> None:
    """Refuse runs over tasks of different sources, whatever their ids."""
    if first.header.source == other.header.source:
        return
    shared = len(first.played & other.played)
    raise DataError(
        f"{other.name}: expected tasks of the same source as those of {first.name}, got another "
        f"one. What differs: {_differing(first, other)}. {shared:,} task ids stand in both, which "
        "says nothing across sources. Play both runs with the same id and arguments"
    )


def _differing(first: "KeptRun", other: "KeptRun") -> str:
    """Return in words how the environments of two runs differ."""
    if first.record.env_id != other.record.env_id:
        return f"the id, {first.record.env_id or 'none'} and {other.record.env_id or 'none'}"
    changed = _settings(first, other)
    if changed:
        return ", ".join(
            f"{name} ({_given(old)} and {_given(new)})" for name, (old, new) in changed.items()
        )
    versions = {first.header.version, other.header.version}
    if len(versions) > 1:
        return f"the version of hopgym, {first.header.version} and {other.header.version}"
    return "what the files of the tasks hold, under the same id and arguments"


def _settings(first: "KeptRun", other: "KeptRun") -> dict[str, tuple[Any, Any]]:
    """Return the environment arguments that differ; None stands for one that was not given."""
    names = dict.fromkeys([*first.record.env_kwargs, *other.record.env_kwargs])
    pairs = {
        name: (first.record.env_kwargs.get(name), other.record.env_kwargs.get(name))
        for name in names
    }
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _check_tasks(first: "KeptRun", other: "KeptRun") -> None:
    """Refuse runs over different tasks of one source."""
    shared = len(first.played & other.played)
    alone, others_alone = len(first.played) - shared, len(other.played) - shared
    if not alone + others_alone:
        return
    mend = "add --common to compare on these alone" if shared else "play both on the same tasks"
    raise DataError(
        f"{other.name}: expected the tasks of {first.name}, got others: the two share "
        f"{shared:,}, {alone:,} more were played in {first.name} alone and {others_alone:,} in "
        f"{other.name} alone; {mend}"
    )


def _check_finished(first: "KeptRun", other: "KeptRun", shared: frozenset[str]) -> None:
    """Refuse two runs without a task that both played without an error."""
    finished = [{each.task_id for each in run.episodes} & shared for run in (first, other)]
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


def _given(value: object) -> str:
    """Return the value of a setting in words; None stands for one that was not given."""
    return "the default" if value is None else repr(value)


def _plain(kept: "Sequence[KeptRun]", compared: "Sequence[Comparison]") -> dict[str, Any]:
    """Return all that is known of the comparisons as plain JSON."""
    from hopgym.evaluation.bootstrap import plain_fields
    from hopgym.evaluation.comparison import SHARE_MEANING

    first, *others = kept
    runs = {
        run.name: {
            "path": str(run.path),
            "episodes": len(run.episodes),
            "tasks": len(run.played),
            "errors": run.errors,
        }
        for run in kept
    }
    comparisons = [
        {"other": other.name, "settings": _settings(first, other), "even": comparison.even}
        | asdict(comparison, dict_factory=plain_fields)
        for other, comparison in zip(others, compared, strict=True)
    ]
    return {
        "source": first.header.source,
        "first": first.name,
        "runs": runs,
        "share": SHARE_MEANING,
        "comparisons": comparisons,
    }


def _print(first: "KeptRun", other: "KeptRun", comparison: "Comparison", shared: int) -> None:
    from hopgym.evaluation.comparison import SHARE_MEANING

    out = console(markup=False)  # The name of a run may hold brackets.

    def tell(text: str, style: str | None = None) -> None:
        out.print(text, style=style, width=_WIDTH)

    tell(f"{other.name} against {first.name}: {comparison.tasks:,} common tasks", "bold")
    for name, (old, new) in _settings(first, other).items():
        tell(f"{name}: {_given(old)} in {first.name}, {_given(new)} in {other.name}")
    if left_out := shared - comparison.tasks:
        tell(f"Left out, as a run has only errors of its policy there: {left_out:,} tasks.")
    out.print(_whole_table(first.name, other.name, comparison))
    tell(f"share: {SHARE_MEANING}.", "dim")
    out.print()
    out.print(_parts_table(comparison))
    out.print()
    for word, ids in (("won", comparison.won), ("lost", comparison.lost)):
        more = f", and {len(ids) - _IDS:,} more (--json)" if len(ids) > _IDS else ""
        tell(f"{word} {len(ids):,}{': ' if ids else ''}{', '.join(ids[:_IDS])}{more}")
    tell(f"even {comparison.even:,}")
    out.print()


def _whole_table(first: str, other: str, comparison: "Comparison") -> "Table":
    table = new_table("", "", first, other, "difference", "95% interval", "share", "tasks")
    for column in table.columns[1:3]:
        column.overflow, column.max_width = "fold", _NAME_WIDTH
    for name, found in comparison.metrics.items():
        if found is None:
            table.add_row(_TITLES[name], *[_ABSENT] * 5, "0")
            continue
        change, interval = _change(found, name)
        values = (_value(found.first, name), _value(found.other, name))
        table.add_row(
            _TITLES[name], *values, change, interval, f"{found.share:.3f}", f"{found.n:,}"
        )
    return table


def _parts_table(comparison: "Comparison") -> "Table":
    """Return the differences by hops and by kind, each interval under its mean."""
    titles = [_TITLES[name] for name in comparison.metrics]
    table = new_table("Differences by hops and kind", "", "tasks", *titles)
    table.columns[0].overflow, table.columns[0].max_width = "fold", _PART_WIDTH
    for hops, found in comparison.by_hops.items():
        words = {"0": "hops unknown", "1": "1 hop"}.get(hops, f"{hops} hops")
        table.add_row(words, *_cells(found))
    table.add_section()
    for kind, found in comparison.by_kind.items():
        table.add_row(kind or "any kind", *_cells(found))
    return table


def _cells(found: "Differences") -> "list[str | Text]":
    from rich.text import Text

    success = found["success"]
    cells: list[str | Text] = [f"{success.n:,}" if success else "0"]
    for name, difference in found.items():
        if difference is None:
            cells.append(_ABSENT)
        else:
            change, interval = _change(difference, name)
            cells.append(Text.assemble(change, "\n", (interval, "dim")))
    return cells


def _value(value: float, name: str) -> str:
    return f"{value:.2f}" if name in _COUNTS else f"{100 * value:.1f}%"


def _change(found: "Difference", name: str) -> tuple[str, str]:
    """Return a difference and its interval in words; those of shares are percentage points."""
    scale, digits = (1, 2) if name in _COUNTS else (100, 1)
    mean, low, high = (
        # Rounded first, so that none is printed as -0.0; 100.0 alone would take a column more.
        f"{round(scale * value, digits) + 0.0:+.{digits}f}".replace("100.0", "100")
        for value in (found.mean, found.low, found.high)
    )
    return mean, f"{low} to {high}" if found.low < found.high else _UNKNOWN
