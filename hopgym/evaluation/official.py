"""Official metrics of a run: the first attempt at each task, as the source's own script scores it.

In: finished trajectories, one at a time. Out: the metrics over all tasks played, and for real
benchmarks by kind of question and by hops as well.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from hopgym.tasks import Prediction, Task, TaskSource
from hopgym.trajectory import Trajectory

Metrics = Mapping[str, float]


@dataclass(slots=True)
class Attempts:
    """The first attempt at each task, taken in with `add`."""

    source: TaskSource
    _first: dict[str, tuple[int, Prediction, str, int]] = field(default_factory=dict)

    def add(self, trajectory: Trajectory, task: Task) -> None:
        """Take in a trajectory of a task; later samples of the same task are passed over."""
        known = self._first.get(trajectory.task_id)
        if known is None or trajectory.sample < known[0]:
            prediction = prediction_of(trajectory, detailed=self.source.has_script)
            question = task.question
            key = (trajectory.sample, prediction, question.kind, question.hop_count)
            self._first[trajectory.task_id] = key

    def __len__(self) -> int:
        return len(self._first)

    def official(self) -> dict[str, float]:
        """Return the metrics over all tasks; empty without any."""
        return self._over(sorted(self._first))

    def by_kind(self) -> dict[str, Metrics]:
        """Return the metrics by kind of question; empty for sources without a script."""
        kinds = {i: kind for i, (_, _, kind, _) in self._first.items()}
        return {kind: self._group(kinds, kind) for kind in sorted(self._groups(kinds))}

    def by_hops(self) -> dict[str, Metrics]:
        """Return the metrics by number of hops; empty for sources without a script."""
        hops = {i: str(count) for i, (_, _, _, count) in self._first.items()}
        return {count: self._group(hops, count) for count in sorted(self._groups(hops), key=int)}

    def _groups(self, groups: Mapping[str, str]) -> set[str]:
        return set(groups.values()) if self.source.has_script else set()

    def _group(self, groups: Mapping[str, str], wanted: str) -> dict[str, float]:
        return self._over(sorted(i for i, group in groups.items() if group == wanted))

    def _over(self, ids: list[str]) -> dict[str, float]:
        return self.source.official({i: self._first[i][1] for i in ids}, ids) if ids else {}


def prediction_of(trajectory: Trajectory, *, detailed: bool = True) -> Prediction:
    """Return what a trajectory comes to for an official scorer.

    Args:
        trajectory: Finished or not.
        detailed: Whether to note what was shown and named.
    """
    if not detailed:
        return Prediction(trajectory.answer)
    steps = trajectory.steps
    last = steps[-1].action if steps else None
    shown = dict.fromkeys(pair for step in steps for pair in step.shown.sentences)
    return Prediction(
        trajectory.answer,
        None if trajectory.tools == ("answer",) else tuple(shown),
        last.support if last is not None else "",
    )
