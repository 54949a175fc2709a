"""Describes what was run: reads the files of a run's folder and returns labeled texts.

A report needs none of this: whatever is missing or unreadable is left out.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hopgym.report.text import shortened

About = Mapping[str, Mapping[str, str]]
"""What was run: texts by label, by name of the run."""

_CONFIG_FIELDS = ("policy", "options", "tasks", "samples", "seed", "command")


def about_folder(path: Path) -> dict[str, str]:
    """Return what was run in a folder: texts by label, in the order of the page.

    The labels are policy, options, tasks, samples, seed, command, and code: hopgym's version and
    the commit of the working directory.

    Args:
        path: The folder of a run. The result is empty without a ``config.json`` of an evaluation.
    """
    config = _read_object(path / "config.json")
    if "policy" not in config:
        return {}
    options = config.get("options")
    if isinstance(options, dict):
        pairs = (f"{name}={_plain_text(value)}" for name, value in options.items())
        config = config | {"options": ", ".join(pairs)}
    texts = {name: _plain_text(config.get(name)) for name in _CONFIG_FIELDS}
    texts["code"] = _code_version(_read_object(path / "environment.json"))
    return {label: text for label, text in texts.items() if text}


def about_rows(about: About) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return runs with their labeled texts, shortened; runs without texts are left out."""
    return [
        (run, [(label, shortened(text)) for label, text in texts.items()])
        for run, texts in about.items()
        if texts
    ]


def _read_object(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; empty if it cannot be read."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _code_version(environment: Mapping[str, Any]) -> str:
    versions = environment.get("versions")
    commit = environment.get("commit")
    parts = []
    if isinstance(versions, dict) and versions.get("hopgym"):
        parts.append(f"hopgym {versions['hopgym']}")
    if isinstance(commit, dict) and commit.get("hash"):
        changed = ", with changed files" if commit.get("changed") else ""
        parts.append(f"started in a folder at commit {str(commit['hash'])[:12]}{changed}")
    return ", ".join(parts)


def _plain_text(value: Any) -> str:
    """Return a string unchanged, other values as JSON, and None as an empty string."""
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False)
