"""How episodes end, in one word each, and which of a run's episodes a report shows.

In: the finished trajectories of a run, once through. Out: counts, and the failures first.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from hopgym.errors import ArgumentError
from hopgym.runs.key_set import KeySet
from hopgym.trajectory import StopReason, Trajectory
from hopgym.verdicts import Verdict


@dataclass(frozen=True, slots=True)
class Ending:
    """A way in which an episode ends."""

    name: str
    tone: str
    """Names its colour: a verdict, or ``none`` for episodes without an answer."""
    meaning: str
    applies: Callable[[Trajectory], bool]
    """Whether a finished episode ended so, where no ending before it applies."""


def _stopped(*reasons: StopReason) -> Callable[[Trajectory], bool]:
    return lambda episode: episode.reason in reasons


def _last(verdict: Verdict) -> Callable[[Trajectory], bool]:
    """Return whether the last step has a verdict."""
    return lambda episode: bool(episode.steps) and episode.steps[-1].verdict is verdict


def _refused(episode: Trajectory) -> bool:
    completion = episode.steps[-1].completion if episode.steps else None
    return completion is not None and completion.finish_reason == "refused"


def _wrote_nothing(episode: Trajectory) -> bool:
    return bool(episode.steps) and not episode.steps[-1].text.strip()


ENDINGS = (
    Ending(
        "supported", "supported", "right answer, a proof of it was read", _last(Verdict.SUPPORTED)
    ),
    Ending("lucky", "lucky", "right answer, no proof of it was read", _last(Verdict.LUCKY)),
    Ending(
        "right", "right", "right answer, the evidence is unknown", lambda each: each.is_success
    ),
    Ending("no answer", "none", "an answer without a word", lambda each: each.answer == ""),
    Ending(
        "unsupported", "unsupported", "wrong answer, no proof was read", _last(Verdict.UNSUPPORTED)
    ),
    Ending(
        "wrong", "wrong", "wrong answer although a proof was read, or the evidence is unknown",
        _stopped(StopReason.ANSWER),
    ),
    Ending(
        "agent error", "error", "the policy raised; left out of the results",
        _stopped(StopReason.AGENT_ERROR),
    ),
    Ending(
        "api error", "error", "the policy's server failed; left out of the results",
        _stopped(StopReason.API_ERROR),
    ),
    Ending(
        "context", "none", "no answer: the episode outgrew the policy's context",
        _stopped(StopReason.CONTEXT),
    ),
    Ending("refused", "none", "no answer: the model refused to go on", _refused),
    Ending("empty", "none", "no answer: the last text was empty", _wrote_nothing),
    Ending("tool error", "none", "no answer: the last call failed", _last(Verdict.FAILED)),
    Ending(
        "malformed", "none", "no answer: too many malformed texts in a row",
        _stopped(StopReason.MALFORMED),
    ),
    Ending("budget", "none", "no answer: the steps ran out", _stopped(StopReason.BUDGET)),
)  # fmt: skip
"""In the order of the page, which is that in which they are tried: the first that applies is the
one reason of an episode. The first three are successes, the others failures."""


def ending_of(trajectory: Trajectory) -> Ending:
    """Return how a finished trajectory ended.

    Raises:
        ArgumentError: When it has not ended.
    """
    for ending in ENDINGS:
        if ending.applies(trajectory):
            return ending
    raise ArgumentError(f"trajectory must be one that has ended, got that of {trajectory.key}")


class Watch:
    """Looks on while a run's trajectories pass by, and keeps a bounded number of them.

    Args:
        limit: The most trajectories to keep, 0 or more.
    """

    def __init__(self, limit: int) -> None:
        self.endings: Counter[str] = Counter()
        self.tasks = KeySet()
        """Of all, each as sample 0."""
        self.first: Trajectory | None = None
        self._limit = limit
        self._kept: list[Trajectory] = []

    def over(self, trajectories: Iterable[Trajectory]) -> Iterator[Trajectory]:
        """Yield the trajectories unchanged."""
        for trajectory in trajectories:
            yield trajectory
            self.endings[ending_of(trajectory).name] += 1
            self.tasks.add((trajectory.index, 0))
            if self.first is None or trajectory.key < self.first.key:
                self.first = trajectory
            self._kept.append(trajectory)
            if len(self._kept) > 2 * self._limit + 100:
                self._kept = self.chosen(self._limit)

    def chosen(self, count: int) -> list[Trajectory]:
        """Return at most so many of those kept: failures, then lucky ones, then the others."""
        return sorted(self._kept, key=urgency)[: min(count, self._limit)]


def shared_out(available: Sequence[int], total: int) -> list[int]:
    """Return how many of a total each gets, in equal shares; none gets more than it has."""
    shares = [0] * len(available)
    by_size = sorted(range(len(available)), key=lambda i: available[i])
    for place, i in enumerate(by_size):
        shares[i] = min(available[i], -(-total // (len(by_size) - place)))
        total -= shares[i]
    return shares


def urgency(trajectory: Trajectory) -> tuple[int, int, int]:
    """Return what episodes are sorted by: failures, then lucky ones, then the others."""
    lucky = ending_of(trajectory).name == "lucky"
    rank = 0 if not trajectory.is_success else 1 if lucky else 2
    return rank, trajectory.index, trajectory.sample
