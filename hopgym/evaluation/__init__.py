"""Evaluation: finished trajectories and their source in, metrics with 95% intervals out.

The order of the trajectories changes nothing, so that a resumed run evaluates as an unbroken one.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hopgym.errors import ArgumentError
from hopgym.evaluation.accumulator import Ledger, Ordered
from hopgym.evaluation.bootstrap import RESAMPLES, Estimate, Estimates, Ratio, plain_fields
from hopgym.evaluation.metrics import COUNTS, METRICS, Row, ScoredEpisode
from hopgym.evaluation.official import Official
from hopgym.evaluation.pass_at_k import ballot_of, majority, pass_at, vote_of
from hopgym.evaluation.tokens import Tokens, Total, tokens_in, tokens_over
from hopgym.scoring import Score
from hopgym.tasks import EvidenceSource, Task, TaskSource
from hopgym.trajectory import ERROR_REASONS, Trajectory

__all__ = [
    "METRICS",
    "RESAMPLES",
    "Estimate",
    "Estimates",
    "Evaluation",
    "Tokens",
    "Total",
    "evaluate",
    "score_episode",
]

_NO_SCORE = Score(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a set of finished episodes comes to."""

    source: str
    """Name of the source."""
    evidence_source: EvidenceSource
    """How far the verdicts can be trusted; ``none`` where no episode was judged."""
    episodes: int
    """Evaluated episodes: those that did not end in an error."""
    tasks: int
    """Different tasks among them."""
    errors: int
    """Records that ended in an error of the policy or its server; they are left out."""
    metrics: Estimates
    """By the names of `METRICS`, in that order."""
    pass_at: Mapping[str, Estimate]
    """By k, ``"1"`` to the number of attempts that all tasks have: the chance that one of k
    attempts at a task is right."""
    majority: Estimate | None
    """The share of tasks whose most frequent answer is right; None where no task has two."""
    tokens: Tokens | None
    """Generated tokens and those of prompts; None where no completion reports any."""
    hop_shown: Estimates
    """By hop, ``"1/3"`` for the first of three: the share of the hop's answers that stood in
    corpus text shown to the agent."""
    hop_named: Estimates
    """By hop: the share of the hop's answers that the agent wrote in a thought or an argument."""
    by_hops: Mapping[str, Estimates]
    """The metrics by number of hops; ``"0"`` where the hops are unknown."""
    by_kind: Mapping[str, Estimates]
    """The metrics by kind of question."""
    reasons: Mapping[str, int]
    """Records by stop reason, errors among them."""
    official: Mapping[str, float]
    """The source's official metrics over the first attempt at each task; no answer scores 0."""
    official_by_kind: Mapping[str, Mapping[str, float]]
    """The same by kind of question, for real benchmarks; empty for others, where `by_kind` says
    all."""
    official_by_hops: Mapping[str, Mapping[str, float]]
    """The same by number of hops."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON: metrics at the top level, each ``{mean, low, high, n}`` or None.

        ``low`` and ``high`` are None where no interval is known.
        """
        plain = asdict(self, dict_factory=plain_fields)
        return {**plain.pop("metrics"), **plain}


