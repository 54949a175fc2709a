"""Ratios of sums over episodes, with percentile bootstrap intervals over tasks.

In: what each episode adds to each metric's numerator and denominator. Out: estimates. A share of
episodes and a share of steps are one thing here. All attempts at a task are drawn together, as
they are not independent.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1_000
"""Resamples of an interval."""

_SEED = 0
_MOST_CELLS = 500_000
_PERCENTILES = (2.5, 97.5)

Ratio = tuple[float, float]
"""What one episode adds to a metric's numerator and denominator."""

Ratios = Mapping[str, Ratio]
"""The same by metric."""


class Interned:
    """Keeps equal ratios once: over many episodes few differ, and a run must fit into memory."""

    def __init__(self) -> None:
        self._known: dict[tuple[tuple[str, Ratio], ...], Ratios] = {}

    def of(self, ratios: Ratios) -> Ratios:
        """Return the ratios equal to these that were seen first."""
        return self._known.setdefault(tuple(ratios.items()), ratios)


ABSENT: Ratio = (0.0, 0.0)
"""Of an episode that lacks what the metric is about."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its 95% bootstrap interval."""

    mean: float
    low: float
    high: float
    n: int
    """Episodes, or steps for a share of steps, that the mean is over; at least 1."""


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
    drawn = resampled(sums.reshape(len(places), 2 * len(columns)))
    drawn = drawn.reshape(RESAMPLES, 2, len(columns))
    total = sums.sum(axis=0)
    return {name: _estimate(total[:, i], drawn[:, :, i]) for i, name in enumerate(columns)}


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
        drawn = rng.integers(tasks, size=(count, tasks)) + np.arange(count)[:, None] * tasks
        weights = np.bincount(drawn.ravel(), minlength=count * tasks).reshape(count, tasks)
        result[start : start + count] = weights @ sums
    return result


def estimate(value: float, drawn: NDArray[np.float64], n: int) -> Estimate:
    """Return a value with the interval of what the resamples came to.

    Args:
        value: Of the whole sample.
        drawn: The same of each resample in which it is defined; none leaves the value alone.
        n: What it is over.
    """
    if not len(drawn):
        return Estimate(value, value, value, n)
    low, high = np.percentile(drawn, _PERCENTILES)
    return Estimate(value, float(low), float(high), n)


def _estimate(total: NDArray[np.float64], drawn: NDArray[np.float64]) -> Estimate | None:
    """Return the estimate of one ratio from its sums and those of its resamples ``(n, 2)``."""
    if not total[1]:
        return None
    usable = drawn[drawn[:, 1] > 0]
    return estimate(float(total[0] / total[1]), usable[:, 0] / usable[:, 1], int(total[1]))
