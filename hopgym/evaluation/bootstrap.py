"""Estimates of ratios of sums over episodes, with percentile bootstrap intervals over tasks.

An episode adds a numerator and a denominator to each metric, so shares of episodes and shares of
steps are treated alike. Tasks are resampled with all their attempts, which are not independent.
If all resamples are equal, the bootstrap has no interval: shares of 0 and 1 then get Wilson's,
with one trial per task.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1_000
"""Number of bootstrap resamples."""

_SEED = 0
_MAX_CELLS = 500_000
"""Size of the ``(resamples, tasks)`` array of weights that is in memory at one time."""
_PERCENTILES = (2.5, 97.5)
_Z = 1.959964
"""Standard normal quantile of a two-sided 95% interval."""
_NO_SPREAD = 1e-12
"""Resamples that differ by less are equal: float sums depend on their order in the last bits."""

_ENDS = {"low", "high"}

Ratio = tuple[float, float]
"""What one episode adds to a metric: numerator and denominator."""

ABSENT: Ratio = (0.0, 0.0)
"""The ratio of an episode to which the metric does not apply."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its 95% interval.

    ``low`` and ``high`` are equal if there is no interval because all resamples are equal: with a
    single task, or with counts and differences that are the same for all tasks.
    """

    mean: float
    low: float
    high: float
    n: int
    """Number of episodes in the mean, or of steps for a share of steps; at least 1."""

    @property
    def has_interval(self) -> bool:
        """Whether the interval is known."""
        return self.low < self.high


def plain_fields(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return dataclass fields as plain JSON; a ``dict_factory`` for `dataclasses.asdict`.

    The ends of an unknown interval become None: two equal ends would read as certainty.
    """
    plain = dict(fields)
    if plain.keys() >= _ENDS and plain["low"] == plain["high"]:
        return plain | dict.fromkeys(_ENDS)
    return plain


Estimates = Mapping[str, Estimate | None]
"""Estimates by metric; None for a metric that applies to no episode."""


def estimate_all(
    tasks: Sequence[str], ratios: Sequence[Mapping[str, Ratio]], names: Iterable[str]
) -> Estimates:
    """Return the estimate of each named metric.

    Args:
        tasks: The task id of each episode. The order of the tasks determines the resamples.
        ratios: What each episode adds, by metric; a missing name adds nothing.
        names: The metrics to estimate.
    """
    columns = list(names)
    places = {task: i for i, task in enumerate(dict.fromkeys(tasks))}
    sums = np.zeros((len(places), 2, len(columns)))  # (tasks, numerator and denominator, metrics)
    for task, added in zip(tasks, ratios, strict=True):
        sums[places[task]] += np.array([added.get(name, ABSENT) for name in columns]).T
    return estimates_of(sums, columns)


def estimates_of(
    sums: NDArray[np.float64], names: Sequence[str], counts: Collection[str] = ()
) -> Estimates:
    """Return the estimate of each metric from the sums of each task.

    Args:
        sums: ``(tasks, 2, metrics)``: numerators and denominators. The order of the tasks
            determines the resamples.
        names: The names of the metrics.
        counts: Those of them that are means of counts rather than shares in [0, 1].
    """
    resamples = resampled(sums.reshape(len(sums), 2 * len(names))).reshape(RESAMPLES, 2, len(names))
    total = sums.sum(axis=0)
    trials = (sums[:, 1] > 0).sum(axis=0)  # By metric, the tasks to which it applies.
    return {
        name: _estimate(total[:, i], resamples[:, :, i], 0 if name in counts else int(trials[i]))
        for i, name in enumerate(names)
    }


def resampled(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the column sums of each bootstrap resample of the rows, ``(RESAMPLES, columns)``.

    The resamples depend only on the number of rows.

    Args:
        sums: ``(tasks, columns)``: what each task adds to each column.
    """
    tasks = len(sums)
    if not tasks:
        return np.zeros((RESAMPLES, sums.shape[1]))
    rng = np.random.default_rng(np.random.SeedSequence(_SEED))
    result = np.empty((RESAMPLES, sums.shape[1]))
    at_once = max(1, _MAX_CELLS // tasks)
    for start in range(0, RESAMPLES, at_once):
        count = min(at_once, RESAMPLES - start)
        result[start : start + count] = _weights(rng, count, tasks) @ sums
    return result


def _weights(rng: np.random.Generator, count: int, tasks: int) -> NDArray[np.float64]:
    """Return how often each of ``count`` resamples contains each task, ``(count, tasks)``."""
    sampled = rng.integers(tasks, size=(count, tasks))
    sampled += np.arange(count)[:, None] * tasks
    times = np.bincount(sampled.ravel(), minlength=count * tasks).reshape(count, tasks)
    del sampled  # Freed before the result, which is as large, is allocated.
    return times.astype(np.float64)


def estimate(value: float, resamples: NDArray[np.float64], n: int, trials: int = 0) -> Estimate:
    """Return a value with its 95% interval.

    Args:
        value: The value of the full sample.
        resamples: The value of each resample in which it is defined; may be empty.
        n: The number of episodes or steps that the value is over.
        trials: For a share, the number of tasks to which it applies; 0 for other values.
    """
    if len(resamples) and np.ptp(resamples) > _NO_SPREAD:
        low, high = np.percentile(resamples, _PERCENTILES)
        return Estimate(value, float(low), float(high), n)
    if trials and value in (0.0, 1.0):
        return Estimate(value, *wilson(value, trials), n)
    return Estimate(value, value, value, n)


def wilson(share: float, trials: int) -> tuple[float, float]:
    """Return the ends of a share's 95% score interval (Wilson 1927), which needs no resampling.

    Args:
        share: The share of successes, in [0, 1].
        trials: The number of trials, at least 1.
    """
    spread = _Z**2 / trials
    middle = (share + spread / 2) / (1 + spread)
    half = _Z / (1 + spread) * math.sqrt(share * (1 - share) / trials + spread / (4 * trials))
    return max(0.0, middle - half), min(1.0, middle + half)


def _estimate(
    total: NDArray[np.float64], resamples: NDArray[np.float64], trials: int
) -> Estimate | None:
    """Return the estimate of one ratio; None if its denominator is 0.

    Args:
        total: ``(2,)``: numerator and denominator.
        resamples: ``(resamples, 2)``: those of each resample.
        trials: For a share, the number of tasks to which it applies; 0 for other ratios.
    """
    if not total[1]:
        return None
    usable = resamples[resamples[:, 1] > 0]
    ratios = usable[:, 0] / usable[:, 1]
    return estimate(float(total[0] / total[1]), ratios, int(total[1]), trials)
