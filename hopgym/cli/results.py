"""Results: what policies come to on the same tasks, whole and by kind of question.

In: finished trajectories by policy. Out: plain values for JSON, and the table of kinds with 95%
intervals; the table of policies is the report's. Questions with one answer and those that ask for
a set are kept apart: to name one of several is easier.
"""

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hopgym.arguments import write_arguments
from hopgym.cli.display import console, new_table
from hopgym.evaluation.results import ANSWERS, Part, Results

if TYPE_CHECKING:
    from rich.table import Table

    from hopgym.env import HopEnv
    from hopgym.evaluation import Estimates
    from hopgym.runs.reader import Run


_EMPTY = Part({}, {})
"""Of a policy all of whose episodes ended in an error."""


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
