"""The folder of an evaluation: its files, its default path, and the check that it is the same run.

A folder of another run is refused. With --fresh the old folder is moved aside, never deleted.
"""

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hopgym.errors import ArgumentError, DataError, RunFileError
from hopgym.runs.json_file import SCHEMA, check_schema, read_json, write_json
from hopgym.runs.line_file import lock, unlock, whole_file
from hopgym.runs.machine import describe_environment
from hopgym.runs.reader import EPISODES
from hopgym.runs.resume import describe_difference
from hopgym.runs.secrets import without_secrets
from hopgym.runs.trajectory_file import Header
from hopgym.tasks import with_absolute_paths

LATEST = Path("runs") / "latest"
"""A text file with the path of the folder of the last evaluation started here."""

DECISIVE = ("id", "env_kwargs", "policy", "options", "fingerprint", "seed", "source")


@dataclass(frozen=True, slots=True)
class Folder:
    """The files of an evaluation."""

    path: Path

    @property
    def episodes(self) -> Path:
        """Trajectory file of the policy."""
        return self.path / EPISODES

    @property
    def config(self) -> Path:
        """Everything that is needed to repeat the run."""
        return self.path / "config.json"

    @property
    def environment(self) -> Path:
        """Versions, commit and hardware; see `hopgym.runs.machine`."""
        return self.path / "environment.json"

    @property
    def summary(self) -> Path:
        """The results as JSON."""
        return self.path / "summary.json"

    @property
    def report(self) -> Path:
        """The report as an HTML page."""
        return self.path / "report.html"

    def floor(self, name: str) -> Path:
        """Return the trajectory file of a floor policy."""
        return self.path / "floors" / f"{name}.jsonl"


def default_path(env_id: str, policy: str, header: Header) -> Path:
    """Return the default folder of a run: ``runs/<Id>-<policy>-<digest>``.

    The digest covers everything that decides an episode, so that only the same command finds its
    folder again; more tasks or samples stay in the same folder.
    """
    decisive = int(header.config[:8], 16) ^ int(header.source[:8], 16)
    return Path("runs") / f"{env_id.rpartition('/')[2]}-{_stem(policy)}-{decisive:08x}"


def config_of(
    env_id: str,
    env_kwargs: Mapping[str, Any],
    header: Header,
    options: Mapping[str, Any],
    **run: Any,
) -> dict[str, Any]:
    """Return the content of ``config.json`` as plain JSON.

    Args:
        env_id: Id of the environment.
        env_kwargs: Its arguments.
        header: Header of the trajectory file.
        options: Options of the policy; keys and passwords are hidden.
        run: Policy, fingerprint, tasks, samples, seed, slots and command.
    """
    return {
        "schema": SCHEMA,
        "id": env_id,
        "env_kwargs": with_absolute_paths(env_kwargs),
        "options": without_secrets(options),
        **run,
        "config": header.config,
        "source": header.source,
    }


def open_folder(
    path: Path,
    config: Mapping[str, Any],
    *,
    fresh: bool,
    moved: Callable[[Path], None] = lambda path: None,
) -> Folder:
    """Create or check the folder of a run, write its configuration, and return it.

    Args:
        path: The folder, created if it does not exist.
        config: Configuration of the run, from `config_of`.
        fresh: Whether an existing folder is moved aside first.
        moved: Called with the new path of a folder that was moved aside.

    Raises:
        RunFileError: When the folder holds another run, or another process writes to it.
        DataError: When its ``config.json`` has another schema or was not written by an evaluation.
    """
    if path.exists() and not path.is_dir():
        raise ArgumentError(f"--out must be a folder, got the file {str(path)!r}")
    folder = Folder(path)
    if path.exists():
        # A process that plays into it would keep writing to it after the move.
        unlock(folder.episodes, lock(folder.episodes))
    before = read_json(folder.config)
    if before is not None:
        _check_config(folder.config, before)
    if fresh:
        _move_aside(folder, moved)
    elif before is not None:
        check_schema(folder.config, before)
        _refuse_another(path, before, config)
    path.mkdir(parents=True, exist_ok=True)
    write_json(folder.config, config)
    write_json(folder.environment, _with_earlier(folder.environment, describe_environment()))
    LATEST.parent.mkdir(exist_ok=True)
    with whole_file(LATEST, "--out") as file:
        file.write(f"{_from_here(path)}\n".encode())
    return folder


