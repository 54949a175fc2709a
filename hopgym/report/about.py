"""What was run, in words: from the files of a run's folder to what a report tells of it.

In: a folder with ``config.json`` and ``environment.json``, as ``hopgym eval`` writes them. Out:
texts by label. Nothing in these files is needed for a report: what is not there is left out.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hopgym.report.wording import shortened

About = Mapping[str, Mapping[str, str]]
"""What was run: by name of the run, texts by label."""

_CONFIG = ("policy", "options", "tasks", "samples", "seed", "command")


def about_folder(path: Path) -> dict[str, str]:
    """Return what was run into a folder: texts by label, in the order of the page.

    These are policy, its options, tasks, samples, seed and command, and the code: hopgym's version
    and the commit of the folder that the run was started in.

    Args:
        path: The folder of a run. Empty where it has no ``config.json`` of an evaluation.
    """
    config = _read(path / "config.json")
    if "policy" not in config:
        return {}
    options = config.get("options")
    if isinstance(options, dict):
        words = ", ".join(f"{name}={_words(each)}" for name, each in options.items())
        config = config | {"options": words}
    told = {name: _words(config.get(name)) for name in _CONFIG}
    told["code"] = _code(_read(path / "environment.json"))
    return {label: words for label, words in told.items() if words}


def about_rows(about: About) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return what was run as names with labelled texts, cut; runs without any are left out."""
    return [
        (run, [(label, shortened(text)) for label, text in texts.items()])
        for run, texts in about.items()
        if texts
    ]


def _read(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file; an empty one where there is none that can be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _code(environment: Mapping[str, Any]) -> str:
    versions, commit, told = environment.get("versions"), environment.get("commit"), []
    if isinstance(versions, dict) and versions.get("hopgym"):
        told.append(f"hopgym {versions['hopgym']}")
    if isinstance(commit, dict) and commit.get("hash"):
        changed = ", with changed files" if commit.get("changed") else ""
        told.append(f"started in a folder at commit {str(commit['hash'])[:12]}{changed}")
    return ", ".join(told)


def _words(value: Any) -> str:
    """Return a text as it is, other values as JSON; None is empty."""
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False)
