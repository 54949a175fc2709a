"""Looks environments up: by their ids, and by the records of a run."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gymnasium

from hopgym.env import HopEnv
from hopgym.errors import ArgumentError, DataError, did_you_mean
from hopgym.registry.factory import FACTORIES
from hopgym.runs.trajectory_file import read_header
from hopgym.tasks import TaskSource
from hopgym.trajectory import Trajectory
from hopgym.wrappers import hop_env

Create = Callable[[str, Mapping[str, Any]], HopEnv]
"""Creates the environment of an id with arguments."""

_GYMNASIUM_ARGUMENTS = frozenset({"id", "max_episode_steps", "disable_env_checker", "render_mode"})


def resolve_id(name: str) -> str:
    """Return the registered id that a name stands for.

    Args:
        name: An id, in any case and with or without namespace and version: ``people`` for
            ``hopgym/People-v0``. A name with a colon is Gymnasium's ``module:id``, returned as is.

    Raises:
        ArgumentError: When there is no such id.
    """
    if ":" in name or name in gymnasium.registry:
        return name
    by_short_name = {env_id.removeprefix("hopgym/").lower(): env_id for env_id in FACTORIES}
    short = name.removeprefix("hopgym/").lower()
    for candidate in (short, f"{short}-v0"):
        if candidate in by_short_name:
            return by_short_name[candidate]
    hint = did_you_mean(short, by_short_name)
    for candidate, env_id in by_short_name.items():
        hint = hint.replace(repr(candidate), repr(env_id))
    raise ArgumentError(
        f"an id must be one of {', '.join(FACTORIES)}, got {name!r}{hint}; "
        "hopgym list describes them"
    )


def make(env_id: str, arguments: Mapping[str, Any]) -> HopEnv:
    """Return a new environment of a registered id.

    Args:
        env_id: As registered; see `resolve_id`.
        arguments: Of the environment, by name.

    Raises:
        ArgumentError: For an argument that the id does not take, or an id of another package.
    """
    for name in arguments:
        if name in _GYMNASIUM_ARGUMENTS:
            raise ArgumentError(f"arguments must be those of {env_id}, got {name!r}")
    try:
        return hop_env(gymnasium.make(env_id, **arguments))
    except (TypeError, gymnasium.error.Error) as error:
        raise ArgumentError(str(error)) from error


def env_of_record(record: Trajectory, create: Create = make) -> HopEnv:
    """Return a new environment with the id and the arguments that a record names.

    Args:
        record: An episode.
        create: Creates an environment from an id and arguments, like `make`.

    Raises:
        ArgumentError: When the environment cannot be created.
    """
    return create(resolve_id(record.env_id), record.env_kwargs)


def env_of_run(path: Path, record: Trajectory, create: Create = make) -> HopEnv:
    """Return a new environment with the tasks that the episodes of a file were played on.

    Args:
        path: The file.
        record: One of its episodes, which names id and arguments of the environment.
        create: Creates an environment from an id and arguments, like `make`.

    Raises:
        DataError: When the record names no environment, or its id and arguments lead to other
            tasks than those of the file.
        ArgumentError: When the environment cannot be created, for example for lack of a file.
    """
    if not record.env_id:
        raise DataError(
            f"{path}: expected episodes that name their environment, got none; play the run with "
            "a registered id, or pass its source to the Python functions"
        )
    env = env_of_record(record, create)
    header = read_header(path)
    if env.source.fingerprint != header.source:
        raise DataError(
            f"{path}: expected the tasks of {record.env_id} that the run was played on (hash "
            f"{header.source[:12]}, hopgym {header.version}), got others now (hash "
            f"{env.source.fingerprint[:12]}); put the files of that run back, or use that version"
        )
    return env


def source_of(path: Path, record: Trajectory, create: Create = make) -> TaskSource:
    """Return the source of the tasks of a trajectory file; arguments and errors of `env_of_run`."""
    return env_of_run(path, record, create).source
