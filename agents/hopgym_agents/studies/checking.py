"""What can be known to go wrong with a study before it begins.

In: its jobs. Out: nothing, or an error that says what is wrong with which part. The dry run also
prepares each training run, on a model and episodes that are made for it in a passing folder.
"""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hopgym.cli.arguments import make
from hopgym.errors import ArgumentError, HopgymError, did_you_mean, require
from hopgym_agents.studies.description import START
from hopgym_agents.studies.plan import Job
from hopgym_agents.studies.working import Result, Tell, Work, do, train_options

_FEW = 8


def check_jobs(jobs: Sequence[Job]) -> None:
    """Raise unless methods, environments and policies of all jobs are there.

    Raises:
        ArgumentError: That names the job.
    """
    seen: set[str] = set()
    for job in jobs:
        asked = job.arguments
        # Every suite is asked for again for each model.
        key = json.dumps([asked.get(name) for name in ("env", "kwargs", "policy", "method")])
        if key not in seen or job.kind == "given":
            seen.add(key)
            with _naming(job):
                _check(job)


def prepare_all(jobs: Sequence[Job], tell: Tell) -> int:
    """Prepare every training run as far as that goes before it begins; return how many there are.

    Raises:
        ArgumentError: On the first that cannot be prepared; it names the job.
    """
    from hopgym_agents.training.commands import METHODS, quiet
    from hopgym_agents.training.config import read_config

    quiet()
    # Seeds differ in nothing that could go wrong.
    runs = list({_unseeded(job): job for job in jobs if job.kind == "train"}.values())
    with tempfile.TemporaryDirectory() as folder:
        results: dict[str, Result] = {}
        for job in jobs:
            if job.kind in ("given", "tiny", "collect"):
                with _naming(job):
                    made = _smaller(job)
                    results[job.name] = do(Work(made, {}, Path(folder) / str(len(results))), _mute)
            elif job.kind == "keep":
                results[job.name] = results[job.needs["run"]]
            elif job.kind == "train":
                # A trained model is of the same make as the one it was trained from.
                results[job.name] = results[job.needs["model"]]
            elif job.kind == "choose":
                results[job.name] = {"values": job.arguments["values"][0]}
        for number, job in enumerate(runs, start=1):
            needed = {role: results[name] for role, name in job.needs.items()}
            work = Work(job, needed, Path(folder) / f"run{number}")
            with _naming(job):
                METHODS[job.arguments["method"]].prepare(read_config(train_options(work)))
            tell(number, len(runs))
    return len(runs)


class _naming:
    """Puts the name of a job before what goes wrong in the block."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, HopgymError):
            raise ArgumentError(f"{self._job.name}: {error}") from error


def _check(job: Job) -> None:
    from hopgym.cli.policies import policy_named
    from hopgym_agents.filtering import FILTERS
    from hopgym_agents.modeling.trainable import check_name
    from hopgym_agents.options import read_options

    asked = job.arguments
    if job.kind == "train":
        _check_method(asked["method"])
    elif job.kind == "keep":
        names = ", ".join(FILTERS)
        require(asked["filter"] in FILTERS, "collect.keep", f"one of {names}", asked["filter"])
    elif job.kind == "given":
        options = read_options(asked["options"])
        if options.generator == "local":
            check_name(options.model)
    elif job.kind in ("collect", "evaluate"):
        env = make(asked["env"], asked["kwargs"])
        env.source[0]  # of a world that cannot give its questions, nothing is known before
        if asked["policy"] not in ("llm", START):
            policy_named(asked["policy"], env, asked.get("options", {}))


def _check_method(name: str) -> None:
    from hopgym_agents.training.commands import METHODS

    if name not in METHODS:
        hint = did_you_mean(name, METHODS)
        raise ArgumentError(f"method must be one of {', '.join(METHODS)}, got {name!r}{hint}")


def _smaller(job: Job) -> Job:
    """Return a collection of few episodes, of the oracle where a model is to play; others as is."""
    if job.kind != "collect":
        return job
    few: Mapping[str, Any] = {"tasks": min(_FEW, job.arguments["tasks"]), "samples": 1}
    if job.arguments["policy"] == START:
        few = {**few, "policy": "oracle", "options": {}}
    return replace(job, arguments={**job.arguments, **few}, needs={})


def _unseeded(job: Job) -> str:
    return json.dumps([{**job.arguments, "seed": 0}, sorted(job.needs)], default=list)


def _mute(done: int, total: int) -> None:
    """Tell nobody."""
