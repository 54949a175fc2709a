"""Tables of a study for Markdown, page and terminal, and the same figures as plain JSON."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from itertools import combinations
from typing import Any

import numpy as np

from hopgym.evaluation import Estimate
from hopgym.evaluation.bootstrap import plain_fields
from hopgym_agents.curves import Table
from hopgym_agents.studies.plan import Job, JobKind
from hopgym_agents.studies.scores import (
    Difference,
    SuiteScores,
    mean_score,
    score_difference,
    scores_on_suite,
)
from hopgym_agents.studies.spec import START, Study
from hopgym_agents.training.budget import Spent

ABSENT = "–"
UNKNOWN = "unknown"
NOT_RUN = "not run"
COSTS = tuple(cost.name for cost in fields(Spent))
"""Names of the costs of a training run."""

Results = Mapping[str, Mapping[str, Any]]
"""Results of jobs by name."""


def suite_table(study: Study, jobs: Sequence[Job], results: Results, suite: str) -> Table:
    """Return the scores of all models and policies on a suite."""
    by_subject = sort_subjects(study, scores_on_suite(jobs, results, suite))
    hop_counts = sorted({n for scores in by_subject.values() for n in scores.hop_counts} - {0})
    if len(hop_counts) == 1:
        hop_counts = []
    official = next(
        (list(scores.official)[:2] for scores in by_subject.values() if scores.official), []
    )
    start = by_subject.get(START)
    rows = [
        (
            subject,
            format_share(mean_score(scores, "success")),
            *([_difference_to_start(scores, start)] if start else []),
            *(format_share(mean_score(scores, "success", hops)) for hops in hop_counts),
            format_share(mean_score(scores, "f1")),
            format_share(mean_score(scores, "process_accuracy")),
            *(_official_score(scores, name) for name in official),
            f"{len(scores.tasks):,} × {len(scores.seeds)}",
        )
        for subject, scores in by_subject.items()
    ]
    headings = (
        "",
        "success %",
        *(["over start"] if start else []),
        *(f"{hops} hop{'s' * (hops > 1)}" for hops in hop_counts),
        "F1",
        "process accuracy",
        *(f"official {name}" for name in official),
        "tasks × seeds",
    )
    missing = [job.name for job in jobs if job.suite == suite and job.name not in results]
    notes = [f"{NOT_RUN}: {', '.join(missing)}."] if missing else []
    notes += [
        f"{scores.errors:,} episodes of {subject} ended in an error and are left out."
        for subject, scores in by_subject.items()
        if scores.errors
    ]
    return Table(f"Suite {suite}", headings, tuple(rows), " ".join(notes))


def pairs_table(study: Study, jobs: Sequence[Job], results: Results, suite: str) -> Table:
    """Return the differences between trained models on a suite, each pair once."""
    rows = tuple(
        (
            f"{first} − {second}",
            format_difference(difference),
            f"{difference.p_value:.3f}" if difference else ABSENT,
        )
        for first, second, difference in paired_differences(study, jobs, results, suite)
    )
    return Table(f"Differences on {suite}", ("", "success, points", "p"), rows)


def paired_differences(
    study: Study, jobs: Sequence[Job], results: Results, suite: str
) -> list[tuple[str, str, Difference | None]]:
    """Return the difference in success for each pair of trained models."""
    by_subject = scores_on_suite(jobs, results, suite)
    arms = [by_subject[arm.name] for arm in study.arm if arm.name in by_subject]
    return [
        (first.subject, second.subject, score_difference(first, second, "success"))
        for first, second in combinations(arms, 2)
    ]


def process_table(study: Study, jobs: Sequence[Job], results: Results) -> Table:
    """Return process accuracy before and after training, as in SWiRL's table 3."""
    rows = []
    for suite in study.suite:
        by_subject = scores_on_suite(jobs, results, suite.name)
        if START not in by_subject:
            continue
        start = by_subject[START]
        for arm in study.arm:
            if arm.name in by_subject:
                scores = by_subject[arm.name]
                rows.append(
                    (
                        f"{arm.name}, {suite.name}",
                        format_share(mean_score(start, "process_accuracy")),
                        format_share(mean_score(scores, "process_accuracy")),
                        format_difference(score_difference(scores, start, "process_accuracy")),
                    )
                )
    note = "The share of actions that brought evidence or gave a supported answer."
    return Table("Process accuracy", ("", "before", "after", "difference"), tuple(rows), note)


def cost_table(study: Study, jobs: Sequence[Job], results: Results) -> Table:
    """Return the costs of training, as means over seeds."""
    rows = []
    for subject, runs in training_runs(study, jobs).items():
        finished = [results[job.name] for job in runs if job.name in results]
        if finished:
            means = [np.mean([run["spent"].get(name, 0) for run in finished]) for name in COSTS]
            endings = sorted({run["ended_by"].replace("_", " ") for run in finished})
            cells = [f"{mean:,.0f}" for mean in means]
            rows.append((subject, f"{len(finished)}", *cells, ", ".join(endings)))
        else:
            rows.append((subject, "0", *[ABSENT] * len(COSTS), NOT_RUN))
    headings = ("", "runs", *(name.replace("_", " ") for name in COSTS), "ended by")
    note = "Means over the runs. What the start cost comes before what each arm cost."
    return Table("Spent on training", headings, tuple(rows), note)


def grid_table(jobs: Sequence[Job], results: Results) -> Table:
    """Return the candidates of each grid with their success, and which one was chosen."""
    rows = []
    for job in jobs:
        if job.kind is JobKind.CHOOSE and job.name in results:
            chosen = results[job.name]["values"]
            for values, success in results[job.name]["candidates"]:
                text = ", ".join(f"{name} = {value}" for name, value in values.items())
                mark = "chosen" if values == chosen else ""
                rows.append((job.subject, text, f"{success:.1%}", mark))
    note = "Chosen by dev success on the first seed; the first of equal ones."
    return Table("Grids", ("", "values", "dev success", ""), tuple(rows), note)


