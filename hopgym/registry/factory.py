"""How an id is registered, and how its environment is made from arguments.

An id's arguments are those of its source, of `EnvSettings` and of `ToolSettings`, all plain JSON.
Everything but Gymnasium is imported inside functions, so that ``import hopgym`` stays light.
"""

import inspect
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import gymnasium

from hopgym.errors import ArgumentError, did_you_mean, require

if TYPE_CHECKING:
    from hopgym.benchmarks.base import BenchmarkSource
    from hopgym.env import HopEnv
    from hopgym.tasks import TaskSource

Factory = Callable[..., "HopEnv"]

FACTORIES: dict[str, Factory] = {}
"""Environment id to its factory; the docstrings are the documentation of the ids."""


class UnknownArgumentError(ArgumentError):
    """An argument that an id does not take."""

    def __init__(self, message: str, name: str = "", known: Iterable[str] = ()) -> None:
        super().__init__(message)
        self.name = name
        self.known = tuple(known)


_COMMON = """
    ## Action Space
    `UnicodeText`: any string. A call of a tool is written as `<search>words</search>`,
    `<lookup>title</lookup>`, `<calculate>expression</calculate>` or `<answer>text</answer>`
    (`dialect="tags"`), or as `<tool_call>{"name": ..., "arguments": {...}}</tool_call>`
    (`dialect="json"`); the prompt says which tools there are. What stands before a call is the
    thought; the first complete call wins; `<think>...</think>` is taken off.
    ` #2` behind an argument asks for the second part of a result. Any other text is malformed:
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


BENCHMARK_ARGUMENTS = """
    `path` (required, but with `hub=True`): the official file, `.json`, `.jsonl` or `.gz`, or a
    folder that holds it. `hub=False`: with True, a pinned revision is read from the Hub, where
    the benchmark is there (`hopgym data list`). `split=None`: which split of a folder or the Hub.
    `limit=None`: take the first so many questions.
"""
"""What every benchmark takes, as its documentation says it."""

CORPUS_ARGUMENT = """
    `corpus=None`: `"record"` (the question's own paragraphs), `"split"` (all paragraphs of the
    file), or the path of paragraphs from elsewhere, `.jsonl` with `title` and `text`, which are
    indexed once and kept on disk; `info["corpus"]` says which. `one_turn` prompts hold the
    question's own paragraphs.
"""
"""What every benchmark with paragraphs takes as well."""


def environment(env_id: str, arguments: str = "") -> Callable[[Factory], Factory]:
    """Return a decorator that registers a factory and completes its docstring.

    Args:
        env_id: The id.
        arguments: What stands first under the docstring's ``## Arguments``.
    """

    def decorate(factory: Factory) -> Factory:
        own, shared = inspect.cleandoc(factory.__doc__ or ""), inspect.cleandoc(arguments)
        if shared:
            own = own.replace("## Arguments\n", f"## Arguments\n{shared}\n", 1)
        parts = (own, inspect.cleandoc(_COMMON))
        factory.__doc__ = "\n\n".join(parts) + "\n"
        FACTORIES[env_id] = factory
        if env_id not in gymnasium.registry:
            gymnasium.register(env_id, entry_point=f"{factory.__module__}:{factory.__name__}")
        return factory

    return decorate


def from_file(
    source: Callable[..., "TaskSource"],
    arguments: dict[str, Any],
    render_mode: str | None,
    needed: str,
) -> "HopEnv":
    """Return the environment of a source that takes ``path`` and ``limit`` alone."""
    arguments = dict(arguments)
    path, limit = arguments.pop("path", None), arguments.pop("limit", None)
    if path is None:
        raise ArgumentError(
            f"path must name {needed}, got None; pass path=..., on the command line --path"
        )
    make = lambda: source(path, limit)  # noqa: E731
    return make_environment(make, arguments, render_mode, (), ("path", "limit"))


def from_benchmark(
    source: "type[BenchmarkSource[Any]]", arguments: dict[str, Any], render_mode: str | None
) -> "HopEnv":
    """Return the environment of a benchmark's source."""
    names = source.argument_names()
    own = {name: value for name, value in arguments.items() if name in names}
    others = {name: value for name, value in arguments.items() if name not in names}
    return make_environment(lambda: source(**own), others, render_mode, (), names)


def make_environment(
    make_source: Callable[[], "TaskSource"],
    arguments: dict[str, Any],
    render_mode: str | None,
    settings: Iterable[type],
    names: Iterable[str] = (),
) -> "HopEnv":
    """Return the environment over a source, or an error that names an unknown argument."""
    from hopgym.env import HopEnv
    from hopgym.env.settings import EnvSettings, field_names
    from hopgym.tools import ToolSettings

    known = [
        *names,
        *(n for cls in (*settings, EnvSettings, ToolSettings) for n in field_names(cls)),
    ]
    for_env, arguments = take(EnvSettings, arguments)
    for_tools, arguments = take(ToolSettings, arguments)
    for name in arguments:
        hint = did_you_mean(name, known)
        message = f"arguments must be among {', '.join(known)}, got {name!r}{hint}"
        raise UnknownArgumentError(message, name, known)
    tool_settings = ToolSettings(**for_tools)
    env_settings = EnvSettings(**for_env)
    source = make_source()
    scored = bool(source.support_asked) or not env_settings.ask_support
    require(scored, "ask_support", f"False for {source.name}, which scores no support", True)
    if env_settings.ask_support and source.names_sentences:
        tool_settings = ToolSettings(**{"sentence_numbers": True, **for_tools})
    if "max_steps" not in for_env and source.max_steps:
        env_settings = EnvSettings(**for_env, max_steps=source.max_steps)
    return HopEnv(source, env_settings, tool_settings, render_mode)


def take(settings: type, arguments: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the arguments that a settings dataclass takes, and the others."""
    from hopgym.env.settings import field_names

    names = field_names(settings)
    taken = {name: value for name, value in arguments.items() if name in names}
    return taken, {name: value for name, value in arguments.items() if name not in names}
