"""Runs on disk: trajectory files, and folders that hold one.

In: paths as typed. Out: the episodes of each run without what only a reader of them needs, and the
source of their tasks, made again.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from hopgym.cli.display import progress
from hopgym.cli.options import make, resolve_id
from hopgym.errors import DataError

if TYPE_CHECKING:
    from hopgym.runs.trajectory_file import Header
    from hopgym.tasks import TaskSource
    from hopgym.trajectory import Step, Trajectory

EPISODES = "episodes.jsonl"
"""The trajectory file in the folder of a run."""


@dataclass(frozen=True, slots=True)
class KeptRun:
    """A run read back."""

    name: str
    path: Path
    """Its trajectory file."""
    header: "Header"
    record: "Trajectory"
    """One of its records, which name id and arguments of the environment."""
    episodes: Sequence["Trajectory"]
    """In the order of the tasks, those that ended in an error left out, and of their steps what
    was written and shown."""
    played: frozenset[str]
    """Ids of all its tasks, those that ended in an error among them."""
    errors: int
    """Episodes that did."""


def trajectory_file(path: Path) -> Path:
    """Return the trajectory file that a path names: itself, or the one in a run's folder.

    Raises:
        DataError: When there is none.
    """
    if path.is_dir():
        file = path / EPISODES
        if not file.is_file():
            others = sorted(each.name for each in path.glob("*.jsonl"))
            hint = f"; it holds {', '.join(others)}: name one" if others else ""
            raise DataError(f"{path}: expected the folder of a run with {EPISODES}{hint}")
        return file
    if not path.is_file():
        raise DataError(f"{path}: expected a trajectory file or a run's folder, got no such file")
    return path


def named_files(paths: Sequence[Path]) -> dict[str, Path]:
    """Return trajectory files by the names of their runs, each file once.

    A run is named after its folder, or after its file where that has a name of its own; where two
    names are the same, by folder and name, or else by path.
    """
    files = list(dict.fromkeys(trajectory_file(path).resolve() for path in paths))
    namings: list[Callable[[Path], str]] = [
        _own_name,
        lambda file: f"{_folder(file).parent.name}/{_own_name(file)}",
        str,
    ]
    named = ({name(file): file for file in files} for name in namings)
    return next(each for each in named if len(each) == len(files))


def read_runs(paths: Sequence[Path]) -> list[KeptRun]:
    """Return runs in the order of their paths.

    Raises:
        DataError: When a path names no trajectory file, or one without an episode.
    """
    with progress("episodes read") as advance:
        return [_read(name, path, advance) for name, path in named_files(paths).items()]


def source_of(path: Path, record: "Trajectory") -> "TaskSource":
    """Return the source of the tasks of a trajectory file, made again.

    Args:
        path: The file.
        record: One of its records, which name id and arguments of the environment.

    Raises:
        DataError: When the record names no environment, or the tasks come out as others.
        ArgumentError: When the environment cannot be made, as for want of a file.
    """
    from hopgym.runs.trajectory_file import read_header

    if not record.env_id:
        raise DataError(
            f"{path}: expected records that name their environment, got none; play the run with "
            "a registered id"
        )
    source, header = make(resolve_id(record.env_id), record.env_kwargs).source, read_header(path)
    if source.fingerprint != header.source:
        raise DataError(
            f"{path}: expected tasks as {record.env_id} makes them now (hash "
            f"{source.fingerprint[:12]}), got others (hash {header.source[:12]}, hopgym "
            f"{header.code}); use the version and the files of the run"
        )
    return source


def _read(name: str, path: Path, advance: Callable[[int], None]) -> KeptRun:
    from hopgym.runs.trajectory_file import read_header, read_trajectories
    from hopgym.trajectory import ERROR_REASONS

    header, lean = read_header(path), list["Trajectory"]()
    for trajectory in read_trajectories(path):
        lean.append(replace(trajectory, prompt="", steps=tuple(_lean(trajectory.steps))))
        advance(1)
    if not lean:
        raise DataError(f"{path}: expected at least one episode, got none; finish one first")
    whole = [each for each in lean if each.reason not in ERROR_REASONS]
    return KeptRun(
        name=name,
        path=path,
        header=header,
        record=lean[0],
        episodes=sorted(whole, key=lambda each: (each.index, each.sample)),
        played=frozenset(each.task_id for each in lean),
        errors=len(lean) - len(whole),
    )


def _lean(steps: Sequence["Step"]) -> Iterator["Step"]:
    """Yield steps without their texts, so that tens of thousands of episodes fit in memory."""
    from hopgym.verdicts import Shown

    for step in steps:
        yield replace(step, text="", observation="", shown=Shown(), completion=None)


def _own_name(file: Path) -> str:
    return file.parent.name if file.name == EPISODES else file.stem


def _folder(file: Path) -> Path:
    """Return what a run's own name is looked for in."""
    return file.parent if file.name == EPISODES else file
