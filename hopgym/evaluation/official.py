"""Official metrics of a run: the source's own script, on the first attempt at each task."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hopgym.evaluation.accumulator import OrderedRows
from hopgym.evaluation.metrics import EpisodeMetrics, ScoredEpisode
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
class OfficialMetrics:
    """Computes the official metrics of a run from its episodes.

    Args:
        source: The source of the tasks.
    """

    source: TaskSource
    _first: dict[str, _Attempt] = field(default_factory=dict)
    """The first attempt at each task; bounded by the number of records in a benchmark's file."""

    @property
    def _averages_scores(self) -> bool:
        # Without a script of its own, a source averages scores that the rows already hold.
        return type(self.source).official is TaskSource.official

    def add(self, episode: ScoredEpisode) -> None:
        """Add an episode; only the lowest sample of each task is scored."""
        trajectory = episode.trajectory
        question = episode.task.question
        known = self._first.get(trajectory.task_id)
        if not self._averages_scores and (known is None or trajectory.sample < known.sample):
            self._first[trajectory.task_id] = _Attempt(
                trajectory.sample,
                prediction_of(trajectory),
                question.kind,
                str(question.hop_count),
            )

    def metrics(self, firsts: OrderedRows[EpisodeMetrics], **labels: str) -> dict[str, float]:
        """Return the metrics over all tasks or a group of them; empty if there are none.

        Args:
            firsts: The first attempt at each task.
            labels: Selects a group by ``kind`` or by number of ``hops``.
        """

        def in_group(episode: EpisodeMetrics | _Attempt) -> bool:
            return all(getattr(episode, name) == value for name, value in labels.items())

        if self._averages_scores:
            group = firsts.where(in_group)
            if not len(group.codes):
                return {}
            return {name: _mean(group, metric) for name, metric in _MEANS.items()}
        ids = sorted(task_id for task_id, attempt in self._first.items() if in_group(attempt))
        predictions = {task_id: self._first[task_id].prediction for task_id in ids}
        return self.source.official(predictions, ids) if ids else {}

    def by_kind(self, firsts: OrderedRows[EpisodeMetrics]) -> dict[str, Metrics]:
        """Return the metrics by kind of question; empty for sources without a script."""
        kinds = sorted({row.kind for row in firsts.rows}) if self.source.has_script else []
        return {kind: self.metrics(firsts, kind=kind) for kind in kinds}

    def by_hops(self, firsts: OrderedRows[EpisodeMetrics]) -> dict[str, Metrics]:
        """Return the metrics by number of hops; empty for sources without a script."""
        hops = sorted({row.hops for row in firsts.rows}, key=int) if self.source.has_script else []
        return {count: self.metrics(firsts, hops=count) for count in hops}


_MEANS = {"em": "success", "f1": "f1"}
"""Official name of a mean score, to the name of the metric."""


def _mean(group: OrderedRows[EpisodeMetrics], metric: str) -> float:
    # Summed in order like in `TaskSource.official`: a pairwise sum would differ in the last bits.
    return sum(map(float, group.values(lambda row: row.ratio(metric)[0]))) / len(group.codes)


def prediction_of(trajectory: Trajectory) -> Prediction:
    """Return the prediction of a trajectory for an official scorer."""
    steps = trajectory.steps
    last = steps[-1].action if steps else None
    observed = dict.fromkeys(pair for step in steps for pair in step.shown_content.sentences)
    return Prediction(
        trajectory.answer,
        None if trajectory.tools == ("answer",) else tuple(observed),
        last.support if last is not None else "",
    )
