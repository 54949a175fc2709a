"""What evaluations come to: means with intervals over tasks and seeds, and differences.

In: results of evaluations, by seed. Out: `hopgym.evaluation.Estimate`s. Tasks and seeds are drawn
anew together, each independently of the other, as every seed is evaluated on the same tasks. Equal
tasks and seeds draw the same resamples, so that differences are paired by both.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hopgym.evaluation import Estimate
from hopgym.evaluation.bootstrap import RESAMPLES, estimate, resampled
from hopgym_agents.studies.jobs import METRICS
from hopgym_agents.studies.plan import Job, evaluations

_SEED = 1
_NO_SIGN = 1e-12

Sums = NDArray[np.float64]
"""``(tasks, seeds, 2)``: what each adds to a metric's numerator and denominator."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A model or policy on a suite."""

    who: str
    seeds: tuple[int | None, ...]
    """Of its evaluations; (None,) where all seeds share one."""
    tasks: tuple[str, ...]
    """Those that all of its evaluations have."""
    hops: NDArray[np.int64]
    """Of each task; 0 where unknown."""
    sums: NDArray[np.float64]
    """``(tasks, seeds, metrics, 2)``, by `METRICS`."""
    official: Mapping[str, float]
    """Mean of the official metrics over seeds, in the unit of the script."""
    unit: str
    models: tuple[str, ...]
    """Names of the jobs that made what was evaluated; empty for a policy."""
    errors: int = 0
    """Episodes that ended in an error; they are left out."""

    @property
    def hop_counts(self) -> list[int]:
        """The numbers of hops that there are, fewest first."""
        return sorted({int(each) for each in self.hops})

    def of(self, metric: str, hops: int | None = None) -> Sums:
        """Return the sums of a metric, of all tasks or those of a number of hops."""
        found: Sums = self.sums[:, :, METRICS.index(metric)]
        return found if hops is None else found[self.hops == hops]


@dataclass(frozen=True, slots=True)
class Gain:
    """What one has over another on the same tasks and seeds."""

    mean: float
    low: float
    high: float
    """Of the 95 % interval."""
    share: float
    """In (0, 1]: twice the smaller of the shares of resamples whose gain is at most 0 and at least
    0. It plays the part of a two-sided p value."""
    n: int
    """Tasks."""

    @property
    def known(self) -> bool:
        """Whether the interval is: not where all resamples come to the same."""
        return self.low < self.high


def entries_of(
    jobs: Sequence[Job], results: Mapping[str, Mapping[str, Any]], suite: str
) -> dict[str, Entry]:
    """Return what has been evaluated on a suite, by who it is, in the order of the jobs."""
    by_who: dict[str, list[Job]] = {}
    for job in evaluations(jobs, suite):
        if job.name in results:
            by_who.setdefault(job.who, []).append(job)
    return {
        who: _entry(who, found, [results[job.name] for job in found])
        for who, found in by_who.items()
    }


def mean_of(entry: Entry, metric: str, hops: int | None = None) -> Estimate | None:
    """Return a metric with its interval; None where no task has it."""
    sums = entry.of(metric, hops)
    total = sums.sum(axis=(0, 1))
    if not total[1]:
        return None
    drawn = _drawn(sums)
    usable = drawn[drawn[:, 1] > 0]
    has = 0 if metric == "steps" else int((sums[:, :, 1].sum(axis=1) > 0).sum())
    return estimate(float(total[0] / total[1]), usable[:, 0] / usable[:, 1], int(total[1]), has)


def gain_of(entry: Entry, over: Entry, metric: str, hops: int | None = None) -> Gain | None:
    """Return what an entry has over another; None where they have no task or seed in common."""
    tasks = sorted(set(entry.tasks) & set(over.tasks), key=entry.tasks.index)
    seeds = _common(entry.seeds, over.seeds)
    first, other = (_part(each, tasks, seeds, metric, hops) for each in (entry, over))
    means = [_ratio(each.sum(axis=(0, 1))[None])[0] for each in (first, other)]
    if not len(first) or not np.isfinite(means).all():
        return None
    drawn = _ratio(_drawn(first)) - _ratio(_drawn(other))
    drawn = drawn[np.isfinite(drawn)]
    drawn[np.abs(drawn) < _NO_SIGN] = 0.0
    found = estimate(float(means[0] - means[1]), drawn, len(first))
    least = min(int((drawn <= 0).sum()), int((drawn >= 0).sum()))
    share = min(1.0, 2 * (least + 1) / (len(drawn) + 1))
    return Gain(found.mean, found.low, found.high, share, found.n)


def _drawn(sums: Sums) -> NDArray[np.float64]:
    """Return the sums of each resample of tasks and seeds, ``(RESAMPLES, 2)``."""
    tasks, seeds, _ = sums.shape
    by_seed = resampled(sums.reshape(tasks, -1)).reshape(RESAMPLES, seeds, 2)
    rng = np.random.default_rng(np.random.SeedSequence(_SEED))
    drawn = rng.integers(seeds, size=(RESAMPLES, seeds))
    return np.asarray(np.take_along_axis(by_seed, drawn[:, :, None], axis=1).sum(axis=1))


def _ratio(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(sums[:, 0] / sums[:, 1])


def _entry(who: str, jobs: Sequence[Job], found: Sequence[Mapping[str, Any]]) -> Entry:
    by_task: list[Mapping[str, Any]] = [each["tasks"] for each in found]
    tasks = tuple(task for task in by_task[0] if all(task in each for each in by_task))
    sums = np.array(
        [[[each[task][name] for name in METRICS] for each in by_task] for task in tasks], float
    ).reshape(len(tasks), len(jobs), len(METRICS), 2)
    names = found[0]["official"]
    return Entry(
        who,
        tuple(job.seed for job in jobs),
        tasks,
        np.array([by_task[0][task]["hops"] for task in tasks], np.int64),
        sums,
        {name: float(np.mean([each["official"][name] for each in found])) for name in names},
        found[0]["unit"],
        tuple(job.needs["model"] for job in jobs if "model" in job.needs),
        sum(each["errors"] for each in found),
    )


def _common(first: Sequence[int | None], other: Sequence[int | None]) -> list[int | None]:
    """Return the seeds of both; one that all seeds share goes with each."""
    if None in first or None in other:
        return list(other if None in first else first)
    return [seed for seed in first if seed in other]


def _part(
    entry: Entry,
    tasks: Sequence[str],
    seeds: Sequence[int | None],
    metric: str,
    hops: int | None,
) -> Sums:
    rows = {task: row for row, task in enumerate(entry.tasks)}
    chosen = [row for row in map(rows.__getitem__, tasks) if hops in (None, entry.hops[row])]
    columns = [0 if None in entry.seeds else entry.seeds.index(seed) for seed in seeds]
    found: Sums = entry.of(metric)[np.array(chosen, int)][:, np.array(columns, int)]
    return found
