"""Reads runs from disk: trajectory files, and run folders that hold one."""

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from hopgym.errors import DataError
from hopgym.progress import Progress, no_progress
from hopgym.runs.records import RecordFormat
from hopgym.runs.trajectory_file import EPISODE_FORMAT, Header, read_header, read_trajectories
from hopgym.trajectory import ERROR_REASONS, Step, Trajectory
from hopgym.verdicts import ShownContent

EPISODES = "episodes.jsonl"
"""Name of the trajectory file in a run folder."""


class _EpisodeKey(msgspec.Struct):
    index: int
    sample: int


_KEY_FORMAT = RecordFormat("episode", _EpisodeKey, "a trajectory")


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run read from its trajectory file."""

    name: str
    path: Path
    """Its trajectory file."""
    header: Header
    record: Trajectory
    """One of its records, which has id and arguments of the environment."""
    episodes: Sequence[Trajectory]
    """Episodes that did not end in an error, in the order of the tasks, without the texts,
    observations and completions of their steps."""
    task_ids: frozenset[str]
    """Ids of all tasks of the run, including those of episodes that ended in an error."""
    errors: int
    """Number of episodes that ended in an error."""


def trajectory_file(path: Path) -> Path:
    """Return the trajectory file at a path: the path itself, or the file in a run folder.

    Raises:
        DataError: When there is none.
    """
    if path.is_dir():
        file = path / EPISODES
        if not file.is_file():
            names = sorted(file.name for file in path.glob("*.jsonl"))
            hint = f"; it holds {', '.join(names)}: name one" if names else ""
            raise DataError(f"{path}: expected the folder of a run with {EPISODES}{hint}")
        return file
    if not path.is_file():
        raise DataError(f"{path}: expected a trajectory file or a run's folder, got no such file")
    return path


def named_files(paths: Sequence[Path]) -> dict[str, Path]:
    """Return trajectory files by run name, each file once.

    A run is named after its folder, or after its file if that has a name of its own. If two names
    are equal, folder and name are used, and if these are equal too, the full path.
    """
    files = list(dict.fromkeys(trajectory_file(path).resolve() for path in paths))
    namings: list[Callable[[Path], str]] = [
        _short_name,
        lambda file: f"{_run_path(file).parent.name}/{_short_name(file)}",
        str,
    ]
    candidates = ({name(file): file for file in files} for name in namings)
    return next(named for named in candidates if len(named) == len(files))


def read_runs(paths: Sequence[Path], progress: Progress = no_progress) -> list[StoredRun]:
    """Return runs in the order of their paths.

    Args:
        paths: Trajectory files or run folders.
        progress: Displays the number of episodes read.

    Raises:
        DataError: When a path has no trajectory file, or one without an episode.
    """
    with progress("episodes read") as advance:
        return [_read_run(name, path, advance) for name, path in named_files(paths).items()]


def _read_run(name: str, path: Path, advance: Callable[[int], None]) -> StoredRun:
    header = read_header(path)
    trajectories = list[Trajectory]()
    for trajectory in read_trajectories(path):
        steps = tuple(map(_without_texts, trajectory.steps))
        trajectories.append(replace(trajectory, prompt="", steps=steps))
        advance(1)
    if not trajectories:
        raise DataError(f"{path}: expected at least one episode, got none; finish one first")
    episodes = [episode for episode in trajectories if episode.stop_reason not in ERROR_REASONS]
    return StoredRun(
        name=name,
        path=path,
        header=header,
        record=trajectories[0],
        episodes=sorted(episodes, key=lambda episode: (episode.index, episode.sample)),
        task_ids=frozenset(trajectory.task_id for trajectory in trajectories),
        errors=len(trajectories) - len(episodes),
    )


def _without_texts(step: Step) -> Step:
    # Tens of thousands of episodes then fit in memory.
    return replace(step, text="", observation="", shown_content=ShownContent(), completion=None)


def _short_name(file: Path) -> str:
    return file.parent.name if file.name == EPISODES else file.stem


def _run_path(file: Path) -> Path:
    return file.parent if file.name == EPISODES else file


@dataclass(frozen=True, slots=True)
class RunPlan:
    """Which episodes to play, and the file to write them to."""

    policy: str
    """Name of the policy."""
    tasks: int
    """Number of tasks, at least 1; the first tasks of the environment are played."""
    out: Path
    """Trajectory file."""
    samples: int = 1
    """Attempts at each task."""
    slots: int = 64
    """Number of episodes in progress at a time."""
    seed: int = 0
    """Seed of the policy."""

    @property
    def episodes(self) -> int:
        """Number of episodes to play."""
        return self.tasks * self.samples


class StoredEpisodes:
    """The episodes in the file of a run, ordered by task and sample.

    Each pass reads the file again, as only the offset of each record is kept in memory. In this
    order each world is generated once. Token ids and log-probabilities, which are most of a record,
    are left out.

    Args:
        run: The run. Records of other tasks or samples in its file are skipped.

    Raises:
        DataError: When a line of the file is damaged, also while iterating.
    """

    def __init__(self, run: RunPlan) -> None:
        self._run = run
        self._lines = _find_lines(run) if run.out.exists() else np.zeros((0, 2), np.int64)

    def __len__(self) -> int:
        return len(self._lines)

    def __iter__(self) -> Iterator[Trajectory]:
        if not len(self):
            return
        with self._run.out.open("rb") as file:
            for offset, number in self._lines.tolist():
                file.seek(offset)
                trajectory = EPISODE_FORMAT.decode(file.readline(), self._run.out, number)
                yield replace(trajectory, steps=tuple(map(_without_tokens, trajectory.steps)))


def _without_tokens(step: Step) -> Step:
    if step.completion is None or not step.completion.token_ids:
        return step
    return replace(step, completion=replace(step.completion, token_ids=(), logprobs=()))


def _find_lines(run: RunPlan) -> NDArray[np.int64]:
    """Return byte offset and number of the lines of a run's records, by index and sample."""
    indices = array("q")
    samples = array("q")
    offsets = array("q")
    numbers = array("q")
    with run.out.open("rb") as file:
        offset = len(file.readline())
        for number, line, key in _KEY_FORMAT.read(run.out, file):
            if key.index < run.tasks and key.sample < run.samples:
                indices.append(key.index)
                samples.append(key.sample)
                offsets.append(offset)
                numbers.append(number)
            offset += len(line)
    order = np.lexsort((np.array(samples, np.int64), np.array(indices, np.int64)))
    return np.array([offsets, numbers], np.int64).T[order]
