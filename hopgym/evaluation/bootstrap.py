"""Ratios of sums over episodes, with percentile bootstrap intervals over tasks.

In: what each episode adds to each metric's numerator and denominator. Out: estimates. A share of
episodes and a share of steps are one thing here. All attempts at a task are drawn together, as
they are not independent. Where no resample differs from another, the bootstrap knows no interval:
shares of 0 and of 1 get Wilson's, as if each task were one trial.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1_000
"""Resamples of an interval."""

_SEED = 0
_MOST_CELLS = 500_000
_PERCENTILES = (2.5, 97.5)
_Z = 1.959964
"""Standard normal quantile of a two-sided 95% interval."""
_NO_SPREAD = 1e-12

_ENDS = {"low", "high"}

Ratio = tuple[float, float]
"""What one episode adds to a metric's numerator and denominator."""

ABSENT: Ratio = (0.0, 0.0)
"""Of an episode that lacks what the metric is about."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its 95% interval.

    ``low`` and ``high`` are equal where none is known, as all resamples come to the same: of a
    single task, or of counts and differences that are the same for all.
    """

    mean: float
    low: float
    high: float
    n: int
    """Episodes, or steps for a share of steps, that the mean is over; at least 1."""

    @property
    def known(self) -> bool:
        """Whether the interval is."""
        return self.low < self.high


def plain_fields(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the fields of a dataclass as plain JSON, as `dataclasses.asdict` asks for them.

    The ends of an interval that is not known are None: two equal ends would pass for a sure thing.
    """
    found = dict(fields)
    if found.keys() >= _ENDS and found["low"] == found["high"]:
        return found | dict.fromkeys(_ENDS)
    return found


Estimates = Mapping[str, Estimate | None]
"""By name; None where no episode has what the metric is about."""


def estimate_all(
    tasks: Sequence[str], ratios: Sequence[Mapping[str, Ratio]], names: Iterable[str]
) -> Estimates:
    """Return the estimate of each named metric.

    Args:
        tasks: The task id of each episode; their order decides what the resamples draw.
        ratios: What each episode adds, by name; a missing name adds nothing.
        names: The metrics wanted.
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
    """Return the estimate of each metric from what tasks add to it.

    Args:
        sums: ``(tasks, 2, metrics)``: numerators and denominators. The order of the tasks decides
            what the resamples draw.
        names: Of the metrics.
        counts: Those of them that are no shares in [0, 1].
    """
    drawn = resampled(sums.reshape(len(sums), 2 * len(names))).reshape(RESAMPLES, 2, len(names))
    total = sums.sum(axis=0)
    has = (sums[:, 1] > 0).sum(axis=0)  # By metric, the tasks that have what it is about.
    return {
        name: _estimate(total[:, i], drawn[:, :, i], 0 if name in counts else int(has[i]))
        for i, name in enumerate(names)
    }


def resampled(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the column sums of each bootstrap resample of the rows, ``(RESAMPLES, columns)``.

    The same number of rows draws the same resamples every time.

    Args:
        sums: ``(tasks, columns)``, what each task adds to each column.
    """
    tasks = len(sums)
    if not tasks:
        return np.zeros((RESAMPLES, sums.shape[1]))
    rng = np.random.default_rng(np.random.SeedSequence(_SEED))
    result = np.empty((RESAMPLES, sums.shape[1]))
    at_once = max(1, _MOST_CELLS // tasks)
    for start in range(0, RESAMPLES, at_once):
        count = min(at_once, RESAMPLES - start)
        result[start : start + count] = _weights(rng, count, tasks) @ sums
    return result


def _weights(rng: np.random.Generator, count: int, tasks: int) -> NDArray[np.float64]:
    """Return how often each of so many resamples draws each task, ``(count, tasks)``."""
    drawn = rng.integers(tasks, size=(count, tasks))
    drawn += np.arange(count)[:, None] * tasks
    times = np.bincount(drawn.ravel(), minlength=count * tasks).reshape(count, tasks)
    del drawn  # A few MB, as what is returned.
    return times.astype(np.float64)


def estimate(value: float, drawn: NDArray[np.float64], n: int, trials: int = 0) -> Estimate:
    """Return a value with the interval of what the resamples came to.

    Args:
        value: Of the whole sample.
        drawn: The same of each resample in which it is defined; none leaves the value alone.
        n: What it is over.
        trials: Tasks that have what a share is about; 0 for what is no share.
    """
    # Sums of the same numbers in another order may differ in their last bits.
    if len(drawn) and np.ptp(drawn) > _NO_SPREAD:
        low, high = np.percentile(drawn, _PERCENTILES)
        return Estimate(value, float(low), float(high), n)
    if trials and value in (0.0, 1.0):
        return Estimate(value, *wilson(value, trials), n)
    return Estimate(value, value, value, n)


def wilson(share: float, of: int) -> tuple[float, float]:
    """Return the ends of a share's 95% score interval (Wilson 1927), which needs no resampling.

    Args:
        share: In [0, 1].
        of: Trials, at least 1.
    """
    spread = _Z**2 / of
    middle = (share + spread / 2) / (1 + spread)
    half = _Z / (1 + spread) * math.sqrt(share * (1 - share) / of + spread / (4 * of))
    return max(0.0, middle - half), min(1.0, middle + half)


def _estimate(
    total: NDArray[np.float64], drawn: NDArray[np.float64], trials: int
) -> Estimate | None:
    """Return the estimate of one ratio.

    Args:
        total: Its sums.
        drawn: ``(resamples, 2)``: those of each resample.
        trials: Tasks that have what it is about; 0 for what is no share.
    """
    if not total[1]:
        return None
    usable = drawn[drawn[:, 1] > 0]
    ratios = usable[:, 0] / usable[:, 1]
    return estimate(float(total[0] / total[1]), ratios, int(total[1]), trials)
