"""Filters the episodes of a run for training: by process, by outcome, or by both.

SWiRL compares these filters on equally many episodes (Goldie et al. 2025, arXiv 2504.04736,
sections 2.1 and 4). Whether a step is GOOD is decided by its exact verdict or by a judge's rating.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from hopgym.errors import DataError, require
from hopgym.evaluation import Estimate
from hopgym.evaluation.bootstrap import ABSENT, Ratio, estimate_all, plain_fields
from hopgym.progress import Progress, no_progress
from hopgym.rollout import episode_rng
from hopgym.runs.line_file import whole_file
from hopgym.runs.trajectory_file import EPISODE_FORMAT, Header, read_header, read_trajectories
from hopgym.trajectory import ERROR_REASONS, Trajectory
from hopgym_agents.judging.audit import rated_step
from hopgym_agents.judging.judge import Rating, digest_request, judge_request, step_prefixes
from hopgym_agents.judging.store import read_judgements
from hopgym_agents.prompts import Style

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


@dataclass(frozen=True, slots=True)
class FilterSummary:
    """Statistics of the episodes that pass a filter."""

    trajectories: int
    process_accuracy: Estimate | None
    """Share of GOOD steps by exact verdicts; None without verdicts."""
    judged_accuracy: Estimate | None
    """Share of GOOD steps by the judge's ratings; None without a judge."""
    success: Estimate | None
    """Share of right answers; None if no episode passes."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON."""
        return asdict(self, dict_factory=plain_fields)


def label_episode(episode: Trajectory, ratings: Ratings | None = None) -> EpisodeLabel:
    """Return what the filters need to know about an episode.

    Args:
        episode: A finished episode.
        ratings: A judge's ratings of all its steps; None without a judge.

    Raises:
        KeyError: If a step has no rating.
    """
    positions = [position for position, step in enumerate(episode.steps) if not step.from_prefix]
    verdicts = [rated_step(episode, position, Rating.UNPARSED).is_good for position in positions]
    judged_good = None
    if ratings is not None:
        judged_good = [ratings[(*episode.key, at)] for at in positions].count(Rating.GOOD)
    return EpisodeLabel(
        task_id=episode.task_id,
        index=episode.index,
        sample=episode.sample,
        steps=len(positions),
        good=None if None in verdicts else sum(map(bool, verdicts)),
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


def summarize_filters(labels: Sequence[EpisodeLabel]) -> dict[str, FilterSummary]:
    """Return statistics for each filter, with 95% bootstrap intervals over tasks."""
    return {name: _summarize(select_episodes(labels, name)) for name in FILTERS}


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


def _summarize(labels: Sequence[EpisodeLabel]) -> FilterSummary:
    # Sorted, so that the bootstrap resamples do not depend on the order of the file.
    ordered = sorted(labels, key=lambda label: (label.index, label.sample))
    ratios = [
        {
            "process": _good_ratio(label.good, label.steps),
            "judged": _good_ratio(label.judged_good, label.steps),
            "success": (float(label.is_success), 1.0),
        }
        for label in ordered
    ]
    names = ("process", "judged", "success")
    estimates = estimate_all([label.task_id for label in ordered], ratios, names)
    return FilterSummary(
        trajectories=len(ordered),
        process_accuracy=estimates["process"],
        judged_accuracy=estimates["judged"],
        success=estimates["success"],
    )


def _good_ratio(good: int | None, steps: int) -> Ratio:
    return ABSENT if good is None else (float(good), float(steps))


@dataclass(frozen=True, slots=True)
class FilterResult:
    """How many episodes of a run pass each filter, and how many were written."""

    run: str
    """Path of the trajectory file."""
    left_out: int
    """Episodes that no filter considers: they ended in an error, or some step is not judged."""
    filters: Mapping[str, FilterSummary]
    """Statistics of the episodes that pass each of `FILTERS`."""
    filter: str
    """Name of the filter that selected the written trajectories."""
    written: int
    """How many trajectories were written."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON."""
        return asdict(self, dict_factory=plain_fields)


def filter_file(
    file: Path,
    out: Path | None,
    name: str,
    *,
    count: int | Literal["all", "equal"] = "equal",
    seed: int = 0,
    ratings: Ratings | None = None,
    progress: Progress = no_progress,
) -> FilterResult:
    """Count how many episodes pass each filter, and write a sample of those that pass one.

    Args:
        file: Trajectory file of the run.
        out: Trajectory file to write, with the same content at each call; None writes nothing.
        name: A key of `FILTERS`.
        count: How many trajectories to write; ``equal`` takes the smallest number that passes any
            filter.
        seed: Seed of the sample, 0 or more.
        ratings: A judge's ratings, used instead of the exact verdicts.
        progress: Shows how many episodes are read.

    Raises:
        ArgumentError: On an unknown filter, or if ``out`` is ``file``.
        DataError: If no episode passes, or fewer than ``count``.
    """
    select_episodes([], name)  # Refuse an unknown name before reading anything.
    labels: list[EpisodeLabel] = []
    left_out = 0
    with progress("episodes read") as advance:
        for label in label_episodes(read_trajectories(file), ratings):
            if label is None:
                left_out += 1
            else:
                labels.append(label)
            advance(1)
    if not labels:
        expected = "that a judge has judged whole" if ratings is not None else "without an error"
        raise DataError(f"{file}: expected episodes {expected}, got none of {left_out:,}")
    selected: list[EpisodeLabel] = []
    if out is not None:
        size = None if count == "equal" else count
        if size == "all":
            size = len(select_episodes(labels, name)) or 1
        selected = sample_episodes(labels, name, count=size, seed=seed)
        _write_selected(file, out, selected, {"filter": name})
    return FilterResult(str(file), left_out, summarize_filters(labels), name, len(selected))


def read_ratings(path: Path, run: Path, style: Style) -> Ratings:
    """Return a judge's ratings of the steps of a run.

    Args:
        path: File of judgements.
        run: Trajectory file that the judgements belong to.
        style: How the conversations were rendered for the judge.

    Raises:
        DataError: If the file holds no judgements, or judgements of other texts than the steps of
            the run.
    """
    if read_header(path).source != read_header(run).source:
        raise DataError(f"{path}: expected judgements of the tasks of {run}, got those of others")
    ratings: dict[tuple[str, int, int], Rating] = {}
    digests: dict[tuple[str, int, int], str] = {}
    for judgement in read_judgements(path):
        ratings[judgement.key] = judgement.rating
        digests[judgement.key] = judgement.request_digest
    for episode in read_trajectories(run):
        for prefix in step_prefixes(episode):
            key = (*prefix.key, len(prefix.steps) - 1)
            if key in digests and digests[key] != digest_request(judge_request(prefix, style)):
                raise DataError(
                    f"{path}: expected judgements of the steps of {run}, that of {key} is of "
                    "another text: give the --style of hopgym judge, or judge the run again"
                )
    return ratings


def _write_selected(
    file: Path, out: Path, labels: Sequence[EpisodeLabel], config: Mapping[str, Any]
) -> None:
    """Write the selected trajectories as a new run, in the order of the file."""
    keys = {label.key for label in labels}
    run = read_header(file)
    header = Header.of({"run": run.config, "selected": sorted(keys), **config}, run.environments)
    with whole_file(out, "--out", [file]) as target:
        target.write(msgspec.json.encode(header) + b"\n")
        for trajectory in read_trajectories(file):
            if trajectory.key in keys:
                target.write(EPISODE_FORMAT.encode(trajectory))
