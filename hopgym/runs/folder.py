"""The folder of an evaluation: what is in it, whose it is, and where it is by default.

In: what decides a run. Out: its folder, with ``config.json`` and ``environment.json`` written. A
folder of another run is refused, and one that is to be played anew moved aside, never deleted.
"""

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hopgym.errors import ArgumentError, DataError, RunFileError
from hopgym.runs.json_file import SCHEMA, check_schema, read_json, write_json
from hopgym.runs.line_file import lock, unlock, whole_file
from hopgym.runs.machine import describe_environment
from hopgym.runs.reader import EPISODES
from hopgym.runs.secrets import without_secrets
from hopgym.tasks import with_absolute_paths

if TYPE_CHECKING:
    from hopgym.runs.trajectory_file import Header

LATEST = Path("runs") / "latest"
"""A text file that holds the path of the folder of the last evaluation begun here."""

DECISIVE = ("id", "env_kwargs", "policy", "options", "fingerprint", "seed", "source")


@dataclass(frozen=True, slots=True)
class Folder:
    """The paths of one evaluation."""

    path: Path

    @property
    def episodes(self) -> Path:
        """The trajectories of the policy."""
        return self.path / EPISODES

    @property
    def config(self) -> Path:
        """All that it takes to make the run again."""
        return self.path / "config.json"

    @property
    def environment(self) -> Path:
        """Versions, commit and hardware; see `hopgym.runs.machine`."""
        return self.path / "environment.json"

    @property
    def summary(self) -> Path:
        """The figures."""
        return self.path / "summary.json"

    @property
    def report(self) -> Path:
        """The page."""
        return self.path / "report.html"

    def floor(self, name: str) -> Path:
        """Return the trajectories of a floor."""
        return self.path / "floors" / f"{name}.jsonl"


def default_path(env_id: str, policy: str, header: "Header") -> Path:
    """Return the folder of a run for which none is named: ``runs/<Id>-<policy>-<digest>``.

    The digest is of all that decides an episode, so that the same command finds its folder again
    and another one does not; more tasks or samples stay in the same folder.
    """
    decisive = int(header.config[:8], 16) ^ int(header.source[:8], 16)
    return Path("runs") / f"{env_id.rpartition('/')[2]}-{_stem(policy)}-{decisive:08x}"


def config_of(
    env_id: str,
    env_kwargs: Mapping[str, Any],
    header: "Header",
    options: Mapping[str, Any],
    **run: Any,
) -> dict[str, Any]:
    """Return what ``config.json`` holds: plain JSON.

    Args:
        env_id: Of what is played.
        env_kwargs: Its arguments.
        header: Of the file of the episodes.
        options: Of the policy; keys and passwords are hidden.
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


def begin(
    path: Path,
    config: Mapping[str, Any],
    *,
    fresh: bool,
    moved: Callable[[Path], None] = lambda path: None,
) -> Folder:
    """Return the folder of a run, made ready to be played into.

    Args:
        path: The folder, made where it does not exist.
        config: Of the run, from `config_of`.
        fresh: Whether a folder that exists is moved aside first.
        moved: Called with the new path of a run that was moved aside.

    Raises:
        RunFileError: When it holds another run, or is being played into.
        DataError: When its ``config.json`` was not written by an evaluation.
    """
    if path.exists() and not path.is_dir():
        raise ArgumentError(f"--out must be a folder, got the file {str(path)!r}")
    folder = Folder(path)
    if path.exists():
        # Whoever plays into it would go on writing, wherever it is moved.
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
    """Return the figures written before; empty where there are none that can be read."""
    try:
        found = read_json(folder.summary)
    except DataError:
        return {}
    return found if isinstance(found, dict) else {}


def _check_config(path: Path, found: Any) -> None:
    if not isinstance(found, dict) or not {"schema", "config", *DECISIVE} <= found.keys():
        raise DataError(
            f"{path}: expected the config.json of an evaluation, got another file of that name; "
            "give a folder of its own (--out)"
        )


def _refuse_another(path: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    if all(found[name] == wanted[name] for name in ("config", "source")):
        return
    differing = [name for name in DECISIVE if found[name] != wanted[name]]
    if differing == ["fingerprint"] and (file := _changed_agent(found, wanted)):
        raise RunFileError(
            f"{file} has changed since this run was begun: --fresh plays all of it again, or give "
            "another --out"
        )
    # Of the digests that follow from arguments, only those that nothing else explains are of use.
    told = [name for name in differing if name not in ("fingerprint", "source")] or differing
    words = ", ".join(_change_of(name, found[name], wanted[name]) for name in told)
    raise RunFileError(
        f"{path} must hold this run, holds another one ({words}); give the old arguments again, "
        "another folder (--out), or --fresh, which moves it aside"
    )


def _change_of(name: str, then: Any, now: Any) -> str:
    """Return in words what a run was begun with, and what is asked for now."""
    from hopgym.runs.trajectory_file import words_differing

    if name == "fingerprint":  # Long, and mostly the same.
        return f"{name}: {words_differing(str(then), str(now))}"
    return f"{name} was {then!r:.80}, is {now!r:.80}"


def _changed_agent(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> Path | None:
    """Return the file of an agent of one's own, if its content is all that is another one now."""
    before, now = (str(each["fingerprint"]).rpartition(" ")[0] for each in (found, wanted))
    name = str(wanted["policy"])
    module = sys.modules.get(name.partition(":")[0].removesuffix(".py"))
    file = getattr(module, "__file__", None)
    own = ":" in name and before == now and now.startswith(f"{name} ")
    return _from_here(Path(file)) if own and file else None


def _move_aside(folder: Folder, moved: Callable[[Path], None]) -> None:
    """Give a folder that holds a run another name."""
    if not folder.path.exists() or not (folder.config.exists() or folder.episodes.exists()):
        return
    number = 1
    while (aside := folder.path.with_name(f"{folder.path.name}.{number}")).exists():
        number += 1
    folder.path.resolve().rename(aside.resolve())
    moved(aside)


def _with_earlier(path: Path, now: dict[str, Any]) -> dict[str, Any]:
    """Return an environment with those that earlier parts of the run were made in, if others."""
    before = read_json(path)
    if not isinstance(before, dict):
        return now
    earlier = before.pop("earlier", [])
    earlier += [before] if before != now else []
    return now | ({"earlier": earlier} if earlier else {})


def _from_here(path: Path) -> Path:
    """Return a path seen from the working directory where it is below, else from anywhere."""
    whole, here = path.resolve(), Path.cwd().resolve()
    return whole.relative_to(here) if whole.is_relative_to(here) else whole


def _stem(policy: str) -> str:
    return re.sub(r"[^\w.-]+", ".", policy).strip(".")
