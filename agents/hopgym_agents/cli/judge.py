"""``hopgym judge``: a model judges the steps of a run and is compared with the exact verdicts."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from hopgym.cli.display import (
    console,
    new_table,
    print_json,
    progress,
    say,
    say_wrote,
    this_command,
)
from hopgym.cli.options import options_of, takes_options
from hopgym.evaluation import Estimate
from hopgym.runs.reader import EPISODES, trajectory_file
from hopgym_agents.judging.audit import Audit
from hopgym_agents.judging.run import JudgeResult, judge_run
from hopgym_agents.options import EPISODE_OPTIONS, LLMOptions, create_generator
from hopgym_agents.prompts import get_style

if TYPE_CHECKING:
    from rich.table import Table

_DEFAULTS = {"temperature": 0.0}
_ABSENT = "–"
_RATE_WIDTH = 10
_RATES = {
    "judged_good": "judged GOOD",
    "false_positive_rate": "false positives",
    "false_negative_rate": "false negatives",
    "accuracy": "accuracy",
    "kappa": "kappa",
}
_EVIDENCE_NOTES = {
    "exact": "The verdicts are exact.",
    "annotated": "The verdicts are as good as the benchmark's annotation.",
    "heuristic": "The verdicts are heuristic.",
    "unknown": "The verdicts are those of the run; its tasks could not be rebuilt, so it is "
    "unknown how far they can be trusted.",
}
_RATES_NOTE = (
    "False positives: called GOOD, of the steps that are BAD. False negatives: called BAD, of the "
    "steps that are GOOD. 95% bootstrap intervals over tasks, Wilson's for rates that are 0 or 1 "
    "in every task; unparsed steps are left out."
)
_ALL_UNPARSED = (
    "No text of the judge could be parsed: there is nothing to compare with the verdicts."
)
_TEXT_LENGTH = 160
_NOT_AUDITED = "These steps have no verdicts to compare the judge with."

OPTIONS = options_of(LLMOptions, "llm", "The judge", defaults=_DEFAULTS, hidden=EPISODE_OPTIONS)
"""The options of the model that judges."""


@takes_options(OPTIONS)
def judge(
    ctx: typer.Context,
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Trajectory file or run's folder.")],
    options: dict[str, Any],
    tasks: Annotated[
        int | None, typer.Option("-n", min=1, help="Judge only the first N tasks.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="File of judgements; an existing one is resumed.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Let a model judge each step of a run: GOOD or BAD, without the answer.

    If the steps have verdicts, the judge's confusion matrix, error rates and
    kappa are printed. The same command resumes a stopped run.
    """
    file = trajectory_file(run)
    llm_options = _DEFAULTS | options.get("llm", {})
    generate = create_generator(llm_options)
    style = get_style(llm_options.get("style", "plain"), llm_options.get("template"))
    out = out or _default_path(file)
    try:
        result = judge_run(generate, file, out, tasks=tasks, style=style, progress=progress)
    except KeyboardInterrupt:
        say("Stopped; the judgements made so far are kept.")
        say_wrote({"judgements": out}, {"resume": this_command(ctx)})
        raise typer.Exit(130) from None
    if as_json:
        print_json(result.to_dict())
    else:
        _print_result(result)
    say_wrote({"judgements": out}, {"resume": this_command(ctx)} if result.errors else {})
    _say_errors(result)


def _default_path(file: Path) -> Path:
    name = "judgements" if file.name == EPISODES else f"{file.stem}.judgements"
    return file.with_name(f"{name}.jsonl")


def _print_result(result: JudgeResult) -> None:
    audit = next(iter(result.audits.values()))
    out = console(markup=False)  # The name of a model may contain brackets.
    out.print(f"{result.judge} on {result.run}", style="bold", soft_wrap=True)
    out.print(f"{audit.steps:,} steps of {result.tasks:,} tasks judged.", soft_wrap=True)
    if not audit.steps:  # The errors are on stderr.
        return
    for kind, tokens in result.tokens.items():
        if tokens:
            out.print(f"{kind} tokens: {tokens:,}, {tokens / audit.steps:,.1f} a step")
    out.print()
    if audit.audited:
        out.print(confusion_table(audit))
        out.print()
    out.print(rates_table(result.audits))
    out.print(describe_evidence(result.evidence_source, audit), style="dim", width=100)
    for line in unparsed_lines(audit, result.unparsed_texts):
        out.print(line, width=100)
    out.print()


def _say_errors(result: JudgeResult) -> None:
    if not result.errors:
        return
    done = next(iter(result.audits.values())).steps if result.audits else 0
    text = f"the judge failed on {result.errors:,} steps, {done:,} are judged"
    say(f"{text}. The first error is {result.first_error}", style="warning" if done else "error")
    if not done:
        raise typer.Exit(1)


def confusion_table(audit: Audit) -> "Table":
    """Return the numbers of steps by exact verdict and by rating."""
    table = new_table("Exact verdicts by the judge's", "", "judged GOOD", "judged BAD", "unparsed")
    for exact, row in audit.confusion.items():
        table.add_row(exact, *(f"{count:,}" for count in row.values()))
    return table


def rates_table(audits: Mapping[str, Audit]) -> "Table":
    """Return the rates of all steps and of each tool, with each interval below its mean."""
    table = new_table("By tool", "", "steps", "unparsed", *_RATES.values())
    for column in table.columns[3:-1]:
        column.max_width = _RATE_WIDTH
    for part, audit in audits.items():
        rates = (_cell(getattr(audit, name), name) for name in _RATES)
        table.add_row(part, f"{audit.steps:,}", f"{audit.unparsed:,}", *rates)
    return table


def describe_evidence(evidence_source: str, audit: Audit) -> str:
    """Return a note that explains the tables.

    Args:
        evidence_source: How far the verdicts can be trusted.
        audit: Audit of all steps.
    """
    if audit.unparsed == audit.steps:
        return _ALL_UNPARSED
    if not audit.audited:
        return _NOT_AUDITED
    return f"{_RATES_NOTE} {_EVIDENCE_NOTES.get(evidence_source, '')}".strip()


def unparsed_lines(audit: Audit, texts: Sequence[str]) -> Iterator[str]:
    """Yield lines on the texts of the judge that could not be parsed, if there are any.

    Args:
        audit: Audit of all steps.
        texts: Some of the texts.
    """
    if audit.unparsed:
        noun = "text" if audit.unparsed == 1 else "texts"
        yield f"{audit.unparsed:,} {noun} could not be read as GOOD or BAD, such as"
    for text in texts:
        # The rating should be at the end.
        end = text if len(text) <= _TEXT_LENGTH else f"…{text[-_TEXT_LENGTH:]}"
        yield f"  {end!r}"


def _cell(estimate: Estimate | None, name: str) -> Text:
    if estimate is None:
        return Text(_ABSENT)
    values = (estimate.mean, estimate.low, estimate.high)
    if name == "kappa":  # It may be negative: a dash would look like a minus sign.
        mean, low, high = (f"{round(value, 2) + 0.0:.2f}" for value in values)
        interval = f"{low} to {high}"
    else:
        mean = f"{100 * estimate.mean:.1f}%"
        low, high = (f"{100 * value:.1f}".replace("100.0", "100") for value in values[1:])
        interval = f"{low}–{high}"
    return Text.assemble(mean, "\n", (interval if estimate.has_interval else "unknown", "dim"))
