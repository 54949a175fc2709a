"""TRL: any id as an ``environment_factory`` of ``trl.GRPOTrainer``, for scripts of one's own.

In: an id and its arguments. Out: a class that trl (1.16) makes instances of: it tells the question
in ``reset``, has one method for each tool, and gives the episode's reward in ``get_reward``. trl
reads the calls out of what the model writes; each becomes an action in the json dialect, so that
observations, rewards and verdicts are the environment's own.
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
"""What a call gets behind the end of an episode, or before its begin."""

_DIALECT = "json"


def environment_factory(env_id: str, **env_kwargs: Any) -> type:
    """Return a class for ``GRPOTrainer(environment_factory=...)``.

    It is made without arguments. ``reset(**columns)`` begins an episode and returns its prompt,
    which trl appends to the last message of the row; the columns ``index`` or ``task_id`` name the
    task. Where neither is given each instance takes the tasks in order, from the first on; rows of
    `task_rows` make sure that all episodes of a group have the same one. The methods are the tools
    of the id, such as ``search(query)`` and ``answer(answer)``; after the end they return `OVER`.
    ``get_reward()`` is the sum of what the steps so far have paid: of outcome, process or both
    rewards, as ``reward`` says. A completion without a call ends the episode as trl sees it, and
    pays nothing more.

    Instances share the source of tasks; each may be reset as often as one likes. The class is
    named after the id, as is trl's column of rewards: ``People`` for ``hopgym/People-v0``.

    Args:
        env_id: A registered id.
        env_kwargs: Its arguments. The dialect is ``json``, in which models call tools.

    Raises:
        ArgumentError: On arguments that it does not take, or another dialect.
    """
    env = _make(env_id, env_kwargs)
    named = re.sub(r"-v\d+$", "", env_id.rpartition("/")[2])
    methods = {tool.name: _method(tool) for tool in env.tools}
    members = {"__doc__": f"Episodes of {env_id}.", "_shared": env, **methods}
    return type(re.sub(r"\W", "_", named), (_Episodes,), members)


def task_rows(
    env_id: str, env_kwargs: Mapping[str, Any], indices: Iterable[int]
) -> list[dict[str, Any]]:
    """Return the rows of a data set for an environment of `environment_factory`.

    Each has ``prompt``, one user message without text, to which trl appends what ``reset`` returns,
    and ``index``, which tells the environment its task.

    Args:
        env_id: A registered id.
        env_kwargs: Its arguments, those of the factory.
        indices: Of tasks; each must be in [0, number of tasks).

    Raises:
        ArgumentError: On arguments that the environment does not take.
        IndexError: When an index is out of range.
    """
    source = _make(env_id, env_kwargs).source
    return [
        {"prompt": [{"role": "user", "content": ""}], "index": source.check_index(index)}
        for index in indices
    ]


class _Episodes:
    """One environment, an episode at a time; trl takes every other public method for a tool."""

    _shared: HopEnv

    def __init__(self) -> None:
        # A copy plays on its own and shares the source: worlds are not made once per instance.
        self._env = copy.copy(self._shared)
        self._reward = 0.0
        self._running = False

    def reset(self, **columns: Any) -> str:
        """Begin the episode of a row; return its prompt."""
        # A row may hold both; they name the same task.
        named = [name for name in ("index", "task_id") if columns.get(name) is not None]
        options = {name: columns[name] for name in named[:1]}
        self._reward, self._running = 0.0, False
        prompt, _ = self._env.reset(options=options or None)
        self._running = True
        return prompt

    def get_reward(self) -> float:
        """Return what the steps of the episode have paid so far."""
        return self._reward

    def _call(self, tool: str, argument: str, value: object) -> str:
        if not self._running:
            return OVER
        called = {"function": {"name": tool, "arguments": {argument: value}}}
        text = write_tool_calls(None, [called])
        observation, reward, terminated, truncated, _ = self._env.step(text)
        self._reward += reward
        self._running = not (terminated or truncated)
        return observation


def _method(tool: Tool) -> Callable[..., str]:
    """Return a tool's method, with the signature and docstring that trl makes its schema from."""

    def call(self: _Episodes, *given: Any, **named: Any) -> str:
        bound = signature.bind(self, *given, **named)
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
