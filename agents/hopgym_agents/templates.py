"""Wording: the Jinja2 template of a prompt style, and where what may be used in it.

In: the text of a template. Out: the texts of messages. A template's blocks are messages:

- ``system``: the system message; without the block there is none. Some chat templates (Gemma's)
  refuse one.
- ``opening``: the first user message; without the block the environment's own prompt.
- ``observation``: what follows each action; without the block the observation as it is.

A template without blocks is the opening. All of them know ``question``, ``prompt`` (the
environment's own), ``tools`` (each with ``name``, ``argument``, ``description`` and ``example``),
``dialect``, ``max_steps`` (0 where it is not known) and ``instructions`` (whether the prompt says
how to call the tools). ``observation`` knows ``observation`` and ``step``, its number from 1, and
``actions`` and ``observations`` up to this one.

A message knows nothing of what comes after it, and there is no randomness: so no message of a
conversation ever changes, which training and the reuse of caches rest on.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from hopgym.errors import ArgumentError, did_you_mean
from hopgym.trajectory import Step

if TYPE_CHECKING:
    from jinja2 import Environment, Template

BLOCKS = ("system", "opening", "observation")
"""What the blocks of a template may be called."""

_LATER = ("observation", "observations", "actions", "step", "steps")
_NOT_THE_SAME_TWICE = ("random", "lipsum", "cycler", "joiner")


class Wording:
    """A template, ready to be filled in.

    Args:
        name: What errors call it.
        text: Its text; empty leaves everything as the environment words it.

    Raises:
        ArgumentError: When it is no template, has a block of another name, or text beside blocks.
    """

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self._blocks = _read(name, text) if text else {}

    def system(self, known: Mapping[str, Any]) -> str:
        """Return the system message; empty for none."""
        return self._fill("system", known, "")

    def opening(self, known: Mapping[str, Any], prompt: str) -> str:
        """Return the first user message."""
        return self._fill("opening", known, prompt)

    def observation(self, known: Mapping[str, Any], steps: Sequence[Step], observation: str) -> str:
        """Return the message behind the last of some steps."""
        if "observation" not in self._blocks:
            return observation
        then = {
            "observation": observation,
            "step": len(steps),
            "actions": [step.text for step in steps],
            "observations": [step.observation for step in steps],
        }
        return self._fill("observation", {**known, **then}, observation)

    def _fill(self, block: str, known: Mapping[str, Any], default: str) -> str:
        from jinja2 import UndefinedError

        if block not in self._blocks:
            return default
        try:
            return self._blocks[block](known).strip()
        except UndefinedError as error:
            raise ArgumentError(self._unknown(block, known, error)) from error
        except Exception as error:  # Whatever the expressions of a template do.
            told = f"{type(error).__name__}: {error}"
            raise ArgumentError(
                f"template {self.name!r} must fill in its {block} for every episode, got {told}"
            ) from error

    def _unknown(self, block: str, known: Mapping[str, Any], error: Exception) -> str:
        hint = ""
        if block != "observation" and any(f"'{name}'" in str(error) for name in _LATER):
            hint = "; what comes later stands in the block observation alone, no message is redone"
        return (
            f"template {self.name!r} may use {', '.join(known)} in its {block}, got one that "
            f"asks for more: {error}{hint}"
        )


@lru_cache(maxsize=64)
def read_wording(name: str, text: str) -> Wording:
    """Return a template, ready to be filled in.

    Raises:
        ArgumentError: When it cannot be used; see `Wording`.
    """
    return Wording(name, text)


def _read(name: str, text: str) -> dict[str, Callable[[Mapping[str, Any]], str]]:
    from jinja2 import TemplateSyntaxError, nodes

    environment = _environment()
    try:
        body = environment.parse(text).body
        template = environment.from_string(text)
    except TemplateSyntaxError as error:
        raise ArgumentError(
            f"template {name!r} must be a Jinja2 template, got {error.message} in line "
            f"{error.lineno}"
        ) from error
    found = [node.name for node in body if isinstance(node, nodes.Block)]
    if not found:
        return {"opening": lambda known: template.render(known)}
    for block in template.blocks:
        if block not in found or block not in BLOCKS:
            hint = did_you_mean(block, BLOCKS)
            raise ArgumentError(
                f"template {name!r} must have blocks among {', '.join(BLOCKS)}, side by side, "
                f"got {block!r}{hint}"
            )
    for node in body:
        if not isinstance(node, nodes.Block) and not _is_blank(node):
            raise ArgumentError(
                f"template {name!r} must hold everything in its blocks, got something outside of "
                f"them in line {node.lineno}; move it into {found[0]!r}"
            )
    return {block: _filler(template, block) for block in found}


def _filler(template: "Template", block: str) -> Callable[[Mapping[str, Any]], str]:
    def fill(known: Mapping[str, Any]) -> str:
        context = template.new_context(dict(known))
        return "".join(template.blocks[block](context))

    return fill


def _is_blank(node: Any) -> bool:
    from jinja2 import nodes

    return isinstance(node, nodes.Output) and all(
        isinstance(part, nodes.TemplateData) and not part.data.strip() for part in node.nodes
    )


@lru_cache(maxsize=1)
def _environment() -> "Environment":
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    for name in _NOT_THE_SAME_TWICE:
        environment.globals.pop(name, None)
        environment.filters.pop(name, None)
    return environment
