"""``hopgym play``: a person answers a question in the terminal, every step judged."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hopgym.arguments import write_arguments
from hopgym.cli.display import console, say, say_wrote
from hopgym.cli.options import make_env, takes_arguments
from hopgym.cli.terminal import read_line
from hopgym.errors import ArgumentError

if TYPE_CHECKING:
    from rich.console import Console

    from hopgym.env import HopEnv

_VERDICTS = {
    "good": ("green", "it showed what the answer needs"),
    "lead": ("green", "it led closer to what the answer needs"),
    "irrelevant": ("yellow", "it showed nothing that the answer needs"),
    "repeat": ("yellow", "that call was made before"),
    "malformed": ("red", "that was no call"),
    "failed": ("red", "the tool failed; try it again"),
    "supported": ("green", "right, and proven by what you read"),
    "lucky": ("yellow", "right, but not proven by what you read"),
    "wrong": ("red", "not right, though what you read proves the answer"),
    "unsupported": ("red", "not right, and nothing you read proves it"),
}
_QUIT = ("quit", "exit", "q")
_HELP = "type a call, ? for a hint, ! for the oracle's step, quit to stop; tab completes"


@takes_arguments
def play(
    ctx: typer.Context,
    env_id: Annotated[str, typer.Argument(metavar="ID", help="For example hopgym/People-v0.")],
    seed: Annotated[int | None, typer.Option(min=0, help="Draws the question.")] = None,
    index: Annotated[int | None, typer.Option(min=0, help="Names the question.")] = None,
) -> None:
    """Answer a question yourself: search, look up, answer.

    Type calls as plain words (search river, lookup Ada Brook, answer 1950). Tab completes tools
    and the titles that you have seen, ? gives a hint, ! plays the oracle's step. Any argument of
    the environment may follow: --hops 1 --size 10.
    """
    env = _make(env_id, ctx.args)
    options = {} if index is None else {"index": index}
    _, info = env.reset(seed=seed, options=options)
    out = console()
    _print_question(out, env)
    try:
        info = _play(out, env, info)
    except KeyboardInterrupt:
        print()
        _print_end(out, env, info)
        raise typer.Exit(130) from None
    _print_end(out, env, info)


def _make(env_id: str, words: list[str]) -> "HopEnv":
    try:
        return make_env(env_id, words)
    except ArgumentError as error:
        # Gymnasium knows the id; what it made is told as an object, which helps no player.
        if not str(error).startswith("env must be a hopgym environment"):
            raise
        raise ArgumentError(
            f"an id must be that of a hopgym environment, got {env_id!r}; hopgym list names them"
        ) from None


def _play(out: "Console", env: "HopEnv", info: dict[str, Any]) -> dict[str, Any]:
    """Play until the episode ends or the player stops; return the last info."""
    from hopgym.cli.game import action_text, as_typed, completions, hint, oracle_step, written

    while not info["reason"]:
        number = f"{info['step'] + 1}/{env.settings.budget}"
        line = read_line(f"{number}> ", lambda: completions(env))
        if line is None or line.lower() in _QUIT:
            break
        if line in ("", "help"):
            _print_help(out, env)
        elif line == "?":
            out.print(f"  {hint(env)}", style="cyan")
        elif line == "!":
            action, _ = oracle_step(env)
            out.print(f"  {as_typed(action)}", style="cyan", markup=False)
            info = _step(out, env, written(env, action))
        else:
            try:
                text = action_text(env, line)
            except ValueError as error:
                out.print(f"  {error}", style="yellow", markup=False)
                continue
            info = _step(out, env, text)
    return info


def _print_question(out: "Console", env: "HopEnv") -> None:
    task = env.task
    out.print(f"question {task.question.id}", style="dim", markup=False)
    out.print(f"\n{task.question.text}\n", style="bold", markup=False)
    if env.settings.mode == "one_turn":
        out.print(env.trajectory().prompt, markup=False)
    _print_help(out, env)
    if env.source.notes:
        out.print(f"  {env.source.notes}", style="dim", markup=False)
    out.print()


def _print_help(out: "Console", env: "HopEnv") -> None:
    for tool in env.tools:
        call = f"{tool.name} {tool.argument.upper()}"
        out.print(f"  {call:<22} {tool.description}", markup=False)
    out.print(f"  {_HELP}", style="dim", markup=False)


def _step(out: "Console", env: "HopEnv", text: str) -> dict[str, Any]:
    """Take a step; print what it showed, its verdict and what it was worth; return the info."""
    from rich.padding import Padding
    from rich.text import Text

    from hopgym.cli.game import seen_titles

    observation, _, _, _, info = env.step(text)
    shown = Text(observation)
    shown.highlight_words(seen_titles(env), style="bold")
    out.print(Padding(shown, (0, 0, 0, 2), expand=False))
    style, words = _VERDICTS.get(info["verdict"]) or _unjudged(info)
    paid = f"process reward {info['process_reward']:.2f}, evidence {info['potential']:.0%}"
    if info["tool"] == "answer":
        paid = f"outcome reward {info['outcome_reward']:.2f}"
    elif info["evidence_source"] == "none":
        paid = ""
    out.print(Text.assemble("  ", (info["verdict"], f"bold {style}"), f": {words}"), end="")
    out.print(f" ({paid})\n" if paid else "\n", style="dim")
    return info


def _unjudged(info: dict[str, Any]) -> tuple[str, str]:
    if info["tool"] != "answer":
        return "yellow", "its evidence is unknown"
    if info["is_success"]:
        return "green", "right; whether what you read proves it is not judged"
    return "red", "not right; whether what you read proves the answer is not judged"


def _counted(steps: int) -> str:
    return f"{steps} step{'' if steps == 1 else 's'}"


def _print_end(out: "Console", env: "HopEnv", info: dict[str, Any]) -> None:
    from hopgym.oracle import gold_answer

    steps = env.trajectory().steps
    if not info["reason"]:
        say(f"Stopped after {_counted(len(steps))}.")
    else:
        gold = json.loads(info["gold"])
        out.print(f"The answer: {gold_answer(env.task.question)}", style="bold", markup=False)
        for number, hop in enumerate(gold["hops"], start=1):
            found = "; ".join(hop["answers"]) or "nothing"
            out.print(f"  hop {number}: {hop['text']} -> {found}", style="dim", markup=False)
        earned = sum(step.process_reward for step in steps)
        oracle = f", the oracle {info['oracle_steps']}" if info["oracle_steps"] > 0 else ""
        took = f"You took {_counted(len(steps))}{oracle}"
        out.print(f"{took}; process rewards add up to {earned:.2f}.")
    spec = env.spec
    index = (env.trajectory().index + 1) % len(env.source)
    words = [
        "hopgym",
        "play",
        spec.id if spec else "",
        *write_arguments(spec.kwargs if spec else {}),
    ]
    say_wrote({}, {"next question": " ".join([*words, "--index", str(index)])})
