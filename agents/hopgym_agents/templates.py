"""Jinja2 templates of prompt styles.

The blocks of a template are messages:

- ``system``: the system message; without the block there is none. Some chat templates (Gemma's)
  refuse one.
- ``opening``: the first user message; by default the environment's prompt.
- ``observation``: the message after each action; by default the observation.

A template without blocks is the opening. Its variables are ``question``, ``prompt`` (the
environment's), ``tools`` (each with ``name``, ``argument``, ``description`` and ``example``),
``dialect``, ``max_steps`` (0 if unknown) and ``instructions`` (whether the prompt explains how to
call the tools). The block ``observation`` also has ``observation``, ``step`` (its number, from 1),
and ``actions`` and ``observations`` up to this one.

A message cannot depend on anything later, and there is no randomness: no message of a conversation
ever changes, which training and the reuse of caches rely on.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from jinja2 import (
    Environment,
    StrictUndefined,
    Template,
    TemplateSyntaxError,
    UndefinedError,
    nodes,
)
from jinja2.sandbox import ImmutableSandboxedEnvironment

from hopgym.errors import ArgumentError, did_you_mean
from hopgym.trajectory import Step

BLOCKS = ("system", "opening", "observation")
"""The possible blocks of a template."""

_OBSERVATION_VARIABLES = ("observation", "observations", "actions", "step", "steps")
_NONDETERMINISTIC = ("random", "lipsum", "cycler", "joiner")


class PromptTemplate:
    """A parsed template.

    Args:
        name: Name of the template in error messages.
        text: Text of the template; empty for the environment's messages.

    Raises:
        ArgumentError: If the syntax is invalid, or there is an unknown block or text outside of
            the blocks.
    """

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self._blocks = _parse(name, text) if text else {}

    def system(self, variables: Mapping[str, Any]) -> str:
        """Return the system message; empty for none."""
        return self._fill("system", variables, "")

    def opening(self, variables: Mapping[str, Any], prompt: str) -> str:
        """Return the first user message."""
        return self._fill("opening", variables, prompt)

    def observation(
        self, variables: Mapping[str, Any], steps: Sequence[Step], observation: str
    ) -> str:
        """Return the message after the last of the steps."""
        if "observation" not in self._blocks:
            return observation
        step_variables = {
            "observation": observation,
            "step": len(steps),
            "actions": [step.text for step in steps],
            "observations": [step.observation for step in steps],
        }
        return self._fill("observation", {**variables, **step_variables}, observation)

    def _fill(self, block: str, variables: Mapping[str, Any], default: str) -> str:
        if block not in self._blocks:
            return default
        try:
            return self._blocks[block](variables).strip()
        except UndefinedError as error:
            raise ArgumentError(self._undefined(block, variables, error)) from error
        except Exception as error:  # the expressions of a template can raise anything
            problem = f"{type(error).__name__}: {error}"
            raise ArgumentError(
                f"template {self.name!r} must fill in its {block} for every episode, got {problem}"
            ) from error

    def _undefined(self, block: str, variables: Mapping[str, Any], error: Exception) -> str:
        hint = ""
        if block != "observation" and any(
            f"'{name}'" in str(error) for name in _OBSERVATION_VARIABLES
        ):
            hint = "; what comes later stands in the block observation alone, no message is redone"
        return (
            f"template {self.name!r} may use {', '.join(variables)} in its {block}, got one that "
            f"asks for more: {error}{hint}"
        )


@lru_cache(maxsize=64)
def load_template(name: str, text: str) -> PromptTemplate:
    """Return a parsed template, from a cache if possible.

    Raises:
        ArgumentError: If it is invalid; see `PromptTemplate`.
    """
    return PromptTemplate(name, text)


def _parse(name: str, text: str) -> dict[str, Callable[[Mapping[str, Any]], str]]:
    environment = _environment()
    try:
        body = environment.parse(text).body
        template = environment.from_string(text)
    except TemplateSyntaxError as error:
        raise ArgumentError(
            f"template {name!r} must be a Jinja2 template, got {error.message} in line "
            f"{error.lineno}"
        ) from error
    names = [node.name for node in body if isinstance(node, nodes.Block)]
    if not names:
        return {"opening": template.render}
    for block in template.blocks:
        if block not in names or block not in BLOCKS:
            hint = did_you_mean(block, BLOCKS)
            raise ArgumentError(
                f"template {name!r} must have blocks among {', '.join(BLOCKS)}, side by side, "
                f"got {block!r}{hint}"
            )
    for node in body:
        if not isinstance(node, nodes.Block) and not _is_blank(node):
            raise ArgumentError(
                f"template {name!r} must hold everything in its blocks, got something outside of "
                f"them in line {node.lineno}; move it into {names[0]!r}"
            )
    return {block: _block_renderer(template, block) for block in names}


def _block_renderer(template: Template, block: str) -> Callable[[Mapping[str, Any]], str]:
    def render(variables: Mapping[str, Any]) -> str:
        context = template.new_context(dict(variables))
        return "".join(template.blocks[block](context))

    return render


def _is_blank(node: Any) -> bool:
    return isinstance(node, nodes.Output) and all(
        isinstance(part, nodes.TemplateData) and not part.data.strip() for part in node.nodes
    )


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    for name in _NONDETERMINISTIC:
        environment.globals.pop(name, None)
        environment.filters.pop(name, None)
    return environment
