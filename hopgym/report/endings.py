"""How episodes end, in one word each, and which of a run's episodes a report shows.

In: the finished trajectories of a run, once through. Out: counts, and the failures first.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from hopgym.trajectory import StopReason, Trajectory
from hopgym.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class Ending:
    """A way in which an episode ends."""

    name: str
    tone: str
    """Names its colour: a verdict, or ``none`` for episodes without an answer."""
    meaning: str


ENDINGS = (
    Ending("supported", "supported", "right answer, a proof of it was read"),
    Ending("lucky", "lucky", "right answer, no proof of it was read"),
    Ending("right", "right", "right answer, the evidence is unknown"),
    Ending("wrong", "wrong", "wrong answer although a proof was read"),
    Ending("unsupported", "unsupported", "wrong answer, no proof was read"),
    Ending("not right", "wrong", "wrong answer, the evidence is unknown"),
    Ending("budget", "none", "no answer: the steps ran out"),
    Ending("malformed", "none", "no answer: too many malformed texts in a row"),
    Ending("context", "none", "no answer: the episode outgrew the policy's context"),
    Ending("agent error", "error", "the policy raised; left out of the results"),
    Ending("api error", "error", "the policy's server failed; left out of the results"),
)
"""In the order of the page."""

_BY_NAME = {ending.name: ending for ending in ENDINGS}


def ending_of(trajectory: Trajectory) -> Ending:
    """Return how a finished trajectory ended."""
    if trajectory.reason is not StopReason.ANSWER:
        return _BY_NAME[trajectory.reason.replace("_", " ")]
    verdict = trajectory.steps[-1].verdict
    if verdict is Verdict.UNJUDGED:
        return _BY_NAME["right" if trajectory.is_success else "not right"]
    return _BY_NAME[verdict.value]


class Watch:
    """Looks on while a run's trajectories pass by, and keeps a bounded number of them.

    Args:
        limit: The most trajectories to keep, 0 or more.
    """

    def __init__(self, limit: int) -> None:
        self.endings: Counter[str] = Counter()
        self.tasks: set[str] = set()
        self.failed = 0
        self.first: Trajectory | None = None
        self._limit = limit
        self._kept: list[Trajectory] = []

    def over(self, trajectories: Iterable[Trajectory]) -> Iterator[Trajectory]:
        """Yield the trajectories unchanged."""
        for trajectory in trajectories:
            yield trajectory
            self.endings[ending_of(trajectory).name] += 1
            self.tasks.add(trajectory.task_id)
            self.failed += not trajectory.is_success
            if self.first is None or trajectory.key < self.first.key:
                self.first = trajectory
            self._kept.append(trajectory)
            if len(self._kept) > 2 * self._limit + 100:
                self._kept = self.chosen(self._limit)

    def chosen(self, count: int) -> list[Trajectory]:
        """Return at most so many of those kept: failures, then lucky ones, then the others."""
        return sorted(self._kept, key=_urgency)[: min(count, self._limit)]


def shared_out(available: Sequence[int], total: int) -> list[int]:
    """Return how many of a total each gets, in equal shares; none gets more than it has."""
    shares = [0] * len(available)
    by_size = sorted(range(len(available)), key=lambda i: available[i])
    for place, i in enumerate(by_size):
        shares[i] = min(available[i], -(-total // (len(by_size) - place)))
        total -= shares[i]
    return shares


def _urgency(trajectory: Trajectory) -> tuple[int, int, int]:
    lucky = ending_of(trajectory).name == "lucky"
    rank = 0 if not trajectory.is_success else 1 if lucky else 2
    return rank, trajectory.index, trajectory.sample
