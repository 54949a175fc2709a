"""The policies that can be named on the command line.

In: a name and an environment. Out: a policy for it. ``module:function`` names an agent of one's
own, any function from a transcript to the next action.
"""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from hopgym.errors import ArgumentError, did_you_mean

if TYPE_CHECKING:
    from hopgym.env import HopEnv
    from hopgym.rollout import Policy

FLOORS = ("guess", "unknown")
"""The policies that every table of results shows beside its own: they read nothing."""

HELP = "oracle, greedy, guess, exhaustive, first, random, unknown, or module:function (your own)."


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


def policy_named(name: str, env: "HopEnv") -> "Policy":
    """Return the policy of a name for an environment.

    Raises:
        ArgumentError: When there is none of that name.
    """
    if ":" in name:
        return _own(name)
    if name not in POLICIES:
        hint = did_you_mean(name, POLICIES)
        raise ArgumentError(
            f"policy must be one of {', '.join(POLICIES)}, or module:function for your own, "
            f"got {name!r}{hint}"
        )
    return POLICIES[name](env)


def _own(name: str) -> "Policy":
    """Return a function of a module, looked for in the working directory too, as a policy."""
    from hopgym.rollout import as_policy

    module, _, attribute = name.partition(":")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        loaded = import_module(module.removesuffix(".py"))
        function: Any = getattr(loaded, attribute)
    except (ImportError, AttributeError) as error:
        raise ArgumentError(
            f"policy must name a function as module:function, got {name!r} ({error})"
        ) from error
    except (Exception, SystemExit) as error:  # Whatever the module does when it is imported.
        told = " ".join(f"{type(error).__name__}: {error}".split())
        raise ArgumentError(
            f"policy must name a function of a module that can be imported, got {name!r}; "
            f"importing {module} raised {told}"
        ) from error
    policy: Any = as_policy(function)
    if not getattr(policy, "fingerprint", ""):
        policy.fingerprint = name  # so that no file holds the episodes of two agents
    return policy  # type: ignore[no-any-return]
