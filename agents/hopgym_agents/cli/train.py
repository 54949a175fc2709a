"""``hopgym train METHOD``: trains a model on recorded or newly played episodes."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from hopgym.cli.display import console, new_table, print_json, progress, say, say_wrote
from hopgym.cli.options import options_of, takes_options
from hopgym_agents.curves import write_curves
from hopgym_agents.training import loop
from hopgym_agents.training.config import TrainConfig, read_config
from hopgym_agents.training.method import METHODS
from hopgym_agents.training.model_card import play_command
from hopgym_agents.training.result import TrainingPlan, TrainResult
from hopgym_agents.training.run_folder import PROGRESS, is_leader

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
    method: Annotated[
        str, typer.Argument(metavar="METHOD", help=f"{', '.join(METHODS)}, or module:Name.")
    ],
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

    sft imitates the actions of a run. expert_iteration plays and imitates its own
    good actions. stepwise compares actions in single states by their verdicts.
    trajectory compares whole episodes by their answers. one_turn trains single
    answers with the pages in the prompt.

    Arguments of the environment are given as --env.size 25, settings of TRL as
    --trl.learning_rate 1e-4, options of the reward judge as --play.judge.model
    NAME. An option may also be written with its table, as in recipes:
    --limits.cpu_seconds 40. The same command resumes a stopped run; a larger
    limit continues a finished one.
    """
    config = read_config(options, recipe)
    loop.silence_libraries()
    prepared = loop.prepare(method, config)
    if dry_run:
        _print_checks(prepared.plan, as_json)
        return
    with ExitStack() as bars:
        result = loop.run(prepared, lambda total, done: _open_bar(bars, total, done))
    if is_leader():
        _report(prepared.plan, result, as_json)


def _open_bar(bars: ExitStack, total: int, done: int) -> Callable[[int], None]:
    if done:
        say(f"Resuming after step {done:,}.")
    return bars.enter_context(progress("steps", total or None, done))


def _print_checks(plan: TrainingPlan, as_json: bool) -> None:
    if as_json:
        print_json(plan.to_dict())
        return
    out = console(markup=False)
    out.print("first row, trained tokens between [[ and ]]", style="bold", soft_wrap=True)
    out.out(plan.sample, highlight=False)
    table = new_table("What would be trained", "", "")
    summary = {name: f"{count:,}" for name, count in plan.data.counts.items()}
    summary |= {
        "parameters": f"{plan.parameters:,}",
        "trained parameters": f"{plan.trained_parameters:,}",
        "steps, unless a limit ends them": f"{plan.steps:,}" if plan.steps else "no end",
        "memory, about": f"{plan.memory_bytes / 2**30:.2f} GiB",
    }
    for name, value in summary.items():
        table.add_row(name, value)
    out.print(table)
    say("All checks passed; nothing was trained.")


def _report(plan: TrainingPlan, result: TrainResult, as_json: bool) -> None:
    if as_json:
        print_json(result.to_dict())
    else:
        spent = result.spent
        say(
            f"{result.steps:,} steps, {spent.generated_tokens:,} tokens generated, "
            f"{spent.gradient_tokens:,} with a loss, {spent.cpu_seconds:.0f} CPU seconds; "
            f"{result.course}; ended by {result.ended_by.replace('_', ' ')}."
        )
        if result.dev_before is not None and result.dev_after is not None:
            before = 100 * result.dev_before
            after = 100 * result.dev_after
            count = plan.config.play.dev
            say(f"Success on {count:,} held-out tasks: {before:.1f} % before, {after:.1f} % after.")
    out = Path(plan.config.out)
    paths = {"model": Path(result.model), "log": out / PROGRESS, "curves": out / CURVES}
    write_curves({plan.method: [out / PROGRESS]}, out / CURVES, f"{out.name}: {plan.method}")
    say_wrote(paths, {"play with it": play_command(plan, result)})
