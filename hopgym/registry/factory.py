"""How an environment id creates its environment, from a source class that is named by a string.

An id takes the arguments of its source, of `EnvSettings` and of `ToolSettings`, all plain JSON.
Sources are loaded by name when an environment is created, so that ``import hopgym`` stays light
and code that uses the registry does not depend on every source.
"""

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

import gymnasium

from hopgym.errors import ArgumentError, did_you_mean, require

if TYPE_CHECKING:
    from hopgym.env import HopEnv
    from hopgym.tasks import TaskSource


class UnknownArgumentError(ArgumentError):
    """An argument that an id does not take.

    Args:
        message: The full message.
        name: The unknown argument.
        known: The arguments that the id takes.
    """

    def __init__(self, message: str, name: str = "", known: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.name = name
        self.known = tuple(known)


_SHARED_SECTIONS = """
    ## Action Space
    `UnicodeText`: any string. A call of a tool is written as `<search>words</search>`,
    `<lookup>title</lookup>`, `<calculate>expression</calculate>` or `<answer>text</answer>`
    (`dialect="tags"`), or as `<tool_call>{"name": ..., "arguments": {...}}</tool_call>`
    (`dialect="json"`); the prompt says which tools there are. What stands before a call is the
    thought; the first complete call wins; `<think>...</think>` is taken off.
    ` #2` after an argument asks for the second part of a result. Any other text is malformed:
    it costs a step and gets an observation that shows the right form.

    ## Observation Space
    `UnicodeText`: at reset the question and how to call the tools, then each tool's result.

    ## Rewards
    `reward="outcome"` (default) pays the score of the answer (`score="f1"` or `"em"`), in [0, 1];
    `reward="process"` pays each tool step the share of the evidence that it brought, non-negative
    and adding up to at most 1; `reward="both"` pays the sum. `step_penalty` is taken off each step.

    ## Episode End
    Terminated when an answer is given. Truncated when `max_steps` (16) steps are used up, or after
    `max_malformed` (3) malformed texts in a row.

    ## Information
    Always the same keys: `task_id`, `step`, `steps_left`, `tool`, `argument`, `verdict`,
    `process_reward`, `outcome_reward`, `potential`, `oracle_steps` (-1 before the end),
    `is_success`, `reason`, `evidence_source`, `corpus`, `gold` (a JSON string, empty before the
    end unless `reveal=True`).

    ## Version History
    - v0: first version.
"""


@dataclass(frozen=True, slots=True)
class EnvironmentFactory:
    """Creates the environments of one id; call it with the environment's arguments."""

    env_id: str
    source: str
    """The source class, as ``module:Class``."""
    documentation: str
    """Markdown: one line, then sections under Gymnasium's headings."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Arguments that differ from the defaults of the source and the environment."""
    required_path: str = ""
    """What the argument ``path`` must name, for the error without it; empty if it is optional."""

    def source_class(self) -> "type[TaskSource]":
        """Import and return the source class."""
        module, _, name = self.source.partition(":")
        loaded: type[TaskSource] = getattr(import_module(module), name)
        return loaded

    def __call__(self, render_mode: str | None = None, **arguments: Any) -> "HopEnv":
        """Create an environment.

        Args:
            render_mode: As Gymnasium defines it: None, ``"human"`` or ``"ansi"``.
            **arguments: Of the source, `EnvSettings` and `ToolSettings`.

        Raises:
            UnknownArgumentError: For an argument that none of them takes.
            ArgumentError: For a missing ``path`` or a value out of range.
            DataError: When a file of the source is invalid.
        """
        from hopgym.env import HopEnv
        from hopgym.env.settings import EnvSettings, field_names
        from hopgym.tools import ToolSettings

        arguments = {**self.defaults, **arguments}
        if self.required_path and arguments.get("path") is None:
            raise ArgumentError(
                f"path must name {self.required_path}, got None; pass path=..., on the command "
                "line --path"
            )
        source_class = self.source_class()
        for_source, for_env, for_tools = _split_arguments(
            arguments,
            source_class.argument_names(),
            field_names(EnvSettings),
            field_names(ToolSettings),
        )
        tool_settings = ToolSettings(**for_tools)
        env_settings = EnvSettings(**for_env)
        if env_settings.mode == "tools" and "max_steps" in for_env:
            for_source = source_class.arguments_within(env_settings.max_steps, for_source)
        source = source_class.from_arguments(**for_source)
        if env_settings.ask_support:
            expected = f"False for {source.name}, which scores no support"
            require(bool(source.support_asked), "ask_support", expected, True)
            if source.names_sentences:
                tool_settings = ToolSettings(**{"sentence_numbers": True, **for_tools})
        # Some sources need a larger step budget than the default of the package.
        if source.max_steps and "max_steps" not in for_env:
            env_settings = EnvSettings(**for_env, max_steps=source.max_steps)
        return HopEnv(source, env_settings, tool_settings, render_mode)


FACTORIES: dict[str, EnvironmentFactory] = {}
"""The registered environment ids, in the order in which lists show them."""


def register(factory: EnvironmentFactory) -> None:
    """Add a factory to `FACTORIES`, and its id to Gymnasium's registry."""
    FACTORIES[factory.env_id] = factory
    if factory.env_id not in gymnasium.registry:
        # `hopgym.registry` resolves these entry points; strings keep Gymnasium's specs plain data.
        gymnasium.register(factory.env_id, entry_point=f"hopgym.registry:{factory.env_id}")


def write_documentation(
    summary: str, description: str, arguments: str, references: str, starting_state: str = ""
) -> str:
    """Return the documentation of an id from what is special about it."""
    sections = {
        "Description": description,
        "Starting State": starting_state or "As in `hopgym/People-v0`.",
        "Arguments": arguments,
        "References": references,
    }
    parts = [f"## {heading}\n{inspect.cleandoc(text)}" for heading, text in sections.items()]
    return (
        "\n\n".join([inspect.cleandoc(summary), *parts, inspect.cleandoc(_SHARED_SECTIONS)]) + "\n"
    )


def _split_arguments(
    arguments: Mapping[str, Any], *groups: Iterable[str]
) -> tuple[dict[str, Any], ...]:
    """Return the arguments of each group of names, and raise for a name that is in none.

    A name that is in several groups belongs to the first of them.
    """
    group_of: dict[str, int] = {}
    for number, names in enumerate(groups):
        for name in names:
            group_of.setdefault(name, number)
    split: tuple[dict[str, Any], ...] = tuple({} for _ in groups)
    for name, value in arguments.items():
        if name not in group_of:
            hint = did_you_mean(name, group_of)
            message = f"arguments must be among {', '.join(group_of)}, got {name!r}{hint}"
            raise UnknownArgumentError(message, name, group_of)
        split[group_of[name]][name] = value
    return split
