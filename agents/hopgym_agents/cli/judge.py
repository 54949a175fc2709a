"""``hopgym judge``: a model judges the steps of a run and is compared with the exact verdicts."""

from pathlib import Path
from typing import Annotated, Any

import typer

from hopgym.cli.display import console, print_json, progress, say, say_wrote, this_command
from hopgym.cli.options import options_of, takes_options
from hopgym.runs.reader import EPISODES, trajectory_file
from hopgym_agents.cli.audit_table import (
    confusion_table,
    describe_evidence,
    rates_table,
    unparsed_lines,
)
from hopgym_agents.judging.run import JudgeResult, judge_run
from hopgym_agents.options import EPISODE_OPTIONS, LLMOptions, create_generator
from hopgym_agents.prompts import get_style

_DEFAULTS = {"temperature": 0.0}

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
