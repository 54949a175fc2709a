"""``hopgym filter``: how many trajectories pass each filter, and equally many of one of them.

In: a run, and a judge's file where its word is to count. Out: a table of the filters (SWiRL's
table 3 is its process accuracy; Goldie et al. 2025, arXiv 2504.04736), and a run of what is kept.
"""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hopgym.cli.display import console, new_table, print_json, progress, say, say_wrote
from hopgym.errors import ArgumentError
from hopgym.runs.reader import trajectory_file

if TYPE_CHECKING:
    from hopgym.evaluation import Estimate
    from hopgym_agents.data.filtering import FilterSummary

_ABSENT = "–"


def filter_run(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Trajectory file or run's folder.")],
    name: Annotated[
        str, typer.Option("--filter", help="none, process (every step GOOD), outcome or both.")
    ] = "process",
    out: Annotated[
        Path | None, typer.Option(help="Trajectory file for what is kept; none: only count.")
    ] = None,
    keep: Annotated[
        str,
        typer.Option(help="How many to keep: a number, all, or equal (as many as any filter has)."),
    ] = "equal",
    seed: Annotated[int, typer.Option(min=0, help="Seed of what is drawn to be kept.")] = 0,
    judgements: Annotated[
        Path | None, typer.Option(help="File of hopgym judge: its word counts, not the verdicts.")
    ] = None,
    style: Annotated[str, typer.Option(help="Style of the judge's conversations.")] = "plain",
    template: Annotated[Path | None, typer.Option(help="Template of the judge's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Tell how many episodes pass each filter, and keep those of one.

    As many are kept as the strictest filter has, so that what is learnt from
    each can be compared; what is kept depends on the seed alone.
    """
    from hopgym_agents.data.filtering import filter_file, read_ratings
    from hopgym_agents.prompts import get_style

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
        why = "not judged whole or ended in an error" if judgements else "ended in an error"
        say(f"{result.left_out:,} episodes {why}; they are left out.")
    if out is not None:
        say(f"Kept {result.written:,} of the episodes that pass the filter {name}.")
        further = {"training rows": shlex.join(["hopgym", "export", str(out), "--out", "ROWS"])}
        say_wrote({"trajectories": out}, further)


def _count(keep: str) -> int | Literal["all", "equal"]:
    named: dict[str, Literal["all", "equal"]] = {"all": "all", "equal": "equal"}
    if keep in named:
        return named[keep]
    if not keep.isdecimal() or not int(keep):
        raise ArgumentError(f"keep must be a whole number from 1, all or equal, got {keep!r}")
    return int(keep)


def _table(summary: "Mapping[str, FilterSummary]", judged: bool) -> Any:
    columns = ["filter", "pass", "share", "process accuracy"]
    columns += ["by the judge"] if judged else []
    table = new_table("Episodes by filter", *columns, "success")
    whole = summary["none"].trajectories
    for name, found in summary.items():
        cells = [name, f"{found.trajectories:,}", f"{100 * found.trajectories / whole:.1f}%"]
        cells += [_cell(found.process_accuracy)]
        cells += [_cell(found.judged_accuracy)] if judged else []
        table.add_row(*cells, _cell(found.success))
    return table


def _cell(estimate: "Estimate | None") -> str:
    if estimate is None:
        return _ABSENT
    low, high = 100 * estimate.low, 100 * estimate.high
    interval = f" ({low:.1f}–{high:.1f})" if estimate.has_interval else ""
    return f"{100 * estimate.mean:.1f}%{interval}"
