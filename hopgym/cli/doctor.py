"""``hopgym doctor``: checks versions, the machine, every environment and the oracle."""

import importlib
import os
import platform
import re
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from hopgym.cli.display import console, new_table, print_json, progress
from hopgym.cli.list import describe
from hopgym.cli.options import make
from hopgym.errors import HopgymError
from hopgym.policies.registry import policy_named
from hopgym.registry import FACTORIES
from hopgym.rollout import run_episodes
from hopgym.version import __version__

if TYPE_CHECKING:
    from rich.table import Table

_NEEDED = ("gymnasium", "numpy", "bm25s", "msgspec")
_OPTIONAL = ("torch", "transformers", "trl", "datasets")
_CHECKED_TASKS = 50
_CHECKED_ID = "hopgym/People-v0"
_GIBIBYTE = 2**30
_STYLES = {"ok": "green", "needs a file": "dim", "broken": "red"}
_PATH = re.compile(r"path must name (.*), got None")

MISSING = "not installed"
"""Shown instead of the version of a package that is missing."""


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Check the installation: versions, machine, every id, and the oracle on 50 tasks.

    The exit code is 1 if something is wrong. A missing optional package or
    data file is not an error.
    """
    with progress("checking"):
        findings = examine()
    if as_json:
        print_json(findings)
    else:
        out = console()
        for table in _tables(findings):
            out.print(table)
            out.print()
        out.print(
            "[green]All is well.[/]" if findings["ok"] else "[red]Something is wrong, see above.[/]"
        )
    raise typer.Exit(0 if findings["ok"] else 1)


def examine() -> dict[str, Any]:
    """Return the results of all checks as plain JSON; ``ok`` is True if nothing is wrong."""
    versions = {"hopgym": __version__, "python": platform.python_version()}
    versions |= {name: _version(name) for name in (*_NEEDED, *_OPTIONAL)}
    ids = _ids()
    oracle = _oracle_success()
    complete = all(versions[name] != MISSING for name in _NEEDED)
    working = all(row["state"] != "broken" for row in ids)
    return {
        "ok": complete and working and oracle == 1.0,
        "versions": versions,
        "machine": _machine(versions["torch"] != MISSING),
        "ids": ids,
        "oracle": {"id": _CHECKED_ID, "tasks": _CHECKED_TASKS, "success": oracle},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return MISSING


def _machine(has_torch: bool) -> dict[str, Any]:
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return {
        "platform": f"{platform.system()} {platform.machine()}",
        "cores": cores,
        "memory_gib": _memory_gib(),
        "gpu": _gpu() if has_torch else "unknown without torch",
        "executable": sys.executable,
    }


def _memory_gib() -> float | None:
    """Return the machine's memory in GiB; None if the system does not report it."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None
    return round(total / _GIBIBYTE, 1)


def _gpu() -> str:
    try:
        torch: Any = importlib.import_module("torch")
        cuda = torch.cuda
        return str(cuda.get_device_name(0)) if cuda.is_available() else "none that torch sees"
    except Exception as error:  # A broken torch must not stop the other checks.
        return f"torch cannot be loaded ({type(error).__name__}: {error})"


def _ids() -> list[dict[str, str]]:
    """Return a row for each id: its state, ``ok``, ``needs a file`` or ``broken``, and a detail."""
    rows = []
    for env_id, factory in FACTORIES.items():
        state = "ok"
        try:
            env = make(env_id, {})
            env.reset(options={"index": 0})
            detail = f"{len(env.source):,} tasks"
        except HopgymError as error:
            missing = describe(factory)["needs"] and _PATH.search(str(error))
            state = "needs a file" if missing else "broken"
            detail = f"--path: {missing[1]}" if missing else str(error)
        except Exception as error:  # Any error of one id must not stop the check of the others.
            state = "broken"
            detail = f"{type(error).__name__}: {error}"
        rows.append({"id": env_id, "state": state, "detail": detail})
    return rows


def _oracle_success() -> float:
    env = make(_CHECKED_ID, {})
    episodes = run_episodes(env, policy_named("oracle", env), range(_CHECKED_TASKS))
    return sum(episode.is_success for episode in episodes) / _CHECKED_TASKS


def _tables(findings: dict[str, Any]) -> list["Table"]:
    versions, machine, oracle = (findings[key] for key in ("versions", "machine", "oracle"))
    software = new_table("software", "package", "version")
    for name, number in versions.items():
        optional = " (optional)" if name in _OPTIONAL else ""
        software.add_row(f"{name}{optional}", number, style="dim" if number == MISSING else "")
    hardware = new_table("machine", "what", "found")
    for name, value in machine.items():
        hardware.add_row(name.replace("_gib", ", GiB"), "unknown" if value is None else str(value))
    ids = new_table("environments", "id", "state", "detail")
    for row in findings["ids"]:
        state = Text(row["state"], _STYLES[row["state"]])
        ids.add_row(row["id"], state, Text(row["detail"]))
    checked = f"oracle on {oracle['tasks']} tasks of {oracle['id']}"
    ids.add_row(checked, "", f"success {oracle['success']:.2f}, should be 1.00")
    for table in (software, hardware, ids):
        for column in table.columns:
            column.justify = "left"
    return [software, hardware, ids]
