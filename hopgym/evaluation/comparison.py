"""Two runs on the same tasks: differences with paired bootstrap intervals, tasks won and lost.

In: finished trajectories of each run and their source. Out: what the second has over the first.
What makes tasks hard or easy is the same for both and falls out of the differences, so that these
are known far better than the figures of each run.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
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
"""The metrics that are compared, of `hopgym.evaluation.METRICS`."""

_NO_SIGN = 1e-12

SHARE_MEANING = (
    "twice the smaller of the shares of bootstrap resamples (over tasks) whose mean difference "
    f"is at most 0 and at least 0, (count + 1) / ({RESAMPLES} + 1) each, at most 1"
)
"""What `Difference.share` is, in words."""


@dataclass(frozen=True, slots=True)
class TaskFigures:
    """What a run came to on one task."""

    index: int
    """Of the task in its source."""
    hops: str
    kind: str
    means: Mapping[str, float]
    """By `PAIRED`, over the run's attempts; a metric that none of them has is missing."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A metric of two runs on the tasks where both have it."""

    first: float
    other: float
    mean: float
    """``other - first``, each task counting once."""
    low: float
    high: float
    """The 95% interval of the mean, by the percentile bootstrap over tasks."""
    share: float
    """In (0, 1]: `SHARE_MEANING`. Small where few resamples turn the sign; it plays the part of a
    two-sided p value, but is drawn from the observed tasks, not from a null hypothesis."""
    n: int
    """Tasks."""


Differences = Mapping[str, Difference | None]
"""By `PAIRED`; None where no task has the metric in both runs."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a run has over another one on their common tasks."""

    tasks: int
    metrics: Differences
    by_hops: Mapping[str, Differences]
    """By number of hops; ``"0"`` where the hops are unknown."""
    by_kind: Mapping[str, Differences]
    won: tuple[str, ...]
    """Ids of the tasks with more success in the other run than in the first, in the source's
    order."""
    lost: tuple[str, ...]
    """Ids of those with less."""

    @property
    def even(self) -> int:
        """Number of tasks with the same success."""
        return self.tasks - len(self.won) - len(self.lost)


def figures_by_task(
    runs: Sequence[Iterable[Trajectory]], source: TaskSource
) -> list[dict[str, TaskFigures]]:
    """Return for each run what it came to on each task.

    Args:
        runs: The finished trajectories of each, records of errors left out. Where all are in the
            order of the tasks, every world is made once for all of them.
        source: The source that their tasks come from.

    Raises:
        ArgumentError: When a trajectory's task is not of the source.
    """
    sums: list[dict[str, _Sums]] = [{} for _ in runs]
    numbered = [zip(repeat(number), run) for number, run in enumerate(runs)]
    for number, trajectory in merge(*numbered, key=lambda pair: pair[1].index):
        episode = score_episode(trajectory, source)
        known = sums[number].setdefault(trajectory.task_id, _Sums(episode))
        known.add(episode)
    return [{task: each.figures() for task, each in of_run.items()} for of_run in sums]


class _Sums:
    """Numerators and denominators of a run on one task, by `PAIRED`."""

    def __init__(self, episode: ScoredEpisode) -> None:
        question = episode.task.question
        self._about = (episode.trajectory.index, str(question.hop_count), question.kind)
        self._ratios = {name: (0.0, 0.0) for name in PAIRED}

    def add(self, episode: ScoredEpisode) -> None:
        for name, (numerator, denominator) in self._ratios.items():
            more, over = METRICS[name](episode)
            self._ratios[name] = (numerator + more, denominator + over)

    def figures(self) -> TaskFigures:
        means = {name: n / d for name, (n, d) in self._ratios.items() if d}
        return TaskFigures(*self._about, means)


def compare(first: Mapping[str, TaskFigures], other: Mapping[str, TaskFigures]) -> Comparison:
    """Return what a run has over another one on the tasks that both have.

    Args:
        first: The run to compare with, by task id.
        other: The run whose gain is asked for.
    """
    common = sorted(first.keys() & other.keys(), key=lambda task: (first[task].index, task))
    pairs = [(first[task], other[task]) for task in common]
    gains = [b.means["success"] - a.means["success"] for a, b in pairs]
    return Comparison(
        tasks=len(common),
        metrics=_differences(pairs),
        by_hops={name: _differences(part) for name, part in _parts(pairs, "hops")},
        by_kind={name: _differences(part) for name, part in _parts(pairs, "kind")},
        won=tuple(task for task, gain in zip(common, gains, strict=True) if gain > 0),
        lost=tuple(task for task, gain in zip(common, gains, strict=True) if gain < 0),
    )


_Pair = tuple[TaskFigures, TaskFigures]


def _parts(pairs: Sequence[_Pair], by: str) -> list[tuple[str, list[_Pair]]]:
    parts: dict[str, list[_Pair]] = defaultdict(list)
    for pair in pairs:
        parts[getattr(pair[0], by)].append(pair)
    return sorted(parts.items(), key=lambda part: (int(part[0]) if by == "hops" else 0, part[0]))


def _differences(pairs: Sequence[_Pair]) -> Differences:
    # (tasks, metrics; first, other, 1), all 0 where one of the two lacks the metric
    values = np.zeros((len(pairs), len(PAIRED), 3))
    for row, (a, b) in enumerate(pairs):
        for column, name in enumerate(PAIRED):
            if name in a.means and name in b.means:
                values[row, column] = a.means[name], b.means[name], 1.0
    gains = np.stack([values[:, :, 1] - values[:, :, 0], values[:, :, 2]], axis=2)
    drawn = resampled(gains.reshape(len(pairs), 2 * len(PAIRED))).reshape(-1, len(PAIRED), 2)
    total = values.sum(axis=0)
    return {name: _difference(total[i], drawn[:, i]) for i, name in enumerate(PAIRED)}


def _difference(total: NDArray[np.float64], drawn: NDArray[np.float64]) -> Difference | None:
    """Return one difference.

    Args:
        total: Sums of both runs over the tasks, and the number of these.
        drawn: ``(resamples, 2)``: sums of the gains, and of the tasks.
    """
    first, other, n = map(float, total)
    if not n:
        return None
    usable = drawn[drawn[:, 1] > 0]
    means = usable[:, 0] / usable[:, 1]
    # Sums of the same gains in another order differ in their last bits; none of that is a sign.
    means[np.abs(means) < _NO_SIGN] = 0.0
    found = estimate((other - first) / n, means, int(n))
    least = min(int((means <= 0).sum()), int((means >= 0).sum()))
    share = min(1.0, 2 * (least + 1) / (len(means) + 1))
    return Difference(first / n, other / n, found.mean, found.low, found.high, share, found.n)
