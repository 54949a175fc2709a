"""The folder of a study: results of jobs by their digests, and where the files of jobs go.

A result is found again only by a job with the same arguments and the same needs. So a changed study
file repeats only the jobs that the change affects, and overwrites no earlier result. Results refer
to files of the folder relative to it, so that it can be moved.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hopgym.runs.line_file import replace_lines
from hopgym_agents.studies.jobs import JobResult
from hopgym_agents.studies.plan import Job, JobKind, job_digest

_FOLDERS: Mapping[JobKind, str] = {
    JobKind.MODEL: "models",
    JobKind.TINY_MODEL: "models",
    JobKind.COLLECT: "episodes",
    JobKind.FILTER: "episodes",
    JobKind.TRAIN: "models",
    JobKind.CHOOSE: "choices",
    JobKind.EVALUATE: "evaluations",
}
_MAX_NAME = 100
_PLACEHOLDER = "{study}/"
"""Stands for the study's folder at the start of paths in stored results."""


class StudyStore:
    """The results of a study on disk.

    Args:
        folder: Folder of the study.
        jobs: Jobs of the study, each after the jobs that it needs.
    """

    def __init__(self, folder: Path, jobs: Sequence[Job]) -> None:
        # The paths of files in "." do not start with it.
        self.folder = folder if folder.parts else folder.absolute()
        self._prefix = f"{self.folder}/"
        self._digests: dict[str, str] = {}
        for job in jobs:
            self._digests[job.name] = job_digest(job, self._digests)

    def path(self, job: Job) -> Path:
        """Return where the files of a job go, without a suffix."""
        return (
            self.folder / _FOLDERS[job.kind] / f"{_file_stem(job.name)}.{self._digests[job.name]}"
        )

    def log_file(self, job: Job) -> Path:
        """Return the file for what a job prints; its folder is created."""
        folder = self.folder / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{_file_stem(job.name)}.txt"

    def read(self, job: Job) -> JobResult | None:
        """Return the result of a job, or None if the job has not been done."""
        file = self._result_file(job)
        if not file.is_file():
            return None
        stored = json.loads(file.read_bytes())
        result: JobResult = _replace_prefix(_PLACEHOLDER, self._prefix, stored)
        return result

    def write(self, job: Job, result: Mapping[str, Any]) -> None:
        """Store the result of a job."""
        file = self._result_file(job)
        file.parent.mkdir(parents=True, exist_ok=True)
        stored = _replace_prefix(self._prefix, _PLACEHOLDER, result)
        replace_lines(file, [json.dumps(stored).encode() + b"\n"])

    def _result_file(self, job: Job) -> Path:
        name = f"{_file_stem(job.name)}.{self._digests[job.name]}.json"
        return self.folder / "results" / name


def _file_stem(name: str) -> str:
    return re.sub(r"[^\w.=+-]+", "-", name)[:_MAX_NAME]


def _replace_prefix(old: str, new: str, value: Any) -> Any:
    """Return plain JSON in which all texts that start with ``old`` start with ``new`` instead."""
    if isinstance(value, str):
        return new + value.removeprefix(old) if value.startswith(old) else value
    if isinstance(value, Mapping):
        return {key: _replace_prefix(old, new, item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_replace_prefix(old, new, item) for item in value]
    return value
