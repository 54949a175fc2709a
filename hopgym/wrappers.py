"""Wrappers: an observation that holds the whole episode, and a recorder of trajectories.

Both work on the `HopEnv` at the bottom, through any wrappers in between.
"""

import os
from typing import Any, SupportsFloat

import gymnasium
from gymnasium.utils import RecordConstructorArgs

from hopgym.env import HopEnv
from hopgym.errors import ArgumentError
from hopgym.runs.trajectory_file import Header, RunEnvironment, TrajectoryWriter
from hopgym.tasks import with_absolute_paths
from hopgym.trajectory import transcript

_TextEnv = gymnasium.Env[str, str]
_Turn = tuple[str, SupportsFloat, bool, bool, dict[str, Any]]


class TranscriptObservation(RecordConstructorArgs, gymnasium.Wrapper[str, str, str, str]):
    """Observes the whole transcript so far instead of the last observation.

    The transcript is read off the episode at every turn; nothing is left of earlier episodes.

    Args:
        env: A hopgym environment.

    Raises:
        ArgumentError: When it is another one.
    """

    def __init__(self, env: _TextEnv) -> None:
        RecordConstructorArgs.__init__(self)
        gymnasium.Wrapper.__init__(self, env)
        self._base = hop_env(env)
        # This space has room for a reset after a long prefix, which observes a transcript too.
        self.observation_space = self._base.observation_space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[str, dict[str, Any]]:
        """Begin an episode; return its prompt, with what a prefix led to, and info."""
        _, info = self.env.reset(seed=seed, options=options)
        return self._transcript(), info

    def step(self, action: str) -> _Turn:
        """Take any text as an action; return the transcript up to its result, and the rest."""
        _, reward, terminated, truncated, info = self.env.step(action)
        return self._transcript(), reward, terminated, truncated, info

    def _transcript(self) -> str:
        episode = self._base.trajectory()
        room: int = self.observation_space.max_length  # type: ignore[attr-defined]
        return transcript(episode.prompt, episode.steps)[:room]


class RecordTrajectory(RecordConstructorArgs, gymnasium.Wrapper[str, str, str, str]):
    """Writes every episode that ends to a trajectory file; unfinished ones are left out.

    The file is opened at the first reset. An episode's ``sample`` is the number of attempts at its
    task that the file holds before it.

    Args:
        env: A hopgym environment.
        path: The file, appended to; each environment needs one of its own.

    Raises:
        ArgumentError: When ``env`` is no hopgym environment.
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
        """Begin an episode; return what the environment returns."""
        if self._writer is None:
            self._writer = TrajectoryWriter(self._path, run_header(self._base))
            for index, sample in self._writer.finished:
                self._samples[index] = max(self._samples.get(index, 0), sample + 1)
        return self.env.reset(seed=seed, options=options)

    def step(self, action: str) -> _Turn:
        """Take any text as an action; return what the environment returns."""
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
    """Return the `HopEnv` inside of an environment; `ArgumentError` where there is none."""
    if not isinstance(env.unwrapped, HopEnv):
        raise ArgumentError(f"env must be a hopgym environment, got {env}")
    return env.unwrapped


def run_header(env: HopEnv, **config: Any) -> Header:
    """Return the header for the episodes of an environment.

    Args:
        env: Its id, settings and tasks are what tells the file from others.
        config: What else decides the episodes, as JSON values.
    """
    config["env"] = env.spec.id if env.spec else ""
    config["settings"] = env.settings
    config["tool_settings"] = env.tool_settings
    arguments = with_absolute_paths(env.spec.kwargs) if env.spec else {}
    environment = RunEnvironment(env.source.fingerprint, config["env"], arguments)
    return Header.of(config, [environment], config.get("policy"))
