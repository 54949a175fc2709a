"""Evaluation: computes metrics with 95% intervals from finished trajectories.

The result does not depend on the order of the trajectories, so a resumed run evaluates like an
uninterrupted one.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hopgym.errors import ArgumentError
from hopgym.evaluation.accumulator import Accumulator, OrderedRows
from hopgym.evaluation.bootstrap import RESAMPLES, Estimate, Estimates, Ratio, plain_fields
from hopgym.evaluation.metrics import COUNT_METRICS, METRICS, EpisodeMetrics, ScoredEpisode
from hopgym.evaluation.official import OfficialMetrics
from hopgym.evaluation.pass_at_k import ballot_of, majority, pass_at, vote_of
from hopgym.evaluation.tokens import TokenTotal, TokenUsage, token_usage, tokens_in
from hopgym.scoring import Score
from hopgym.tasks import EvidenceSource, Task, TaskSource
from hopgym.trajectory import ERROR_REASONS, Trajectory

__all__ = [
    "METRICS",
    "RESAMPLES",
    "Estimate",
    "Estimates",
    "Evaluation",
    "TokenTotal",
    "TokenUsage",
    "evaluate",
    "score_episode",
]

_NO_SCORE = Score(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The metrics of a set of finished episodes."""

    source: str
    """Name of the task source."""
    evidence_source: EvidenceSource
    """How reliable the verdicts are; ``none`` if no episode was judged."""
    episodes: int
    """Evaluated episodes: those that did not end in an error."""
    tasks: int
    """Number of distinct tasks among the evaluated episodes."""
    errors: int
    """Records that ended in an error of the policy or its server and are not evaluated."""
    metrics: Estimates
    """By the names of `METRICS`, in that order."""
    pass_at: Mapping[str, Estimate]
    """By k, from ``"1"`` to the number of attempts that all tasks have: the probability that at
    least one of k attempts at a task is right."""
    majority: Estimate | None
    """The share of tasks whose most frequent answer is right; None if no task has two attempts."""
    tokens: TokenUsage | None
    """Generated tokens and prompt tokens; None if no completion reports any."""
    hop_shown: Estimates
    """By hop, as in ``"1/3"`` for the first of three: the share of the hop's answers that occur in
    corpus text shown to the agent."""
    hop_named: Estimates
    """By hop: the share of the hop's answers that the agent wrote in a thought or an argument."""
    by_hops: Mapping[str, Estimates]
    """The metrics by number of hops; ``"0"`` if the hops are unknown."""
    by_kind: Mapping[str, Estimates]
    """The metrics by kind of question."""
    reasons: Mapping[str, int]
    """Number of records by stop reason, including errors."""
    official: Mapping[str, float]
    """The source's official metrics over the first attempt at each task; no answer scores 0."""
    official_by_kind: Mapping[str, Mapping[str, float]]
    """The official metrics by kind of question; empty unless the source has an official script."""
    official_by_hops: Mapping[str, Mapping[str, float]]
    """The official metrics by number of hops; empty unless the source has an official script."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON: metrics at the top level, each ``{mean, low, high, n}`` or None.

        ``low`` and ``high`` are None if the interval is unknown.
        """
        plain = asdict(self, dict_factory=plain_fields)
        return {**plain.pop("metrics"), **plain}


def evaluate(trajectories: Iterable[Trajectory], source: TaskSource) -> Evaluation:
    """Evaluate finished trajectories; records of errors are counted and otherwise ignored.

    Args:
        trajectories: Finished trajectories in any order; read once.
        source: The source of their tasks.

    Raises:
        ArgumentError: If there are no trajectories, one is unfinished, or the task of one is not
            from the source.
    """
    reasons = Counter[str]()
    official = OfficialMetrics(source)
    episodes, tokens = _read(trajectories, source, reasons, official)
    if not reasons:
        raise ArgumentError("trajectories must hold at least one record, got none; run some first")
    count = len(episodes.codes)
    firsts = episodes.firsts()
    em = episodes.values(lambda row: row.ratio("success")[0])
    tried = np.bincount(episodes.tasks)
    right = np.bincount(episodes.tasks[em == 1.0], minlength=episodes.task_count)
    by_hops = {hops: _estimates(rows) for hops, rows in episodes.grouped(lambda row: row.hops)}
    judged = any(row.ratio("unjudged") == (0.0, 1.0) for row in episodes.rows)
    return Evaluation(
        source=source.name,
        evidence_source=source.evidence_source if judged else "none",
        episodes=count,
        tasks=episodes.task_count,
        errors=reasons.total() - count,
        metrics=_estimates(episodes),
        pass_at=pass_at(tried, right),
        majority=majority(tried, episodes.numbers, em),
        tokens=token_usage(count, *tokens),
        hop_shown=_by_hop(episodes, lambda row: dict(row.hops_observed)),
        hop_named=_by_hop(episodes, lambda row: dict(row.hops_written)),
        by_hops={hops: by_hops[hops] for hops in sorted(by_hops, key=int)},
        by_kind={kind: _estimates(rows) for kind, rows in episodes.grouped(lambda row: row.kind)},
        reasons=dict(sorted(reasons.items())),
        official=official.metrics(firsts),
        official_by_kind=official.by_kind(firsts),
        official_by_hops=official.by_hops(firsts),
    )


