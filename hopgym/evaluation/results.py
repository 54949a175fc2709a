"""Results of a policy: overall, by answer form and by kind of question.

Questions with a single answer and questions that ask for a set are reported separately, because
naming one item of a set is easier.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hopgym.evaluation import Estimates, Evaluation, evaluate, score_episode
from hopgym.evaluation.accumulator import Accumulator, OrderedRows
from hopgym.evaluation.bootstrap import Ratio, plain_fields
from hopgym.evaluation.metrics import COUNT_METRICS, METRICS
from hopgym.evaluation.progress import RunProgress
from hopgym.progress import Advance, Progress, no_progress
from hopgym.tasks import TaskSource
from hopgym.trajectory import ERROR_REASONS, Trajectory

GROUP_METRICS = ("success", "f1", "supported", "process_accuracy", "regret")
"""The metrics that are reported for every group of questions."""

ANSWER_FORMS = {"single": "one answer", "set": "a set of answers"}
"""The forms of answers that questions ask for, with their descriptions."""


@dataclass(frozen=True, slots=True)
class GroupResults:
    """Metrics of a policy on a group of questions, by `GROUP_METRICS`."""

    metrics: Estimates
    by_kind: Mapping[str, Estimates]
    """By kind of question."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON: the metrics, and ``by_kind``."""
        by_kind = {kind: _plain(estimates) for kind, estimates in self.by_kind.items()}
        return _plain(self.metrics) | {"by_kind": by_kind}


@dataclass(frozen=True, slots=True)
class _EpisodeRow:
    """What one episode adds to the metrics of its groups; a row for the accumulator."""

    answer_form: str
    kind: str
    ratios: tuple[tuple[str, Ratio], ...]


@dataclass(frozen=True, slots=True)
class Results:
    """All results of a policy."""

    overall: Evaluation
    by_answers: Mapping[str, GroupResults]
    """By the keys of `ANSWER_FORMS`, without forms that no question asks for."""
    progress: RunProgress
    """The totals over all episodes."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON: the fields of the evaluation, ``by_answers``, and ``reasons``.

        The reasons are names from `hopgym.evaluation.endings` instead of stop reasons.
        """
        groups = {form: group.to_dict() for form, group in self.by_answers.items()}
        reasons = dict(self.progress.reasons.most_common())
        return self.overall.to_dict() | {"by_answers": groups, "reasons": reasons}


def measure(
    episodes: Iterable[Trajectory],
    source: TaskSource,
    count: int,
    progress: Progress = no_progress,
) -> Results:
    """Return the results of a policy from its finished trajectories, which are read once.

    Args:
        episodes: Ordered by task, so that each world is generated only once.
        source: The source of their tasks.
        count: The number of episodes, for the progress display.
        progress: Displays how many episodes have been read.

    Raises:
        ArgumentError: If there are no episodes, or the task of one is not from the source.
    """
    totals = RunProgress()
    accumulator = Accumulator[_EpisodeRow]()
    with progress("figures, episodes read", count) as advance:
        observed = _observe(episodes, source, totals, accumulator, advance)
        overall = evaluate(observed, source)
    groups = {
        form: _group_results(rows)
        for form, rows in accumulator.ordered().grouped(lambda row: row.answer_form)
    }
    by_answers = {form: groups[form] for form in ANSWER_FORMS if form in groups}
    return Results(overall, by_answers, totals)


def _observe(
    episodes: Iterable[Trajectory],
    source: TaskSource,
    totals: RunProgress,
    accumulator: Accumulator[_EpisodeRow],
    advance: Advance,
) -> Iterator[Trajectory]:
    """Yield the trajectories unchanged and add each to the totals and the accumulator."""
    for trajectory in episodes:
        yield trajectory  # First, because the consumer checks that it belongs to the source.
        totals.add(trajectory)
        if trajectory.stop_reason not in ERROR_REASONS:
            scored = score_episode(trajectory, source)
            question = scored.task.question
            form = "set" if question.answer_kind == "set" else "single"
            ratios = tuple((name, METRICS[name](scored)) for name in GROUP_METRICS)
            # Without the task's name, so that tasks are in the order of the source.
            row = _EpisodeRow(form, question.kind, ratios)
            accumulator.add(trajectory.index, trajectory.sample, row)
        advance(1)


def _group_results(rows: OrderedRows[_EpisodeRow]) -> GroupResults:
    by_kind = {kind: _estimates(group) for kind, group in rows.grouped(lambda row: row.kind)}
    return GroupResults(_estimates(rows), by_kind)


def _estimates(rows: OrderedRows[_EpisodeRow]) -> Estimates:
    return rows.estimates(lambda row: dict(row.ratios), GROUP_METRICS, COUNT_METRICS)


def _plain(estimates: Estimates) -> dict[str, Any]:
    return {
        name: asdict(estimate, dict_factory=plain_fields) if estimate else None
        for name, estimate in estimates.items()
    }
