"""``hopgym train METHOD``: trains a model on recorded or newly played episodes."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from hopgym.cli.display import console, new_table, print_json, progress, say, say_wrote
from hopgym.cli.options import options_of, takes_options
from hopgym.errors import did_you_mean, require
from hopgym_agents.curves import write_curves
from hopgym_agents.training import loop
from hopgym_agents.training.config import TrainConfig, read_config
from hopgym_agents.training.model_card import play_command
from hopgym_agents.training.registry import METHODS
from hopgym_agents.training.result import Checked, Trained
from hopgym_agents.training.run_folder import PROGRESS, is_leader
from hopgym_agents.training.setup import silence_libraries

CURVES = "report.html"
"""File of a run's learning curves, in its folder."""

OPTIONS = options_of(
    TrainConfig,
    panel="Training",
    tables={"env": "play.kwargs", "dev-env": "play.dev_kwargs"},
)
"""The options of a training run."""


@takes_options(OPTIONS)
def train(
    ctx: typer.Context,
    method: Annotated[str, typer.Argument(metavar="METHOD", help=f"One of {', '.join(METHODS)}.")],
    options: dict[str, Any],
    recipe: Annotated[
        Path | None, typer.Option(help="TOML file of options; the command line comes first.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only run the checks, and show a row and its loss.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Train a model on episodes, recorded or newly played.

    sft imitates the actions of a run. filtered plays and imitates its own good
    actions. stepwise compares actions in single states by their verdicts.
    trajectory compares whole episodes by their answers. one_turn trains single
    answers with the pages in the prompt.

    Arguments of the environment are given as --env.size 25, settings of TRL as
    --trl.learning_rate 1e-4, options of the reward judge as --play.judge.model
    NAME. An option may also be written with its table, as in recipes:
    --limits.cpu_seconds 40. The same command resumes a stopped run; a larger
    limit continues a finished one.
    """
    hint = did_you_mean(method, METHODS)
    require(method in METHODS, "method", f"one of {', '.join(METHODS)}{hint}", method)
    config = read_config(options, recipe)
    silence_libraries()
    prepared = METHODS[method](config)
    if dry_run:
        _print_checks(prepared.checked, as_json)
        return
    with ExitStack() as bars:
        trained = loop.train(prepared, lambda total, done: _open_bar(bars, total, done))
    if is_leader():
        _report(prepared.checked, trained, as_json)


def _open_bar(bars: ExitStack, total: int, done: int) -> Callable[[int], None]:
    if done:
        say(f"Resuming after step {done:,}.")
    return bars.enter_context(progress("steps", total or None, done))


def _print_checks(checked: Checked, as_json: bool) -> None:
    if as_json:
        print_json(checked.to_dict())
        return
    out = console(markup=False)
    out.print("first row, trained tokens between [[ and ]]", style="bold", soft_wrap=True)
    out.out(checked.sample, highlight=False)
    table = new_table("What would be trained", "", "")
    summary = {name: f"{count:,}" for name, count in checked.data.counts.items()}
    summary |= {
        "parameters": f"{checked.parameters:,}",
        "trained parameters": f"{checked.trained_parameters:,}",
        "steps, unless a limit ends them": f"{checked.steps:,}" if checked.steps else "no end",
        "memory, about": f"{checked.memory_bytes / 2**30:.2f} GiB",
    }
    for name, value in summary.items():
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
            before = 100 * trained.dev_before
            after = 100 * trained.dev_after
            count = checked.config.play.dev
            say(f"Success on {count:,} held-out tasks: {before:.1f} % before, {after:.1f} % after.")
    out = Path(checked.config.out)
    paths = {"model": Path(trained.model), "log": out / PROGRESS, "curves": out / CURVES}
    write_curves({checked.method: [out / PROGRESS]}, out / CURVES, f"{out.name}: {checked.method}")
    say_wrote(paths, {"play with it": play_command(checked, trained)})