def _read(
    trajectories: Iterable[Trajectory],
    source: TaskSource,
    reasons: Counter[str],
    official: OfficialMetrics,
) -> tuple[OrderedRows[EpisodeMetrics], tuple[int, int]]:
    """Return the episodes without errors, and the sums of their generated and prompt tokens.

    Counts all trajectories in ``reasons`` and adds those without errors to ``official``.
    """
    accumulator = Accumulator[EpisodeMetrics]()
    generated = 0
    prompt = 0
    for trajectory in trajectories:
        _check_finished(trajectory)
        reasons[str(trajectory.stop_reason)] += 1
        if trajectory.stop_reason in ERROR_REASONS:
            continue
        episode = score_episode(trajectory, source)
        official.add(episode)
        vote = vote_of(episode.task.question, trajectory.answer)
        accumulator.add(
            trajectory.index,
            trajectory.sample,
            EpisodeMetrics.from_episode(episode),
            task=trajectory.task_id,
            number=ballot_of(vote),
        )
        tokens = tokens_in(trajectory)
        generated += tokens[0]
        prompt += tokens[1]
    return accumulator.ordered(), (generated, prompt)


def score_episode(trajectory: Trajectory, source: TaskSource) -> ScoredEpisode:
    """Return a trajectory with its task and the score of its answer, the input of `METRICS`.

    Raises:
        ArgumentError: If the source has no such task, or its question differs now.
    """
    task = _task_of(trajectory, source)
    answer = trajectory.answer
    score = _NO_SCORE if answer is None else source.score(task, answer)
    return ScoredEpisode(trajectory, task, score)


def _check_finished(trajectory: Trajectory) -> None:
    if not trajectory.stop_reason:
        raise ArgumentError(
            f"trajectories must be finished, that of task {trajectory.task_id!r} (sample "
            f"{trajectory.sample}) still runs after {len(trajectory.steps)} steps; play it to its "
            "end or leave it out"
        )


def _task_of(trajectory: Trajectory, source: TaskSource) -> Task:
    index = trajectory.index
    task = source[index] if 0 <= index < len(source) else None
    if task is None or task.question.id != trajectory.task_id:
        actual = "there is none" if task is None else f"that is task {task.question.id!r}"
        raise ArgumentError(
            f"trajectories must be of tasks of the source {source.name!r}, got task "
            f"{trajectory.task_id!r} at index {index}, where {actual}; make the source with the "
            "arguments of the run"
        )
    if task.question.text != trajectory.question:
        raise ArgumentError(
            f"trajectories must ask what the source asks, task {trajectory.task_id!r} was "
            f"{trajectory.question!r} and is {task.question.text!r} now; play it again with this "
            "version"
        )
    return task


def _by_hop(
    episodes: OrderedRows[EpisodeMetrics],
    ratios: Callable[[EpisodeMetrics], Mapping[str, Ratio]],
) -> Estimates:
    names = {name for row in episodes.rows for name in ratios(row)}
    # "1/2" and "2/2" come before "1/3".
    ordered = sorted(names, key=lambda name: tuple(map(int, reversed(name.split("/")))))
    return episodes.estimates(ratios, ordered)


def _estimates(episodes: OrderedRows[EpisodeMetrics]) -> Estimates:
    return episodes.estimates(EpisodeMetrics.by_name, METRICS, COUNT_METRICS)