def evaluate(trajectories: Iterable[Trajectory], source: TaskSource) -> Evaluation:
    """Return the metrics of finished trajectories; records of errors are counted and left out.

    Args:
        trajectories: Read once.
        source: The source that their tasks come from.

    Raises:
        ArgumentError: When there are no trajectories, one is unfinished, or one's task is not of
            the source.
    """
    reasons, official = Counter[str](), Official(source)
    episodes, tokens = _read(trajectories, source, reasons, official)
    if not reasons:
        raise ArgumentError("trajectories must hold at least one record, got none; run some first")
    count, firsts = len(episodes.codes), episodes.firsts()
    em = episodes.values(lambda row: row.metric("success")[0])
    tried = np.bincount(episodes.tasks)
    right = np.bincount(episodes.tasks[em == 1.0], minlength=episodes.task_count)
    by_hops = {hops: _estimates(each) for hops, each in episodes.grouped(lambda row: row.hops)}
    judged = any(row.metric("unjudged") == (0.0, 1.0) for row in episodes.rows)
    return Evaluation(
        source=source.name,
        evidence_source=source.evidence_source if judged else "none",
        episodes=count,
        tasks=episodes.task_count,
        errors=reasons.total() - count,
        metrics=_estimates(episodes),
        pass_at=pass_at(tried, right),
        majority=majority(tried, episodes.numbers, em),
        tokens=tokens_over(count, *tokens),
        hop_shown=_by_position(episodes, lambda row: dict(row.shown)),
        hop_named=_by_position(episodes, lambda row: dict(row.named)),
        by_hops={hops: by_hops[hops] for hops in sorted(by_hops, key=int)},
        by_kind={k: _estimates(each) for k, each in episodes.grouped(lambda row: row.kind)},
        reasons=dict(sorted(reasons.items())),
        official=official.metrics(firsts),
        official_by_kind=official.by_kind(firsts),
        official_by_hops=official.by_hops(firsts),
    )


def _read(
    trajectories: Iterable[Trajectory],
    source: TaskSource,
    reasons: Counter[str],
    official: Official,
) -> tuple[Ordered[Row], tuple[int, int]]:
    """Return the episodes without an error and the sums of their tokens; count all by reason."""
    ledger, generated, prompt = Ledger[Row](), 0, 0
    for trajectory in trajectories:
        _check_finished(trajectory)
        reasons[str(trajectory.reason)] += 1
        if trajectory.reason in ERROR_REASONS:
            continue
        episode = score_episode(trajectory, source)
        official.add(episode)
        vote = vote_of(episode.task.question, trajectory.answer)
        ledger.add(
            trajectory.index,
            trajectory.sample,
            Row.of(episode),
            task=trajectory.task_id,
            number=ballot_of(vote),
        )
        written, read = tokens_in(trajectory)
        generated, prompt = generated + written, prompt + read
    return ledger.ordered(), (generated, prompt)


def score_episode(trajectory: Trajectory, source: TaskSource) -> ScoredEpisode:
    """Return a trajectory with its task and the score of its answer, which `METRICS` take.

    Raises:
        ArgumentError: When the source has no such task, or asks something else now.
    """
    task, answer = _task_of(trajectory, source), trajectory.answer
    score = _NO_SCORE if answer is None else source.score(task, answer)
    return ScoredEpisode(trajectory, task, score)


def _check_finished(trajectory: Trajectory) -> None:
    if not trajectory.reason:
        raise ArgumentError(
            f"trajectories must be finished, that of task {trajectory.task_id!r} (sample "
            f"{trajectory.sample}) still runs after {len(trajectory.steps)} steps; play it to its "
            "end or leave it out"
        )


def _task_of(trajectory: Trajectory, source: TaskSource) -> Task:
    index = trajectory.index
    task = source[index] if 0 <= index < len(source) else None
    if task is None or task.question.id != trajectory.task_id:
        found = "there is none" if task is None else f"that is task {task.question.id!r}"
        raise ArgumentError(
            f"trajectories must be of tasks of the source {source.name!r}, got task "
            f"{trajectory.task_id!r} at index {index}, where {found}; make the source with the "
            "arguments of the run"
        )
    if task.question.text != trajectory.question:
        raise ArgumentError(
            f"trajectories must ask what the source asks, task {trajectory.task_id!r} was "
            f"{trajectory.question!r} and is {task.question.text!r} now; play it again with this "
            "version"
        )
    return task


def _by_position(episodes: Ordered[Row], ratios: Callable[[Row], Mapping[str, Ratio]]) -> Estimates:
    names = {name for row in episodes.rows for name in ratios(row)}
    ordered = sorted(names, key=lambda name: tuple(map(int, reversed(name.split("/")))))
    return episodes.estimates(ratios, ordered)


def _estimates(episodes: Ordered[Row]) -> Estimates:
    return episodes.estimates(Row.by_name, METRICS, COUNTS)
