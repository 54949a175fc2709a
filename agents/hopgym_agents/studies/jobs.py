"""What a worker does: models, episodes, training runs, evaluations, one job at a time.

In: a job, the results of those that it needs, the study's folder. Out: its result as plain JSON.
Killed at any point, the same job goes on with what its files hold.
"""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hopgym.errors import DataError
from hopgym_agents.studies.plan import Job, nested
from hopgym_agents.studies.spec import START
from hopgym_agents.training.recipes import merged

if TYPE_CHECKING:
    from hopgym.env import HopEnv
    from hopgym.policy import Policy

Result = dict[str, Any]
Tell = Callable[[int, int], None]
"""Told how much of how much is done."""

SLOTS = 64
METRICS = ("success", "f1", "supported", "process_accuracy", "steps", "malformed", "repeat")
"""Of `hopgym.evaluation.METRICS`, those that are kept of every task."""
_SAMPLING = {"temperature": 1.0, "max_tokens": 64}


@dataclass(frozen=True, slots=True)
class Work:
    """A job with what it takes to do it."""

    job: Job
    results: Mapping[str, Result]
    """Of the jobs that it needs, by what for."""
    path: Path
    """Where its files go, without a suffix; no other job has the same."""


def do(work: Work, tell: Tell) -> Result:
    """Do a job and return its result.

    Raises:
        HopgymError: On whatever keeps it from being done.
    """
    return KINDS[work.job.kind](work, tell)


def _given(work: Work, tell: Tell) -> Result:
    return {"options": dict(work.job.arguments["options"])}


def _tiny(work: Work, tell: Tell) -> Result:
    from hopgym_agents.modeling.tiny import make_tiny

    shutil.rmtree(work.path, ignore_errors=True)  # of a job that was killed
    made = make_tiny(work.path, **work.job.arguments)
    return {"options": {"generator": "local", "model": made.path}, "parameters": made.parameters}


def _collect(work: Work, tell: Tell) -> Result:
    from hopgym.registry.lookup import make
    from hopgym.runs.trajectory_file import read_trajectories
    from hopgym_agents.data.filtering import FILTERS, label_episodes, select_episodes

    asked = work.job.arguments
    env = make(asked["env"], asked["kwargs"])
    if asked["policy"] == START:
        options = {**work.results["model"]["options"], **_SAMPLING, **asked["options"]}
        policy = _policy("llm", env, options)
    else:
        policy = _policy(asked["policy"], env, asked["options"])
    file = work.path.with_name(f"{work.path.name}.jsonl")
    indices = range(asked["first"], min(asked["first"] + asked["tasks"], len(env.source)))
    _play(env, policy, indices, file, tell, samples=asked["samples"], seed=asked["seed"])
    labels = [each for each in label_episodes(read_trajectories(file)) if each is not None]
    passed = {name: len(select_episodes(labels, name)) for name in FILTERS}
    return {"run": str(file), "passed": passed}


def _keep(work: Work, tell: Tell) -> Result:
    """Keep as many episodes that pass a filter as pass any of them."""
    from hopgym.runs.trajectory_file import TrajectoryWriter, read_header, read_trajectories
    from hopgym_agents.data.filtering import label_episodes, sample_episodes

    run, file = Path(work.results["run"]["run"]), work.path.with_name(f"{work.path.name}.jsonl")
    labels = [each for each in label_episodes(read_trajectories(run)) if each is not None]
    drawn = sample_episodes(labels, work.job.arguments["filter"], seed=work.job.arguments["seed"])
    keys = {each.key for each in drawn}
    file.unlink(missing_ok=True)  # of a job that was killed
    with TrajectoryWriter(file, read_header(run)) as writer:
        for episode in read_trajectories(run):
            if episode.key in keys:
                writer.write(episode)
    return {"run": str(file), "kept": len(keys)}


def _train(work: Work, tell: Tell) -> Result:
    from hopgym_agents.training.config import read_config
    from hopgym_agents.training.loop import train
    from hopgym_agents.training.registry import METHODS
    from hopgym_agents.training.result import play_options
    from hopgym_agents.training.setup import silence_libraries

    silence_libraries()
    config = read_config(train_options(work))
    prepare = METHODS[work.job.arguments["method"]]

    def show(total: int, done: int) -> Callable[[int], None]:
        at = done

        def advance(count: int) -> None:
            nonlocal at
            at += count
            tell(at, total)

        return advance

    trained = train(prepare(config), show)
    options = play_options(config, trained.model)
    # One job writes it: those that start from an adapter could not share the work of merging it.
    merged_in = _merged(work, options) if work.job.who == START else {}
    return {
        "options": options,
        **merged_in,
        "progress": str(Path(config.out) / "progress.jsonl"),
        "spent": trained.spent.to_dict(),
        "steps": trained.steps,
        "ended_by": trained.ended_by,
    }


