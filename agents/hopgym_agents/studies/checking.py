"""Checks a study before it starts, so that no job fails for a reason that could be known before.

`check_jobs` checks names and arguments. `prepare_runs`, the dry run, also prepares each training
run, on models and episodes created for it in a temporary folder.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from hopgym.errors import ArgumentError, HopgymError, require
from hopgym.policies.registry import policy_named
from hopgym.registry.lookup import make
from hopgym_agents.data.filtering import FILTERS
from hopgym_agents.modeling.trainable import check_name
from hopgym_agents.options import read_options
from hopgym_agents.studies.jobs import JobInput, JobResult, ReportProgress, run_job, train_options
from hopgym_agents.studies.plan import Job, JobKind
from hopgym_agents.studies.spec import START
from hopgym_agents.training import loop
from hopgym_agents.training.config import read_config
from hopgym_agents.training.method import method_named

_MAX_TASKS = 64
"""Tasks of a collection in the dry run: enough states for a batch of the usual size."""
_CHECKED_ARGUMENTS = ("env", "kwargs", "policy", "method", "n", "tasks", "first")


def check_jobs(jobs: Sequence[Job]) -> None:
    """Raise unless the methods, environments, policies and filters of all jobs exist.

    Raises:
        ArgumentError: On the first problem; it names the job.
    """
    checked: set[str] = set()
    for job in jobs:
        # Many jobs share what is checked: each model, for example, is evaluated on every suite.
        key = json.dumps([job.arguments.get(name) for name in _CHECKED_ARGUMENTS])
        if key not in checked or job.kind in (JobKind.MODEL, JobKind.TRAIN):
            checked.add(key)
            with _errors_name(job):
                _check_job(job)


def prepare_runs(jobs: Sequence[Job], report: ReportProgress) -> int:
    """Prepare every training run without training; return how many runs were prepared.

    Runs that differ only in their seed are prepared once.

    Raises:
        ArgumentError: On the first run that cannot be prepared; it names the job.
    """
    loop.silence_libraries()
    runs = {_without_seed(job): job for job in jobs if job.kind is JobKind.TRAIN}
    with tempfile.TemporaryDirectory() as folder:
        results = _substitute_results(jobs, Path(folder))
        for number, job in enumerate(runs.values(), start=1):
            needs = {role: results[name] for role, name in job.needs.items()}
            work = JobInput(job, needs, Path(folder) / f"run{number}")
            with _errors_name(job):
                loop.prepare(job.arguments["method"], read_config(train_options(work)))
            report(number, len(runs))
    return len(runs)


def _substitute_results(jobs: Sequence[Job], folder: Path) -> dict[str, JobResult]:
    """Return results to prepare training runs with, without training or evaluating anything."""
    results: dict[str, JobResult] = {}
    for job in jobs:
        match job.kind:
            case JobKind.MODEL | JobKind.TINY_MODEL | JobKind.COLLECT:
                with _errors_name(job):
                    work = JobInput(_reduced(job), {}, folder / str(len(results)))
                    results[job.name] = run_job(work, _ignore_progress)
            case JobKind.FILTER:
                results[job.name] = results[job.needs["run"]]
            case JobKind.TRAIN:
                # A trained model has the architecture of the model that it was trained from.
                results[job.name] = results[job.needs["model"]]
            case JobKind.CHOOSE:
                results[job.name] = {"values": job.arguments["values"][0]}
    return results


@contextmanager
def _errors_name(job: Job) -> Iterator[None]:
    """Prefix the errors of the block with the name of a job."""
    try:
        yield
    except HopgymError as error:
        raise ArgumentError(f"{job.name}: {error}") from error


def _check_job(job: Job) -> None:
    arguments = job.arguments
    match job.kind:
        case JobKind.TRAIN:
            method_named(arguments["method"])
            # Model and folder do not exist yet; any text will do to check the other options.
            read_config({**arguments["options"], "model": START, "out": START})
        case JobKind.FILTER:
            names = ", ".join(FILTERS)
            name = arguments["filter"]
            require(name in FILTERS, "collect.filter", f"one of {names}", name)
        case JobKind.MODEL:
            options = read_options(arguments["options"])
            if options.generator == "local":
                check_name(options.model)
        case JobKind.COLLECT | JobKind.EVALUATE:
            env = make(arguments["env"], arguments["kwargs"])
            env.source[0]  # Raises if the world cannot generate its questions.
            _check_count(arguments, len(env.source))
            if arguments["policy"] not in ("llm", START):
                policy_named(arguments["policy"], env, arguments.get("options", {}))


def _check_count(arguments: Mapping[str, Any], available: int) -> None:
    first = arguments.get("first", 0)
    count = arguments.get("n") or arguments.get("tasks") or 0
    name = "n" if "n" in arguments else "first + tasks" if first else "tasks"
    expected = f"at most the {available:,} tasks of {arguments['env']} with these arguments"
    require(first + count <= available, name, expected, first + count)


def _reduced(job: Job) -> Job:
    """Return a collection with few episodes, by the oracle instead of a model; other jobs as is."""
    if job.kind is not JobKind.COLLECT:
        return job
    changes: dict[str, Any] = {"tasks": min(_MAX_TASKS, job.arguments["tasks"]), "samples": 1}
    if job.arguments["policy"] == START:
        changes |= {"policy": "oracle", "options": {}}
    return replace(job, arguments={**job.arguments, **changes}, needs={})


def _without_seed(job: Job) -> str:
    return json.dumps([{**job.arguments, "seed": 0}, sorted(job.needs)], default=list)


def _ignore_progress(done: int, total: int) -> None:
    pass
