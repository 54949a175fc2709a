"""The jobs of a study, in an order in which each comes behind those that it needs.

In: a study and the files given for it. Out: `Job`s of plain JSON, so that they can go to other
processes, and so that equal ones are done once.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from hopgym.errors import require
from hopgym.registry.lookup import resolve_id
from hopgym_agents.studies.given import content_of
from hopgym_agents.studies.reading import WHOLE
from hopgym_agents.studies.spec import GRID, START, Arm, Collect, Stage, Study, Suite
from hopgym_agents.training.environments import acting_options
from hopgym_agents.training.recipes import laid_over, merged

FLOOR = "guess"
"""The policy that no suite is without: what is to be had without reading anything."""
_MODES: Mapping[str, Mapping[str, Any]] = {"one_turn": {"mode": "one_turn"}}
"""Arguments of the worlds in which the values of some methods are chosen."""


@dataclass(frozen=True, slots=True)
class Job:
    """A piece of work of one process."""

    name: str
    """Unique in the study."""
    kind: str
    """A key of `hopgym_agents.studies.jobs.KINDS`."""
    arguments: Mapping[str, Any]
    """All that decides it beside what it needs; plain JSON."""
    needs: Mapping[str, str] = field(default_factory=dict)
    """What for, to the name of the job whose result it takes."""
    who: str = ""
    """The arm, model or policy that it is of."""
    seed: int | None = None
    """Of the study; None where all seeds share it."""
    suite: str = ""


def plan(study: Study, files: Mapping[str, str] | None = None) -> tuple[Job, ...]:
    """Return the jobs of a study.

    Args:
        study: The study.
        files: Paths for the suites that need one, by their ``file``; the others are left out.

    Raises:
        ArgumentError: On an id that there is not, or an arm without what it is to learn from.
    """
    made = _Plan(study)
    starts = {seed: made.start(seed) for seed in study.seeds} if study.start else {}
    trained = [
        (arm.name, seed, made.arm(arm, seed, starts[seed]))
        for arm in study.arm
        for seed in study.seeds
    ]
    given = [(each.name, None, made.given(each.name, each.options)) for each in study.model]
    models = [*((START, seed, name) for seed, name in starts.items()), *trained, *given]
    suites = [suite for suite in study.suite if suite.file in ("", *(files or {}))]
    for suite in suites:
        for who, seed, model in models:
            shared = who == START and not _differ(study)
            made.evaluate(suite, who, None if shared else seed, files or {}, model)
    for suite in suites:
        asked = study.policies if suite.policies is None else suite.policies
        for policy in dict.fromkeys((*asked, FLOOR)):
            made.evaluate(suite, policy, None, files or {})
    return tuple(made.jobs.values())


def digest(job: Job, digests: Mapping[str, str]) -> str:
    """Return what tells a job from others: of its arguments and of all that it needs.

    Args:
        job: The job.
        digests: Of the jobs it needs, by name.
    """
    needs = {role: digests[name] for role, name in job.needs.items()}
    text = json.dumps([job.kind, job.arguments, needs], sort_keys=True, default=list)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def suite_kwargs(study: Study, suite: Suite, files: Mapping[str, str]) -> tuple[str, Any]:
    """Return id and arguments of a suite's environment."""
    path = {"path": files[suite.file]} if suite.file else {}
    return _world(study, suite.env, {**suite.kwargs, **path}, f"suite {suite.name!r}")


