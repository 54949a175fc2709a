"""Gymnasium wrappers: transcripts as observations, and a recorder of trajectories.

Both use the unwrapped `HopEnv`, so that other wrappers may be in between.
"""

import os
from typing import Any, SupportsFloat

import gymnasium
from gymnasium.utils import RecordConstructorArgs

from hopgym.env import HopEnv
from hopgym.errors import ArgumentError
from hopgym.runs.trajectory_file import Header, RunEnvironment
from hopgym.runs.writer import TrajectoryWriter
from hopgym.tasks import with_absolute_paths
from hopgym.trajectory import transcript

_TextEnv = gymnasium.Env[str, str]
_Turn = tuple[str, SupportsFloat, bool, bool, dict[str, Any]]


class TranscriptObservation(RecordConstructorArgs, gymnasium.Wrapper[str, str, str, str]):
    """Returns the full transcript of the episode as the observation.

    Args:
        env: A hopgym environment.

    Raises:
        ArgumentError: When it is another environment.
    """

    def __init__(self, env: _TextEnv) -> None:
        RecordConstructorArgs.__init__(self)
        gymnasium.Wrapper.__init__(self, env)
        self._base = hop_env(env)
        # It is large enough, as the observation after a prefix is a transcript too.
        self.observation_space = self._base.observation_space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Start an episode; return its transcript and info."""
        _, info = self.env.reset(seed=seed, options=options)
        return self._transcript(), info

    def step(self, action: str) -> _Turn:
        """Play an action; return the transcript up to its result, and the rest of the turn."""
        _, reward, terminated, truncated, info = self.env.step(action)
        return self._transcript(), reward, terminated, truncated, info

    def _transcript(self) -> str:
        episode = self._base.trajectory()
        room: int = self.observation_space.max_length  # type: ignore[attr-defined]
        return transcript(episode.prompt, episode.steps)[:room]


class RecordTrajectory(RecordConstructorArgs, gymnasium.Wrapper[str, str, str, str]):
    """Writes every finished episode to a trajectory file.

    The file is opened at the first reset. The ``sample`` of an episode is the number of earlier
    attempts at its task in the file.

    Args:
        env: A hopgym environment.
        path: The file to append to; each environment needs a separate file.

    Raises:
        ArgumentError: When ``env`` is not a hopgym environment.
        RunFileError: At a reset, when the file is in use or belongs to another run.
    """

    def __init__(self, env: _TextEnv, path: str | os.PathLike[str]) -> None:
        RecordConstructorArgs.__init__(self, path=os.fspath(path))
        gymnasium.Wrapper.__init__(self, env)
        self._base = hop_env(env)
        self._path = os.fspath(path)
        self._writer: TrajectoryWriter | None = None
        self._samples: dict[int, int] = {}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Start an episode; return what the environment returns."""
        if self._writer is None:
            self._writer = TrajectoryWriter(self._path, run_header(self._base))
            for index, sample in self._writer.finished:
                self._samples[index] = max(self._samples.get(index, 0), sample + 1)
        return self.env.reset(seed=seed, options=options)

    def step(self, action: str) -> _Turn:
        """Play an action; return what the environment returns."""
        turn = self.env.step(action)
        trajectory = self._base.trajectory()
        if trajectory.stop_reason and self._writer:
            sample = self._samples.get(trajectory.index, 0)
            self._writer.write(self._base.trajectory(sample=sample))
            self._samples[trajectory.index] = sample + 1
        return turn

    def close(self) -> None:
        """Close the file and the environment."""
        if self._writer:
            self._writer.close()
            self._writer = None
        self.env.close()


def hop_env(env: gymnasium.Env[Any, Any]) -> HopEnv:
    """Return the `HopEnv` inside an environment; raise `ArgumentError` if there is none."""
    if not isinstance(env.unwrapped, HopEnv):
        raise ArgumentError(f"env must be a hopgym environment, got {env}")
    return env.unwrapped


def run_header(env: HopEnv, **config: Any) -> Header:
    """Return the header for the episodes of an environment.

    Args:
        env: The environment; its id, settings and tasks are part of the header.
        config: Everything else that decides the episodes, as JSON values.
    """
    config["env"] = env.spec.id if env.spec else ""
    config["settings"] = env.settings
    config["tool_settings"] = env.tool_settings
    arguments = with_absolute_paths(env.spec.kwargs) if env.spec else {}
    environment = RunEnvironment(env.source.fingerprint, config["env"], arguments)
    return Header.of(config, [environment], config.get("policy"))
