"""``hopgym judge``: a model judges the steps of a run, and is held against their exact verdicts.

In: a run and the options of a generator. Out: a file of judgements that the same command goes on
with, and the audit of the judge.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from hopgym.arguments import read_arguments
from hopgym.cli.display import console, print_json, progress, say, say_wrote, this_command
from hopgym.cli.options import takes_arguments
from hopgym.errors import ArgumentError
from hopgym.runs.reader import EPISODES, trajectory_file
from hopgym_agents.cli.audit_table import confusion_table, rates_table, trust_in, unread
from hopgym_agents.judging.run import JudgeResult, judge_run
from hopgym_agents.options import generator_from
from hopgym_agents.prompts import style_named

_OPTIONS = "llm."


@takes_arguments
def judge(
    ctx: typer.Context,
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Trajectory file or run's folder.")],
    tasks: Annotated[
        int | None, typer.Option("-n", min=1, help="Judge the first so many tasks alone.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="File of judgements; one that exists is gone on with.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Let a model judge each step of a run: GOOD or BAD, without the answer.

    Its options follow as --llm.model, --llm.base_url and so on, as for
    --policy llm; its temperature is 0 unless given. Where the steps have
    verdicts, its confusion matrix, error rates and kappa are printed.
    """
    file, options = trajectory_file(run), _options(ctx.args)
    generate = generator_from(options)
    style = style_named(options.get("style", "plain"), options.get("template"))
    out = out or _beside(file)
    try:
        judged = judge_run(generate, file, out, tasks=tasks, style=style, progress=progress)
    except KeyboardInterrupt:
        say("Stopped; the judgements made so far are kept.")
        say_wrote({"judgements": out}, {"go on with": this_command(ctx)})
        raise typer.Exit(130) from None
    if as_json:
        print_json(judged.to_dict())
    else:
        _print(judged)
    say_wrote({"judgements": out}, {"go on with": this_command(ctx)} if judged.errors else {})
    _say_errors(judged)


def _options(words: Sequence[str]) -> dict[str, Any]:
    """Return the options of the generator among the words, without what their names begin with."""
    plain, named = read_arguments(words)
    strange = [*plain, *(f"--{name}" for name in named if not name.startswith(_OPTIONS))]
    if strange:
        raise ArgumentError(
            f"options of the judge must be given as --{_OPTIONS}model and so on, got {strange[0]!r}"
        )
    given = {name.removeprefix(_OPTIONS): value for name, value in named.items()}
    return {"temperature": 0.0} | given


def _beside(file: Path) -> Path:
    """Return where the judgements of a run are kept."""
    name = "judgements" if file.name == EPISODES else f"{file.stem}.judgements"
    return file.with_name(f"{name}.jsonl")


def _print(judged: JudgeResult) -> None:
    whole = next(iter(judged.audits.values()))
    out = console(markup=False)  # The name of a model may hold brackets.
    out.print(f"{judged.judge} on {judged.run}", style="bold", soft_wrap=True)
    out.print(f"{whole.steps:,} steps of {judged.tasks:,} tasks judged.", soft_wrap=True)
    if not whole.steps:  # What failed is told on stderr.
        return
    for kind, tokens in judged.tokens.items():
        if tokens:
            out.print(f"{kind} tokens: {tokens:,}, {tokens / whole.steps:,.1f} a step")
    out.print()
    if whole.audited:
        out.print(confusion_table(whole))
        out.print()
    out.print(rates_table(judged.audits))
    out.print(trust_in(judged.evidence_source, whole), style="dim", width=100)
    for line in unread(whole, judged.unparsed_texts):
        out.print(line, width=100)
    out.print()


def _say_errors(judged: JudgeResult) -> None:
    if not judged.errors:
        return
    done = next(iter(judged.audits.values())).steps if judged.audits else 0
    text = f"the judge failed on {judged.errors:,} steps, {done:,} are judged"
    say(f"{text}. The first error is {judged.first_error}", style="warning" if done else "error")
    if not done:
        raise typer.Exit(1)
