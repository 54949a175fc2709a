"""Environments by name: ids spelled out, environments made, and the sources of recorded runs."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hopgym.errors import ArgumentError, DataError, did_you_mean
from hopgym.progress import Progress, no_progress
from hopgym.registry.factory import FACTORIES

if TYPE_CHECKING:
    from hopgym.env import HopEnv
    from hopgym.tasks import TaskSource
    from hopgym.trajectory import Trajectory

_GYMNASIUM_ARGUMENTS = frozenset({"id", "max_episode_steps", "disable_env_checker", "render_mode"})


def resolve_id(name: str) -> str:
    """Return the registered id that a name stands for; namespace and version may be left out.

    Raises:
        ArgumentError: When there is none.
    """
    import gymnasium

    if ":" in name or name in gymnasium.registry:
        return name
    short = {known.removeprefix("hopgym/").lower(): known for known in FACTORIES}
    wanted = name.removeprefix("hopgym/").lower()
    for spelled in (wanted, f"{wanted}-v0"):
        if spelled in short:
            return short[spelled]
    closest = did_you_mean(wanted, short)
    for known in short:
        closest = closest.replace(repr(known), repr(short[known]))
    raise ArgumentError(
        f"an id must be one of {', '.join(FACTORIES)}, got {name!r}{closest}; "
        "hopgym list describes them"
    )


def make(env_id: str, arguments: Mapping[str, Any], progress: Progress = no_progress) -> "HopEnv":
    """Return the environment of a registered id.

    Args:
        env_id: As registered; see `resolve_id`.
        arguments: Of the environment, by name.
        progress: Shows how far the indexing of an external corpus is, the first time.

    Raises:
        ArgumentError: On arguments that it does not take, and ids of other packages.
    """
    import gymnasium

    from hopgym.wrappers import hop_env

    for name in arguments:
        if name in _GYMNASIUM_ARGUMENTS:
            raise ArgumentError(f"arguments must be those of {env_id}, got {name!r}")
    _index_corpus(arguments.get("corpus"), progress)
    try:
        return hop_env(gymnasium.make(env_id, **arguments))
    except (TypeError, gymnasium.error.Error) as error:
        raise ArgumentError(str(error)) from error


def _index_corpus(corpus: object, progress: Progress) -> None:
    """Index an external corpus with a progress display; the index is stored for next time."""
    from hopgym.tasks import CORPUS_CHOICES

    if isinstance(corpus, str) and corpus not in CORPUS_CHOICES and os.path.isfile(corpus):
        from hopgym.storage import open_corpus

        with progress("paragraphs indexed") as advance:
            open_corpus(corpus, advance=advance)


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
