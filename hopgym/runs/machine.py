"""What a run was made with: versions, commit and hardware, as plain JSON.

Nothing heavy is imported to find out; what a system does not tell is None.
"""

import os
import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from typing import Any

PACKAGES = (
    *("gymnasium", "numpy", "bm25s", "msgspec"),
    *("torch", "transformers", "vllm", "httpx", "peft", "trl"),
)
"""Packages whose versions are told where they are installed."""

_SECONDS = 10


def describe_environment() -> dict[str, Any]:
    """Return ``versions``, ``commit`` of the working directory, and ``hardware``."""
    return {"versions": versions(), "commit": commit(), "hardware": hardware()}


def versions() -> dict[str, str]:
    """Return versions by name: hopgym, python, and those of `PACKAGES` that are installed."""
    from hopgym import __version__

    found = {"hopgym": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def commit() -> dict[str, Any] | None:
    """Return the git commit of the working directory, and whether files differ from it."""
    head = _output("git", "rev-parse", "HEAD")
    if not head:
        return None
    changed = _output("git", "status", "--porcelain", "--untracked-files=no")
    return {"hash": head, "changed": None if changed is None else bool(changed)}


def hardware() -> dict[str, Any]:
    """Return system, processor, cores that may be used, memory in GiB, and GPUs."""
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
            named = [line.partition(":")[2].strip() for line in file if "model name" in line]
    except OSError:
        named = []
    return (named[0] if named else platform.processor()) or None


def _memory_gib() -> float | None:
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None
    return round(total / 2**30, 1)


def _gpus() -> list[str]:
    """Return name and memory of each GPU that NVIDIA's tool knows."""
    told = _output("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader")
    return told.splitlines() if told else []


def _output(*command: str) -> str | None:
    """Return what a program prints; None where it is missing, fails or hangs."""
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError, UnicodeError):
        return None
    return done.stdout.strip()
