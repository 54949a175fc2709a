"""Results: what policies come to on the same tasks, whole and by kind of question.

In: finished trajectories by policy. Out: plain values for JSON, and the table of kinds with 95%
intervals; the table of policies is the report's. Questions with one answer and those that ask for
a set are kept apart: to name one of several is easier.
"""

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hopgym.cli.display import Advance, console, new_table, progress
from hopgym.cli.options import write_arguments

if TYPE_CHECKING:
    from rich.table import Table

    from hopgym.cli.runs import Run
    from hopgym.env import HopEnv
    from hopgym.evaluation import Estimates, Evaluation
    from hopgym.evaluation.accumulator import Ledger, Ordered
    from hopgym.evaluation.bootstrap import Ratio
    from hopgym.evaluation.progress import Standing
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


@dataclass(frozen=True, slots=True)
class _Row:
    """What one episode adds to the figures of its part."""

    form: str
    kind: str
    ratios: "tuple[tuple[str, Ratio], ...]"


_EMPTY = Part({}, {})
"""Of a policy all of whose episodes ended in an error."""


@dataclass(frozen=True, slots=True)
class Results:
    """What a policy comes to."""

    whole: "Evaluation"
    by_answers: Mapping[str, Part]
    """By the keys of `ANSWERS`, those that there are questions of."""
    standing: "Standing"

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON: what the evaluation holds, ``by_answers``, and ``reasons``.

        These are of `hopgym.evaluation.endings`, one for each episode, in place of stop reasons.
        """
        parts = {form: part.to_dict() for form, part in self.by_answers.items()}
        reasons = dict(self.standing.reasons.most_common())
        return self.whole.to_dict() | {"by_answers": parts, "reasons": reasons}


def measure(episodes: Iterable["Trajectory"], source: "TaskSource", count: int) -> Results:
    """Return what a policy's finished trajectories come to; they are read once.

    Args:
        episodes: In the order of their tasks, so that every world is made once.
        source: Where the tasks come from.
        count: How many there are, for the progress display.

    Raises:
        ArgumentError: When there are none, or one's task is not of the source.
    """
    from hopgym.evaluation import evaluate
    from hopgym.evaluation.accumulator import Ledger
    from hopgym.evaluation.progress import Standing

    standing, ledger = Standing(), Ledger[_Row]()
    with progress("figures, episodes read", count) as advance:
        whole = evaluate(_noted(episodes, source, standing, ledger, advance), source)
    forms = ledger.ordered().grouped(lambda row: row.form)
    parts = {form: _part(rows) for form, rows in forms}
    return Results(whole, {form: parts[form] for form in ANSWERS if form in parts}, standing)


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


def print_results(
    env: "HopEnv",
    results: Mapping[str, Results],
    run: "Run",
    now: Mapping[str, float],
    in_all: Mapping[str, float],
) -> None:
    """Print what a policy comes to, with the floors, on stdout.

    Args:
        env: What was played.
        results: By the names of the runs; that of the policy may be missing.
        run: The policy's.
        now: The ``seconds`` of playing in this call, its ``episodes`` and
            ``episodes_per_second``.
        in_all: The same of this call and those before it.
    """
    from hopgym.policies.registry import FLOORS
    from hopgym.report.official import official_table, official_text, unjudged_line

    arguments = write_arguments(env.spec.kwargs if env.spec else {})
    title = shlex.join([env.spec.id if env.spec else "", *arguments])
    out = console(markup=False)  # A path or a kind may hold brackets.
    available = len(env.source)
    part = (
        f" of {available:,} (the first)" if env.source.has_script and run.tasks < available else ""
    )
    out.print(f"{title}: {run.tasks:,}{part} tasks", style="bold", soft_wrap=True)
    out.print(policies_table(results))
    out.print()
    own = results.get(run.policy)
    if own is None:
        return
    floors = {name: results[name] for name in FLOORS if name in results and name != run.policy}
    out.print(kinds_table(run.policy, own, floors))
    out.print()
    if official := official_table(own.whole, env.source):
        heading = f"{run.policy}: official metrics, {official.unit} ({official.scoring})"
        out.print(heading, style="bold", soft_wrap=True)
        for table in official_text(official, out.width):
            out.print(table)
            out.print()
    for line in (
        *_lines(own),
        _time_line(own, run, now, in_all),
        *env.source.remarks,
        *unjudged_line(own.whole),
    ):
        out.print(line, soft_wrap=True)


def _lines(own: Results) -> list[str]:
    """Return reasons, figures over attempts and tokens in words, a line each."""
    from hopgym.report.table import cell

    whole = own.whole
    reasons = (f"{name} {count:,}" for name, count in own.standing.reasons.most_common())
    lines = [f"reasons: {', '.join(reasons)}"]
    if len(whole.pass_at) > 1:
        # Powers of two, and the last: in between little happens.
        ks = [k for k in map(int, whole.pass_at) if not k & (k - 1) or k == len(whole.pass_at)]
        shown = {f"pass@{k}": cell(whole.pass_at[str(k)]) for k in ks}
        shown |= {"majority": cell(whole.majority)}
        lines.append(", ".join(f"{n} {c.value} ({c.interval})" for n, c in shown.items()))
    if whole.tokens:
        kinds = (("generated", whole.tokens.generated), ("in prompts", whole.tokens.prompt))
        told = (f"{t.sum:,} {n} in all, {t.mean:,.1f} per episode" for n, t in kinds if t)
        lines.append(f"tokens: {'; '.join(told)}")
    return lines


def _time_line(
    own: Results, run: "Run", now: Mapping[str, float], in_all: Mapping[str, float]
) -> str:
    """Return in words how long playing took, in this call and in all where there were others."""
    if now["episodes"]:
        told = _time(now)
    else:
        complete = own.standing.episodes >= run.episodes
        told = "nothing was left to play" if complete else "nothing was played"
    earlier = in_all["episodes"] > now["episodes"]
    return f"time: {told}; in all {_time(in_all)}" if earlier else f"time: {told}"


def _time(timing: Mapping[str, float]) -> str:
    rate = timing["episodes_per_second"]
    return f"{timing['seconds']:,.1f} s for {timing['episodes']:,} episodes, {rate:,.1f} a second"


def _figures(own: "Estimates", floors: Sequence["Estimates"]) -> list[Any]:
    from rich.text import Text

    from hopgym.report.table import cell

    success = own.get("success")
    shown = [cell(success), *(cell(each.get("f1")) for each in (own, *floors))]
    texts = [Text.assemble(each.value, " ", (f"{each.interval:>9}", "dim")) for each in shown]
    return [str(success.n if success else 0), *texts]


def _noted(
    episodes: Iterable["Trajectory"],
    source: "TaskSource",
    standing: "Standing",
    ledger: "Ledger[_Row]",
    advance: Advance,
) -> Iterator["Trajectory"]:
    """Yield the trajectories unchanged and note what each comes to."""
    from hopgym.evaluation import METRICS as MEASURES
    from hopgym.evaluation import score_episode
    from hopgym.trajectory import ERROR_REASONS

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


def _part(rows: "Ordered[_Row]") -> Part:
    by_kind = {kind: _estimates(each) for kind, each in rows.grouped(lambda row: row.kind)}
    return Part(_estimates(rows), by_kind)


def _estimates(rows: "Ordered[_Row]") -> "Estimates":
    from hopgym.evaluation.metrics import COUNTS

    return rows.estimates(lambda row: dict(row.ratios), METRICS, COUNTS)


def _plain(figures: "Estimates") -> dict[str, Any]:
    from hopgym.evaluation.bootstrap import plain_fields

    return {
        name: asdict(each, dict_factory=plain_fields) if each else None
        for name, each in figures.items()
    }
