"""Looks environments up: by their ids, and by the records of a run."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium

from hopgym.env import HopEnv
from hopgym.errors import ArgumentError, DataError, did_you_mean
from hopgym.progress import Progress, no_progress
from hopgym.registry.factory import FACTORIES
from hopgym.runs.trajectory_file import read_header
from hopgym.storage import open_corpus
from hopgym.tasks import CORPUS_CHOICES, TaskSource
from hopgym.trajectory import Trajectory
from hopgym.wrappers import hop_env

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


def make(env_id: str, arguments: Mapping[str, Any], progress: Progress = no_progress) -> HopEnv:
    """Return a new environment of a registered id.

    Args:
        env_id: As registered; see `resolve_id`.
        arguments: Of the environment, by name.
        progress: Shows the indexing of a corpus file that was not indexed before.

    Raises:
        ArgumentError: For an argument that the id does not take, or an id of another package.
    """
    for name in arguments:
        if name in _GYMNASIUM_ARGUMENTS:
            raise ArgumentError(f"arguments must be those of {env_id}, got {name!r}")
    _index_corpus(arguments.get("corpus"), progress)
    try:
        return hop_env(gymnasium.make(env_id, **arguments))
    except (TypeError, gymnasium.error.Error) as error:
        raise ArgumentError(str(error)) from error


def _index_corpus(corpus: object, progress: Progress) -> None:
    """Index a corpus file with a progress display; the environment then opens the stored index."""
    if isinstance(corpus, str) and corpus not in CORPUS_CHOICES and os.path.isfile(corpus):
        with progress("paragraphs indexed") as advance:
            open_corpus(corpus, advance=advance)


def env_of_record(record: Trajectory, progress: Progress = no_progress) -> HopEnv:
    """Return a new environment with the id and the arguments that a record names.

    Args:
        record: An episode.
        progress: As for `make`.

    Raises:
        ArgumentError: When the environment cannot be created.
    """
    return make(resolve_id(record.env_id), record.env_kwargs, progress)


def env_of_run(path: Path, record: Trajectory, progress: Progress = no_progress) -> HopEnv:
    """Return a new environment with the tasks that the episodes of a file were played on.

    Args:
        path: The file.
        record: One of its episodes, which names id and arguments of the environment.
        progress: As for `make`.

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
    env = env_of_record(record, progress)
    header = read_header(path)
    if env.source.fingerprint != header.source:
        raise DataError(
            f"{path}: expected the tasks of {record.env_id} that the run was played on (hash "
            f"{header.source[:12]}, hopgym {header.version}), got others now (hash "
            f"{env.source.fingerprint[:12]}); put the files of that run back, or use that version"
        )
    return env


def source_of(path: Path, record: Trajectory, progress: Progress = no_progress) -> TaskSource:
    """Return the source of the tasks of a trajectory file; arguments and errors of `env_of_run`."""
    return env_of_run(path, record, progress).source
