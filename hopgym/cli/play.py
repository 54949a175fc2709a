"""``hopgym play``: the user answers a question in the terminal, with a verdict on every step."""

import json
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.padding import Padding
from rich.text import Text

from hopgym.actions import Action, Malformed, dialect_named
from hopgym.arguments import write_arguments
from hopgym.cli.display import console, say, say_wrote
from hopgym.cli.options import make_env, takes_arguments
from hopgym.errors import ArgumentError, did_you_mean
from hopgym.oracle import gold_answer
from hopgym.policies import OraclePolicy
from hopgym.tools import argument_names
from hopgym.trajectory import Completion

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
    "supported": ("green", "right, and proven by the pages you read"),
    "lucky": ("yellow", "right, but not proven by the pages you read"),
    "wrong": ("red", "not right, though what you read proves the answer"),
    "unsupported": ("red", "not right, and nothing you read proves it"),
}
_QUIT = ("quit", "exit", "q")
_HELP = "type a call, ? for a hint, ! for the oracle's step, quit to stop; tab completes"


@takes_arguments
def play(
    ctx: typer.Context,
    env_id: Annotated[str, typer.Argument(metavar="ID", help="For example hopgym/People-v0.")],
    seed: Annotated[int | None, typer.Option(min=0, help="Seed that selects the question.")] = None,
    index: Annotated[int | None, typer.Option(min=0, help="Index of the question.")] = None,
) -> None:
    """Answer a question yourself: search, look up, answer.

    Type calls as plain words: search river, lookup Ada Brook, answer 1950.
    Tab completes tools and the titles that you have seen, ? prints a hint, !
    plays the oracle's step. Any argument of the environment may follow:
    --hops 1 --size 10.
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


def _make(env_id: str, args: list[str]) -> "HopEnv":
    try:
        return make_env(env_id, args)
    except ArgumentError as error:
        # The id is one of Gymnasium's; the message shows an object, which does not help a player.
        if not str(error).startswith("env must be a hopgym environment"):
            raise
        raise ArgumentError(
            f"an id must be that of a hopgym environment, got {env_id!r}; hopgym list names them"
        ) from None


def _play(out: "Console", env: "HopEnv", info: dict[str, Any]) -> dict[str, Any]:
    """Play until the episode ends or the player stops; return the last info."""
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
            out.print(f"  {short_form(action)}", style="cyan", markup=False)
            info = _step(out, env, write_action(env, action))
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
    """Take a step; print its observation, verdict and reward; return the info."""
    observation, _, _, _, info = env.step(text)
    result = Text(observation)
    result.highlight_words(seen_titles(env), style="bold")
    out.print(Padding(result, (0, 0, 0, 2), expand=False))
    style, meaning = _VERDICTS.get(info["verdict"]) or _unjudged(info)
    reward = f"process reward {info['process_reward']:.2f}, evidence {info['potential']:.0%}"
    if info["tool"] == "answer":
        reward = f"outcome reward {info['outcome_reward']:.2f}"
    elif info["evidence_source"] == "none":
        reward = ""
    out.print(Text.assemble("  ", (info["verdict"], f"bold {style}"), f": {meaning}"), end="")
    out.print(f" ({reward})\n" if reward else "\n", style="dim")
    return info


def _unjudged(info: dict[str, Any]) -> tuple[str, str]:
    if info["tool"] != "answer":
        return "yellow", "its evidence is unknown"
    if info["is_success"]:
        return "green", "right; whether what you read proves it is not judged"
    return "red", "not right; whether what you read proves the answer is not judged"


def _count_steps(steps: int) -> str:
    return f"{steps} step{'' if steps == 1 else 's'}"


def _print_end(out: "Console", env: "HopEnv", info: dict[str, Any]) -> None:
    steps = env.trajectory().steps
    if not info["reason"]:
        say(f"Stopped after {_count_steps(len(steps))}.")
    else:
        gold = json.loads(info["gold"])
        out.print(f"The answer: {gold_answer(env.task.question)}", style="bold", markup=False)
        for number, hop in enumerate(gold["hops"], start=1):
            answers = "; ".join(hop["answers"]) or "nothing"
            out.print(f"  hop {number}: {hop['text']} -> {answers}", style="dim", markup=False)
        rewards = sum(step.process_reward for step in steps)
        oracle = f", the oracle {info['oracle_steps']}" if info["oracle_steps"] > 0 else ""
        text = f"You took {_count_steps(len(steps))}{oracle}"
        out.print(f"{text}; process rewards add up to {rewards:.2f}.")
    spec = env.spec
    index = (env.trajectory().index + 1) % len(env.source)
    args = [spec.id, *write_arguments(spec.kwargs)] if spec else []
    command = " ".join(["hopgym", "play", *args, "--index", str(index)])
    say_wrote({}, {"next question": command})


_MOST_TITLES = 20_000

HINTS = {
    "search": "a search would help: for words that are likely to stand on the page",
    "lookup": "a lookup would help: of a page whose title you have seen",
    "calculate": "a calculation would help",
    "answer": "you have seen enough: an answer would help",
}
"""Tool to the hint that recommends it."""


def action_text(env: "HopEnv", line: str) -> str:
    """Return a typed line as an action of the environment.

    ``search river`` is a short form of a call; text with ``<`` or ``{`` is returned unchanged.

    Raises:
        ValueError: When the line names no tool or has no argument; the message says what to type.
    """
    if "<" in line or "{" in line:
        return line
    names = [tool.name for tool in env.tools]
    tool, _, argument = line.partition(" ")
    if tool.lower() not in names:
        hint = did_you_mean(tool.lower(), names)
        raise ValueError(f"begin with {', '.join(names)}{hint}; help says more")
    if not argument.strip():
        expected = argument_names([tool.lower()])[tool.lower()]
        raise ValueError(f"{tool.lower()} what? Type: {tool.lower()} {expected}")
    return write_action(env, Action(tool.lower(), argument.strip()))


def write_action(env: "HopEnv", action: Action) -> str:
    """Return a call in the environment's dialect."""
    names = argument_names([tool.name for tool in env.tools])
    return dialect_named(env.settings.dialect).write(action, names)


def oracle_step(env: "HopEnv") -> tuple[Action, bool]:
    """Return the oracle's next call, and whether it uses a title that has not been shown yet."""
    policy = OraclePolicy(env.source, env.tool_settings)
    reply = policy.act(env.trajectory())
    text = reply.text if isinstance(reply, Completion) else reply
    names = argument_names([tool.name for tool in env.tools])
    action = dialect_named(env.settings.dialect).parse(text, names).action
    assert not isinstance(action, Malformed), "the oracle writes calls"
    return action, isinstance(reply, Completion) and reply.privileged


def short_form(action: Action) -> str:
    """Return a call in the short form that a player types."""
    part = f" #{action.page}" if action.page > 1 else ""
    return f"{action.tool} {action.argument}{part}"


def hint(env: "HopEnv") -> str:
    """Return a hint on the next step: the oracle's tool, without its argument."""
    action, privileged = oracle_step(env)
    if privileged:
        return "only a page whose title has not been shown would help"
    return HINTS.get(action.tool, f"a {action.tool} would help")


def seen_titles(env: "HopEnv") -> list[str]:
    """Return the titles of pages that occur in the question or in a result, in page order."""
    episode = env.trajectory()
    text = "\n".join([episode.question, *(step.observation for step in episode.steps)])
    pages = env.corpus.pages
    count = min(len(pages), _MOST_TITLES)  # In a larger corpus, Tab would be slow.
    titles = (pages.title(i) for i in range(count))
    return list(dict.fromkeys(title for title in titles if title.strip() and title in text))


def completions(env: "HopEnv") -> Sequence[str]:
    """Return lines for Tab to complete: the tools, and calls with the titles seen so far."""
    names = [tool.name for tool in env.tools]
    titles = seen_titles(env)
    calls = [f"{tool} {title}" for tool in ("lookup", "answer", "search") for title in titles]
    usable = [call for call in calls if call.partition(" ")[0] in names]
    return [*(f"{name} " for name in names), *usable, "quit", "help"]


Completions = Callable[[], Sequence[str]]
"""Returns the complete lines that Tab offers at this moment."""


def read_line(prompt: str, completions: Completions) -> str | None:
    """Return the next line without surrounding white space; None at the end of input.

    A line from a pipe is printed after the prompt, so that the output reads like a session.
    """
    if sys.stdin.isatty() and sys.stdout.isatty():
        _complete_with(completions)
        try:
            return input(prompt).strip()
        except EOFError:
            print()
            return None
    line = sys.stdin.readline()
    text = line.strip()
    print(f"{prompt}{text}" if line else prompt.rstrip())
    return text if line else None


def matching(lines: Sequence[str], typed: str) -> list[str]:
    """Return the lines that start with the typed text, ignoring case."""
    return [line for line in lines if line.lower().startswith(typed.lower())]


def _complete_with(completions: Completions) -> None:
    try:
        import readline
    except ImportError:  # Windows has no readline; there is no completion then.
        return

    def complete(typed: str, state: int) -> str | None:
        matches = matching(completions(), typed)
        return matches[state] if state < len(matches) else None

    readline.set_completer_delims("")
    readline.set_completer(complete)
    libedit = "libedit" in (readline.__doc__ or "")
    readline.parse_and_bind("bind ^I rl_complete" if libedit else "tab: complete")
