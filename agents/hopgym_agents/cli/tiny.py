"""``hopgym tiny``: a tiny language model with random weights, to be trained on a CPU."""

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from hopgym.arguments import read_arguments, write_arguments
from hopgym.cli.display import print_json, say, say_wrote
from hopgym.cli.options import takes_arguments
from hopgym.errors import require
from hopgym.registry.lookup import resolve_id
from hopgym_agents.modeling.tiny import DEMO, DEMO_ID, make_tiny


@takes_arguments
def tiny(
    ctx: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Folder, new or empty.")],
    hidden: Annotated[int, typer.Option(help="Size of the states, a multiple of 32.")] = 128,
    layers: Annotated[int, typer.Option(help="Number of layers.")] = 3,
    seed: Annotated[int, typer.Option(help="Seed of the weights.")] = 0,
    env: Annotated[str, typer.Option(help="Environment whose vocabulary it has.")] = DEMO_ID,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Make a tiny language model with random weights, for short pages.

    It has Qwen3's architecture and its own tokenizer, and can be trained on a
    CPU. Arguments of the environment may follow as --name value.
    """
    positional, arguments = read_arguments(ctx.args)
    require(not positional, "words", "arguments of the environment as --name value", positional)
    env_id = resolve_id(env)
    kwargs = {**DEMO, **arguments} if env_id == DEMO_ID else arguments
    model = make_tiny(
        path, hidden=hidden, layers=layers, seed=seed, env_id=env_id, env_kwargs=kwargs
    )
    if as_json:
        print_json(asdict(model))
    else:
        say(f"{model.parameters:,} random parameters, {model.tokens:,} tokens")
    options = {"llm.generator": "local", "llm.model": str(path)}
    args = write_arguments({"policy": "llm", **options, **kwargs})
    say_wrote({"model": path}, {"play with it": shlex.join(["hopgym", "eval", env_id, *args])})
