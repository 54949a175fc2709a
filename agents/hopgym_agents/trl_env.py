"""Any environment id as an ``environment_factory`` of ``trl.GRPOTrainer``, for your own scripts.

The factory is a class that trl (1.16) instantiates: ``reset`` returns the question, there is one
method per tool, and ``get_reward`` returns the reward of the episode. trl parses the calls in the
model's text; each becomes an action in the dialect ``json``, so that observations, rewards and
verdicts are those of the environment.
"""

import copy
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import gymnasium

from hopgym.env import HopEnv
from hopgym.errors import ArgumentError
from hopgym.tools import Tool
from hopgym.wrappers import hop_env
from hopgym_agents.tool_calls import write_tool_calls

OVER = "The episode is over; nothing more is to be called."
"""Result of a call after the end of an episode, or before its start."""

_DIALECT = "json"


def environment_factory(env_id: str, **env_kwargs: Any) -> type:
    """Return a class for ``GRPOTrainer(environment_factory=...)``.

    The class has no constructor arguments. ``reset(**columns)`` starts an episode and returns its
    prompt, which trl appends to the last message of the row; the columns ``index`` or ``task_id``
    select the task. Without them each instance plays the tasks in order; rows of `task_rows` ensure
    that all episodes of a group have the same task. The methods are the tools of the id, such as
    ``search(query)`` and ``answer(answer)``; after the end they return `OVER`. ``get_reward()``
    returns the sum of the rewards so far: outcome, process or both, as the argument ``reward``
    says. A completion without a call ends the episode for trl, without further reward.

    Instances share the task source, and each can be reset any number of times. The class is named
    after the id, like trl's reward column: ``People`` for ``hopgym/People-v0``.

    Args:
        env_id: A registered id.
        env_kwargs: Arguments of the environment. The dialect is ``json``, in which models call
            tools.

    Raises:
        ArgumentError: If an argument is unknown, or the dialect is another one.
    """
    env = _make(env_id, env_kwargs)
    class_name = re.sub(r"-v\d+$", "", env_id.rpartition("/")[2])
    methods = {tool.name: _method(tool) for tool in env.tools}
    members = {"__doc__": f"Episodes of {env_id}.", "_shared": env, **methods}
    return type(re.sub(r"\W", "_", class_name), (_TRLEnvironment,), members)


def task_rows(
    env_id: str, env_kwargs: Mapping[str, Any], indices: Iterable[int]
) -> list[dict[str, Any]]:
    """Return the rows of a data set for an environment of `environment_factory`.

    Each row has ``prompt``, one user message without text, to which trl appends the result of
    ``reset``, and ``index``, which selects the task.

    Args:
        env_id: A registered id.
        env_kwargs: Arguments of the environment, the same as for the factory.
        indices: Task indices, each in [0, number of tasks).

    Raises:
        ArgumentError: If the environment does not accept an argument.
        IndexError: If an index is out of range.
    """
    source = _make(env_id, env_kwargs).source
    return [
        {"prompt": [{"role": "user", "content": ""}], "index": source.check_index(index)}
        for index in indices
    ]


class _TRLEnvironment:
    """One environment, an episode at a time; trl treats every other public method as a tool."""

    _shared: HopEnv

    def __init__(self) -> None:
        # A copy has its own episode and shares the source: worlds are not built per instance.
        self._env = copy.copy(self._shared)
        self._reward = 0.0
        self._running = False

    def reset(self, **columns: Any) -> str:
        """Start the episode of a row; return its prompt."""
        # A row may have both columns, for the same task.
        present = [name for name in ("index", "task_id") if columns.get(name) is not None]
        options = {name: columns[name] for name in present[:1]}
        self._reward = 0.0
        self._running = False
        prompt, _ = self._env.reset(options=options or None)
        self._running = True
        return prompt

    def get_reward(self) -> float:
        """Return the sum of the episode's rewards so far."""
        return self._reward

    def _call(self, tool: str, argument: str, value: object) -> str:
        if not self._running:
            return OVER
        tool_call = {"function": {"name": tool, "arguments": {argument: value}}}
        text = write_tool_calls(None, [tool_call])
        observation, reward, terminated, truncated, _ = self._env.step(text)
        self._reward += reward
        self._running = not (terminated or truncated)
        return observation


def _method(tool: Tool) -> Callable[..., str]:
    """Return the method of a tool, with the signature and docstring for trl's schema."""

    def call(self: _TRLEnvironment, *args: Any, **kwargs: Any) -> str:
        bound = signature.bind(self, *args, **kwargs)
        return self._call(tool.name, tool.argument, bound.arguments[tool.argument])

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    signature = inspect.Signature(
        [
            inspect.Parameter("self", kind),
            inspect.Parameter(tool.argument, kind, annotation=str),
        ],
        return_annotation=str,
    )
    call.__name__ = call.__qualname__ = tool.name
    call.__signature__ = signature  # type: ignore[attr-defined]
    call.__annotations__ = {tool.argument: str, "return": str}
    call.__doc__ = (
        f"{tool.description[0].upper()}{tool.description[1:]}.\n\n"
        f"Args:\n    {tool.argument}: The {tool.argument}, as text.\n\n"
        "Returns:\n    What the call shows.\n"
    )
    return call


def _make(env_id: str, env_kwargs: Mapping[str, Any]) -> HopEnv:
    dialect = env_kwargs.get("dialect", _DIALECT)
    if dialect != _DIALECT:
        raise ArgumentError(
            f"dialect must be {_DIALECT!r} for trl, which calls tools by name, got {dialect!r}; "
            "leave it out"
        )
    return hop_env(gymnasium.make(env_id, **{**env_kwargs, "dialect": _DIALECT}))
