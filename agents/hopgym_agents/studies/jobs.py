"""Runs the jobs of a study: models, episodes, training runs and evaluations.

A job gets the results of the jobs that it needs and returns its own result as plain JSON. A job
that was killed resumes from its files when it is run again.
"""

import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hopgym.env import HopEnv
from hopgym.errors import DataError
from hopgym.evaluation import METRICS as ALL_METRICS
from hopgym.evaluation import evaluate, score_episode
from hopgym.evaluation.progress import MAX_LEADING_ERRORS
from hopgym.policies.registry import policy_named
from hopgym.policy import Policy
from hopgym.registry.lookup import make
from hopgym.rollout import run_episodes
from hopgym.runs.reader import RunPlan, StoredEpisodes
from hopgym.runs.trajectory_file import read_header, read_trajectories
from hopgym.runs.writer import TrajectoryWriter
from hopgym.tasks import TaskSource
from hopgym.trajectory import ERROR_REASONS, Trajectory
from hopgym_agents.data.filtering import (
    FILTERS,
    EpisodeLabel,
    label_episodes,
    sample_episodes,
    select_episodes,
)
from hopgym_agents.modeling.saving import merge_adapter
from hopgym_agents.modeling.tiny import make_tiny
from hopgym_agents.studies.plan import Job, JobKind, nest_options
from hopgym_agents.studies.spec import START
from hopgym_agents.training import loop
from hopgym_agents.training.config import merge_tables, read_config
from hopgym_agents.training.result import policy_options
from hopgym_agents.training.run_folder import PROGRESS

JobResult = dict[str, Any]
"""Result of a job as plain JSON. Its keys by the kind of the job:

- model, tiny_model: ``options`` of the policy ``llm`` that play the model.
- collect, filter: ``run``, the trajectory file; ``passing``, the number of episodes that pass each
  filter; ``episodes``, the number of sampled episodes.
- train: ``options`` as above; ``merged``, the folder of the merged adapter, if other runs start
  from it; ``progress``, the log; ``spent``, costs by name; ``steps``; ``ended_by``.
- choose: ``values``, the chosen ones by option; ``candidates``, pairs of values and success.
- evaluate: see `score_by_task`; also ``episodes_file``.
"""
ReportProgress = Callable[[int, int], None]
"""Called with how many units of a job are done, and how many there are (0 if unknown)."""

METRICS = ("success", "f1", "supported", "process_accuracy", "steps", "malformed", "repeat")
"""The metrics of `hopgym.evaluation.METRICS` in the results of evaluations, for every task."""
_SLOTS = 64
_SAMPLING = {"temperature": 1.0, "max_tokens": 64}


@dataclass(frozen=True, slots=True)
class JobInput:
    """A job with everything that it takes to run it."""

    job: Job
    results: Mapping[str, JobResult]
    """Results of the jobs that it needs, by role."""
    path: Path
    """Where its files go, without a suffix; unique to the job."""

    @property
    def episodes_file(self) -> Path:
        """Trajectory file of the job."""
        return self.path.with_name(f"{self.path.name}.jsonl")


def run_job(work: JobInput, report: ReportProgress) -> JobResult:
    """Run a job and return its result.

    Raises:
        HopgymError: If the job fails.
    """
    return _RUNNERS[work.job.kind](work, report)


def score_by_task(episodes: Iterable[Trajectory], source: TaskSource) -> JobResult:
    """Return the metrics of finished episodes by task, and the official metrics if there are any.

    The result has ``tasks``: by task id, ``hops`` and a pair (numerator, denominator) for each of
    `METRICS`; ``errors``, the number of episodes left out; ``official``, by name; and ``unit``,
    that of the official metrics.

    Args:
        episodes: An iterable that can be read twice.
        source: The source of their tasks.
    """
    tasks = {}
    for trajectory in episodes:
        if trajectory.stop_reason not in ERROR_REASONS:
            scored = score_episode(trajectory, source)
            ratios = {name: ALL_METRICS[name](scored) for name in METRICS}
            tasks[trajectory.task_id] = {"hops": scored.task.question.hop_count, **ratios}
    evaluation = evaluate(episodes, source)
    official = source.printed(evaluation.official) if source.has_script else {}
    unit = "percent" if source.percent else "shares of 1"
    return {"tasks": tasks, "errors": evaluation.errors, "official": dict(official), "unit": unit}


def train_options(work: JobInput) -> dict[str, Any]:
    """Return all options of a training run."""
    arguments = work.job.arguments
    options = dict(arguments["options"])
    if "choice" in work.results:
        options = merge_tables(options, nest_options(work.results["choice"]["values"]))
    if "run" in work.results:
        options["run"] = work.results["run"]["run"]
    start = work.results["model"]
    model = start.get("merged", start["options"]["model"])
    return {**options, "model": model, "out": str(work.path), "seed": arguments["seed"]}


def _name_model(work: JobInput, report: ReportProgress) -> JobResult:
    return {"options": dict(work.job.arguments["options"])}


def _create_tiny_model(work: JobInput, report: ReportProgress) -> JobResult:
    shutil.rmtree(work.path, ignore_errors=True)  # A killed job may have left half a model.
    model = make_tiny(work.path, **work.job.arguments)
    return {"options": {"generator": "local", "model": model.path}, "parameters": model.parameters}


