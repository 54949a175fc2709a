"""The folder of a study: results of jobs by their digests, and where the files of jobs go.

A result is found again only by a job with the same arguments and the same needs. So a changed study
file repeats only the jobs that the change affects, and overwrites no earlier result. Results refer
to files of the folder relative to it, so that it can be moved.
"""

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hopgym.errors import DataError
from hopgym.runs.json_file import (
    check_schema,
    read_checked_json,
    read_json,
    write_checked_json,
)
from hopgym.runs.line_file import lock, unlock
from hopgym.version import __version__
from hopgym_agents.studies.jobs import JobResult
from hopgym_agents.studies.plan import Job, JobKind, job_digest
from hopgym_agents.studies.spec import Study

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
_STUDY_FILE = "study.json"
_RESULTS = "results"


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
        self._jobs = tuple(jobs)
        self._digests: dict[str, str] = {}
        for job in jobs:
            self._digests[job.name] = job_digest(job, self._digests)

    @contextmanager
    def open(self, study: Study) -> Iterator[None]:
        """Hold the folder as its only writer, and write the study to ``study.json``.

        Raises:
            RunFileError: If another process holds the folder.
            DataError: If the folder was written by a version of hopgym with another schema.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / _STUDY_FILE
        held_lock = lock(file)
        try:
            content = read_json(file)
            # Early versions wrote results without a study file.
            if content is not None or (self.folder / _RESULTS).is_dir():
                check_schema(self.folder, content if isinstance(content, dict) else {})
            write_checked_json(file, {"version": __version__, "study": study.to_dict()})
            yield
        finally:
            unlock(file, held_lock)

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
        """Return the result of a job, or None if the job has to be run.

        Warns if a result is damaged; its job has to be run again.
        """
        try:
            stored = read_checked_json(self._result_file(job))
        except DataError as error:
            warnings.warn(f"{job.name} is run again, its result is damaged: {error}", stacklevel=2)
            return None
        if stored is None:
            return None
        result: JobResult = _replace_prefix(_PLACEHOLDER, self._prefix, stored["result"])
        return result

    def read_all(self) -> dict[str, JobResult]:
        """Return the results of all jobs that do not have to be run, by name."""
        results = {job.name: self.read(job) for job in self._jobs}
        return {name: result for name, result in results.items() if result is not None}

    def write(self, job: Job, result: Mapping[str, Any]) -> None:
        """Store the result of a job."""
        stored = _replace_prefix(self._prefix, _PLACEHOLDER, result)
        write_checked_json(self._result_file(job), {"job": job.name, "result": stored})

    def _result_file(self, job: Job) -> Path:
        name = f"{_file_stem(job.name)}.{self._digests[job.name]}.json"
        return self.folder / _RESULTS / name


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
