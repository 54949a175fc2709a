"""Evaluation: finished trajectories and their source in, metrics with 95% intervals out.

The order of the trajectories changes nothing, so that a resumed run evaluates as an unbroken one.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hopgym.errors import ArgumentError
from hopgym.evaluation.bootstrap import (
    RESAMPLES,
    Estimate,
    Estimates,
    Interned,
    Ratio,
    estimate_all,
)
from hopgym.evaluation.metrics import METRICS, ScoredEpisode, hops_named, hops_shown
from hopgym.evaluation.official import Attempts
from hopgym.evaluation.samples import Attempt, majority, pass_at, vote_of
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
        """Return plain JSON: metrics at the top level, each ``{mean, low, high, n}`` or None."""
        plain = asdict(self)
        return {**plain.pop("metrics"), **plain}


@dataclass(frozen=True, slots=True)
class _Row:
    """What one episode adds to each metric."""

    key: tuple[str, int]
    hops: str
    kind: str
    attempt: Attempt
    tokens: tuple[int, int]
    metrics: Mapping[str, Ratio]
    shown: Mapping[str, Ratio]
    named: Mapping[str, Ratio]


def evaluate(trajectories: Iterable[Trajectory], source: TaskSource) -> Evaluation:
    """Return the metrics of finished trajectories; records of errors are counted and left out.

    Args:
        trajectories: Read once.
        source: The source that their tasks come from.

    Raises:
        ArgumentError: When there are no trajectories, one is unfinished, or one's task is not of
            the source.
    """
    reasons: Counter[str] = Counter()
    rows: list[_Row] = []
    interned = Interned()
    attempts = Attempts(source)
    for trajectory in trajectories:
        _check_finished(trajectory)
        reasons[str(trajectory.reason)] += 1
        if trajectory.reason in ERROR_REASONS:
            continue
        episode = score_episode(trajectory, source)
        attempts.add(episode)
        rows.append(_row(episode, interned))
    if not reasons:
        raise ArgumentError("trajectories must hold at least one record, got none; run some first")
    rows.sort(key=lambda row: row.key)
    judged = any(row.metrics["unjudged"] == (0.0, 1.0) for row in rows)
    return Evaluation(
        source=source.name,
        evidence_source=source.evidence_source if judged else "none",
        episodes=len(rows),
        tasks=len(attempts),
        errors=reasons.total() - len(rows),
        metrics=_estimates(rows, lambda row: row.metrics, METRICS),
        pass_at=pass_at([row.attempt for row in rows]),
        majority=majority([row.attempt for row in rows]),
        tokens=tokens_over([row.tokens for row in rows]),
        hop_shown=_by_position(rows, lambda row: row.shown),
        hop_named=_by_position(rows, lambda row: row.named),
        by_hops=_grouped(rows, lambda row: row.hops, int),
        by_kind=_grouped(rows, lambda row: row.kind, str),
        reasons=dict(sorted(reasons.items())),
        official=attempts.official(),
        official_by_kind=attempts.by_kind(),
        official_by_hops=attempts.by_hops(),
    )


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


def _row(episode: ScoredEpisode, interned: Interned) -> _Row:
    trajectory, question = episode.trajectory, episode.task.question
    return _Row(
        key=trajectory.key,
        hops=str(question.hop_count),
        kind=question.kind,
        attempt=Attempt(question.id, vote_of(question, trajectory.answer), episode.score.em),
        tokens=tokens_in(trajectory),
        metrics=interned.of({name: measure(episode) for name, measure in METRICS.items()}),
        shown=interned.of(hops_shown(episode)),
        named=interned.of(hops_named(episode)),
    )


def _by_position(rows: Sequence[_Row], ratios: Callable[[_Row], Mapping[str, Ratio]]) -> Estimates:
    names = {name for row in rows for name in ratios(row)}
    ordered = sorted(names, key=lambda name: tuple(map(int, reversed(name.split("/")))))
    return _estimates(rows, ratios, ordered)


def _grouped(
    rows: Sequence[_Row], group: Callable[[_Row], str], order: Callable[[str], Any]
) -> dict[str, Estimates]:
    return {
        name: _estimates([r for r in rows if group(r) == name], lambda row: row.metrics, METRICS)
        for name in sorted({group(row) for row in rows}, key=order)
    }


def _estimates(
    rows: Sequence[_Row], ratios: Callable[[_Row], Mapping[str, Ratio]], names: Iterable[str]
) -> Estimates:
    return estimate_all([row.key[0] for row in rows], [ratios(row) for row in rows], names)
