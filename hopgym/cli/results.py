"""Results: what policies come to on the same tasks, whole and by kind of question.

In: finished trajectories by policy. Out: plain values for JSON, and the table of kinds with 95%
intervals; the table of policies is the report's. Questions with one answer and those that ask for
a set are kept apart: to name one of several is easier.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hopgym.cli.screen import Advance, new_table, progress

if TYPE_CHECKING:
    from rich.table import Table

    from hopgym.evaluation import Estimates, Evaluation
    from hopgym.evaluation.metrics import ScoredEpisode
    from hopgym.tasks import TaskSource
    from hopgym.trajectory import Trajectory

METRICS = ("success", "f1", "supported", "process_accuracy", "regret")
"""The metrics that are given for every part of the tasks."""

ANSWERS = {"single": "one answer", "set": "a set of answers"}
"""How many answers a question wants, to the words for it."""


@dataclass(frozen=True, slots=True)
class Part:
    """What a policy comes to on a part of the tasks, by `METRICS`."""

    metrics: "Estimates"
    by_kind: Mapping[str, "Estimates"]

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON: the metrics, and ``by_kind``."""
        by_kind = {kind: _plain(figures) for kind, figures in self.by_kind.items()}
        return _plain(self.metrics) | {"by_kind": by_kind}


_EMPTY = Part({}, {})
"""Of a policy all of whose episodes ended in an error."""


@dataclass(frozen=True, slots=True)
class Results:
    """What a policy comes to."""

    whole: "Evaluation"
    by_answers: Mapping[str, Part]
    """By the keys of `ANSWERS`, those that there are questions of."""
    first_error: str = ""
    """Task and message of the first episode that ended in an error; empty where none did."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON: what the evaluation holds, and ``by_answers``."""
        parts = {form: part.to_dict() for form, part in self.by_answers.items()}
        return self.whole.to_dict() | {"by_answers": parts}


def measure(trajectories: Sequence["Trajectory"], source: "TaskSource") -> Results:
    """Return what a policy's finished trajectories come to.

    Raises:
        ArgumentError: When there are none, or one's task is not of the source.
    """
    from hopgym.evaluation import evaluate

    # In the order of the tasks every world is made once.
    ordered = sorted(trajectories, key=lambda each: (each.index, each.sample))
    parts: dict[str, list[ScoredEpisode]] = {form: [] for form in ANSWERS}
    with progress("figures, episodes read", 2 * len(ordered)) as advance:
        whole = evaluate(_told(ordered, advance), source)
        for episode in _scored(_told(ordered, advance), source):
            wants_set = episode.task.question.answer_kind == "set"
            parts["set" if wants_set else "single"].append(episode)
        by_answers = {form: _part(part) for form, part in parts.items() if part}
    return Results(whole, by_answers, next(filter(None, map(error_of, ordered)), ""))


def error_of(trajectory: "Trajectory") -> str:
    """Return the task and the message of an episode that ended in an error; empty for others."""
    from hopgym.trajectory import ERROR_REASONS

    if trajectory.reason not in ERROR_REASONS:
        return ""
    return f"task {trajectory.task_id}: {' '.join(trajectory.error.split())}"


def policies_table(results: Mapping[str, Results]) -> "Table":
    """Return the table of policies by metrics."""
    from hopgym.report import results_table

    return results_table({name: result.whole for name, result in results.items()})


def kinds_table(name: str, result: Results, floors: Mapping[str, Results]) -> "Table":
    """Return the table of kinds of question, one answer and sets apart, with the floors' F1.

    Args:
        name: Of the policy.
        result: What it comes to.
        floors: What the floors come to, by name.
    """
    headings = [f"{name} success", f"{name} F1", *(f"{floor} F1" for floor in floors)]
    table = new_table("By kind of question", "asks for", "n", *headings)
    for form, words in ANSWERS.items():
        own, *others = (each.by_answers.get(form, _EMPTY) for each in (result, *floors.values()))
        kinds = sorted({kind for part in (own, *others) for kind in part.by_kind})
        if not kinds:
            continue
        if table.row_count:
            table.add_section()
        table.add_row(
            words, *_figures(own.metrics, [each.metrics for each in others]), style="bold"
        )
        for kind in kinds:
            figures, *references = (part.by_kind.get(kind, {}) for part in (own, *others))
            table.add_row(f"  {kind or 'any kind'}", *_figures(figures, references))
    return table


def _figures(own: "Estimates", floors: Sequence["Estimates"]) -> list[Any]:
    from rich.text import Text

    from hopgym.report.table import cell

    success = own.get("success")
    shown = [cell(success), *(cell(each.get("f1")) for each in (own, *floors))]
    texts = [Text.assemble(each.value, " ", (f"{each.interval:>9}", "dim")) for each in shown]
    return [str(success.n if success else 0), *texts]


def _told(trajectories: Iterable["Trajectory"], advance: Advance) -> Iterator["Trajectory"]:
    for trajectory in trajectories:
        yield trajectory
        advance(1)


def _scored(
    trajectories: Iterable["Trajectory"], source: "TaskSource"
) -> Iterator["ScoredEpisode"]:
    from hopgym.evaluation.metrics import ScoredEpisode
    from hopgym.scoring import Score
    from hopgym.trajectory import ERROR_REASONS

    for trajectory in trajectories:
        if trajectory.reason not in ERROR_REASONS:
            task, answer = source[trajectory.index], trajectory.answer
            score = Score(0.0, 0.0) if answer is None else source.score(task, answer)
            yield ScoredEpisode(trajectory, task, score)


def _part(episodes: Sequence["ScoredEpisode"]) -> Part:
    kinds = sorted({episode.task.question.kind for episode in episodes})
    of_kind = {kind: [e for e in episodes if e.task.question.kind == kind] for kind in kinds}
    by_kind = {kind: _estimates(some) for kind, some in of_kind.items()}
    return Part(_estimates(episodes), by_kind)


def _estimates(episodes: Sequence["ScoredEpisode"]) -> "Estimates":
    from hopgym.evaluation import METRICS as MEASURES
    from hopgym.evaluation.bootstrap import estimate_all

    ratios = [{name: MEASURES[name](episode) for name in METRICS} for episode in episodes]
    return estimate_all([episode.task.question.id for episode in episodes], ratios, METRICS)


def _plain(figures: "Estimates") -> dict[str, Any]:
    return {name: asdict(each) if each else None for name, each in figures.items()}
