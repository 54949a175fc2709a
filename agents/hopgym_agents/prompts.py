"""Prompts: the one rendering of an episode so far into chat messages.

In: a prefix of a trajectory and a style. Out: messages, the same ones for acting, judging and
training. Each message is made from what was known when it was written, so that a later rendering
only adds messages to an earlier one.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any

from hopgym.actions import dialect_named
from hopgym.errors import ArgumentError, did_you_mean, require
from hopgym.tools import TOOLS, argument_names
from hopgym.trajectory import Step, Trajectory
from hopgym_agents.generate import Message, Request, Turn
from hopgym_agents.templates import Wording, read_wording
from hopgym_agents.tool_calls import called, tool_schemas

_TURNS = re.compile(r"in at most (\d+) turns")
_CHARS_PER_TOKEN = 3


@dataclass(frozen=True, slots=True)
class Style:
    """How a prefix is worded and which roles its messages have."""

    name: str
    template: str = ""
    """Text of a Jinja2 template (`hopgym_agents.templates`); empty: the environment's text."""
    role: str = "user"
    """Role of observations: ``user``, or ``tool`` where the chat template knows it."""
    native: bool = False
    """Whether tools are given as schemas and calls as ``tool_calls``; needs dialect ``json``."""

    def __post_init__(self) -> None:
        require(self.role in ("user", "tool"), "role", "'user' or 'tool'", self.role)
        # A template that cannot be used is told of here, not in the middle of a run.
        read_wording(self.name, self.template)

    @property
    def wording(self) -> Wording:
        """The template, ready to be filled in."""
        return read_wording(self.name, self.template)


def _words(name: str) -> str:
    return (Path(__file__).parent / "data" / f"{name}.jinja").read_text(encoding="utf-8")


PLAIN = Style("plain")
"""The environment's own words."""
SYSTEM = Style("system", _words("system"))
"""The same, with the instructions as the system message; some chat templates refuse one."""
SWIRL = Style("swirl", _words("swirl"))
"""SWiRL's rules around them: one call or an answer a turn, in few words, none asked twice."""
NATIVE = Style("native", _words("native"), native=True)
"""The environment's own words without the list of calls: tools are schemas, actions are calls."""

STYLES: Mapping[str, Style] = {style.name: style for style in (PLAIN, SYSTEM, SWIRL, NATIVE)}
"""The presets by name."""


def style_named(name: str, template: str | None = None) -> Style:
    """Return a preset, or one with the words of one's own Jinja2 file.

    Args:
        name: ``plain``, ``system``, ``swirl`` or ``native``.
        template: Path of the file; `hopgym_agents.templates` says what may stand in it.

    Raises:
        ArgumentError: When there is no such preset or file, or the template cannot be used.
    """
    if name not in STYLES:
        known = ", ".join(STYLES)
        hint = did_you_mean(str(name), STYLES)
        raise ArgumentError(f"style must be one of {known}, got {name!r}{hint}")
    if template is None:
        return STYLES[name]
    try:
        text = Path(template).read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise ArgumentError(f"template must be a text file, got {template!r} ({error})") from error
    require(bool(text.strip()), "template", "a file that is not empty", template)
    return replace(STYLES[name], name=f"{name} with {template}", template=text)


@dataclass(frozen=True, slots=True)
class Rendered:
    """A prefix as a conversation whose next message is the assistant's."""

    messages: tuple[Message, ...]
    tools: tuple[dict[str, Any], ...]
    """JSON schemas of the tools, where the style gives them."""
    opening: int
    """How many of the messages stand before the first turn; each turn has two."""