def train_options(work: Work) -> dict[str, Any]:
    """Return all options of a training run."""
    asked, results = work.job.arguments, work.results
    options = dict(asked["options"])
    if "choice" in results:
        options = merged(options, nested(results["choice"]["values"]))
    if "run" in results:
        options["run"] = results["run"]["run"]
    start = results["model"]
    model = start.get("merged", start["options"]["model"])
    return {**options, "model": model, "out": str(work.path), "seed": asked["seed"]}


def _merged(work: Work, options: Mapping[str, str]) -> Result:
    """Return the folder of a trained adapter merged into its base, for runs that start from it."""
    from hopgym_agents.modeling.saving import merge_adapter

    if "adapter" not in options:
        return {}
    folder = work.path / "merged"
    shutil.rmtree(folder, ignore_errors=True)  # of a job that was killed
    merge_adapter(options["model"], options["adapter"], folder)
    return {"merged": str(folder)}


def _choose(work: Work, tell: Tell) -> Result:
    values = work.job.arguments["values"]
    found = [work.results[str(number)] for number in range(len(values))]
    shares = [success_of(each) for each in found]
    best = shares.index(max(shares))
    return {"values": values[best], "tried": list(zip(values, shares, strict=True))}


def _evaluate(work: Work, tell: Tell) -> Result:
    from hopgym.registry.lookup import make
    from hopgym.runs.reader import Episodes, Run

    asked = work.job.arguments
    env = make(asked["env"], asked["kwargs"])
    options = {**work.results["model"]["options"], **asked["options"]} if work.results else {}
    policy = _policy(asked["policy"], env, options)
    tasks = min(asked["n"] or len(env.source), len(env.source))
    file = work.path.with_name(f"{work.path.name}.jsonl")
    _play(env, policy, range(tasks), file, tell)
    return {"file": str(file), **figures_of(Episodes(Run(work.job.who, tasks, file)), env.source)}


def figures_of(episodes: Any, source: Any) -> Result:
    """Return what finished episodes come to: by task, and by the official script where one is.

    Args:
        episodes: Trajectories, read twice.
        source: Of their tasks.
    """
    from hopgym.evaluation import METRICS as MEASURES
    from hopgym.evaluation import evaluate, score_episode
    from hopgym.trajectory import ERROR_REASONS

    tasks = {}
    for trajectory in episodes:
        if trajectory.reason not in ERROR_REASONS:
            scored = score_episode(trajectory, source)
            ratios = {name: MEASURES[name](scored) for name in METRICS}
            tasks[trajectory.task_id] = {"hops": scored.task.question.hop_count, **ratios}
    found = evaluate(episodes, source)
    official = source.printed(found.official) if source.has_script else {}
    unit = "percent" if source.percent else "shares of 1"
    return {"tasks": tasks, "errors": found.errors, "official": dict(official), "unit": unit}


def success_of(evaluated: Result) -> float:
    """Return the share of tasks that were answered rightly."""
    right: list[float] = [each["success"][0] for each in evaluated["tasks"].values()]
    return sum(right) / max(1, len(right))


def _policy(name: str, env: "HopEnv", options: Mapping[str, Any]) -> "Policy":
    from hopgym.policies.registry import policy_named

    if options.get("generator") == "local":
        from hopgym_agents.training.setup import silence_libraries

        silence_libraries()
    return policy_named(name, env, options)


def _play(
    env: "HopEnv", policy: "Policy", indices: range, file: Path, tell: Tell, **how: Any
) -> None:
    """Play what a file lacks into it."""
    from hopgym.evaluation.progress import MAX_LEADING_ERRORS
    from hopgym.rollout import run_episodes
    from hopgym.trajectory import ERROR_REASONS

    file.parent.mkdir(parents=True, exist_ok=True)
    total, failed = len(indices) * how.get("samples", 1), 0
    playing = run_episodes(env, policy, indices, slots=SLOTS, out=file, **how)
    for done, trajectory in enumerate(playing, start=1):
        tell(done, total)
        failed += trajectory.reason in ERROR_REASONS
        if failed == done >= min(MAX_LEADING_ERRORS, total):
            raise DataError(
                f"expected episodes, got errors of the policy alone: {trajectory.error}; mend what "
                "that names, then give the same command again"
            )


KINDS: Mapping[str, Callable[[Work, Tell], Result]] = {
    "given": _given,
    "tiny": _tiny,
    "collect": _collect,
    "keep": _keep,
    "train": _train,
    "choose": _choose,
    "evaluate": _evaluate,
}
"""How jobs are done, by their kind."""
