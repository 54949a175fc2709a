"""Describes the machine and software of a run as plain JSON: versions, commit and hardware.

No heavy package is imported for it. What cannot be determined is None.
"""

import os
import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from hopgym.version import __version__

PACKAGES = (
    *("gymnasium", "numpy", "bm25s", "msgspec"),
    *("torch", "transformers", "vllm", "httpx", "peft", "trl"),
)
"""Packages whose versions are reported if they are installed."""

_SECONDS = 10


def describe_environment() -> dict[str, Any]:
    """Return ``versions``, ``commit`` of the working directory, and ``hardware``."""
    return {"versions": versions(), "commit": commit(), "hardware": hardware()}


def versions() -> dict[str, str]:
    """Return versions by name: hopgym, python, and the installed packages of `PACKAGES`."""
    installed = {"hopgym": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            installed[package] = version(package)
        except PackageNotFoundError:
            continue
    return installed


def commit() -> dict[str, Any] | None:
    """Return the git commit of the working directory, and whether files differ from it."""
    head = _output("git", "rev-parse", "HEAD")
    if not head:
        return None
    changed = _output("git", "status", "--porcelain", "--untracked-files=no")
    return {"hash": head, "changed": None if changed is None else bool(changed)}


def hardware() -> dict[str, Any]:
    """Return system, processor, number of usable cores, memory in GiB, and GPUs."""
    affinity = getattr(os, "sched_getaffinity", None)
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": _processor(),
        "cores": len(affinity(0)) if affinity else os.cpu_count(),
        "memory_gib": _memory_gib(),
        "gpus": _gpus(),
    }


def _processor() -> str | None:
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            models = [line.partition(":")[2].strip() for line in file if "model name" in line]
    except OSError:
        models = []
    return (models[0] if models else platform.processor()) or None


def _memory_gib() -> float | None:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None
    return round(total / 2**30, 1)


def _gpus() -> list[str]:
    """Return name and memory of each GPU that ``nvidia-smi`` lists."""
    output = _output("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader")
    return output.splitlines() if output else []


def _output(*command: str) -> str | None:
    """Return the output of a program; None if it is missing, fails or hangs."""
    if shutil.which(command[0]) is None:
        return None
    try:
        process = subprocess.run(
            command, capture_output=True, text=True, timeout=_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError, UnicodeError):
        return None
    return process.stdout.strip()
