"""Official metrics of a run: the first attempt at each task, as the source's own script scores it.

In: finished trajectories, one at a time. Out: the metrics over all tasks played, and for real
benchmarks by kind of question and by hops as well.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hopgym.evaluation.accumulator import Ordered
from hopgym.evaluation.metrics import Row, ScoredEpisode
from hopgym.tasks import Prediction, TaskSource
from hopgym.trajectory import Trajectory

Metrics = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class _Attempt:
    sample: int
    prediction: Prediction
    kind: str
    hops: str


@dataclass(slots=True)
class Official:
    """Official metrics. What a script of its own needs of episodes is taken in with `add`."""

    source: TaskSource
    _first: dict[str, _Attempt] = field(default_factory=dict)
    """The first attempt at each task; as many at most as a benchmark's file has records."""

    @property
    def _averages(self) -> bool:
        # Then the scores at hand say all, and no question has to be made again.
        return type(self.source).official is TaskSource.official

    def add(self, episode: ScoredEpisode) -> None:
        """Take in an episode; later samples of the same task are passed over."""
        trajectory, question = episode.trajectory, episode.task.question
        known = self._first.get(trajectory.task_id)
        if not self._averages and (known is None or trajectory.sample < known.sample):
            self._first[trajectory.task_id] = _Attempt(
                trajectory.sample,
                prediction_of(trajectory),
                question.kind,
                str(question.hop_count),
            )

    def metrics(self, firsts: Ordered[Row], **group: str) -> dict[str, float]:
        """Return the metrics over all tasks, or a group of them; empty without any.

        Args:
            firsts: The first attempt at each task.
            group: A ``kind`` or number of ``hops``.
        """

        def wanted(each: Row | _Attempt) -> bool:
            return all(getattr(each, name) == value for name, value in group.items())

        if self._averages:
            chosen = firsts.where(wanted)
            return {name: _mean(chosen, of) for name, of in _MEANS.items() if len(chosen.codes)}
        ids = sorted(i for i, each in self._first.items() if wanted(each))
        predictions = {i: self._first[i].prediction for i in ids}
        return self.source.official(predictions, ids) if ids else {}

    def by_kind(self, firsts: Ordered[Row]) -> dict[str, Metrics]:
        """Return the metrics by kind of question; empty for sources without a script."""
        kinds = sorted({row.kind for row in firsts.rows}) if self.source.has_script else []
        return {kind: self.metrics(firsts, kind=kind) for kind in kinds}

    def by_hops(self, firsts: Ordered[Row]) -> dict[str, Metrics]:
        """Return the metrics by number of hops; empty for sources without a script."""
        hops = sorted({row.hops for row in firsts.rows}, key=int) if self.source.has_script else []
        return {count: self.metrics(firsts, hops=count) for count in hops}


_MEANS = {"em": "success", "f1": "f1"}
"""Official name of a mean score, to the metric that adds it up."""


def _mean(chosen: Ordered[Row], metric: str) -> float:
    # One by one, as what a source sums up itself.
    return sum(map(float, chosen.values(lambda row: row.metric(metric)[0]))) / len(chosen.codes)


def prediction_of(trajectory: Trajectory) -> Prediction:
    """Return what a trajectory comes to for an official scorer."""
    steps = trajectory.steps
    last = steps[-1].action if steps else None
    shown = dict.fromkeys(pair for step in steps for pair in step.shown.sentences)
    return Prediction(
        trajectory.answer,
        None if trajectory.tools == ("answer",) else tuple(shown),
        last.support if last is not None else "",
    )