def collected_table(jobs: Sequence[Job], results: Results) -> Table:
    """Return how many collected episodes pass each filter."""
    collected = {
        job.name: results[job.name]["passing"]
        for job in jobs
        if job.kind is JobKind.COLLECT and job.name in results
    }
    filters = list(dict.fromkeys(name for passing in collected.values() for name in passing))
    rows = tuple(
        (job, *(f"{passing.get(name, 0):,}" for name in filters))
        for job, passing in collected.items()
    )
    headings = ("", *(f"filter {name}" for name in filters))
    return Table("Collected episodes that pass", headings, rows)


def environment_table(jobs: Sequence[Job]) -> Table:
    """Return the environment of each suite and its arguments."""
    rows = []
    for suite in dict.fromkeys(job.suite for job in jobs if job.kind is JobKind.EVALUATE):
        arguments = next(job.arguments for job in jobs if job.suite == suite)
        kwargs = ", ".join(f"{key}={json.dumps(v)}" for key, v in arguments["kwargs"].items())
        n = f"{arguments['n']:,}" if arguments["n"] else "all"
        rows.append((suite, arguments["env"], n, kwargs))
    return Table("What was played", ("", "environment", "tasks", "arguments"), tuple(rows))


def training_runs(study: Study, jobs: Sequence[Job]) -> dict[str, list[Job]]:
    """Return the training runs by start stage and by arm, without those of grids."""
    runs: dict[str, list[Job]] = {}
    for job in jobs:
        if job.kind is JobKind.TRAIN and job.subject == START:
            runs.setdefault(job.name.rpartition(", seed")[0], []).append(job)
    for arm in study.arm:
        runs[arm.name] = [
            job for job in jobs if job.kind is JobKind.TRAIN and job.subject == arm.name
        ]
    return runs


def study_figures(study: Study, jobs: Sequence[Job], results: Results) -> dict[str, Any]:
    """Return the figures of all tables as plain JSON, with shares in [0, 1]."""
    suites = {}
    for suite in study.suite:
        by_subject = sort_subjects(study, scores_on_suite(jobs, results, suite.name))
        start = by_subject.get(START)
        pairs = paired_differences(study, jobs, results, suite.name)
        suites[suite.name] = {
            "rows": {subject: _figures(scores, start) for subject, scores in by_subject.items()},
            "pairs": [{"first": a, "second": b, "success": _plain(d)} for a, b, d in pairs],
        }
    spent = {
        subject: [results[job.name]["spent"] for job in runs if job.name in results]
        for subject, runs in training_runs(study, jobs).items()
    }
    finished = [job for job in jobs if job.name in results]
    grids = {job.subject: results[job.name] for job in finished if job.kind is JobKind.CHOOSE}
    collected = {
        job.name: results[job.name]["passing"] for job in finished if job.kind is JobKind.COLLECT
    }
    return {"suites": suites, "spent": spent, "grids": grids, "collected": collected}


def sort_subjects(study: Study, by_subject: Mapping[str, SuiteScores]) -> dict[str, SuiteScores]:
    """Return scores in the order policies, start, arms, other models, oracle."""
    models = [START, *(arm.name for arm in study.arm), *(model.name for model in study.model)]

    def rank(subject: str) -> tuple[bool, int]:
        return subject == "oracle", models.index(subject) + 1 if subject in models else 0

    return {subject: by_subject[subject] for subject in sorted(by_subject, key=rank)}


def format_share(estimate: Estimate | None) -> str:
    """Return a share in percent with its interval."""
    if estimate is None:
        return ABSENT
    interval = UNKNOWN
    if estimate.has_interval:
        interval = f"{100 * estimate.low:.1f}, {100 * estimate.high:.1f}"
    return f"{100 * estimate.mean:.1f} [{interval}]"


def format_difference(difference: Difference | None) -> str:
    """Return a difference in percentage points with its interval."""
    if difference is None:
        return ABSENT
    interval = UNKNOWN
    if difference.has_interval:
        interval = f"{100 * difference.low:+.1f}, {100 * difference.high:+.1f}"
    return f"{100 * difference.mean:+.1f} [{interval}]"


def _difference_to_start(scores: SuiteScores, start: SuiteScores) -> str:
    if scores is start or not scores.models:
        return ABSENT
    return format_difference(score_difference(scores, start, "success"))


def _official_score(scores: SuiteScores, name: str) -> str:
    if name not in scores.official:
        return ABSENT
    digits = 2 if scores.unit == "percent" else 3
    return f"{scores.official[name]:.{digits}f}"


def _figures(scores: SuiteScores, start: SuiteScores | None) -> dict[str, Any]:
    metrics = ("success", "f1", "supported", "process_accuracy", "steps", "malformed", "repeat")
    by_seed = scores.metric_sums("success").sum(axis=0)
    return {
        **{name: _plain(mean_score(scores, name)) for name in metrics},
        "by_hops": {str(n): _plain(mean_score(scores, "success", n)) for n in scores.hop_counts},
        "over_start": _plain(score_difference(scores, start, "success")) if start else None,
        "by_seed": [float(right / tasks) if tasks else None for right, tasks in by_seed],
        "seeds": list(scores.seeds),
        "tasks": len(scores.tasks),
        "errors": scores.errors,
        "official": dict(scores.official),
        "unit": scores.unit,
    }


def _plain(figure: Estimate | Difference | None) -> dict[str, Any] | None:
    return asdict(figure, dict_factory=plain_fields) if figure is not None else None
