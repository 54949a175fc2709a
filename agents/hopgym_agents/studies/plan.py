"""Plans the jobs of a study, in an order in which each job follows those that it needs.

Jobs are plain JSON, so that they can be sent to other processes. Equal jobs are planned once.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import product
from pathlib import Path
from typing import Any

from hopgym.errors import ArgumentError, require
from hopgym.registry.lookup import resolve_id
from hopgym_agents.studies.spec import (
    GRID,
    REPLACED_OPTIONS,
    START,
    Arm,
    EpisodeCollection,
    StartStage,
    Study,
    Suite,
)
from hopgym_agents.training.config import merge_options, merge_tables
from hopgym_agents.training.environments import acting_options
from hopgym_agents.training.method import method_named

FLOOR = "guess"
"""The policy that plays every suite: its score takes no reading."""
_HASHED_BYTES = 1 << 30
"""Larger files are identified by size and modification time."""
_MODEL_FILES = ("*.safetensors", "*.bin", "*.json", "*.jinja")


class JobKind(StrEnum):
    """What a job does."""

    MODEL = "model"
    """Names an existing model."""
    TINY_MODEL = "tiny_model"
    """Creates a model with random weights."""
    COLLECT = "collect"
    """Collects episodes."""
    FILTER = "filter"
    """Samples the collected episodes that pass a filter."""
    TRAIN = "train"
    CHOOSE = "choose"
    """Chooses the values of a grid."""
    EVALUATE = "evaluate"


@dataclass(frozen=True, slots=True)
class Job:
    """A unit of work that one process does."""

    name: str
    """Unique in the study."""
    kind: JobKind
    arguments: Mapping[str, Any]
    """What determines the result beside the results of `needs`; plain JSON."""
    needs: Mapping[str, str] = field(default_factory=dict)
    """Name of the job whose result is needed, by the role of the result."""
    subject: str = ""
    """The arm, model or policy that the job belongs to."""
    seed: int | None = None
    """Seed of the study; None if all seeds share the job."""
    suite: str = ""


def plan_jobs(study: Study, files: Mapping[str, str] | None = None) -> tuple[Job, ...]:
    """Return the jobs of a study.

    Args:
        study: The study.
        files: Paths by `Suite.file`; suites whose file is missing have no jobs.

    Raises:
        ArgumentError: On an unknown environment id, or a part without an environment.
    """
    builder = _PlanBuilder(study, files or {})
    starts = {seed: builder.add_start(seed) for seed in study.seeds} if study.start else {}
    starts_differ = study.start is not None and (not study.start.model or bool(study.start.stage))
    arms = [
        (arm.name, seed, builder.add_arm(arm, seed, starts[seed]))
        for arm in study.arm
        for seed in study.seeds
    ]
    start_models = [(START, seed if starts_differ else None, job) for seed, job in starts.items()]
    extra_models = [
        (model.name, None, builder.add_model(model.name, model.options)) for model in study.model
    ]
    suites = [suite for suite in study.suite if not suite.file or suite.file in (files or {})]
    for suite in suites:
        for subject, seed, model in (*start_models, *arms, *extra_models):
            builder.add_evaluation(suite, subject, seed, model)
    for suite in suites:
        policies = study.policies if suite.policies is None else suite.policies
        for policy in dict.fromkeys((*policies, FLOOR)):
            builder.add_evaluation(suite, policy, None)
    return tuple(builder.jobs.values())


def job_digest(job: Job, digests: Mapping[str, str]) -> str:
    """Return 12 hex digits that identify a job by its arguments and all that it needs.

    Args:
        job: The job.
        digests: Digests of the jobs that it needs, by name.
    """
    needs = {role: digests[name] for role, name in job.needs.items()}
    text = json.dumps([job.kind, job.arguments, needs], sort_keys=True, default=list)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def nest_options(dotted: Mapping[str, Any]) -> dict[str, Any]:
    """Return options by dotted names as nested tables: ``trl.beta`` is ``beta`` in ``trl``."""
    nested: dict[str, Any] = {}
    for name, value in dotted.items():
        for part in reversed(name.split(".")):
            value = {part: value}
        nested = merge_tables(nested, value)
    return nested


def evaluations_on(jobs: Sequence[Job], suite: str) -> Iterator[Job]:
    """Yield the evaluations on a suite."""
    return (job for job in jobs if job.kind is JobKind.EVALUATE and job.suite == suite)


class _PlanBuilder:
    """Collects jobs; a job equal to one that is already planned is not added again."""

    def __init__(self, study: Study, files: Mapping[str, str]) -> None:
        self.jobs: dict[str, Job] = {}
        self._names: dict[str, str] = {}
        self._study = study
        self._files = files

    def add_start(self, seed: int) -> str:
        """Add the jobs that make a seed's start model; return the name of the last."""
        start = self._study.start
        assert start is not None
        if start.model:
            options = {"generator": "local", "model": start.model}
            options |= acting_options(self._study.arm[0].options) if self._study.arm else {}
            job = Job(START, JobKind.MODEL, {"options": options, **_model_content(options)})
        else:
            env_id, env_kwargs = self._env("", {}, "start.tiny")
            arguments = {
                "hidden": start.tiny.hidden,
                "layers": start.tiny.layers,
                "seed": seed,
                "env_id": env_id,
                "env_kwargs": env_kwargs,
            }
            job = Job(f"tiny model, seed {seed}", JobKind.TINY_MODEL, arguments, seed=seed)
        model = self._add(job)
        for number, stage in enumerate(start.stage, start=1):
            model = self._add_stage(f"{START}, stage {number}", stage, seed, model)
        return model

    def add_arm(self, arm: Arm, seed: int, model: str) -> str:
        """Add the run of an arm and the jobs that it needs; return its name."""
        arguments = {
            "method": arm.method,
            "options": self._train_options(arm.options, arm.name),
            "seed": seed,
        }
        needs = {"model": model}
        if arm.collect is not None:
            needs["run"] = self._add_collection(arm.collect, seed, model, arm.name)
        if arm.grid:
            if seed == self._study.seeds[0]:
                self._add_choice(arm, seed)
            needs["choice"] = _choice_name(arm)
        name = f"{arm.name}, seed {seed}"
        return self._add(Job(name, JobKind.TRAIN, arguments, needs, arm.name, seed))

    def add_model(self, name: str, options: Mapping[str, Any]) -> str:
        """Add an existing model; return the name of its job."""
        arguments = {"options": dict(options), **_model_content(options)}
        return self._add(Job(name, JobKind.MODEL, arguments, subject=name))

    def add_evaluation(
        self, suite: Suite, subject: str, seed: int | None, model: str | None = None
    ) -> str:
        """Add an evaluation of a model, or of the policy ``subject``; return its name."""
        path = {"path": self._files[suite.file]} if suite.file else {}
        env, kwargs = self._env(suite.env, {**suite.kwargs, **path}, f"suite {suite.name!r}")
        arguments: dict[str, Any] = {"env": env, "kwargs": kwargs, "n": suite.n}
        if suite.file:
            arguments["content"] = content_digest(Path(self._files[suite.file]))
        arguments["policy"] = "llm" if model else subject
        if model:
            arguments["options"] = {**self._study.play, **suite.options}
        needs = {"model": model} if model else {}
        name = f"{suite.name}: {subject}" + ("" if seed is None else f", seed {seed}")
        job = Job(name, JobKind.EVALUATE, arguments, needs, subject, seed, suite.name)
        return self._add(job)

    def _add_stage(self, name: str, stage: StartStage, seed: int, model: str) -> str:
        needs = {"model": model}
        if stage.collect is not None:
            needs["run"] = self._add_collection(stage.collect, seed, model, name)
        options = self._train_options(stage.train, name)
        arguments = {"method": stage.method, "options": options, "seed": seed}
        job = Job(f"{name}, seed {seed}", JobKind.TRAIN, arguments, needs, START, seed)
        return self._add(job)

    def _add_collection(
        self, collect: EpisodeCollection, seed: int, model: str, subject: str
    ) -> str:
        env, kwargs = self._env(collect.env, collect.kwargs, f"collect for {subject}")
        # Only what the start model collects depends on the study's seed.
        by_model = collect.policy == START
        arguments = {
            "env": env,
            "kwargs": kwargs,
            "policy": collect.policy,
            "options": collect.options,
            "tasks": collect.tasks,
            "first": collect.first,
            "samples": collect.samples,
            "seed": collect.seed + (seed if by_model else 0),
        }
        needs = {"model": model} if by_model else {}
        name = f"episodes for {subject}" + (f", seed {seed}" if by_model else "")
        run = self._add(Job(name, JobKind.COLLECT, arguments, needs))
        if not collect.filter:
            return run
        name = f"{run} that pass {collect.filter}" + ("" if by_model else f", seed {seed}")
        arguments = {"filter": collect.filter, "seed": seed}
        return self._add(Job(name, JobKind.FILTER, arguments, {"run": run}))

    def _add_choice(self, arm: Arm, seed: int) -> None:
        """Add a run and an evaluation for each combination of values, and the choice."""
        grid = self._study.grid
        suite = Suite(GRID, kwargs={**_env_kwargs(arm.method), **grid.kwargs}, n=grid.n)
        combinations = [
            dict(zip(arm.grid, values, strict=True)) for values in product(*arm.grid.values())
        ]
        needs = {}
        for number, values in enumerate(combinations):
            name = f"{arm.name} with " + " ".join(f"{k}={v}" for k, v in values.items())
            options = merge_options(arm.options, grid.options, REPLACED_OPTIONS)
            options = merge_tables(options, nest_options(values))
            candidate = Arm(name, arm.method, arm.collect, options=options)
            model = self.add_arm(candidate, seed, self.add_start(seed))
            needs[str(number)] = self.add_evaluation(suite, name, seed, model)
        arguments = {"values": combinations}
        self._add(Job(_choice_name(arm), JobKind.CHOOSE, arguments, needs, arm.name))

    def _train_options(self, options: Mapping[str, Any], subject: str) -> dict[str, Any]:
        """Return a run's options, with the study's environment unless the run names its own."""
        play = options.get("play")
        if not isinstance(play, Mapping):
            return dict(options)
        env, kwargs = self._env(play.get("env", ""), play.get("kwargs", {}), subject)
        return {**options, "play": {**play, "env": env, "kwargs": kwargs}}

    def _env(self, env: str, kwargs: Mapping[str, Any], subject: str) -> tuple[str, dict[str, Any]]:
        """Return id and arguments of an environment; the study's if ``env`` is empty."""
        default = self._study.env
        name = env or default.id
        require(bool(name), "env", f"given for {subject}, or the study's: [env] id = ...", name)
        env_id = resolve_id(name)
        if not default.id or env_id != resolve_id(default.id):
            return env_id, dict(kwargs)
        return env_id, merge_tables(default.kwargs, kwargs)

    def _add(self, job: Job) -> str:
        content = json.dumps([job.kind, job.arguments, job.needs], sort_keys=True, default=list)
        # Arms and evaluations have tables of their own, so they stay apart even if they are equal.
        can_be_shared = job.subject in ("", START) and job.kind is not JobKind.EVALUATE
        if can_be_shared and content in self._names:
            return self._names[content]
        self._names[content] = job.name
        self.jobs[job.name] = job
        return job.name


