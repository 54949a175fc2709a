"""Your own agents as policies, named as ``module:object``: a function or a class.

The module may also be a file in the working directory.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from typing import Any

from hopgym.errors import ArgumentError, HopgymError
from hopgym.plugins import error_text, load_object, source_digest
from hopgym.policy import Policy, as_policy
from hopgym.runs.secrets import without_secrets
from hopgym.trajectory import Completion, Trajectory


def user_policy(name: str, options: Mapping[str, Any]) -> Policy:
    """Return your own agent as a policy.

    The agent may be a function of a transcript or of ``Sequence[Trajectory]``, an object whose
    ``act`` is such a function, or a class of such objects, which is called with the options.

    Args:
        name: ``module:object``.
        options: Keyword arguments for a class.

    Raises:
        ArgumentError: When the agent cannot be imported or created, cannot act, or takes no
            options.
    """
    with redirect_stdout(sys.stderr):  # Only results belong on stdout.
        module, agent = load_object(name, "policy", "function")
        if isinstance(agent, type):
            agent = _create(name, agent, options)
        else:
            refuse_options(name, options)
    if not callable(agent) and not callable(getattr(agent, "act", None)):
        raise ArgumentError(
            f"policy must name a function, or an object that can be called or has act, got {name!r}"
        )
    # An agent with another key is the same agent, and files must not contain keys.
    public_options = json.dumps(without_secrets(options), sort_keys=True)
    return UserPolicy(agent, f"{name} {public_options} {source_digest(module)}")


def refuse_options(name: str, options: Mapping[str, Any]) -> None:
    """Raise an `ArgumentError` if there are options for a policy that takes none."""
    if options:
        names = ", ".join(f"--{name}.{option}" for option in options)
        raise ArgumentError(f"options must be left out for {name}, which takes none, got {names}")


class UserPolicy:
    """An agent as a policy, with the agent's own attributes of a policy.

    Args:
        agent: A function, or an object that can be called or has ``act``.
        fingerprint: Fingerprint for an agent that has none.
    """

    def __init__(self, agent: Any, fingerprint: str) -> None:
        act = agent if callable(agent) else agent.act
        is_batched = getattr(agent, "batched", None) is True
        self._policy: Policy = act if is_batched else as_policy(act)
        # No file may hold episodes of two agents, or of one agent before and after a change.
        self.fingerprint: str = getattr(agent, "fingerprint", "") or fingerprint
        self.concurrency: int = getattr(agent, "concurrency", 1)
        self.batched: bool = getattr(self._policy, "batched", True)
        if hasattr(agent, "preview"):
            self.preview = agent.preview
        if hasattr(agent, "seeded"):
            self.seeded = lambda seed: UserPolicy(agent.seeded(seed), fingerprint)

    def __call__(self, prefixes: Sequence[Trajectory]) -> Sequence[str | Completion]:
        """Return the agent's reply to each prefix."""
        return self._policy(prefixes)


def _create(name: str, kind: type, options: Mapping[str, Any]) -> Any:
    try:
        return kind(**options)
    except HopgymError:
        raise
    except Exception as error:
        names = ", ".join(options) or "none"
        raise ArgumentError(
            f"policy must be a class that can be made with the options given ({names}), got "
            f"{name!r}, which raised {error_text(error)}"
        ) from error