def read_summary(folder: Folder) -> dict[str, Any]:
    """Return the results written earlier; empty if there are none that can be read."""
    try:
        summary = read_json(folder.summary)
    except DataError:
        return {}
    return summary if isinstance(summary, dict) else {}


def _check_config(path: Path, config: Any) -> None:
    if not isinstance(config, dict) or not {"schema", "config", *DECISIVE} <= config.keys():
        raise DataError(
            f"{path}: expected the config.json of an evaluation, got another file of that name; "
            "give a folder of its own (--out)"
        )


def _refuse_another(path: Path, stored: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    if all(stored[name] == config[name] for name in ("config", "source")):
        return
    differing = [name for name in DECISIVE if stored[name] != config[name]]
    if differing == ["fingerprint"] and (file := _changed_agent(stored, config)):
        raise RunFileError(
            f"{file} has changed since this run was started: --fresh plays all of it again, or "
            "give another --out"
        )
    # Digests follow from other arguments; they only help if nothing else explains the difference.
    causes = [name for name in differing if name not in ("fingerprint", "source")] or differing
    changes = ", ".join(_describe_change(name, stored[name], config[name]) for name in causes)
    raise RunFileError(
        f"{path} must hold this run, holds another one ({changes}); give the old arguments again, "
        "another folder (--out), or --fresh, which moves it aside"
    )


def _describe_change(name: str, then: Any, now: Any) -> str:
    if name == "fingerprint":  # Long, and mostly the same.
        return f"{name}: {describe_difference(str(then), str(now))}"
    return f"{name} was {then!r:.80}, is {now!r:.80}"


def _changed_agent(stored: Mapping[str, Any], config: Mapping[str, Any]) -> Path | None:
    """Return the file of a user's agent if only the content of that file has changed."""
    name = str(config["policy"])
    module = sys.modules.get(name.partition(":")[0].removesuffix(".py"))
    file = getattr(module, "__file__", None)
    # The last word of a user policy's fingerprint is a digest of its file.
    before = str(stored["fingerprint"]).rpartition(" ")[0]
    now = str(config["fingerprint"]).rpartition(" ")[0]
    is_user_policy = ":" in name and before == now and now.startswith(f"{name} ")
    return _from_here(Path(file)) if is_user_policy and file else None


def _move_aside(folder: Folder, moved: Callable[[Path], None]) -> None:
    if not folder.path.exists() or not (folder.config.exists() or folder.episodes.exists()):
        return
    number = 1
    while (aside := folder.path.with_name(f"{folder.path.name}.{number}")).exists():
        number += 1
    folder.path.resolve().rename(aside.resolve())
    moved(aside)


def _with_earlier(path: Path, now: dict[str, Any]) -> dict[str, Any]:
    """Return an environment, with those of earlier parts of the run that differ from it."""
    before = read_json(path)
    if not isinstance(before, dict):
        return now
    earlier = before.pop("earlier", [])
    earlier += [before] if before != now else []
    return now | ({"earlier": earlier} if earlier else {})


def _from_here(path: Path) -> Path:
    """Return a path relative to the working directory if it is below it, else the full path."""
    full = path.resolve()
    here = Path.cwd().resolve()
    return full.relative_to(here) if full.is_relative_to(here) else full


def _stem(policy: str) -> str:
    return re.sub(r"[^\w.-]+", ".", policy).strip(".")
