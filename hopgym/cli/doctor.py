"""``hopgym doctor``: what is installed, what the machine has, and whether the package works."""

import os
import platform
import re
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hopgym.cli.display import console, new_table, print_json, progress
from hopgym.errors import HopgymError

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
"""Stands in place of the version of a package that is missing."""


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Check the installation: versions, machine, every id, and the oracle on 50 tasks.

    Exit code 1 where something is wrong; a missing optional package or data file is not.
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
    """Return what was found, as plain JSON; ``ok`` says whether all that must work does."""
    from hopgym import __version__

    versions = {"hopgym": __version__, "python": platform.python_version()}
    versions |= {name: _version(name) for name in (*_NEEDED, *_OPTIONAL)}
    ids, oracle = _ids(), _oracle_success()
    needed = all(versions[name] != MISSING for name in _NEEDED)
    sound = all(each["state"] != "broken" for each in ids)
    return {
        "ok": needed and sound and oracle == 1.0,
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
    """Return the machine's memory in GiB; None where the system does not tell."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None
    return round(total / _GIBIBYTE, 1)


def _gpu() -> str:
    try:
        import importlib

        torch: Any = importlib.import_module("torch")
        cuda = torch.cuda
        return str(cuda.get_device_name(0)) if cuda.is_available() else "none that torch sees"
    except Exception as error:  # a broken torch must not stop the check of everything else
        return f"torch cannot be loaded ({type(error).__name__}: {error})"


def _ids() -> list[dict[str, str]]:
    """Return for each id its state, ``ok``, ``needs a file`` or ``broken``, and a detail."""
    from hopgym.cli.list import describe
    from hopgym.cli.options import make
    from hopgym.registry import FACTORIES

    found = []
    for env_id, factory in FACTORIES.items():
        state, detail = "ok", ""
        try:
            env = make(env_id, {})
            env.reset(options={"index": 0})
            detail = f"{len(env.source):,} tasks"
        except HopgymError as error:
            needed = describe(factory)["needs"] and _PATH.search(str(error))
            state = "needs a file" if needed else "broken"
            detail = f"--path: {needed[1]}" if needed else str(error)
        except Exception as error:  # whatever is wrong with one id, the others are still checked
            state, detail = "broken", f"{type(error).__name__}: {error}"
        found.append({"id": env_id, "state": state, "detail": detail})
    return found


def _oracle_success() -> float:
    from hopgym.cli.options import make
    from hopgym.policies.registry import policy_named
    from hopgym.rollout import run_episodes

    env = make(_CHECKED_ID, {})
    played = run_episodes(env, policy_named("oracle", env), range(_CHECKED_TASKS))
    return sum(each.is_success for each in played) / _CHECKED_TASKS


def _tables(findings: dict[str, Any]) -> list["Table"]:
    from rich.text import Text

    versions, machine, oracle = (findings[key] for key in ("versions", "machine", "oracle"))
    software = new_table("software", "package", "version")
    for name, found in versions.items():
        optional = " (optional)" if name in _OPTIONAL else ""
        software.add_row(f"{name}{optional}", found, style="dim" if found == MISSING else "")
    hardware = new_table("machine", "what", "found")
    for name, found in machine.items():
        hardware.add_row(name.replace("_gib", ", GiB"), "unknown" if found is None else str(found))
    ids = new_table("environments", "id", "state", "detail")
    for each in findings["ids"]:
        state = Text(each["state"], _STYLES[each["state"]])
        ids.add_row(each["id"], state, Text(each["detail"]))
    checked = f"oracle on {oracle['tasks']} tasks of {oracle['id']}"
    ids.add_row(checked, "", f"success {oracle['success']:.2f}, should be 1.00")
    for table in (software, hardware, ids):
        for column in table.columns:
            column.justify = "left"
    return [software, hardware, ids]
