"""``hopgym filter``: counts the episodes that pass each filter, and writes those that pass one.

The table's process accuracy is table 3 of SWiRL (Goldie et al. 2025, arXiv 2504.04736).
"""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from hopgym.cli.display import console, new_table, print_json, progress, say, say_wrote
from hopgym.errors import ArgumentError
from hopgym.evaluation import Estimate
from hopgym.runs.reader import trajectory_file
from hopgym_agents.data.filter_run import FilterSummary, filter_file, read_ratings
from hopgym_agents.prompts import get_style

_ABSENT = "–"


def filter_run(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Trajectory file or run's folder.")],
    name: Annotated[
        str, typer.Option("--filter", help="none, process (every step GOOD), outcome or both.")
    ] = "process",
    out: Annotated[
        Path | None,
        typer.Option(help="Trajectory file to write; without it, episodes are only counted."),
    ] = None,
    keep: Annotated[
        str,
        typer.Option(help="How many to write: a number, all, or equal (the smallest count)."),
    ] = "equal",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sample.")] = 0,
    judgements: Annotated[
        Path | None,
        typer.Option(help="File of hopgym judge, to use its ratings instead of the verdicts."),
    ] = None,
    style: Annotated[str, typer.Option(help="Style of the judge's conversations.")] = "plain",
    template: Annotated[
        Path | None, typer.Option(help="Template of the judge's conversations.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Count the episodes that pass each filter, and write those of one filter.

    By default their number is that of the strictest filter, so that models
    trained on the results can be compared. The sample depends on the seed only.
    """
    file = trajectory_file(run)
    count = _count(keep)
    ratings = None
    if judgements:
        chosen = get_style(style, str(template) if template else None)
        ratings = read_ratings(judgements, file, chosen)
    result = filter_file(
        file, out, name, count=count, seed=seed, ratings=ratings, progress=progress
    )
    if as_json:
        print_json(result.to_dict())
    else:
        console().print(_table(result.filters, ratings is not None))
    if result.left_out:
        reason = "not judged whole or ended in an error" if judgements else "ended in an error"
        say(f"{result.left_out:,} episodes {reason}; they are left out.")
    if out is not None:
        say(f"Kept {result.written:,} of the episodes that pass the filter {name}.")
        command = shlex.join(["hopgym", "export", str(out), "--out", "ROWS"])
        say_wrote({"trajectories": out}, {"training rows": command})


def _count(keep: str) -> int | Literal["all", "equal"]:
    named: dict[str, Literal["all", "equal"]] = {"all": "all", "equal": "equal"}
    if keep in named:
        return named[keep]
    if not keep.isdecimal() or not int(keep):
        raise ArgumentError(f"keep must be a whole number from 1, all or equal, got {keep!r}")
    return int(keep)


def _table(summary: Mapping[str, FilterSummary], judged: bool) -> Any:
    columns = ["filter", "pass", "share", "process accuracy"]
    columns += ["by the judge"] if judged else []
    table = new_table("Episodes by filter", *columns, "success")
    total = summary["none"].trajectories
    for name, row in summary.items():
        cells = [name, f"{row.trajectories:,}", f"{100 * row.trajectories / total:.1f}%"]
        cells += [_cell(row.process_accuracy)]
        cells += [_cell(row.judged_accuracy)] if judged else []
        table.add_row(*cells, _cell(row.success))
    return table


def _cell(estimate: Estimate | None) -> str:
    if estimate is None:
        return _ABSENT
    low = 100 * estimate.low
    high = 100 * estimate.high
    interval = f" ({low:.1f}–{high:.1f})" if estimate.has_interval else ""
    return f"{100 * estimate.mean:.1f}%{interval}"
