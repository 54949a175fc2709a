"""``hopgym collect``, ``decompose`` and ``export``: from tasks to trajectories to training rows.

Between them comes ``hopgym filter`` (`hopgym_agents.cli.filter`).
"""

import inspect
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from hopgym.cli.display import console, new_table, print_json, progress, say, say_wrote
from hopgym.cli.options import takes_arguments
from hopgym.cli.rollout import rollout
from hopgym.errors import did_you_mean, require
from hopgym.progress import Advance
from hopgym.runs.reader import trajectory_file
from hopgym.runs.trajectory_file import read_trajectories
from hopgym.trajectory import ERROR_REASONS, Trajectory
from hopgym.verdicts import GOOD_VERDICTS, Verdict
from hopgym_agents.data import decomposition
from hopgym_agents.data.decomposition import SubTrajectory, is_privileged
from hopgym_agents.data.export import (
    FORMS,
    WEIGHTS,
    TrainingRow,
    check_output_path,
    message_row,
    prompt_row,
    state_row,
    write_rows,
)
from hopgym_agents.prompts import get_style

SAMPLES = 5
"""Attempts at each task, as in SWiRL (Goldie et al. 2025, arXiv 2504.04736, section 2.1)."""

RowsOf = Callable[[Trajectory, Iterable[SubTrajectory]], Iterable[TrainingRow]]
"""Takes an episode and its sub-trajectories, and returns training rows."""

_Run = Annotated[Path, typer.Argument(metavar="RUN", help="Trajectory file or run's folder.")]
_Out = Annotated[
    Path, typer.Option(help="A .jsonl or .parquet file; a name without suffix is a folder.")
]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]


@takes_arguments
@wraps(rollout, assigned=["__annotations__"])
def collect(*args: Any, **options: Any) -> None:
    """Play each task several times with a policy and write the trajectories.

    As hopgym rollout, with five attempts at each task. The same command
    resumes a stopped run; a larger -n adds tasks. Any argument of the
    environment may follow (--max_steps 5), and options of the policy:
    --policy noisy_oracle --noisy_oracle.p 0.3.
    """
    rollout(*args, **options)


def _signature() -> inspect.Signature:
    """Return the options of `rollout` with another default for ``samples``."""
    signature = inspect.signature(rollout)
    parameters = dict(signature.parameters)
    parameters["samples"] = parameters["samples"].replace(default=SAMPLES)
    return signature.replace(parameters=list(parameters.values()))


collect.__signature__ = _signature()  # type: ignore[attr-defined]


def decompose(run: _Run, out: _Out, as_json: _Json = False) -> None:
    """Cut the episodes of a run into rows, one for each action.

    A row has the state (environment, task, texts of the actions before), the
    action, its verdict and its rewards: everything needed to judge another
    action in the same state. Steps that used a title before it was shown are
    left out, and episodes that ended in an error.
    """
    _write(run, out, as_json, lambda episode, subs: map(state_row, subs))


def export(
    run: _Run,
    out: _Out,
    form: Annotated[
        str,
        typer.Option(help="prompt_completion (a row per action) or messages (a row per episode)."),
    ] = "prompt_completion",
    style: Annotated[str, typer.Option(help="plain, system, swirl or native.")] = "plain",
    template: Annotated[Path | None, typer.Option(help="Your own Jinja2 template.")] = None,
    weight: Annotated[
        str,
        typer.Option(
            help="Column weight: one, good (1 for GOOD), process (its reward) or success (1 for a "
            "right answer). Rows of weight 0 are left out."
        ),
    ] = "one",
    as_json: _Json = False,
) -> None:
    """Write the actions or episodes of a run as training rows for TRL.

    They are rendered as for acting. Steps that used a title before it was
    shown are left out, and episodes that ended in an error.
    """
    for name, value, known in (("form", form, FORMS), ("weight", weight, tuple(WEIGHTS))):
        expected = f"one of {', '.join(known)}"
        require(value in known, name, f"{expected}{did_you_mean(value, known)}", value)
    chosen = get_style(style, str(template) if template else None)

    def rows_of(episode: Trajectory, subs: Iterable[SubTrajectory]) -> Iterator[TrainingRow]:
        rows = (prompt_row(sub, chosen, weight) for sub in subs)
        if form == "messages":
            rows = (row for row in [message_row(episode, chosen, weight)] if row)
        return (row for row in rows if row["weight"])

    _write(run, out, as_json, rows_of)


class _Counts:
    """Counts of the episodes read and the rows written."""

    def __init__(self) -> None:
        self.episodes = 0
        self.errors = 0
        self.privileged = 0
        self.rows = 0
        self.verdicts: Counter[str] = Counter()

    def add(self, episode: Trajectory) -> None:
        """Count an episode and its steps."""
        self.episodes += 1
        if episode.stop_reason in ERROR_REASONS:
            self.errors += 1
            return
        for step in episode.steps:
            if not step.from_prefix:
                self.privileged += is_privileged(step)
                self.verdicts[str(step.verdict)] += not is_privileged(step)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON."""
        return vars(self) | {"verdicts": +self.verdicts}


def _write(run: Path, out: Path, as_json: bool, rows_of: RowsOf) -> None:
    """Write the rows of a run's episodes, and print their counts."""
    file = trajectory_file(run)
    counts = _Counts()
    check_output_path(out, file)
    with progress("episodes read") as advance:
        counts.rows = write_rows(_rows(file, rows_of, counts, advance), out)
    if as_json:
        print_json(counts.to_dict() | {"run": str(file), "out": str(out)})
    else:
        _print(counts)
    say_wrote({"rows": out}, {"load them": f"hopgym_agents.data.export.load_rows({str(out)!r})"})


def _rows(file: Path, rows_of: RowsOf, counts: _Counts, advance: Advance) -> Iterator[TrainingRow]:
    for episode in read_trajectories(file):
        counts.add(episode)
        yield from rows_of(episode, decomposition.decompose(episode))
        advance(1)


def _print(counts: _Counts) -> None:
    steps = counts.verdicts.total()
    table = new_table("Actions by verdict", "verdict", "", "actions", "share")
    for verdict in Verdict:
        if count := counts.verdicts[verdict]:
            good = "GOOD" if verdict in GOOD_VERDICTS else ""
            table.add_row(str(verdict), good, f"{count:,}", f"{100 * count / steps:.1f}%")
    console().print(table)
    left_out = [f"{counts.errors:,} ended in an error"] if counts.errors else []
    if counts.privileged:
        left_out.append(f"{counts.privileged:,} steps used what was not shown")
    note = f" Left out: {', '.join(left_out)}." if left_out else ""
    say(f"{counts.rows:,} rows from {counts.episodes:,} episodes.{note}")
