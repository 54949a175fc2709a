"""Results: what policies reach on the same tasks, in total and by kind of question.

Questions with one answer and those that ask for a set are kept apart: to name one of several is
easier.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from hopgym.evaluation import METRICS as MEASURES
from hopgym.evaluation import Estimates, Evaluation, evaluate, score_episode
from hopgym.evaluation.accumulator import Ledger, Ordered
from hopgym.evaluation.bootstrap import Ratio, plain_fields
from hopgym.evaluation.metrics import COUNTS
from hopgym.evaluation.progress import Standing
from hopgym.progress import Advance, Progress, no_progress
from hopgym.tasks import TaskSource
from hopgym.trajectory import ERROR_REASONS, Trajectory

METRICS = ("success", "f1", "supported", "process_accuracy", "regret")
"""The metrics that are given for every part of the tasks."""

ANSWERS = {"single": "one answer", "set": "a set of answers"}
"""How many answers a question wants, to the words for it."""


@dataclass(frozen=True, slots=True)
class Part:
    """What a policy comes to on a part of the tasks, by `METRICS`."""

    metrics: Estimates
    by_kind: Mapping[str, Estimates]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON: the metrics, and ``by_kind``."""
        by_kind = {kind: _plain(figures) for kind, figures in self.by_kind.items()}
        return _plain(self.metrics) | {"by_kind": by_kind}


@dataclass(frozen=True, slots=True)
class _Row:
    """What one episode adds to the figures of its part."""

    form: str
    kind: str
    ratios: tuple[tuple[str, Ratio], ...]


@dataclass(frozen=True, slots=True)
class Results:
    """What a policy comes to."""

    whole: Evaluation
    by_answers: Mapping[str, Part]
    """By the keys of `ANSWERS`, those that there are questions of."""
    standing: Standing

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON: what the evaluation holds, ``by_answers``, and ``reasons``.

        These are of `hopgym.evaluation.endings`, one for each episode, in place of stop reasons.
        """
        parts = {form: part.to_dict() for form, part in self.by_answers.items()}
        reasons = dict(self.standing.reasons.most_common())
        return self.whole.to_dict() | {"by_answers": parts, "reasons": reasons}


def measure(
    episodes: Iterable[Trajectory],
    source: TaskSource,
    count: int,
    progress: Progress = no_progress,
) -> Results:
    """Return what a policy's finished trajectories come to; they are read once.

    Args:
        episodes: In the order of their tasks, so that every world is made once.
        source: Where the tasks come from.
        count: How many there are, for the progress display.
        progress: Shows how many episodes have been read.

    Raises:
        ArgumentError: When there are none, or one's task is not of the source.
    """
    standing, ledger = Standing(), Ledger[_Row]()
    with progress("figures, episodes read", count) as advance:
        whole = evaluate(_noted(episodes, source, standing, ledger, advance), source)
    forms = ledger.ordered().grouped(lambda row: row.form)
    parts = {form: _part(rows) for form, rows in forms}
    return Results(whole, {form: parts[form] for form in ANSWERS if form in parts}, standing)


def _noted(
    episodes: Iterable[Trajectory],
    source: TaskSource,
    standing: Standing,
    ledger: Ledger[_Row],
    advance: Advance,
) -> Iterator[Trajectory]:
    """Yield the trajectories unchanged and note what each comes to."""
    for trajectory in episodes:
        yield trajectory  # First, as who takes it checks that it is of the source.
        standing.add(trajectory)
        if trajectory.reason not in ERROR_REASONS:
            scored = score_episode(trajectory, source)
            question = scored.task.question
            form = "set" if question.answer_kind == "set" else "single"
            ratios = tuple((name, MEASURES[name](scored)) for name in METRICS)
            # Without the task's name: these figures are over the tasks in the source's order.
            row = _Row(form, question.kind, ratios)
            ledger.add(trajectory.index, trajectory.sample, row)
        advance(1)


def _part(rows: Ordered[_Row]) -> Part:
    by_kind = {kind: _estimates(each) for kind, each in rows.grouped(lambda row: row.kind)}
    return Part(_estimates(rows), by_kind)


def _estimates(rows: Ordered[_Row]) -> Estimates:
    return rows.estimates(lambda row: dict(row.ratios), METRICS, COUNTS)


def _plain(figures: Estimates) -> dict[str, Any]:
    return {
        name: asdict(each, dict_factory=plain_fields) if each else None
        for name, each in figures.items()
    }
