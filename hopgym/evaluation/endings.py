"""Classifies how episodes end, and selects the episodes of a run that a report shows."""

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
    """Unique name, shown in reports."""
    tone: str
    """Names its color: a verdict, ``error``, or ``none`` for episodes without an answer."""
    meaning: str
    """A short explanation, shown in reports."""
    applies: Callable[[Trajectory], bool]
    """Whether a finished episode ended like this, provided that no earlier ending applies."""


def _stopped(reason: StopReason) -> Callable[[Trajectory], bool]:
    return lambda episode: episode.stop_reason is reason


def _last_verdict(verdict: Verdict) -> Callable[[Trajectory], bool]:
    return lambda episode: bool(episode.steps) and episode.steps[-1].verdict is verdict


def _refused(episode: Trajectory) -> bool:
    completion = episode.steps[-1].completion if episode.steps else None
    return completion is not None and completion.finish_reason == "refused"


def _wrote_nothing(episode: Trajectory) -> bool:
    return bool(episode.steps) and not episode.steps[-1].text.strip()


ENDINGS = (
    Ending(
        "supported", "supported", "right answer, a proof of it was read",
        _last_verdict(Verdict.SUPPORTED),
    ),
    Ending("lucky", "lucky", "right answer, no proof of it was read", _last_verdict(Verdict.LUCKY)),
    Ending(
        "right", "right", "right answer, the evidence is unknown",
        lambda episode: episode.is_success,
    ),
    Ending("no answer", "none", "an answer without a word", lambda episode: episode.answer == ""),
    Ending(
        "unsupported", "unsupported", "wrong answer, no proof was read",
        _last_verdict(Verdict.UNSUPPORTED),
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
    Ending("tool error", "none", "no answer: the last call failed", _last_verdict(Verdict.FAILED)),
    Ending(
        "malformed", "none", "no answer: too many malformed texts in a row",
        _stopped(StopReason.MALFORMED),
    ),
    Ending("budget", "none", "no answer: the steps ran out", _stopped(StopReason.BUDGET)),
)  # fmt: skip
"""All endings in the order in which reports list them and `ending_of` tries them: the first that
applies is the ending of an episode. The first three are successes, the others failures."""


def ending_of(trajectory: Trajectory) -> Ending:
    """Return how a finished trajectory ended.

    Raises:
        ArgumentError: If the trajectory is unfinished.
    """
    for ending in ENDINGS:
        if ending.applies(trajectory):
            return ending
    raise ArgumentError(f"trajectory must be one that has ended, got that of {trajectory.key}")


class EpisodeSelector:
    """Counts the endings of a run's episodes and retains a bounded number of them, failures first.

    Args:
        limit: The maximum number of trajectories to retain, 0 or more.
    """

    def __init__(self, limit: int) -> None:
        self.endings: Counter[str] = Counter()
        """Number of episodes by the name of their ending."""
        self.tasks = KeySet()
        """The tasks of all episodes, each as sample 0."""
        self.first: Trajectory | None = None
        """The episode with the lowest key; None before any was observed."""
        self._limit = limit
        self._candidates: list[Trajectory] = []

    def observe(self, trajectories: Iterable[Trajectory]) -> Iterator[Trajectory]:
        """Yield the trajectories unchanged, counting each after it was consumed."""
        for trajectory in trajectories:
            yield trajectory
            self.endings[ending_of(trajectory).name] += 1
            self.tasks.add((trajectory.index, 0))
            if self.first is None or trajectory.key < self.first.key:
                self.first = trajectory
            self._candidates.append(trajectory)
            # Sorting only now and then keeps both time and memory bounded.
            if len(self._candidates) > 2 * self._limit + 100:
                self._candidates = self.select(self._limit)

    def select(self, count: int) -> list[Trajectory]:
        """Return at most ``count`` retained episodes: failures, then lucky ones, then the rest."""
        return sorted(self._candidates, key=urgency)[: min(count, self._limit)]


def equal_shares(available: Sequence[int], total: int) -> list[int]:
    """Divide a total as equally as possible; no share exceeds what is available to it."""
    shares = [0] * len(available)
    by_size = sorted(range(len(available)), key=lambda i: available[i])
    for place, i in enumerate(by_size):
        shares[i] = min(available[i], -(-total // (len(by_size) - place)))
        total -= shares[i]
    return shares


def urgency(trajectory: Trajectory) -> tuple[int, int, int]:
    """Return the sort key of an episode in reports: failures, then lucky ones, then the rest."""
    lucky = ending_of(trajectory).name == "lucky"
    rank = 0 if not trajectory.is_success else 1 if lucky else 2
    return rank, trajectory.index, trajectory.sample