def _choice_name(arm: Arm) -> str:
    return f"choice for {arm.name}"


def _env_kwargs(method: str) -> Mapping[str, Any]:
    """Return the environment arguments of a method, which its candidates are evaluated with."""
    try:
        return method_named(method).env_kwargs
    except ArgumentError:
        return {}  # `checking.check_jobs` reports unknown methods, with the name of the job.


def content_digest(path: Path) -> str:
    """Return 12 hex digits for the content of a file or of a model's folder.

    Jobs have it among their arguments, so that results are not reused once a file has changed.
    Folders that hold no model are identified by the sizes and modification times of their files. A
    path that does not exist, such as a Hub id, has an empty digest.
    """
    if path.is_file():
        lines = [_file_digest(path)]
    elif not path.is_dir():
        return ""
    elif (path / "config.json").is_file() or (path / "adapter_config.json").is_file():
        files = sorted(file for pattern in _MODEL_FILES for file in path.glob(pattern))
        lines = [f"{file.name} {_file_digest(file)}" for file in files]
    else:
        files = sorted(file for file in path.rglob("*") if file.is_file())
        lines = [f"{file.relative_to(path)} {_size_and_time(file)}" for file in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def _file_digest(file: Path) -> str:
    if file.stat().st_size > _HASHED_BYTES:
        return _size_and_time(file)
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _size_and_time(file: Path) -> str:
    stat = file.stat()
    return f"{stat.st_size} {stat.st_mtime_ns}"


def _model_content(options: Mapping[str, Any]) -> dict[str, str]:
    """Return the argument that identifies the files of a model; empty for models on the Hub."""
    paths = [Path(str(options[name])) for name in ("model", "adapter") if options.get(name)]
    content = "".join(content_digest(path) for path in paths)
    return {"content": content} if content else {}