def _collect(work: JobInput, report: ReportProgress) -> JobResult:
    arguments = work.job.arguments
    env = make(arguments["env"], arguments["kwargs"])
    if arguments["policy"] == START:
        options = {**work.results["model"]["options"], **_SAMPLING, **arguments["options"]}
        policy = _policy("llm", env, options)
    else:
        policy = _policy(arguments["policy"], env, arguments["options"])
    file = work.episodes_file
    first = arguments["first"]
    indices = range(first, min(first + arguments["tasks"], len(env.source)))
    _play(
        env,
        policy,
        indices,
        file,
        report,
        samples=arguments["samples"],
        seed=arguments["seed"],
    )
    labels = _labels(file)
    passing = {name: len(select_episodes(labels, name)) for name in FILTERS}
    return {"run": str(file), "passing": passing}


def _filter(work: JobInput, report: ReportProgress) -> JobResult:
    """Write a sample of the episodes that pass the filter, of the same size for all filters."""
    run = Path(work.results["run"]["run"])
    arguments = work.job.arguments
    selected = sample_episodes(_labels(run), arguments["filter"], seed=arguments["seed"])
    keys = {label.key for label in selected}
    file = work.episodes_file
    file.unlink(missing_ok=True)  # A killed job may have left some episodes.
    with TrajectoryWriter(file, read_header(run)) as writer:
        for episode in read_trajectories(run):
            if episode.key in keys:
                writer.write(episode)
    return {"run": str(file), "episodes": len(keys)}


def _labels(file: Path) -> list[EpisodeLabel]:
    return [label for label in label_episodes(read_trajectories(file)) if label is not None]


def _train(work: JobInput, report: ReportProgress) -> JobResult:
    loop.silence_libraries()
    config = read_config(train_options(work))
    prepared = loop.prepare(work.job.arguments["method"], config)

    def show(total: int, done: int) -> Callable[[int], None]:
        position = done

        def advance(count: int) -> None:
            nonlocal position
            position += count
            report(position, total)

        return advance

    trained = loop.run(prepared, show)
    options = policy_options(config, trained.model)
    result = {
        "options": options,
        "progress": str(Path(config.out) / PROGRESS),
        "spent": trained.spent.to_dict(),
        "steps": trained.steps,
        "ended_by": trained.ended_by,
    }
    # Merged once here, as the runs that start from an adapter could not share a merged copy.
    if work.job.subject == START and "adapter" in options:
        result["merged"] = _merge(options, work.path / "merged")
    return result


def _merge(options: Mapping[str, str], folder: Path) -> str:
    """Merge a trained adapter into its base; return the folder of the merged model."""
    shutil.rmtree(folder, ignore_errors=True)  # A killed job may have left half a model.
    merge_adapter(options["model"], options["adapter"], folder)
    return str(folder)


def _choose(work: JobInput, report: ReportProgress) -> JobResult:
    """Choose the values with the highest success; the first ones if there is a tie."""
    values = work.job.arguments["values"]
    rates = [_success_rate(work.results[str(number)]) for number in range(len(values))]
    best = rates.index(max(rates))
    return {"values": values[best], "candidates": list(zip(values, rates, strict=True))}


def _success_rate(evaluation: JobResult) -> float:
    successes: list[float] = [task["success"][0] for task in evaluation["tasks"].values()]
    return sum(successes) / max(1, len(successes))


def _evaluate(work: JobInput, report: ReportProgress) -> JobResult:
    arguments = work.job.arguments
    env = make(arguments["env"], arguments["kwargs"])
    options = {}
    if "model" in work.results:
        options = {**work.results["model"]["options"], **arguments["options"]}
    policy = _policy(arguments["policy"], env, options)
    tasks = min(arguments["n"] or len(env.source), len(env.source))
    file = work.episodes_file
    _play(env, policy, range(tasks), file, report)
    episodes = StoredEpisodes(RunPlan(work.job.subject, tasks, file))
    return {"episodes_file": str(file), **score_by_task(episodes, env.source)}


def _policy(name: str, env: HopEnv, options: Mapping[str, Any]) -> Policy:
    if options.get("generator") == "local":
        loop.silence_libraries()
    return policy_named(name, env, options)


def _play(
    env: HopEnv,
    policy: Policy,
    indices: range,
    file: Path,
    report: ReportProgress,
    *,
    samples: int = 1,
    seed: int = 0,
) -> None:
    """Play the episodes that a file does not hold yet."""
    file.parent.mkdir(parents=True, exist_ok=True)
    total = len(indices) * samples
    errors = 0
    episodes = run_episodes(
        env, policy, indices, slots=_SLOTS, out=file, samples=samples, seed=seed
    )
    for done, trajectory in enumerate(episodes, start=1):
        report(done, total)
        errors += trajectory.stop_reason in ERROR_REASONS
        if errors == done >= min(MAX_LEADING_ERRORS, total):
            raise DataError(
                f"expected episodes, got only errors of the policy: {trajectory.error}; fix what "
                "that names, then run the same command again"
            )


_RUNNERS: Mapping[JobKind, Callable[[JobInput, ReportProgress], JobResult]] = {
    JobKind.MODEL: _name_model,
    JobKind.TINY_MODEL: _create_tiny_model,
    JobKind.COLLECT: _collect,
    JobKind.FILTER: _filter,
    JobKind.TRAIN: _train,
    JobKind.CHOOSE: _choose,
    JobKind.EVALUATE: _evaluate,
}
