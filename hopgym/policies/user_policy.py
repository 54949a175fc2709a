"""Agents of one's own, named as ``module:object``: a function or a class, as a policy.

In: a name and options. Out: a policy. The module is looked for in the working directory too.
"""

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from hopgym.errors import ArgumentError, HopgymError
from hopgym.runs.secrets import without_secrets

if TYPE_CHECKING:
    from hopgym.rollout import Completion, Policy
    from hopgym.trajectory import Trajectory


def own_policy(name: str, options: Mapping[str, Any]) -> "Policy":
    """Return an agent of one's own as a policy.

    It may be a function of a transcript or of ``Sequence[Trajectory]``, an object with such an
    ``act``, or a class of either, which is made with the options as keyword arguments.

    Args:
        name: ``module:object``.
        options: For a class.

    Raises:
        ArgumentError: When it cannot be imported or made, is nothing that acts, or takes no
            options.
    """
    with redirect_stdout(sys.stderr):  # What it prints is no result.
        module, found = _load(name)
        if isinstance(found, type):
            found = _made(name, found, options)
        else:
            refuse_options(name, options)
    if not callable(found) and not callable(getattr(found, "act", None)):
        raise ArgumentError(
            f"policy must name a function, or an object that can be called or has act, got {name!r}"
        )
    # Another key makes no other agent, and no file may hold one.
    told = json.dumps(without_secrets(options), sort_keys=True)
    return _OwnPolicy(found, f"{name} {told} {_digest(module)}")


def refuse_options(name: str, options: Mapping[str, Any]) -> None:
    """Raise an `ArgumentError` where options are given for a policy that takes none."""
    if options:
        given = ", ".join(f"--{name}.{option}" for option in options)
        raise ArgumentError(f"options must be left out for {name}, which takes none, got {given}")


class _OwnPolicy:
    """An agent as a policy; what it carries beside its call is carried on."""

    def __init__(self, agent: Any, fingerprint: str) -> None:
        from hopgym.rollout import as_policy

        act = agent if callable(agent) else agent.act
        many = getattr(agent, "batched", None) is True
        self._policy: Policy = act if many else as_policy(act)
        # So that no file holds the episodes of two agents, or of one before and after a change.
        self.fingerprint: str = getattr(agent, "fingerprint", "") or fingerprint
        self.concurrency: int = getattr(agent, "concurrency", 1)
        self.batched: bool = getattr(self._policy, "batched", True)
        if hasattr(agent, "preview"):
            self.preview = agent.preview
        if hasattr(agent, "seeded"):
            self.seeded = lambda seed: _OwnPolicy(agent.seeded(seed), fingerprint)

    def __call__(self, prefixes: "Sequence[Trajectory]") -> "Sequence[str | Completion]":
        return self._policy(prefixes)


def _load(name: str) -> tuple[ModuleType, Any]:
    named, _, attribute = name.partition(":")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        module = import_module(named.removesuffix(".py"))
        found: Any = module
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise ArgumentError(
            f"policy must name a function as module:function, got {name!r} ({error})"
        ) from error
    except (Exception, SystemExit) as error:  # Whatever the module does when it is imported.
        raise ArgumentError(
            f"policy must name a function of a module that can be imported, got {name!r}; "
            f"importing {named} raised {_told(error)}"
        ) from error
    return module, found


def _made(name: str, kind: type, options: Mapping[str, Any]) -> Any:
    try:
        return kind(**options)
    except HopgymError:
        raise
    except Exception as error:
        given = ", ".join(options) or "none"
        raise ArgumentError(
            f"policy must be a class that can be made with the options given ({given}), got "
            f"{name!r}, which raised {_told(error)}"
        ) from error


def _digest(module: ModuleType) -> str:
    """Return a digest of a module's file: another version of it is another agent."""
    file = getattr(module, "__file__", None)
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()[:16] if file else ""


def _told(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
