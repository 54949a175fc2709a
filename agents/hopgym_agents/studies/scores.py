"""Computes the scores of a study: means with intervals over tasks and seeds, and differences.

The bootstrap resamples tasks and seeds independently of each other, as every seed is evaluated on
the same tasks. Equal sets of tasks and seeds get the same resamples, so that differences are paired
by task and by seed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hopgym.evaluation import Estimate
from hopgym.evaluation.bootstrap import RESAMPLES, estimate, resampled
from hopgym_agents.studies.jobs import METRICS
from hopgym_agents.studies.plan import Job, evaluations_on

_SEED = 1
_ZERO_TOLERANCE = 1e-12
"""Smaller differences are rounding errors and count as 0."""

Sums = NDArray[np.float64]
"""``(tasks, seeds, 2)``: what each episode adds to a metric's numerator and denominator."""


@dataclass(frozen=True, slots=True)
class SuiteScores:
    """The evaluations of a model or policy on a suite."""

    subject: str
    """Name of the model or policy."""
    seeds: tuple[int | None, ...]
    """Seeds of its evaluations; (None,) if all seeds share one evaluation."""
    tasks: tuple[str, ...]
    """Ids of the tasks that all of its evaluations have."""
    hops: NDArray[np.int64]
    """``(tasks,)``: number of hops; 0 if unknown."""
    sums: NDArray[np.float64]
    """``(tasks, seeds, metrics, 2)``, with the metrics in the order of `METRICS`."""
    official: Mapping[str, float]
    """Mean of the official metrics over seeds, in the unit of the official script."""
    unit: str
    """Unit of `official`: ``percent`` or ``shares of 1``."""
    models: tuple[str, ...]
    """Names of the jobs that made the evaluated models; empty for a policy."""
    errors: int = 0
    """Episodes that ended in an error; they are left out."""

    @property
    def hop_counts(self) -> list[int]:
        """The numbers of hops that occur, in ascending order."""
        return sorted({int(count) for count in self.hops})

    def metric_sums(self, metric: str, hops: int | None = None) -> Sums:
        """Return the sums of a metric over all tasks, or over those with ``hops`` hops."""
        sums: Sums = self.sums[:, :, METRICS.index(metric)]
        return sums if hops is None else sums[self.hops == hops]


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference between two subjects on the same tasks and seeds."""

    mean: float
    low: float
    high: float
    """``low`` and ``high`` are the ends of the 95% interval; equal if it is unknown."""
    p_value: float
    """Two-sided bootstrap p value, in (0, 1]: twice the smaller of the shares of resamples with a
    difference of at most 0 and of at least 0."""
    n: int
    """Number of tasks."""

    @property
    def has_interval(self) -> bool:
        """Whether the interval is known, which it is not if all resamples are equal."""
        return self.low < self.high


def scores_on_suite(
    jobs: Sequence[Job], results: Mapping[str, Mapping[str, Any]], suite: str
) -> dict[str, SuiteScores]:
    """Return the scores of everything evaluated on a suite, by subject, in the order of jobs."""
    by_subject: dict[str, list[Job]] = {}
    for job in evaluations_on(jobs, suite):
        if job.name in results:
            by_subject.setdefault(job.subject, []).append(job)
    return {
        subject: _suite_scores(subject, evaluations, [results[job.name] for job in evaluations])
        for subject, evaluations in by_subject.items()
    }


def mean_score(scores: SuiteScores, metric: str, hops: int | None = None) -> Estimate | None:
    """Return the mean of a metric with its interval; None if no task has the metric."""
    sums = scores.metric_sums(metric, hops)
    numerator, denominator = sums.sum(axis=(0, 1))
    if not denominator:
        return None
    resamples = _resample(sums)
    defined = resamples[resamples[:, 1] > 0]
    trials = int((sums[:, :, 1].sum(axis=1) > 0).sum())
    if metric == "steps":  # Not a share: Wilson's interval does not apply.
        trials = 0
    mean = float(numerator / denominator)
    return estimate(mean, defined[:, 0] / defined[:, 1], int(denominator), trials)


def score_difference(
    scores: SuiteScores, baseline: SuiteScores, metric: str, hops: int | None = None
) -> Difference | None:
    """Return the difference to a baseline; None if they share no task or no seed."""
    tasks = sorted(set(scores.tasks) & set(baseline.tasks), key=scores.tasks.index)
    seeds = _common_seeds(scores.seeds, baseline.seeds)
    sums = _select(scores, tasks, seeds, metric, hops)
    baseline_sums = _select(baseline, tasks, seeds, metric, hops)
    means = [_ratios(part.sum(axis=(0, 1))[None])[0] for part in (sums, baseline_sums)]
    if not len(sums) or not np.isfinite(means).all():
        return None
    differences = _ratios(_resample(sums)) - _ratios(_resample(baseline_sums))
    differences = differences[np.isfinite(differences)]
    differences[np.abs(differences) < _ZERO_TOLERANCE] = 0.0
    difference = estimate(float(means[0] - means[1]), differences, len(sums))
    smaller_tail = min(int((differences <= 0).sum()), int((differences >= 0).sum()))
    p_value = min(1.0, 2 * (smaller_tail + 1) / (len(differences) + 1))
    return Difference(difference.mean, difference.low, difference.high, p_value, difference.n)


def _resample(sums: Sums) -> NDArray[np.float64]:
    """Return the sums over each resample of tasks and seeds, ``(RESAMPLES, 2)``."""
    tasks, seeds, _ = sums.shape
    by_seed = resampled(sums.reshape(tasks, -1)).reshape(RESAMPLES, seeds, 2)
    rng = np.random.default_rng(np.random.SeedSequence(_SEED))
    choices = rng.integers(seeds, size=(RESAMPLES, seeds))
    return np.asarray(np.take_along_axis(by_seed, choices[:, :, None], axis=1).sum(axis=1))


def _ratios(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(sums[:, 0] / sums[:, 1])


def _suite_scores(
    subject: str, jobs: Sequence[Job], results: Sequence[Mapping[str, Any]]
) -> SuiteScores:
    by_task: list[Mapping[str, Any]] = [result["tasks"] for result in results]
    tasks = tuple(task for task in by_task[0] if all(task in scored for scored in by_task))
    ratios = [[[scored[task][name] for name in METRICS] for scored in by_task] for task in tasks]
    official = {
        name: float(np.mean([result["official"][name] for result in results]))
        for name in results[0]["official"]
    }
    return SuiteScores(
        subject=subject,
        seeds=tuple(job.seed for job in jobs),
        tasks=tasks,
        hops=np.array([by_task[0][task]["hops"] for task in tasks], np.int64),
        sums=np.array(ratios, float).reshape(len(tasks), len(jobs), len(METRICS), 2),
        official=official,
        unit=results[0]["unit"],
        models=tuple(job.needs["model"] for job in jobs if "model" in job.needs),
        errors=sum(result["errors"] for result in results),
    )


def _common_seeds(
    seeds: Sequence[int | None], baseline_seeds: Sequence[int | None]
) -> list[int | None]:
    """Return the seeds that both have; an evaluation shared by all seeds pairs with each seed."""
    if None in seeds:
        return list(baseline_seeds)
    if None in baseline_seeds:
        return list(seeds)
    return [seed for seed in seeds if seed in baseline_seeds]


def _select(
    scores: SuiteScores,
    tasks: Sequence[str],
    seeds: Sequence[int | None],
    metric: str,
    hops: int | None,
) -> Sums:
    row_of = {task: row for row, task in enumerate(scores.tasks)}
    rows = [row_of[task] for task in tasks if hops in (None, scores.hops[row_of[task]])]
    columns = [0 if None in scores.seeds else scores.seeds.index(seed) for seed in seeds]
    selected: Sums = scores.metric_sums(metric)[np.array(rows, int)][:, np.array(columns, int)]
    return selected
