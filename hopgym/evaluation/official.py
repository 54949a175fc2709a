"""Official metrics of a run: the first attempt at each task, as the source's own script scores it.

In: finished trajectories, one at a time. Out: the metrics over all tasks played, and for real
benchmarks by kind of question and by hops as well.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hopgym.evaluation.metrics import ScoredEpisode
from hopgym.scoring import Score
from hopgym.tasks import Prediction, TaskSource
from hopgym.trajectory import Trajectory

Metrics = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class _Attempt:
    sample: int
    score: Score
    prediction: Prediction | None
    """None where the metrics are the means of the scores."""
    kind: str
    hops: int


@dataclass(slots=True)
class Attempts:
    """The first attempt at each task, taken in with `add`."""

    source: TaskSource
    _first: dict[str, _Attempt] = field(default_factory=dict)

    @property
    def _averages(self) -> bool:
        # Then the scores at hand say all, and no question has to be made again.
        return type(self.source).official is TaskSource.official

    def add(self, episode: ScoredEpisode) -> None:
        """Take in an episode; later samples of the same task are passed over."""
        trajectory, question = episode.trajectory, episode.task.question
        known = self._first.get(trajectory.task_id)
        if known is None or trajectory.sample < known.sample:
            prediction = None if self._averages else prediction_of(trajectory)
            self._first[trajectory.task_id] = _Attempt(
                trajectory.sample, episode.score, prediction, question.kind, question.hop_count
            )

    def __len__(self) -> int:
        return len(self._first)

    def official(self) -> dict[str, float]:
        """Return the metrics over all tasks; empty without any."""
        return self._over(sorted(self._first))

    def by_kind(self) -> dict[str, Metrics]:
        """Return the metrics by kind of question; empty for sources without a script."""
        kinds = {i: each.kind for i, each in self._first.items()}
        return {kind: self._group(kinds, kind) for kind in sorted(self._groups(kinds))}

    def by_hops(self) -> dict[str, Metrics]:
        """Return the metrics by number of hops; empty for sources without a script."""
        hops = {i: str(each.hops) for i, each in self._first.items()}
        return {count: self._group(hops, count) for count in sorted(self._groups(hops), key=int)}

    def _groups(self, groups: Mapping[str, str]) -> set[str]:
        return set(groups.values()) if self.source.has_script else set()

    def _group(self, groups: Mapping[str, str], wanted: str) -> dict[str, float]:
        return self._over(sorted(i for i, group in groups.items() if group == wanted))

    def _over(self, ids: list[str]) -> dict[str, float]:
        chosen = {i: self._first[i] for i in ids}
        if not chosen:
            return {}
        if self._averages:
            return {
                "em": sum(each.score.em for each in chosen.values()) / len(chosen),
                "f1": sum(each.score.f1 for each in chosen.values()) / len(chosen),
            }
        predictions = {i: each.prediction or Prediction(None) for i, each in chosen.items()}
        return self.source.official(predictions, ids)


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
