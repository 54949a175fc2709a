"""What a player needs beside the environment: short calls, hints, and the titles seen so far.

In: an environment whose episode is under way. Out: texts for it, and words about it.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hopgym.actions import Action, Malformed, dialect_named
from hopgym.errors import did_you_mean
from hopgym.policies import OraclePolicy
from hopgym.tools import argument_names
from hopgym.trajectory import Completion

if TYPE_CHECKING:
    from hopgym.env import HopEnv

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
    return action, isinstance(reply, Completion) and reply.finish_reason == "privileged"


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
