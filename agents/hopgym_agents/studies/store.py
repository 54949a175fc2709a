"""The folder of a study: results of jobs by what they are of, and where their files go.

In: the jobs of a study. Out: a path for each, and the results of those that have been done. A
result is found again only by a job with the same arguments on top of the same results: what a
changed study file leaves as it was is not done again, and nothing of before is written over.
Results name files of the folder from the folder on, so that it can be moved.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hopgym.runs.line_file import replace_lines
from hopgym_agents.studies.plan import Job, digest

_PLACES: Mapping[str, str] = {
    "given": "models",
    "tiny": "models",
    "collect": "episodes",
    "keep": "episodes",
    "train": "models",
    "choose": "choices",
    "evaluate": "evaluations",
}
_LONGEST = 100
_HERE = "{study}/"
"""Begin of a path into the folder, as it is kept."""


class Kept:
    """The results of a study on disk.

    Args:
        folder: Of the study.
        jobs: Of the study, each behind those that it needs.
    """

    def __init__(self, folder: Path, jobs: Sequence[Job]) -> None:
        # "." is no begin of the paths under it.
        self.folder = folder if folder.parts else folder.absolute()
        self._begin = f"{self.folder}/"
        self._digests: dict[str, str] = {}
        for job in jobs:
            self._digests[job.name] = digest(job, self._digests)

    def path(self, job: Job) -> Path:
        """Return where the files of a job go, without a suffix."""
        own = self._digests[job.name]
        return self.folder / _PLACES[job.kind] / f"{_stem(job.name)}.{own}"

    def log(self, job: Job) -> Path:
        """Return the file that takes what a job prints; its folder is made."""
        place = self.folder / "logs"
        place.mkdir(parents=True, exist_ok=True)
        return place / f"{_stem(job.name)}.txt"

    def read(self, job: Job) -> dict[str, Any] | None:
        """Return the result of a job; None where it has not been done."""
        file = self._result(job)
        if not file.is_file():
            return None
        found: dict[str, Any] = _beginning(_HERE, self._begin, json.loads(file.read_bytes()))
        return found

    def write(self, job: Job, result: Mapping[str, Any]) -> None:
        """Keep the result of a job."""
        file = self._result(job)
        file.parent.mkdir(parents=True, exist_ok=True)
        kept = _beginning(self._begin, _HERE, result)
        replace_lines(file, [json.dumps(kept).encode() + b"\n"])

    def _result(self, job: Job) -> Path:
        return self.folder / "results" / f"{_stem(job.name)}.{self._digests[job.name]}.json"


def _stem(name: str) -> str:
    return re.sub(r"[^\w.=+-]+", "-", name)[:_LONGEST]


def _beginning(old: str, new: str, value: Any) -> Any:
    """Return plain JSON with another begin of all texts in it that begin so."""
    if isinstance(value, str):
        return new + value.removeprefix(old) if value.startswith(old) else value
    if isinstance(value, Mapping):
        return {name: _beginning(old, new, each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_beginning(old, new, each) for each in value]
    return value
