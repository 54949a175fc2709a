"""``hopgym filter``: how many trajectories pass each filter, and equally many of one of them.

In: a run, and a judge's file where its word is to count. Out: a table of the filters (SWiRL's
table 3 is its process accuracy; Goldie et al. 2025, arXiv 2504.04736), and a run of what is kept.
"""

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from hopgym.cli.display import console, new_table, print_json, progress, say, say_wrote
from hopgym.errors import ArgumentError, DataError
from hopgym.runs.reader import trajectory_file

if TYPE_CHECKING:
    from hopgym.evaluation import Estimate
    from hopgym_agents.data.filtering import Label, Marks, Passed
    from hopgym_agents.prompts import Style

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
    from hopgym_agents.prompts import style_named

    file, wanted, marks = trajectory_file(run), _wanted(keep), None
    if judgements:
        marks = marks_of(judgements, file, style_named(style, str(template) if template else None))
    found = filter_file(file, out, name, keep=wanted, seed=seed, marks=marks)
    if as_json:
        print_json(found.to_dict())
    else:
        console().print(_table(found.filters, marks is not None))
    if found.left_out:
        why = "not judged whole or ended in an error" if judgements else "ended in an error"
        say(f"{found.left_out:,} episodes {why}; they are left out.")
    if out is not None:
        say(f"Kept {found.kept:,} of the episodes that pass the filter {name}.")
        further = {"training rows": shlex.join(["hopgym", "export", str(out), "--out", "ROWS"])}
        say_wrote({"trajectories": out}, further)


@dataclass(frozen=True, slots=True)
class Filtered:
    """What the filters make of a run."""

    run: str
    """The trajectory file."""
    left_out: int
    """Episodes that no filter takes: they ended in an error, or a judge has not judged them."""
    filters: "Mapping[str, Passed]"
    """What passes each of `hopgym_agents.data.filtering.FILTERS`."""
    filter: str
    """The one whose trajectories are kept."""
    kept: int
    """How many were written."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON."""
        from hopgym.evaluation.bootstrap import plain_fields

        return asdict(self, dict_factory=plain_fields)


def filter_file(
    file: Path,
    out: Path | None,
    name: str,
    *,
    keep: int | Literal["all", "equal"] = "equal",
    seed: int = 0,
    marks: "Marks | None" = None,
) -> Filtered:
    """Return what passes each filter of a run, and write the trajectories that are kept of one.

    Args:
        file: Trajectory file of the run.
        out: Trajectory file to write, the same at each call; None writes nothing.
        name: The filter, of `hopgym_agents.data.filtering.FILTERS`.
        keep: How many trajectories; ``equal`` for the smallest number that passes any filter.
        seed: Of what is drawn, 0 or more.
        marks: A judge's, where its word counts instead of the exact verdicts.

    Raises:
        ArgumentError: On an unknown filter, or a file that would be written over itself.
        DataError: When nothing passes, or less than is to be kept.
    """
    from hopgym.runs.trajectory_file import read_trajectories
    from hopgym_agents.data.filtering import draw, labels_of, passed, passing

    passing([], name)  # A wrong name is told of before anything is read.
    labels, left_out = [], 0
    with progress("episodes read") as advance:
        for label in labels_of(read_trajectories(file), marks):
            left_out += label is None
            labels += [label] if label is not None else []
            advance(1)
    if not labels:
        told = "that a judge has judged whole" if marks is not None else "without an error"
        raise DataError(f"{file}: expected episodes {told}, got none of {left_out:,}")
    kept: list[Label] = []
    if out is not None:
        count = len(passing(labels, name)) or 1 if keep == "all" else keep
        kept = draw(labels, name, keep=None if count == "equal" else count, seed=seed)
        _copy(file, out, kept, {"filter": name})
    return Filtered(str(file), left_out, passed(labels), name, len(kept))


def marks_of(path: Path, run: Path, style: "Style") -> "Marks":
    """Return a judge's marks on the steps of a run.

    Args:
        path: File of judgements.
        run: Trajectory file that they are of.
        style: How the judge was shown the conversations.

    Raises:
        DataError: When the file is none of judgements, or its judgements are of other texts than
            the steps of the run.
    """
    from hopgym.runs.trajectory_file import read_header, read_trajectories
    from hopgym_agents.judging.judge import digest_of, judge_request, steps_of
    from hopgym_agents.judging.store import read_judgements

    if read_header(path).source != read_header(run).source:
        raise DataError(f"{path}: expected judgements of the tasks of {run}, got those of others")
    marks, asked = {}, {}
    for judgement in read_judgements(path):
        marks[judgement.key], asked[judgement.key] = judgement.mark, judgement.asked
    for episode in read_trajectories(run):
        for prefix in steps_of(episode):
            key = (*prefix.key, len(prefix.steps) - 1)
            if key in asked and asked[key] != digest_of(judge_request(prefix, style)):
                raise DataError(
                    f"{path}: expected judgements of the steps of {run}, that of {key} is of "
                    "another text: give the --style of hopgym judge, or judge the run again"
                )
    return marks


def _wanted(keep: str) -> int | Literal["all", "equal"]:
    named: dict[str, Literal["all", "equal"]] = {"all": "all", "equal": "equal"}
    if keep in named:
        return named[keep]
    if not keep.isdecimal() or not int(keep):
        raise ArgumentError(f"keep must be a whole number from 1, all or equal, got {keep!r}")
    return int(keep)


def _copy(file: Path, out: Path, kept: "list[Label]", config: Mapping[str, Any]) -> None:
    """Write the kept trajectories as a run of their own, in the order of the file."""
    import msgspec

    from hopgym.runs.line_file import whole_file
    from hopgym.runs.trajectory_file import Header, read_header, read_trajectories

    keys, run = {each.key for each in kept}, read_header(file)
    header = Header.of({"run": run.config, "kept": sorted(keys), **config}, run.source)
    with whole_file(out, "--out", [file]) as written:
        written.write(msgspec.json.encode(header) + b"\n")
        for trajectory in read_trajectories(file):
            if trajectory.key in keys:
                written.write(msgspec.json.encode(trajectory) + b"\n")


def _table(summary: "Mapping[str, Passed]", judged: bool) -> Any:
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
    interval = f" ({low:.1f}–{high:.1f})" if estimate.known else ""
    return f"{100 * estimate.mean:.1f}%{interval}"
