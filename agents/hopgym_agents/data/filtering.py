"""Filters the episodes of a run for training: by process, by outcome, or by both.

SWiRL compares these filters on equally many episodes (Goldie et al. 2025, arXiv 2504.04736,
sections 2.1 and 4). Whether a step is GOOD is decided by its exact verdict or by a judge's rating.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from hopgym.errors import DataError, require
from hopgym.rollout import episode_rng
from hopgym.trajectory import ERROR_REASONS, Trajectory, has_verdicts
from hopgym.verdicts import GOOD_VERDICTS
from hopgym_agents.judging.judge import Rating

Ratings = Mapping[tuple[str, int, int], Rating]
"""A judge's ratings by (task id, sample, position of the step)."""


@dataclass(frozen=True, slots=True)
class EpisodeLabel:
    """What the filters need to know about an episode."""

    task_id: str
    index: int
    sample: int
    steps: int
    """Steps that the policy took."""
    good: int | None
    """Steps whose exact verdict is GOOD; None if the verdicts cannot be trusted."""
    judged_good: int | None
    """Steps that the judge rates GOOD; None without a judge."""
    is_success: bool

    @property
    def key(self) -> tuple[str, int]:
        """(task id, sample), as `hopgym.trajectory.Trajectory.key`."""
        return self.task_id, self.sample

    @property
    def passes_process(self) -> bool:
        """Whether every step is GOOD, by the judge's ratings if present, else by the verdicts."""
        good = self.good if self.judged_good is None else self.judged_good
        return good == self.steps > 0


FILTERS: Mapping[str, Callable[[EpisodeLabel], bool]] = {
    "none": lambda label: True,
    "process": lambda label: label.passes_process,
    "outcome": lambda label: label.is_success,
    "both": lambda label: label.passes_process and label.is_success,
}
"""The four filters by name: whether an episode passes."""


def label_episode(episode: Trajectory, ratings: Ratings | None = None) -> EpisodeLabel:
    """Return what the filters need to know about an episode.

    Args:
        episode: A finished episode.
        ratings: A judge's ratings of all its steps; None without a judge.

    Raises:
        KeyError: If a step has no rating.
    """
    positions = [position for position, step in enumerate(episode.steps) if not step.from_prefix]
    good = None
    if has_verdicts(episode):
        good = sum(episode.steps[at].verdict in GOOD_VERDICTS for at in positions)
    judged_good = None
    if ratings is not None:
        judged_good = [ratings[(*episode.key, at)] for at in positions].count(Rating.GOOD)
    return EpisodeLabel(
        task_id=episode.task_id,
        index=episode.index,
        sample=episode.sample,
        steps=len(positions),
        good=good,
        judged_good=judged_good,
        is_success=episode.is_success,
    )


def label_episodes(
    episodes: Iterable[Trajectory], ratings: Ratings | None = None
) -> Iterator[EpisodeLabel | None]:
    """Yield the label of each episode, or None for an episode that no filter considers.

    Those are episodes that ended in an error of the policy and, with a judge, episodes of which
    some step has no rating.
    """
    for episode in episodes:
        try:
            yield None if episode.stop_reason in ERROR_REASONS else label_episode(episode, ratings)
        except KeyError:
            yield None


def select_episodes(labels: Iterable[EpisodeLabel], name: str) -> list[EpisodeLabel]:
    """Return the labels that pass a filter of `FILTERS`, in their order."""
    require(name in FILTERS, "filter", f"one of {', '.join(FILTERS)}", name)
    return [label for label in labels if FILTERS[name](label)]


def sample_episodes(
    labels: Sequence[EpisodeLabel], name: str, *, count: int | None = None, seed: int = 0
) -> list[EpisodeLabel]:
    """Return a random sample of the episodes that pass a filter, spread over tasks.

    A task contributes a second episode only after every task has contributed its first. The sample
    does not depend on the order of the labels.

    Args:
        labels: Labels of all episodes.
        name: A key of `FILTERS`.
        count: Size of the sample; None takes the smallest number that passes any filter.
        seed: 0 or more.

    Raises:
        ArgumentError: If the filter does not exist or ``count`` is below 1.
        DataError: If no episode passes, or fewer than ``count``.
    """
    require(count is None or count >= 1, "count", "a whole number from 1, or None", count)
    candidates = select_episodes(labels, name)
    counts = {other: len(select_episodes(labels, other)) for other in FILTERS}
    summary = ", ".join(f"{other} {passing:,}" for other, passing in counts.items())
    size = min(counts.values()) if count is None else count
    if not candidates or not size:
        empty = name if not candidates else min(counts, key=lambda other: counts[other])
        fix = "take another filter" if not candidates else "say how many to keep (--keep N)"
        raise DataError(
            f"expected trajectories that pass the filter {empty}, got none of {len(labels):,} "
            f"({summary}); {fix}, or collect more{_hint_to_judge(labels, name)}"
        )
    if size > len(candidates):
        raise DataError(
            f"expected {size:,} trajectories that pass the filter {name}, got {len(candidates):,} "
            f"({summary}); keep fewer, or collect more"
        )
    return _sample_over_tasks(candidates, size, seed)


def _hint_to_judge(labels: Sequence[EpisodeLabel], name: str) -> str:
    """Return a hint for filters by process where no step has a verdict or a rating."""
    unknown = all(label.good is None and label.judged_good is None for label in labels)
    if not unknown or name not in ("process", "both"):
        return ""
    return ". The steps have no exact verdicts: let a model judge them (hopgym judge, --judgements)"


def _sample_over_tasks(labels: Sequence[EpisodeLabel], count: int, seed: int) -> list[EpisodeLabel]:
    # Each episode has a random number of its own, so that larger samples contain smaller ones.
    order = {
        label.key: float(episode_rng(seed, label.index, label.sample, 0).random())
        for label in labels
    }
    shuffled = sorted(labels, key=lambda label: (order[label.key], label.key))
    rounds: dict[str, int] = {}
    ranked: list[tuple[int, int, EpisodeLabel]] = []
    for rank, label in enumerate(shuffled):
        rounds[label.task_id] = rounds.get(label.task_id, -1) + 1
        ranked.append((rounds[label.task_id], rank, label))
    return [label for *_, label in sorted(ranked, key=lambda item: item[:2])[:count]]
