"""Steps over a run: how many against the oracle's, and how good by their number.

In: the finished trajectories of a run, once through. Out: counts, and estimates by step number.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

from hopgym.evaluation import Estimates
from hopgym.evaluation.bootstrap import Interned, Ratios, estimate_all
from hopgym.tasks import TaskSource
from hopgym.trajectory import ERROR_REASONS, Trajectory
from hopgym.verdicts import GOOD_VERDICTS


class StepTally:
    """Looks on while a run's trajectories pass by, and counts the steps of those judged.

    Args:
        source: Where their tasks come from.
    """

    def __init__(self, source: TaskSource) -> None:
        self.lengths: Counter[tuple[int, int]] = Counter()
        """Episodes by (the oracle's steps, their own); those with a known oracle."""
        self._source = source
        self._good: list[tuple[tuple[str, int], Ratios]] = []
        self._interned = Interned()

    def over(self, trajectories: Iterable[Trajectory]) -> Iterator[Trajectory]:
        """Yield the trajectories unchanged."""
        for trajectory in trajectories:
            yield trajectory
            # By now who took it has checked that its task is one of the source.
            if trajectory.reason not in ERROR_REASONS and self._judged(trajectory):
                self._add(trajectory)

    def by_number(self) -> Estimates:
        """Return the share of good steps by step number from 1, as text; the prefix's left out."""
        rows = sorted(self._good, key=lambda row: row[0])
        names = sorted({name for _, added in rows for name in added}, key=int)
        return estimate_all([key[0] for key, _ in rows], [added for _, added in rows], names)

    def _judged(self, trajectory: Trajectory) -> bool:
        proofs = self._source[trajectory.index].question.proofs
        return bool(proofs) and trajectory.tools != ("answer",)

    def _add(self, trajectory: Trajectory) -> None:
        steps = trajectory.steps
        if trajectory.oracle_steps > 0:
            self.lengths[trajectory.oracle_steps, len(steps)] += 1
        good = {
            str(number): (float(step.verdict in GOOD_VERDICTS), 1.0)
            for number, step in enumerate(steps, start=1)
            if not step.given
        }
        self._good.append((trajectory.key, self._interned.of(good)))
