"""Finds policies by name: built-in ones, those of other packages, and your own.

Other packages register policies in an entry-point group; ``module:object`` names your own agent
(see `hopgym.policies.user_policy`).
"""

from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from hopgym.errors import ArgumentError, HopgymError, did_you_mean
from hopgym.plugins import error_text
from hopgym.policies.constant import ConstantPolicy
from hopgym.policies.privileged import ExhaustivePolicy, GuessPolicy, OraclePolicy
from hopgym.policies.scripted import FirstPagePolicy, GreedySearchPolicy, RandomPolicy
from hopgym.policies.user_policy import refuse_options, user_policy
from hopgym.policy import Policy

if TYPE_CHECKING:
    from hopgym.env import HopEnv

FLOORS = ("guess", "unknown")
"""Policies that read nothing; every table of results shows them for comparison."""

PLUG_INS = "hopgym.policies"
"""Entry-point group of further policies, each a function of (environment, options)."""

HELP = (
    "oracle, greedy, guess, exhaustive, first, random, unknown, one of a plug-in (llm), or "
    "module:object (your own). Its options: --NAME.option value; hopgym list --policy NAME "
    "prints them."
)


POLICIES: Mapping[str, Callable[["HopEnv"], Policy]] = {
    "oracle": lambda env: OraclePolicy(env.source, env.tool_settings),
    "greedy": lambda env: GreedySearchPolicy(),
    "guess": lambda env: GuessPolicy(env.source),
    "exhaustive": lambda env: ExhaustivePolicy(env.source, env.settings.max_steps),
    "first": lambda env: FirstPagePolicy(),
    "random": lambda env: RandomPolicy(),
    "unknown": lambda env: ConstantPolicy(),
}
"""The built-in policies: functions of an environment by name, the best policy first."""


def policy_named(name: str, env: "HopEnv", options: Mapping[str, Any] | None = None) -> Policy:
    """Return the policy of a given name for an environment.

    Args:
        name: A key of `POLICIES`, the name of a plug-in, or ``module:object``.
        env: The environment that it will play in.
        options: Options of the policy by name.

    Raises:
        ArgumentError: When the name is unknown, the options do not fit, or the policy cannot be
            loaded.
    """
    options = dict(options or {})
    if ":" in name:
        return user_policy(name, options)
    if name in POLICIES:
        refuse_options(name, options)
        return POLICIES[name](env)
    return _from_plug_in(_plug_in(name), env, options)


def policy_function(name: str) -> Callable[..., Policy]:
    """Return the function that creates a built-in policy, or one of a plug-in.

    A plug-in's function may have an attribute ``options``: the dataclass of its options.

    Raises:
        ArgumentError: When no policy has this name.
    """
    if name in POLICIES:
        return POLICIES[name]
    function: Callable[..., Policy] = _plug_in(name).load()
    return function


def _plug_in(name: str) -> EntryPoint:
    points = {point.name: point for point in entry_points(group=PLUG_INS)}
    if name not in points:
        known = (*POLICIES, *points)
        raise ArgumentError(
            f"policy must be one of {', '.join(known)}, or module:function for your own, "
            f"got {name!r}{did_you_mean(name, known)}"
        )
    return points[name]


def _from_plug_in(point: EntryPoint, env: "HopEnv", options: dict[str, Any]) -> Policy:
    try:
        policy: Policy = point.load()(env, options)
    except HopgymError:
        raise
    except Exception as error:  # Anything can fail in another package; often an import.
        raise ArgumentError(
            f"policy must be one that can be made, got {point.name!r} of {point.value}, "
            f"which raised {error_text(error)}"
        ) from error
    return policy