def render(prefix: Trajectory, style: Style = PLAIN) -> Rendered:
    """Return the chat messages of an episode so far.

    They depend on the question, the prompt, the tools and each step's text and observation alone,
    and rendering a longer prefix gives the same messages with further ones behind them.

    Raises:
        ArgumentError: When the style does not go with the prefix's dialect, or its template names
            what is not known where it stands.
    """
    if style.native and prefix.dialect != "json":
        raise ArgumentError(
            f"style {style.name!r} needs the dialect 'json', got {prefix.dialect!r}; make the "
            "environment with dialect='json' (--dialect json), or take style 'plain'"
        )
    known, wording = _known(prefix) if style.template else {}, style.wording
    messages: list[Message] = []
    if system := wording.system(known):
        messages.append({"role": "system", "content": system})
    messages.append({"role": "user", "content": wording.opening(known, prefix.prompt)})
    opening = len(messages)
    for number, step in enumerate(prefix.steps, start=1):
        said = wording.observation(known, prefix.steps[:number], step.observation)
        messages += _turn(number, step, said, style)
    tools = tool_schemas(prefix) if style.native else ()
    return Rendered(tuple(messages), tools, opening)


def request_of(prefix: Trajectory, style: Style = PLAIN) -> Request:
    """Return what a generator is asked for the next action of an episode.

    A turn has the token ids of its completion where that is the kept text, whole.

    Raises:
        ArgumentError: As `render` does.
    """
    rendered = render(prefix, style)
    said = rendered.messages[rendered.opening + 1 :: 2]
    turns = tuple(
        Turn(step.text, _token_ids(step), message["content"])
        for step, message in zip(prefix.steps, said, strict=True)
    )
    key = (prefix.index, prefix.sample, len(prefix.steps))
    return Request(rendered.messages, rendered.tools, rendered.opening, turns, key)


def without_middle(request: Request, dropped: int) -> Request:
    """Return a request without its first turns, and a visible marker in their place.

    What is asked then no longer extends what was asked a step before: the guarantee that each
    step's tokens go on from the last one's is given up.

    Args:
        request: What would be asked.
        dropped: Turns to leave out behind the opening, at least 1 and less than there are.
    """
    cut = request.opening + 2 * dropped
    *before, last = request.messages[: request.opening]
    turns = "turn was" if dropped == 1 else "turns were"
    marked = last | {"content": f"{last['content']}\n\n[{dropped} earlier {turns} left out here]"}
    messages = (*before, marked, *request.messages[cut:])
    return replace(request, messages=messages, turns=request.turns[dropped:])


def estimate_tokens(request: Request) -> int:
    """Return about how many tokens a request has: a third of its characters, rounded up."""
    written = sum(len(message["content"]) for message in request.messages)
    calls = [message["tool_calls"] for message in request.messages if "tool_calls" in message]
    schemas = json.dumps([calls, request.tools]) if calls or request.tools else ""
    return ceil((written + len(schemas)) / _CHARS_PER_TOKEN)


def stop_texts(dialect: str, tools: Iterable[str]) -> tuple[str, ...]:
    """Return the texts that end an action in a dialect, for `hopgym_agents.generate.Sampling`."""
    return ("</tool_call>",) if dialect == "json" else tuple(f"</{tool}>" for tool in tools)


def _turn(number: int, step: Step, said: str, style: Style) -> tuple[Message, Message]:
    if style.native and step.action is not None:
        return called(number, step.text, step.action, said)
    return {"role": "assistant", "content": step.text}, {"role": style.role, "content": said}


def _token_ids(step: Step) -> tuple[int, ...]:
    completion = step.completion
    return completion.token_ids if completion and completion.text == step.text else ()


def _known(prefix: Trajectory) -> dict[str, Any]:
    """Return what a template may use from the first message on."""
    dialect = dialect_named(prefix.dialect)
    tools = [
        {
            "name": name,
            "argument": argument,
            "description": TOOLS[name].description,
            "example": dialect.example(name, argument),
        }
        for name, argument in argument_names(prefix.tools).items()
    ]
    return {
        "question": prefix.question,
        "prompt": prefix.prompt,
        "tools": tools,
        "dialect": prefix.dialect,
        "max_steps": _max_steps(prefix),
        "instructions": bool(prefix.env_kwargs.get("instructions", True)),
    }


def _max_steps(prefix: Trajectory) -> int:
    """Return the step budget, or 0 where neither prompt nor arguments tell it."""
    if prefix.tools == ("answer",):
        return 1
    told = _TURNS.findall(prefix.prompt)
    return int(told[-1]) if told else int(prefix.env_kwargs.get("max_steps", 0))
