"""Compares two runs on the same tasks: paired bootstrap differences, tasks won and lost.

The difficulty of a task is the same for both runs and cancels out in the differences, so these are
known more precisely than the metrics of either run.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from hopgym.evaluation import score_episode
from hopgym.evaluation.bootstrap import RESAMPLES, estimate, resampled
from hopgym.evaluation.metrics import METRICS, ScoredEpisode
from hopgym.tasks import TaskSource
from hopgym.trajectory import Trajectory

PAIRED = ("success", "f1", "supported", "steps")
"""The metrics that are compared, by their names in `hopgym.evaluation.METRICS`."""

_ROUNDING = 1e-12

SHARE_MEANING = (
    "twice the smaller of the shares of bootstrap resamples (over tasks) whose mean difference "
    f"is at most 0 and at least 0, (count + 1) / ({RESAMPLES} + 1) each, at most 1"
)
"""The definition of `Difference.share`."""


@dataclass(frozen=True, slots=True)
class TaskMeans:
    """The metrics of a run on one task."""

    index: int
    """Index of the task in its source."""
    hops: str
    """Number of hops; ``"0"`` if unknown."""
    kind: str
    """Kind of question."""
    means: Mapping[str, float]
    """By `PAIRED`, averaged over the run's attempts; metrics that apply to none are missing."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A metric of two runs, over the tasks to which it applies in both."""

    first: float
    """Mean of the first run."""
    other: float
    """Mean of the other run."""
    mean: float
    """Mean of ``other - first``, with equal weight per task."""
    low: float
    high: float
    """The 95% interval of `mean`, by the percentile bootstrap over tasks."""
    share: float
    """In (0, 1]: `SHARE_MEANING`. Small if few resamples change the sign. Read it like a two-sided
    p value, although it comes from resampling the observed tasks, not from a null hypothesis."""
    n: int
    """Number of tasks."""


Differences = Mapping[str, Difference | None]
"""By `PAIRED`; None if the metric applies to no task in both runs."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The differences between two runs on their common tasks."""

    tasks: int
    """Number of common tasks."""
    metrics: Differences
    """Over all common tasks."""
    by_hops: Mapping[str, Differences]
    """By number of hops; ``"0"`` if the hops are unknown."""
    by_kind: Mapping[str, Differences]
    """By kind of question."""
    won: tuple[str, ...]
    """Ids of the tasks with more success in the other run than in the first, in the source's
    order."""
    lost: tuple[str, ...]
    """Ids of the tasks with less success in the other run."""

    @property
    def even(self) -> int:
        """Number of tasks with equal success."""
        return self.tasks - len(self.won) - len(self.lost)


def means_by_task(
    runs: Sequence[Iterable[Trajectory]], source: TaskSource
) -> list[dict[str, TaskMeans]]:
    """Return for each run its metrics by task id.

    Args:
        runs: The finished trajectories of each run, without records of errors. If all runs are
            ordered by task, each world is generated only once.
        source: The source of their tasks.

    Raises:
        ArgumentError: If the task of a trajectory is not from the source.
    """
    sums: list[dict[str, _TaskSums]] = [{} for _ in runs]
    numbered = [zip(repeat(number), run) for number, run in enumerate(runs)]
    for number, trajectory in merge(*numbered, key=lambda pair: pair[1].index):
        episode = score_episode(trajectory, source)
        sums[number].setdefault(trajectory.task_id, _TaskSums(episode)).add(episode)
    return [
        {task_id: task_sums.means() for task_id, task_sums in run_sums.items()} for run_sums in sums
    ]


class _TaskSums:
    """Numerators and denominators of a run on one task, by `PAIRED`."""

    def __init__(self, episode: ScoredEpisode) -> None:
        question = episode.task.question
        self._labels = (episode.trajectory.index, str(question.hop_count), question.kind)
        self._ratios = {name: (0.0, 0.0) for name in PAIRED}

    def add(self, episode: ScoredEpisode) -> None:
        for name, (numerator, denominator) in self._ratios.items():
            added = METRICS[name](episode)
            self._ratios[name] = (numerator + added[0], denominator + added[1])

    def means(self) -> TaskMeans:
        means = {name: n / d for name, (n, d) in self._ratios.items() if d}
        return TaskMeans(*self._labels, means)


def compare(first: Mapping[str, TaskMeans], other: Mapping[str, TaskMeans]) -> Comparison:
    """Return the differences between two runs on the tasks that both have.

    Args:
        first: The baseline, by task id.
        other: The run whose gain over the baseline is computed.
    """
    common = sorted(first.keys() & other.keys(), key=lambda task: (first[task].index, task))
    pairs = [(first[task], other[task]) for task in common]
    gains = [b.means["success"] - a.means["success"] for a, b in pairs]
    by_hops = _by_group(pairs, lambda task: task.hops)
    by_kind = _by_group(pairs, lambda task: task.kind)
    return Comparison(
        tasks=len(common),
        metrics=_differences(pairs),
        by_hops={hops: by_hops[hops] for hops in sorted(by_hops, key=int)},
        by_kind={kind: by_kind[kind] for kind in sorted(by_kind)},
        won=tuple(task for task, gain in zip(common, gains, strict=True) if gain > 0),
        lost=tuple(task for task, gain in zip(common, gains, strict=True) if gain < 0),
    )


_Pair = tuple[TaskMeans, TaskMeans]


def _by_group(pairs: Sequence[_Pair], group: Callable[[TaskMeans], str]) -> dict[str, Differences]:
    groups: dict[str, list[_Pair]] = defaultdict(list)
    for pair in pairs:
        groups[group(pair[0])].append(pair)
    return {name: _differences(members) for name, members in groups.items()}


def _differences(pairs: Sequence[_Pair]) -> Differences:
    # (tasks, metrics, 3) holds first, other and 1; all 0 if one of the two lacks the metric.
    values = np.zeros((len(pairs), len(PAIRED), 3))
    for row, (a, b) in enumerate(pairs):
        for column, name in enumerate(PAIRED):
            if name in a.means and name in b.means:
                values[row, column] = a.means[name], b.means[name], 1.0
    gains = np.stack([values[:, :, 1] - values[:, :, 0], values[:, :, 2]], axis=2)
    resamples = resampled(gains.reshape(len(pairs), 2 * len(PAIRED))).reshape(-1, len(PAIRED), 2)
    total = values.sum(axis=0)
    return {name: _difference(total[i], resamples[:, i]) for i, name in enumerate(PAIRED)}


def _difference(total: NDArray[np.float64], resamples: NDArray[np.float64]) -> Difference | None:
    """Return one difference.

    Args:
        total: ``(3,)``: the sums of both runs over the tasks, and the number of tasks.
        resamples: ``(resamples, 2)``: the sum of the gains and the number of tasks.
    """
    first, other, n = map(float, total)
    if not n:
        return None
    usable = resamples[resamples[:, 1] > 0]
    means = usable[:, 0] / usable[:, 1]
    # Float sums depend on their order in the last bits, which must not count as a sign.
    means[np.abs(means) < _ROUNDING] = 0.0
    gain = estimate((other - first) / n, means, int(n))
    least = min(int((means <= 0).sum()), int((means >= 0).sum()))
    share = min(1.0, 2 * (least + 1) / (len(means) + 1))
    return Difference(first / n, other / n, gain.mean, gain.low, gain.high, share, gain.n)
