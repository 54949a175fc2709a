"""The policies that can be named on the command line.

In: a name, options and an environment. Out: a policy for it. Further names come in from other
packages; ``module:object`` names an agent of one's own (`hopgym.policies.user_policy`).
"""

from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any

from hopgym.errors import ArgumentError, HopgymError, did_you_mean
from hopgym.policies.user_policy import own_policy, refuse_options

if TYPE_CHECKING:
    from hopgym.env import HopEnv
    from hopgym.rollout import Policy

FLOORS = ("guess", "unknown")
"""The policies that every table of results shows beside its own: they read nothing."""

PLUG_INS = "hopgym.policies"
"""Entry-point group of further policies, each a function of (environment, options)."""

HELP = (
    "oracle, greedy, guess, exhaustive, first, random, unknown, one of a plug-in (llm), or "
    "module:object (your own). Its options: --NAME.option value; hopgym list --policy NAME "
    "prints them."
)


def _oracle(env: "HopEnv") -> "Policy":
    from hopgym.policies import OraclePolicy

    return OraclePolicy(env.source, env.tool_settings)


def _greedy(env: "HopEnv") -> "Policy":
    from hopgym.policies import GreedySearchPolicy

    return GreedySearchPolicy()


def _guess(env: "HopEnv") -> "Policy":
    from hopgym.policies import GuessPolicy

    return GuessPolicy(env.source)


def _exhaustive(env: "HopEnv") -> "Policy":
    from hopgym.policies import ExhaustivePolicy

    return ExhaustivePolicy(env.source, env.settings.max_steps)


def _random(env: "HopEnv") -> "Policy":
    from hopgym.policies import RandomPolicy

    return RandomPolicy()


def _first(env: "HopEnv") -> "Policy":
    from hopgym.policies import FirstPagePolicy

    return FirstPagePolicy()


def _unknown(env: "HopEnv") -> "Policy":
    from hopgym.policies import ConstantPolicy

    return ConstantPolicy()


POLICIES: Mapping[str, Callable[["HopEnv"], "Policy"]] = {
    "oracle": _oracle,
    "greedy": _greedy,
    "guess": _guess,
    "exhaustive": _exhaustive,
    "first": _first,
    "random": _random,
    "unknown": _unknown,
}
"""Name to what makes the policy for an environment, best first."""


def policy_named(name: str, env: "HopEnv", options: Mapping[str, Any] | None = None) -> "Policy":
    """Return the policy of a name for an environment.

    Args:
        name: A key of `POLICIES`, the name of a plug-in, or ``module:object``.
        env: What it is to play in.
        options: What it is made with, by name.

    Raises:
        ArgumentError: When there is none of that name, it takes no such options, or it cannot be
            loaded.
    """
    options = dict(options or {})
    if ":" in name:
        return own_policy(name, options)
    if name in POLICIES:
        refuse_options(name, options)
        return POLICIES[name](env)
    return _from_plug_in(_plug_in(name), env, options)


def policy_function(name: str) -> Callable[..., "Policy"]:
    """Return the function that makes a built-in policy or one of a plug-in.

    A plug-in's function may name the dataclass of its options in an attribute ``options``.

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


def _from_plug_in(point: EntryPoint, env: "HopEnv", options: dict[str, Any]) -> "Policy":
    try:
        policy: Policy = point.load()(env, options)
    except HopgymError:
        raise
    except Exception as error:  # Whatever another package does; often one that it needs is missing.
        told = " ".join(f"{type(error).__name__}: {error}".split())
        raise ArgumentError(
            f"policy must be one that can be made, got {point.name!r} of {point.value}, "
            f"which raised {told}"
        ) from error
    return policy
