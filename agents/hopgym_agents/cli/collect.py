"""``hopgym collect``, ``decompose`` and ``export``: from tasks to trajectories to training rows.

In: an environment and a policy, or a run. Out: a run of several attempts at each task; its actions
by state; rows for TRL. Between them stands ``hopgym filter`` (`hopgym_agents.cli.filter`).
"""

import inspect
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hopgym.cli.display import console, new_table, print_json, progress, say, say_wrote
from hopgym.cli.options import takes_arguments
from hopgym.cli.rollout import rollout
from hopgym.errors import did_you_mean, require
from hopgym.progress import Advance
from hopgym.runs.reader import trajectory_file

if TYPE_CHECKING:
    from hopgym.trajectory import Trajectory
    from hopgym_agents.data.decomposition import SubTrajectory
    from hopgym_agents.data.export import TrainingRow

    RowsOf = Callable[[Trajectory, Iterable[SubTrajectory]], Iterable[TrainingRow]]

SAMPLES = 5
"""Attempts at each task, as in SWiRL (Goldie et al. 2025, arXiv 2504.04736, section 2.1)."""

_Run = Annotated[Path, typer.Argument(metavar="RUN", help="Trajectory file or run's folder.")]
_Out = Annotated[
    Path, typer.Option(help="Ends with .jsonl or .parquet; a name without suffix is a folder.")
]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]


@takes_arguments
@wraps(rollout, assigned=["__annotations__"])
def collect(*words: Any, **options: Any) -> None:
    """Play each task several times with a policy and write the trajectories.

    As hopgym rollout, with five attempts at each task. Killed or stopped, the
    same command goes on; a larger -n adds tasks. Any argument of the
    environment may follow (--max_steps 5), and options of the policy:
    --policy noisy_oracle --noisy_oracle.p 0.3.
    """
    rollout(*words, **options)


def _signature() -> inspect.Signature:
    """Return the options of `rollout` with other defaults."""
    known = inspect.signature(rollout)
    parameters = dict(known.parameters)
    parameters["samples"] = parameters["samples"].replace(default=SAMPLES)
    return known.replace(parameters=list(parameters.values()))


collect.__signature__ = _signature()  # type: ignore[attr-defined]


def decompose(run: _Run, out: _Out, as_json: _Json = False) -> None:
    """Cut the episodes of a run into rows, one for each action.

    A row holds the state (environment, task, texts of the actions before), the
    action, its verdict and its rewards: all that it takes to judge another
    action in the same state. Steps that used what was not shown are left out,
    and episodes that ended in an error.
    """
    from hopgym_agents.data.export import state_row

    _write(run, out, as_json, lambda episode, subs: map(state_row, subs))


def export(
    run: _Run,
    out: _Out,
    form: Annotated[
        str,
        typer.Option(help="prompt_completion (an action a row) or messages (an episode a row)."),
    ] = "prompt_completion",
    style: Annotated[str, typer.Option(help="plain, system, swirl or native.")] = "plain",
    template: Annotated[Path | None, typer.Option(help="Jinja2 file with one's own words.")] = None,
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

    They are rendered as for acting. Steps that used what was not shown are
    left out, and episodes that ended in an error.
    """
    from hopgym_agents.data.export import FORMS, WEIGHTS, message_row, prompt_row
    from hopgym_agents.prompts import get_style

    for name, value, known in (("form", form, FORMS), ("weight", weight, tuple(WEIGHTS))):
        expected = f"one of {', '.join(known)}"
        require(value in known, name, f"{expected}{did_you_mean(value, known)}", value)
    chosen = get_style(style, str(template) if template else None)

    def rows_of(episode: "Trajectory", subs: "Iterable[SubTrajectory]") -> "Iterator[TrainingRow]":
        rows = (prompt_row(sub, chosen, weight) for sub in subs)
        if form == "messages":
            rows = (row for row in [message_row(episode, chosen, weight)] if row)
        return (row for row in rows if row["weight"])

    _write(run, out, as_json, rows_of)


class _Tally:
    """What was read and what of it was written."""

    def __init__(self) -> None:
        self.episodes = self.errors = self.privileged = self.rows = 0
        self.verdicts: Counter[str] = Counter()

    def add(self, episode: "Trajectory") -> None:
        """Count an episode and its steps."""
        from hopgym.trajectory import ERROR_REASONS
        from hopgym_agents.data.decomposition import is_privileged

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


def _write(run: Path, out: Path, as_json: bool, rows_of: "RowsOf") -> None:
    """Write the rows of a run's episodes, and print what they come to."""
    from hopgym_agents.data.export import check_output_path, write_rows

    file, tally = trajectory_file(run), _Tally()
    check_output_path(out, file)
    with progress("episodes read") as advance:
        tally.rows = write_rows(_rows(file, rows_of, tally, advance), out)
    if as_json:
        print_json(tally.to_dict() | {"run": str(file), "out": str(out)})
    else:
        _print(tally)
    say_wrote({"rows": out}, {"load them": f"hopgym_agents.data.export.load_rows({str(out)!r})"})


def _rows(
    file: Path, rows_of: "RowsOf", tally: _Tally, advance: Advance
) -> "Iterator[TrainingRow]":
    from hopgym.runs.trajectory_file import read_trajectories
    from hopgym_agents.data.decomposition import decompose as cut

    for episode in read_trajectories(file):
        tally.add(episode)
        yield from rows_of(episode, cut(episode))
        advance(1)


def _print(tally: _Tally) -> None:
    from hopgym.verdicts import GOOD_VERDICTS, Verdict

    steps = tally.verdicts.total()
    table = new_table("Actions by verdict", "verdict", "", "actions", "share")
    for verdict in Verdict:
        if count := tally.verdicts[verdict]:
            good = "GOOD" if verdict in GOOD_VERDICTS else ""
            table.add_row(str(verdict), good, f"{count:,}", f"{100 * count / steps:.1f}%")
    console().print(table)
    left = [f"{tally.errors:,} ended in an error"] if tally.errors else []
    left += [f"{tally.privileged:,} steps used what was not shown"] if tally.privileged else []
    aside = f" Left out: {', '.join(left)}." if left else ""
    say(f"{tally.rows:,} rows from {tally.episodes:,} episodes.{aside}")
