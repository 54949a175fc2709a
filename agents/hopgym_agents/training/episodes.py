"""Episodes of a recorded run that a training run learns from."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hopgym.errors import DataError
from hopgym.runs.reader import trajectory_file
from hopgym.runs.trajectory_file import read_header, read_trajectories
from hopgym.trajectory import Trajectory
from hopgym_agents.data.filtering import FILTERS, label_episodes, select_episodes


@dataclass(frozen=True, slots=True)
class SelectedEpisodes:
    """Episodes of a trajectory file that pass a filter."""

    file: Path
    episodes: tuple[Trajectory, ...]
    """In the order of their tasks, at least one."""
    total: int
    """Number of episodes in the file."""
    source: str
    """Fingerprint of the tasks."""
    filter: str
    """Name of the filter."""

    @property
    def env_id(self) -> str:
        """Id of the environment of the episodes."""
        return self.episodes[0].env_id

    @property
    def env_kwargs(self) -> Mapping[str, Any]:
        """Arguments of that environment."""
        return self.episodes[0].env_kwargs

    @property
    def worlds(self) -> frozenset[str]:
        """Worlds of the episodes' tasks."""
        return frozenset(episode.world for episode in self.episodes)

    @property
    def state_count(self) -> int:
        """Number of states in which the policy acted."""
        return sum(not step.from_prefix for episode in self.episodes for step in episode.steps)

    @property
    def digest(self) -> str:
        """16 hex digits that identify the episodes and their order."""
        digest = hashlib.sha256()
        for item in self.episodes:
            steps = [(s.text, s.observation, s.verdict, s.from_prefix) for s in item.steps]
            content = (item.env_id, item.env_kwargs, item.index, item.prompt, steps)
            digest.update(json.dumps(content, sort_keys=True, default=str).encode())
        return digest.hexdigest()[:16]

    @property
    def summary(self) -> str:
        """The episodes in words."""
        return (
            f"{len(self.episodes):,} of the {self.total:,} episodes of `{self.file}` (filter "
            f"`{self.filter}`)"
        )


def load_episodes(run: str, filter_name: str) -> SelectedEpisodes:
    """Return the episodes of a run that pass a filter by their exact verdicts.

    Args:
        run: A trajectory file, or the folder of a run.
        filter_name: A name in `hopgym_agents.data.filtering.FILTERS`.

    Raises:
        DataError: When there is no such file, or no episode passes.
    """
    file = trajectory_file(Path(run))
    episodes = list(read_trajectories(file))
    selected = filter_episodes(episodes, filter_name)
    if not selected:
        labels = [label for label in label_episodes(episodes) if label is not None]
        counts = ", ".join(f"{name} {len(select_episodes(labels, name)):,}" for name in FILTERS)
        raise DataError(
            f"{file}: expected episodes that pass the filter {filter_name}, got none of "
            f"{len(episodes):,} ({counts}); take another --filter, or collect more"
        )
    return SelectedEpisodes(file, selected, len(episodes), read_header(file).source, filter_name)


def filter_episodes(episodes: Sequence[Trajectory], filter_name: str) -> tuple[Trajectory, ...]:
    """Return the episodes that pass a filter by their exact verdicts, in task order."""
    labels = [label for label in label_episodes(list(episodes)) if label is not None]
    keys = {label.key for label in select_episodes(labels, filter_name)}
    selected = (episode for episode in episodes if episode.key in keys)
    return tuple(sorted(selected, key=lambda episode: (episode.index, episode.sample)))
