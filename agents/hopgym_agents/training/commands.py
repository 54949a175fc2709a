"""``hopgym train METHOD``: a better model from a run of episodes.

In: words of the command line and a recipe. Out: a folder with the model and what it cost.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from hopgym.cli.arguments import policy_options, takes_arguments
from hopgym.cli.screen import console, new_table, print_json, progress, say, say_wrote
from hopgym.errors import ArgumentError, did_you_mean, require
from hopgym_agents.training import sft
from hopgym_agents.training.card import play_command
from hopgym_agents.training.config import TrainConfig, read_config
from hopgym_agents.training.folder import PROGRESS, is_leader
from hopgym_agents.training.result import Checked, Trained


@dataclass(frozen=True, slots=True)
class Method:
    """A way to train."""

    prepare: Callable[[TrainConfig], Any]
    """Checks all that can be checked before training; gives what has `Checked` as ``checked``."""
    train: Callable[..., Trained]
    """Takes what ``prepare`` gives, and what shows the steps."""


METHODS: Mapping[str, Method] = {"sft": Method(sft.prepare, sft.train)}
"""The methods by name."""


@takes_arguments
def train(
    ctx: typer.Context,
    method: Annotated[str, typer.Argument(metavar="METHOD", help=f"One of {', '.join(METHODS)}.")],
    run: Annotated[str | None, typer.Option(help="Trajectory file or run's folder.")] = None,
    model: Annotated[str | None, typer.Option(help="Folder or Hub id to begin with.")] = None,
    out: Annotated[str | None, typer.Option(help="Folder of the run.")] = None,
    filter_name: Annotated[
        str | None, typer.Option("--filter", help="none, process (default), outcome or both.")
    ] = None,
    weight: Annotated[
        str | None,
        typer.Option(help="Actions learnt: one (default, all), good (GOOD ones) or success."),
    ] = None,
    style: Annotated[str | None, typer.Option(help="plain, system, swirl or native.")] = None,
    precision: Annotated[str | None, typer.Option(help="full (default), lora or qlora.")] = None,
    rank: Annotated[int | None, typer.Option(help="Of LoRA.")] = None,
    alpha: Annotated[int | None, typer.Option(help="Of LoRA.")] = None,
    gradient_checkpointing: Annotated[
        bool | None, typer.Option(help="Less memory for more time.")
    ] = None,
    batch: Annotated[int | None, typer.Option(help="Rows of a step.")] = None,
    gradient_tokens: Annotated[int | None, typer.Option(help="Most tokens with a loss.")] = None,
    cpu_seconds: Annotated[float | None, typer.Option(help="Most seconds of CPU.")] = None,
    wall_seconds: Annotated[float | None, typer.Option(help="Most seconds of the clock.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of order and new weights.")] = None,
    recipe: Annotated[Path | None, typer.Option(help="TOML file of these options.")] = None,
    dry_run: Annotated[bool, typer.Option(help="Only check, and show a row and its loss.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Train a model on what a run shows.

    sft learns the actions of the episodes that pass a filter. Killed or stopped,
    the same command goes on; a larger limit goes on behind the end. Settings of
    TRL follow as --trl.learning_rate 1e-4 or stand in the recipe's table [trl].
    """
    hint = did_you_mean(method, METHODS)
    require(method in METHODS, "method", f"one of {', '.join(METHODS)}{hint}", method)
    top: dict[str, Any] = {
        "run": run,
        "model": model,
        "out": out,
        "filter": filter_name,
        "weight": weight,
    }
    top |= {"style": style, "batch": batch, "seed": seed}
    numbers: dict[str, Any] = {"kind": precision, "rank": rank, "alpha": alpha}
    numbers |= {"gradient_checkpointing": gradient_checkpointing}
    limits: dict[str, Any] = {"gradient_tokens": gradient_tokens, "cpu_seconds": cpu_seconds}
    limits |= {"wall_seconds": wall_seconds}
    nested: dict[str, dict[str, Any]] = {
        "precision": numbers,
        "limits": limits,
        "trl": _settings(ctx.args),
    }
    given = _given(top) | {key: _given(each) for key, each in nested.items() if _given(each)}
    config, chosen = read_config(given, recipe), METHODS[method]
    _quiet()
    prepared = chosen.prepare(config)
    if dry_run:
        _show(prepared.checked, as_json)
        return
    with ExitStack() as bars:
        trained = chosen.train(prepared, lambda total, done: _bar(bars, total, done))
    if is_leader():
        _report(prepared.checked, trained, as_json)


def _settings(words: list[str]) -> dict[str, Any]:
    rest, settings = policy_options(words, "trl")
    if rest:
        raise ArgumentError(f"train takes its options and --trl.NAME VALUE, got {rest[0]!r}")
    return settings


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _bar(bars: ExitStack, total: int, done: int) -> Callable[[int], None]:
    if done:
        say(f"Going on behind step {done:,}.")
    return bars.enter_context(progress("steps", total, done))


def _quiet() -> None:
    """Keep what transformers tells on its way, bars and printed logs among it, off the screen."""
    import logging

    from transformers.utils import logging as told

    told.disable_progress_bar()  # type: ignore[no-untyped-call]
    told.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


def _show(checked: Checked, as_json: bool) -> None:
    if as_json:
        print_json(checked.to_dict())
        return
    out = console(markup=False)
    out.print("first row, what is learnt between [[ and ]]", style="bold", soft_wrap=True)
    out.out(checked.sample, highlight=False)
    table = new_table("What would be trained", "", "")
    data = checked.data
    for name, value in (
        ("episodes that pass the filter", f"{data.kept:,} of {data.episodes:,}"),
        ("rows", f"{checked.rows:,}"),
        ("rows left out as too long", f"{data.too_long:,}"),
        ("actions", f"{checked.actions:,}"),
        ("tokens", f"{checked.tokens:,}"),
        ("tokens with a loss", f"{checked.gradient_tokens:,}"),
        ("parameters", f"{checked.parameters:,}"),
        ("trained parameters", f"{checked.trained_parameters:,}"),
        ("steps, unless a limit ends them", f"{checked.steps:,}"),
        ("memory, about", f"{checked.memory_bytes / 2**30:.2f} GiB"),
    ):
        table.add_row(name, value)
    out.print(table)
    say("All checks passed; nothing was trained.")


def _report(checked: Checked, trained: Trained, as_json: bool) -> None:
    if as_json:
        print_json(trained.to_dict())
    else:
        spent = trained.spent
        say(
            f"{trained.steps:,} steps on {checked.rows:,} rows, {spent.gradient_tokens:,} tokens "
            f"with a loss, {spent.cpu_seconds:.0f} CPU seconds; loss {trained.first_loss:.3f} to "
            f"{trained.last_loss:.3f}; ended by {trained.ended_by.replace('_', ' ')}."
        )
        if checked.data.too_long:
            say(f"{checked.data.too_long:,} rows were too long and were left out.")
    paths = {"model": Path(trained.model), "log": Path(checked.config.out) / PROGRESS}
    say_wrote(paths, {"play with it": play_command(checked, trained)})
