"""``hopgym train METHOD``: a better model from a run of episodes.

In: words of the command line and a recipe. Out: a folder with the model and what it cost.
"""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from hopgym.cli.display import console, new_table, print_json, progress, say, say_wrote
from hopgym.cli.options import takes_arguments
from hopgym.errors import did_you_mean, require
from hopgym_agents.cli.train_options import read_words
from hopgym_agents.curves import write_curves
from hopgym_agents.training import loop
from hopgym_agents.training.config import read_config
from hopgym_agents.training.model_card import play_command
from hopgym_agents.training.registry import METHODS
from hopgym_agents.training.result import Checked, Trained
from hopgym_agents.training.run_folder import PROGRESS, is_leader
from hopgym_agents.training.setup import silence_libraries

CURVES = "report.html"
"""The learning curves of a run."""


@takes_arguments
def train(
    ctx: typer.Context,
    method: Annotated[str, typer.Argument(metavar="METHOD", help=f"One of {', '.join(METHODS)}.")],
    recipe: Annotated[Path | None, typer.Option(help="TOML file of options.")] = None,
    dry_run: Annotated[bool, typer.Option(help="Only check, and show a row and its loss.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Train a model on episodes, of a file or its own.

    sft learns the actions of a run; filtered plays and imitates its own good
    actions; stepwise compares actions in single states by their verdicts;
    trajectory compares whole episodes by their answers; one_turn single answers
    with the pages in the prompt.

    Options: --model --out --run --filter --reward --style --batch --seed,
    --precision (full, lora, qlora) --rank --alpha, --env --tasks --samples
    --round --flip --dev --every, limits (--generated-tokens, --gradient-tokens,
    --environment-steps, --distinct-worlds, --cpu-seconds, --wall-seconds,
    --gpu-seconds, --dev-success), TRL's own as --trl.learning_rate 1e-4, a
    judge's as --play.judge.model M. What else follows as --name value are
    arguments of the environment. Killed or stopped, the same command goes on; a larger
    limit goes on behind the end.
    """
    hint = did_you_mean(method, METHODS)
    require(method in METHODS, "method", f"one of {', '.join(METHODS)}{hint}", method)
    config = read_config(read_words(ctx.args), recipe)
    silence_libraries()
    prepared = METHODS[method](config)
    if dry_run:
        _show(prepared.checked, as_json)
        return
    with ExitStack() as bars:
        trained = loop.train(prepared, lambda total, done: _bar(bars, total, done))
    if is_leader():
        _report(prepared.checked, trained, as_json)


def _bar(bars: ExitStack, total: int, done: int) -> Callable[[int], None]:
    if done:
        say(f"Going on behind step {done:,}.")
    return bars.enter_context(progress("steps", total or None, done))


def _show(checked: Checked, as_json: bool) -> None:
    if as_json:
        print_json(checked.to_dict())
        return
    out = console(markup=False)
    out.print("first row, what is learnt between [[ and ]]", style="bold", soft_wrap=True)
    out.out(checked.sample, highlight=False)
    table = new_table("What would be trained", "", "")
    told = {name: f"{count:,}" for name, count in checked.data.counts.items()}
    told |= {
        "parameters": f"{checked.parameters:,}",
        "trained parameters": f"{checked.trained_parameters:,}",
        "steps, unless a limit ends them": f"{checked.steps:,}" if checked.steps else "no end",
        "memory, about": f"{checked.memory_bytes / 2**30:.2f} GiB",
    }
    for name, value in told.items():
        table.add_row(name, value)
    out.print(table)
    say("All checks passed; nothing was trained.")


def _report(checked: Checked, trained: Trained, as_json: bool) -> None:
    if as_json:
        print_json(trained.to_dict())
    else:
        spent = trained.spent
        say(
            f"{trained.steps:,} steps, {spent.generated_tokens:,} tokens generated, "
            f"{spent.gradient_tokens:,} with a loss, {spent.cpu_seconds:.0f} CPU seconds; "
            f"{trained.course}; ended by {trained.ended_by.replace('_', ' ')}."
        )
        if trained.dev_before is not None and trained.dev_after is not None:
            before, after = 100 * trained.dev_before, 100 * trained.dev_after
            count = checked.config.play.dev
            say(f"Success on {count:,} held-out tasks: {before:.1f} % before, {after:.1f} % after.")
    out = Path(checked.config.out)
    paths = {"model": Path(trained.model), "log": out / PROGRESS, "curves": out / CURVES}
    write_curves({checked.method: [out / PROGRESS]}, out / CURVES, f"{out.name}: {checked.method}")
    say_wrote(paths, {"play with it": play_command(checked, trained)})
