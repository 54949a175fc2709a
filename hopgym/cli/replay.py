"""``hopgym replay``: every record of a trajectory file played again and compared."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hopgym.cli.display import print_json, progress, say

if TYPE_CHECKING:
    from hopgym.env import HopEnv
    from hopgym.trajectory import Trajectory

_SHOWN_RECORDS, _SHOWN_LINES = 10, 5


def replay_file(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A trajectory file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Play every record of a trajectory file again and compare.

    Exit code 1 where anything differs: observations, verdicts, rewards, or how it ended.
    Ctrl-C tells what was found up to there, with exit code 130.
    """
    from hopgym.replay import replay
    from hopgym.runs.trajectory_file import read_trajectories

    envs: dict[str, HopEnv] = {}
    differences: dict[str, list[str]] = {}
    records, stopped = 0, False
    try:
        with progress("replayed", _lines(path) - 1) as advance:
            for record in read_trajectories(path):
                found = replay(record, _env_of(record, envs))
                if found:
                    differences[f"{record.task_id} sample {record.sample}"] = found
                records += 1
                advance(1)
    except KeyboardInterrupt:
        stopped = True
        say("Stopped; what follows is about the records up to there.", style="warning")
    if as_json:
        found_so_far = {"different": len(differences), "differences": differences}
        print_json({"records": records, **found_so_far, "stopped": stopped})
    else:
        _tell(records, differences)
    raise typer.Exit(130 if stopped else 1 if differences else 0)


def _lines(path: Path) -> int:
    """Return the number of lines of a file; 0 where there is none."""
    if not path.is_file():
        return 0
    with path.open("rb") as file:
        return sum(1 for _ in file)


def _env_of(record: "Trajectory", envs: dict[str, "HopEnv"]) -> "HopEnv":
    """Return an environment for a record; records with the same id and arguments share it."""
    from hopgym.registry.lookup import env_of_record

    key = json.dumps([record.env_id, record.env_kwargs], sort_keys=True)
    if key not in envs:
        envs[key] = env_of_record(record, progress)
    return envs[key]


def _tell(records: int, differences: dict[str, list[str]]) -> None:
    if not differences:
        print(f"{records:,} records, all as recorded")
        return
    print(f"{records:,} records, {len(differences):,} of them different")
    for key, lines in list(differences.items())[:_SHOWN_RECORDS]:
        print(f"\n{key}")
        for line in lines[:_SHOWN_LINES]:
            print(f"  {line}")
        if len(lines) > _SHOWN_LINES:
            print(f"  and {len(lines) - _SHOWN_LINES} more")
    if len(differences) > _SHOWN_RECORDS:
        say(f"{_SHOWN_RECORDS} of them shown; --json prints all", style="quiet")