class _Plan:
    """Jobs as they come; one that equals another is not added again."""

    def __init__(self, study: Study) -> None:
        self.jobs: dict[str, Job] = {}
        self._names: dict[str, str] = {}
        self._study = study

    def start(self, seed: int) -> str:
        """Add what makes the model that the runs of a seed start from; return its name."""
        start = self._study.start
        assert start is not None
        if start.model:
            options = {"generator": "local", "model": start.model}
            options |= acting_options(self._study.arm[0].options) if self._study.arm else {}
            model = self._add(Job(START, "given", {"options": options, **_weights(options)}))
        else:
            tiny: dict[str, Any] = {
                "hidden": start.tiny.hidden,
                "layers": start.tiny.layers,
                "seed": seed,
            }
            env, kwargs = _world(self._study, "", {}, "start.tiny")
            words = {"env_id": env, "env_kwargs": kwargs}
            model = self._add(Job(f"tiny model, seed {seed}", "tiny", tiny | words, seed=seed))
        for number, stage in enumerate(start.stage, start=1):
            model = self._stage(f"{START}, stage {number}", stage, seed, model)
        return model

    def arm(self, arm: Arm, seed: int, model: str) -> str:
        """Add the run of an arm with what comes before it; return its name."""
        options = self._options(arm.options, arm.name)
        needs = {"model": model}
        if arm.collect is not None:
            needs["run"] = self._collect(arm.collect, seed, model, arm.name)
        arguments = {"method": arm.method, "options": options}
        if arm.grid:
            first = self._study.seeds[0]
            needs["choice"] = (
                self._choice(arm, first) if seed == first else f"choice for {arm.name}"
            )
        job = Job(
            f"{arm.name}, seed {seed}", "train", arguments | {"seed": seed}, needs, arm.name, seed
        )
        return self._add(job)

    def given(self, name: str, options: Mapping[str, Any]) -> str:
        """Add a model that is there already; return its job's name."""
        arguments = {"options": dict(options), **_weights(options)}
        return self._add(Job(name, "given", arguments, who=name))

    def evaluate(
        self,
        suite: Suite,
        who: str,
        seed: int | None,
        files: Mapping[str, str],
        model: str | None = None,
    ) -> str:
        """Add an evaluation of a model, or of the policy ``who``; return its name."""
        env, kwargs = suite_kwargs(self._study, suite, files)
        arguments: dict[str, Any] = {"env": env, "kwargs": kwargs, "n": suite.n}
        if suite.file:
            arguments["content"] = content_of(Path(files[suite.file]))
        arguments["policy"] = "llm" if model else who
        if model:
            arguments["options"] = {**self._study.play, **suite.options}
        of = "" if seed is None else f", seed {seed}"
        needs = {"model": model} if model else {}
        name = f"{suite.name}: {who}{of}"
        return self._add(Job(name, "evaluate", arguments, needs, who, seed, suite.name))

    def _stage(self, name: str, stage: Stage, seed: int, model: str) -> str:
        needs = {"model": model}
        if stage.collect is not None:
            needs["run"] = self._collect(stage.collect, seed, model, name)
        options = self._options(stage.train, name)
        arguments = {"method": stage.method, "options": options, "seed": seed}
        return self._add(Job(f"{name}, seed {seed}", "train", arguments, needs, START, seed))

    def _collect(self, collect: Collect, seed: int, model: str, what: str) -> str:
        env, kwargs = _world(self._study, collect.env, collect.kwargs, f"collect for {what}")
        of_model = collect.policy == START
        arguments: dict[str, Any] = {"env": env, "kwargs": kwargs, "policy": collect.policy}
        arguments |= {"options": collect.options, "tasks": collect.tasks, "first": collect.first}
        arguments |= {"samples": collect.samples, "seed": collect.seed + (seed if of_model else 0)}
        needs = {"model": model} if of_model else {}
        name = f"episodes for {what}" + (f", seed {seed}" if of_model else "")
        run = self._add(Job(name, "collect", arguments, needs))
        if not collect.keep:
            return run
        name = f"{run} that pass {collect.keep}" + ("" if of_model else f", seed {seed}")
        return self._add(Job(name, "keep", {"filter": collect.keep, "seed": seed}, {"run": run}))

    def _choice(self, arm: Arm, seed: int) -> str:
        """Add the runs that values are chosen from, and the choice; return its name."""
        grid, found = self._study.grid, {}
        suite = Suite(GRID, kwargs={**_MODES.get(arm.method, {}), **grid.kwargs}, n=grid.n)
        values = [dict(zip(arm.grid, each, strict=True)) for each in product(*arm.grid.values())]
        for number, chosen in enumerate(values):
            name = f"{arm.name} with " + " ".join(f"{k}={v}" for k, v in chosen.items())
            options = merged(laid_over(arm.options, grid.options, WHOLE), nested(chosen))
            tried = Arm(name, arm.method, arm.collect, options=options)
            model = self.arm(tried, seed, self.start(seed))
            found[str(number)] = self.evaluate(suite, name, seed, {}, model)
        arguments = {"values": values}
        return self._add(Job(f"choice for {arm.name}", "choose", arguments, found, arm.name))

    def _options(self, options: Mapping[str, Any], what: str) -> dict[str, Any]:
        """Return a run's options, with the study's worlds where it plays in none of its own."""
        play = options.get("play")
        if not isinstance(play, Mapping):
            return dict(options)
        env, kwargs = _world(self._study, play.get("env", ""), play.get("kwargs", {}), what)
        return {**options, "play": {**play, "env": env, "kwargs": kwargs}}

    def _add(self, job: Job) -> str:
        same = json.dumps([job.kind, job.arguments, job.needs], sort_keys=True, default=list)
        if job.who in ("", START) and job.kind != "evaluate" and same in self._names:
            return self._names[same]
        self._names[same] = job.name
        self.jobs[job.name] = job
        return job.name


def nested(dotted: Mapping[str, Any]) -> dict[str, Any]:
    """Return tables of values by dotted names: ``{"trl.learning_rate": 1}`` sets one of ``trl``."""
    found: dict[str, Any] = {}
    for name, value in dotted.items():
        parts: Sequence[str] = name.split(".")
        for part in reversed(parts):
            value = {part: value}
        found = merged(found, value)
    return found


def evaluations(jobs: Sequence[Job], suite: str) -> Iterator[Job]:
    """Yield the evaluations on a suite."""
    return (job for job in jobs if job.kind == "evaluate" and job.suite == suite)


def _weights(options: Mapping[str, Any]) -> dict[str, str]:
    """Return what tells the files of a model from others of the same names."""
    paths = [Path(str(options[name])) for name in ("model", "adapter") if options.get(name)]
    found = "".join(content_of(path) for path in paths)
    return {"content": found} if found else {}


def _world(study: Study, env: str, kwargs: Mapping[str, Any], what: str) -> tuple[str, Any]:
    """Return id and arguments of an environment; the study's where none is named."""
    name = env or study.env.id
    require(bool(name), "env", f"given for {what}, or the study's: [env] id = ...", name)
    found = resolve_id(name)
    own = env and found != resolve_id(study.env.id or env)
    return found, dict(kwargs) if own or not study.env.id else merged(study.env.kwargs, kwargs)


def _differ(study: Study) -> bool:
    """Return whether the models that runs start from differ between seeds."""
    return study.start is not None and not (study.start.model and not study.start.stage)
