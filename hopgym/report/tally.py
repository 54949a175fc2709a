"""Steps over a run: how many against the oracle's, and how good by their number.

In: the finished trajectories of a run, once through. Out: counts, and estimates by step number.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

from hopgym.evaluation import Estimates
from hopgym.evaluation.accumulator import Accumulator
from hopgym.evaluation.bootstrap import Ratio
from hopgym.tasks import TaskSource
from hopgym.trajectory import ERROR_REASONS, Trajectory
from hopgym.verdicts import GOOD_VERDICTS

_Steps = tuple[bool | None, ...]
"""Of each step whether it was good; None for those of the prefix."""


class StepTally:
    """Looks on while a run's trajectories pass by, and counts the steps of those judged.

    Args:
        source: Where their tasks come from.
    """

    def __init__(self, source: TaskSource) -> None:
        self.lengths: Counter[tuple[int, int]] = Counter()
        """Episodes by (the oracle's steps, their own); those with a known oracle."""
        self.by_number: Estimates = {}
        """The share of good steps by step number from 1, as text, once all have passed by; the
        steps of the prefix are left out."""
        self._source = source

    def over(self, trajectories: Iterable[Trajectory]) -> Iterator[Trajectory]:
        """Yield the trajectories unchanged."""
        steps = Accumulator[_Steps]()
        for trajectory in trajectories:
            yield trajectory
            # By now who took it has checked that its task is one of the source.
            if trajectory.reason not in ERROR_REASONS and self._judged(trajectory):
                self._add(trajectory, steps)
        episodes = steps.ordered()
        names = {name for row in episodes.rows for name in _by_number(row)}
        self.by_number = episodes.estimates(_by_number, sorted(names, key=int))

    def _judged(self, trajectory: Trajectory) -> bool:
        proofs = self._source[trajectory.index].question.proofs
        return bool(proofs) and trajectory.tools != ("answer",)

    def _add(self, trajectory: Trajectory, into: Accumulator[_Steps]) -> None:
        steps = trajectory.steps
        if trajectory.oracle_steps > 0:
            self.lengths[trajectory.oracle_steps, len(steps)] += 1
        good = (None if step.given else step.verdict in GOOD_VERDICTS for step in steps)
        into.add(trajectory.index, trajectory.sample, tuple(good), task=trajectory.task_id)


def _by_number(steps: _Steps) -> dict[str, Ratio]:
    return {
        str(number): (float(good), 1.0)
        for number, good in enumerate(steps, start=1)
        if good is not None
    }
