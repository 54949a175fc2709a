"""Rendering of an episode into chat messages, the same for acting, judging and training.

Each message depends only on what was known when it was written, so that a later rendering only
appends messages to an earlier one.
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
from hopgym_agents.templates import PromptTemplate, load_template
from hopgym_agents.tool_calls import build_call_messages, tool_schemas

_TURNS = re.compile(r"in at most (\d+) turns")
_CHARS_PER_TOKEN = 3


@dataclass(frozen=True, slots=True)
class Style:
    """How prefixes are rendered."""

    name: str
    template: str = ""
    """Text of a Jinja2 template (`hopgym_agents.templates`); empty for the environment's text."""
    role: str = "user"
    """Role of observations: ``user``, or ``tool`` if the chat template supports it."""
    native: bool = False
    """Whether tools are schemas and calls are ``tool_calls``; requires the dialect ``json``."""

    def __post_init__(self) -> None:
        require(self.role in ("user", "tool"), "role", "'user' or 'tool'", self.role)
        # An invalid template is reported here, not in the middle of a run.
        load_template(self.name, self.template)

    @property
    def prompt_template(self) -> PromptTemplate:
        """The parsed template."""
        return load_template(self.name, self.template)


def _read_template(name: str) -> str:
    folder = Path(__file__).parent / "prompt_templates"
    return (folder / f"{name}.jinja").read_text(encoding="utf-8")


PLAIN = Style("plain")
"""The environment's text."""
SYSTEM = Style("system", _read_template("system"))
"""The same, with the instructions as the system message; some chat templates refuse one."""
SWIRL = Style("swirl", _read_template("swirl"))
"""The environment's text with SWiRL's rules: one call or answer per turn, short, no repetition."""
NATIVE = Style("native", _read_template("native"), native=True)
"""The environment's text without the list of calls: tools are schemas, actions are calls."""

STYLES: Mapping[str, Style] = {style.name: style for style in (PLAIN, SYSTEM, SWIRL, NATIVE)}
"""The preset styles by name."""


def get_style(name: str, template: str | None = None) -> Style:
    """Return a preset style, optionally with a custom Jinja2 template.

    Args:
        name: ``plain``, ``system``, ``swirl`` or ``native``.
        template: Path of the template; `hopgym_agents.templates` describes its variables.

    Raises:
        ArgumentError: If there is no such preset or file, or the template is invalid.
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
class Conversation:
    """A rendered prefix, whose next message is the assistant's."""

    messages: tuple[Message, ...]
    tools: tuple[dict[str, Any], ...]
    """JSON schemas of the tools, empty unless the style is native."""
    opening: int
    """Number of messages before the first turn; each turn has two."""


def render(prefix: Trajectory, style: Style = PLAIN) -> Conversation:
    """Return the chat messages of an episode so far.

    They depend only on the question, the prompt, the tools, and the text and observation of each
    step. A longer prefix renders to the same messages followed by further ones.

    Raises:
        ArgumentError: If the style does not support the dialect of the prefix, or its template
            uses a variable that is unknown at that place.
    """
    if style.native and prefix.dialect != "json":
        raise ArgumentError(
            f"style {style.name!r} needs the dialect 'json', got {prefix.dialect!r}; make the "
            "environment with dialect='json' (--dialect json), or take style 'plain'"
        )
    variables = _template_variables(prefix) if style.template else {}
    template = style.prompt_template
    messages: list[Message] = []
    if system := template.system(variables):
        messages.append({"role": "system", "content": system})
    messages.append({"role": "user", "content": template.opening(variables, prefix.prompt)})
    opening = len(messages)
    for number, step in enumerate(prefix.steps, start=1):
        reply = template.observation(variables, prefix.steps[:number], step.observation)
        messages += _turn_messages(number, step, reply, style)
    tools = tool_schemas(prefix) if style.native else ()
    return Conversation(tuple(messages), tools, opening)


def build_request(prefix: Trajectory, style: Style = PLAIN) -> Request:
    """Return the request for the next action of an episode.

    A turn has the token ids of its completion if the completion's text is exactly the action.

    Raises:
        ArgumentError: As `render`.
    """
    conversation = render(prefix, style)
    replies = conversation.messages[conversation.opening + 1 :: 2]
    turns = tuple(
        Turn(step.text, _token_ids(step), message["content"])
        for step, message in zip(prefix.steps, replies, strict=True)
    )
    key = (prefix.index, prefix.sample, len(prefix.steps))
    return Request(conversation.messages, conversation.tools, conversation.opening, turns, key)


def drop_turns(request: Request, dropped: int) -> Request:
    """Return a request without its first turns, with a visible marker in their place.

    It no longer extends the request of the previous step: the guarantee that the tokens of a step
    continue those of the last one is lost.

    Args:
        request: The complete request.
        dropped: Number of turns to drop after the opening, at least 1 and less than all.
    """
    cut = request.opening + 2 * dropped
    *before, last = request.messages[: request.opening]
    turns = "turn was" if dropped == 1 else "turns were"
    marked = last | {"content": f"{last['content']}\n\n[{dropped} earlier {turns} left out here]"}
    messages = (*before, marked, *request.messages[cut:])
    return replace(request, messages=messages, turns=request.turns[dropped:])


def estimate_tokens(request: Request) -> int:
    """Return an estimate of the tokens of a request: a third of its characters, rounded up."""
    characters = sum(len(message["content"]) for message in request.messages)
    calls = [message["tool_calls"] for message in request.messages if "tool_calls" in message]
    schemas = json.dumps([calls, request.tools]) if calls or request.tools else ""
    return ceil((characters + len(schemas)) / _CHARS_PER_TOKEN)


def stop_texts(dialect: str, tools: Iterable[str]) -> tuple[str, ...]:
    """Return the texts that end an action in a dialect, for `hopgym_agents.generate.Sampling`."""
    return ("</tool_call>",) if dialect == "json" else tuple(f"</{tool}>" for tool in tools)


def _turn_messages(number: int, step: Step, reply: str, style: Style) -> tuple[Message, Message]:
    if style.native and step.action is not None:
        return build_call_messages(number, step.text, step.action, reply)
    return {"role": "assistant", "content": step.text}, {"role": style.role, "content": reply}


def _token_ids(step: Step) -> tuple[int, ...]:
    completion = step.completion
    return completion.token_ids if completion and completion.text == step.text else ()


def _template_variables(prefix: Trajectory) -> dict[str, Any]:
    """Return the variables of a template that are known from the first message on."""
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
    """Return the step budget, or 0 if neither prompt nor arguments contain it."""
    if prefix.tools == ("answer",):
        return 1
    budgets = _TURNS.findall(prefix.prompt)
    return int(budgets[-1]) if budgets else int(prefix.env_kwargs.get("max_steps", 0))
