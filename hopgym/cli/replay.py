"""``hopgym replay``: plays every record of a trajectory file again and compares the outcome."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hopgym.cli.display import print_json, progress, say
from hopgym.cli.options import make
from hopgym.registry.lookup import env_of_record
from hopgym.replay import replay
from hopgym.runs.trajectory_file import read_trajectories
from hopgym.trajectory import Trajectory

if TYPE_CHECKING:
    from hopgym.env import HopEnv

_PRINTED_RECORDS = 10
_PRINTED_LINES = 5


def replay_file(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A trajectory file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Play every record of a trajectory file again and compare.

    The exit code is 1 if anything differs: observations, verdicts, rewards,
    or how it ended. Ctrl-C prints the result so far, with exit code 130.
    """
    envs: dict[str, HopEnv] = {}
    differences: dict[str, list[str]] = {}
    records = 0
    stopped = False
    try:
        with progress("replayed", _lines(path) - 1) as advance:
            for record in read_trajectories(path):
                if lines := replay(record, _env_of(record, envs)):
                    differences[f"{record.task_id} sample {record.sample}"] = lines
                records += 1
                advance(1)
    except KeyboardInterrupt:
        stopped = True
        say("Stopped; what follows is about the records up to there.", style="warning")
    if as_json:
        print_json({
            "records": records, "different": len(differences), "differences": differences,
            "stopped": stopped,
        })  # fmt: skip
    else:
        _print_differences(records, differences)
    raise typer.Exit(130 if stopped else 1 if differences else 0)


def _lines(path: Path) -> int:
    """Return the number of lines of a file; 0 if it does not exist."""
    if not path.is_file():
        return 0
    with path.open("rb") as file:
        return sum(1 for _ in file)


def _env_of(record: Trajectory, envs: dict[str, "HopEnv"]) -> "HopEnv":
    """Return the environment of a record; records with the same id and arguments share one."""
    key = json.dumps([record.env_id, record.env_kwargs], sort_keys=True)
    if key not in envs:
        envs[key] = env_of_record(record, make)
    return envs[key]


def _print_differences(records: int, differences: dict[str, list[str]]) -> None:
    if not differences:
        print(f"{records:,} records, all as recorded")
        return
    print(f"{records:,} records, {len(differences):,} of them different")
    for key, lines in list(differences.items())[:_PRINTED_RECORDS]:
        print(f"\n{key}")
        for line in lines[:_PRINTED_LINES]:
            print(f"  {line}")
        if len(lines) > _PRINTED_LINES:
            print(f"  and {len(lines) - _PRINTED_LINES} more")
    if len(differences) > _PRINTED_RECORDS:
        say(f"{_PRINTED_RECORDS} of them shown; --json prints all", style="quiet")
