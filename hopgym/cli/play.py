"""``hopgym play``: a person answers a question in the terminal, every step judged."""

import json
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hopgym.actions import Action, Malformed, dialect_named
from hopgym.arguments import write_arguments
from hopgym.cli.display import console, say, say_wrote
from hopgym.cli.options import make_env, takes_arguments
from hopgym.errors import ArgumentError, did_you_mean
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


_MOST_TITLES = 20_000

HINTS = {
    "search": "a search would help: for words that are likely to stand on the page",
    "lookup": "a lookup would help: of a page whose title you have seen",
    "calculate": "a calculation would help",
    "answer": "you have seen enough: an answer would help",
}
"""Tool to the words that recommend it."""


def action_text(env: "HopEnv", line: str) -> str:
    """Return what a typed line says to an environment, or raise for one that is no call.

    ``search river`` stands for a call in the environment's dialect; text that holds ``<`` or
    ``{`` is taken as it is.

    Raises:
        ValueError: With what to type instead, when a line names no tool or has no argument.
    """
    if "<" in line or "{" in line:
        return line
    names = [tool.name for tool in env.tools]
    tool, _, argument = line.partition(" ")
    if tool.lower() not in names:
        hint = did_you_mean(tool.lower(), names)
        raise ValueError(f"begin with {', '.join(names)}{hint}; help says more")
    if not argument.strip():
        wanted = argument_names([tool.lower()])[tool.lower()]
        raise ValueError(f"{tool.lower()} what? Type: {tool.lower()} {wanted}")
    return written(env, Action(tool.lower(), argument.strip()))


def written(env: "HopEnv", action: Action) -> str:
    """Return a call as the environment's dialect writes it."""
    names = argument_names([tool.name for tool in env.tools])
    return dialect_named(env.settings.dialect).write(action, names)


def oracle_step(env: "HopEnv") -> tuple[Action, bool]:
    """Return the oracle's next call, and whether it uses a title that was not shown so far."""
    policy = OraclePolicy(env.source, env.tool_settings)
    reply = policy.act(env.trajectory())
    text = reply.text if isinstance(reply, Completion) else reply
    names = argument_names([tool.name for tool in env.tools])
    action = dialect_named(env.settings.dialect).parse(text, names).action
    assert not isinstance(action, Malformed), "the oracle writes calls"
    return action, isinstance(reply, Completion) and reply.privileged


def as_typed(action: Action) -> str:
    """Return a call as a player would type it."""
    part = f" #{action.page}" if action.page > 1 else ""
    return f"{action.tool} {action.argument}{part}"


def hint(env: "HopEnv") -> str:
    """Return which kind of step would help now: the oracle's tool, without its argument."""
    action, privileged = oracle_step(env)
    if privileged:
        return "only a page whose title has not been shown would help"
    return HINTS.get(action.tool, f"a {action.tool} would help")


def seen_titles(env: "HopEnv") -> list[str]:
    """Return the titles of pages that stand in the question or in a result, in page order."""
    episode = env.trajectory()
    text = "\n".join([episode.question, *(step.observation for step in episode.steps)])
    pages = env.corpus.pages
    count = min(len(pages), _MOST_TITLES)  # a larger corpus would make every tab wait
    titles = (pages.title(i) for i in range(count))
    return list(dict.fromkeys(title for title in titles if title.strip() and title in text))


def completions(env: "HopEnv") -> Sequence[str]:
    """Return the lines that a player may type: each tool, and lookups and answers by title."""
    names = [tool.name for tool in env.tools]
    titles = seen_titles(env)
    calls = [f"{tool} {title}" for tool in ("lookup", "answer", "search") for title in titles]
    usable = [call for call in calls if call.partition(" ")[0] in names]
    return [*(f"{name} " for name in names), *usable, "quit", "help"]


Completions = Callable[[], Sequence[str]]
"""Returns the whole lines that may be completed to at this moment."""


def read_line(prompt: str, completions: Completions) -> str | None:
    """Return the next line without surrounding white space; None at the end of input.

    From a pipe, the line is printed behind the prompt, so that the output reads as a session.
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
    """Return the lines that what was typed may become, upper and lower case alike."""
    return [line for line in lines if line.lower().startswith(typed.lower())]


def _complete_with(completions: Completions) -> None:
    try:
        import readline
    except ImportError:  # Windows has none: the line is read all the same
        return

    def complete(typed: str, state: int) -> str | None:
        found = matching(completions(), typed)
        return found[state] if state < len(found) else None

    readline.set_completer_delims("")
    readline.set_completer(complete)
    libedit = "libedit" in (readline.__doc__ or "")
    readline.parse_and_bind("bind ^I rl_complete" if libedit else "tab: complete")
