"""Runs on disk: trajectory files, and folders that hold one.

In: paths as typed. Out: the episodes of each run without what only a reader of them needs, and the
source of their tasks, made again.
"""

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from hopgym.errors import DataError
from hopgym.progress import Progress, no_progress

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hopgym.runs.trajectory_file import Header
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


def read_runs(paths: Sequence[Path], progress: Progress = no_progress) -> list[KeptRun]:
    """Return runs in the order of their paths.

    Args:
        paths: Trajectory files, or folders of runs.
        progress: Shows how many episodes have been read.

    Raises:
        DataError: When a path names no trajectory file, or one without an episode.
    """
    with progress("episodes read") as advance:
        return [_read(name, path, advance) for name, path in named_files(paths).items()]


def _read(name: str, path: Path, advance: Callable[[int], None]) -> KeptRun:
    from hopgym.runs.trajectory_file import read_header, read_trajectories
    from hopgym.trajectory import ERROR_REASONS

    header, lean = read_header(path), list["Trajectory"]()
    for trajectory in read_trajectories(path):
        lean.append(replace(trajectory, prompt="", steps=tuple(_lean(trajectory.steps))))
        advance(1)
    if not lean:
        raise DataError(f"{path}: expected at least one episode, got none; finish one first")
    whole = [each for each in lean if each.stop_reason not in ERROR_REASONS]
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


@dataclass(frozen=True, slots=True)
class Run:
    """Which episodes to play, and where to keep them."""

    policy: str
    """Name of the policy."""
    tasks: int
    """The first so many tasks of the environment are played, at least 1."""
    out: Path
    """Trajectory file."""
    samples: int = 1
    """Attempts at each."""
    slots: int = 64
    """Episodes under way at a time."""
    seed: int = 0
    """Of the policy."""

    @property
    def episodes(self) -> int:
        """How many there are to play."""
        return self.tasks * self.samples


class Episodes:
    """A run's episodes in its file, in the order of the tasks, read anew at each pass.

    Only where each record stands is kept in memory. In this order every world is made once. Token
    ids and log-probabilities are left out: no figure needs them, and they are most of a record.

    Args:
        run: Has been played, so that its file is known to be sound. Records of other tasks or
            samples in it are passed over.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._lines = _find_lines(run) if run.out.exists() else np.zeros((0, 2), np.int64)

    def __len__(self) -> int:
        return len(self._lines)

    def __iter__(self) -> "Iterator[Trajectory]":
        from hopgym.runs.trajectory_file import EPISODE_FORMAT

        if not len(self):
            return
        with self._run.out.open("rb") as file:
            for offset, number in self._lines.tolist():
                file.seek(offset)
                whole = EPISODE_FORMAT.decode(file.readline(), self._run.out, number)
                yield replace(whole, steps=tuple(map(_without_tokens, whole.steps)))


def _without_tokens(step: "Step") -> "Step":
    if step.completion is None or not step.completion.token_ids:
        return step
    return replace(step, completion=replace(step.completion, token_ids=(), logprobs=()))


def _find_lines(run: Run) -> "NDArray[np.int64]":
    """Return byte offset and number of the lines of a run's records, by index and sample."""
    import msgspec

    from hopgym.runs.records import RecordFormat

    class Key(msgspec.Struct):
        index: int
        sample: int

    keys = RecordFormat("episode", Key, "a trajectory")
    indices, samples, numbers, offsets = array("q"), array("q"), array("q"), array("q")
    with run.out.open("rb") as file:
        offset = len(file.readline())
        for number, line, key in keys.read(run.out, file):
            if key.index < run.tasks and key.sample < run.samples:
                indices.append(key.index)
                samples.append(key.sample)
                numbers.append(number)
                offsets.append(offset)
            offset += len(line)
    order = np.lexsort((np.array(samples, np.int64), np.array(indices, np.int64)))
    return np.array([offsets, numbers], np.int64).T[order]
