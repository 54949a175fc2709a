"""Filters a trajectory file: statistics of every filter, and a sample written as a new run."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from hopgym.errors import DataError
from hopgym.evaluation import Estimate
from hopgym.evaluation.bootstrap import ABSENT, Ratio, estimate_all, plain_fields
from hopgym.progress import Progress, no_progress
from hopgym.runs.line_file import whole_file
from hopgym.runs.trajectory_file import EPISODE_FORMAT, Header, read_header, read_trajectories
from hopgym_agents.data.filtering import (
    FILTERS,
    EpisodeLabel,
    Ratings,
    label_episodes,
    sample_episodes,
    select_episodes,
)
from hopgym_agents.judging.judge import Rating, digest_request, judge_request, step_prefixes
from hopgym_agents.judging.store import read_judgements
from hopgym_agents.prompts import Style


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


def summarize_filters(labels: Sequence[EpisodeLabel]) -> dict[str, FilterSummary]:
    """Return statistics for each filter, with 95% bootstrap intervals over tasks."""
    return {name: _summarize(select_episodes(labels, name)) for name in FILTERS}


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
