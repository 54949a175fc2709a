"""What can be known to go wrong with a study before it begins.

In: its jobs. Out: nothing, or an error that says what is wrong with which part. The dry run also
prepares each training run, on a model and episodes that are made for it in a passing folder.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from hopgym.errors import ArgumentError, HopgymError, did_you_mean, require
from hopgym.registry.lookup import make
from hopgym_agents.studies.jobs import Result, Tell, Work, do, train_options
from hopgym_agents.studies.plan import Job
from hopgym_agents.studies.spec import START

_FEW = 64
"""Tasks of a made collection: enough states for a batch of the usual size."""
_CHECKED = ("env", "kwargs", "policy", "method", "n", "tasks", "first")


def check_jobs(jobs: Sequence[Job]) -> None:
    """Raise unless methods, environments and policies of all jobs are there.

    Raises:
        ArgumentError: That names the job.
    """
    seen: set[str] = set()
    for job in jobs:
        asked = job.arguments
        # Every suite is asked for again for each model.
        key = json.dumps([asked.get(name) for name in _CHECKED])
        if key not in seen or job.kind in ("given", "train"):
            seen.add(key)
            with _naming(job):
                _check(job)


def prepare_all(jobs: Sequence[Job], tell: Tell) -> int:
    """Prepare every training run as far as that goes before it begins; return how many there are.

    Raises:
        ArgumentError: On the first that cannot be prepared; it names the job.
    """
    from hopgym_agents.training.config import read_config
    from hopgym_agents.training.registry import METHODS
    from hopgym_agents.training.setup import silence_libraries

    silence_libraries()
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
                METHODS[job.arguments["method"]](read_config(train_options(work)))
            tell(number, len(runs))
    return len(runs)


@contextmanager
def _naming(job: Job) -> Iterator[None]:
    """Put the name of a job before what goes wrong in the block."""
    try:
        yield
    except HopgymError as error:
        raise ArgumentError(f"{job.name}: {error}") from error


def _check(job: Job) -> None:
    from hopgym.policies.registry import policy_named
    from hopgym_agents.data.filtering import FILTERS
    from hopgym_agents.modeling.trainable import check_name
    from hopgym_agents.options import read_options
    from hopgym_agents.training.config import read_config

    asked = job.arguments
    if job.kind == "train":
        _check_method(asked["method"])
        read_config({**asked["options"], "model": START, "out": START})  # its names and values
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
        _check_count(asked, len(env.source))
        if asked["policy"] not in ("llm", START):
            policy_named(asked["policy"], env, asked.get("options", {}))


def _check_count(asked: Mapping[str, Any], there: int) -> None:
    first, expected = asked.get("first", 0), f"at most the {there:,} tasks of {asked['env']}"
    wanted = asked.get("n") or asked.get("tasks") or 0
    name = "n" if "n" in asked else "first + tasks" if first else "tasks"
    require(first + wanted <= there, name, f"{expected} with these arguments", first + wanted)


def _check_method(name: str) -> None:
    from hopgym_agents.training.registry import METHODS

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
