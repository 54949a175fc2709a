"""Converts command-line strings such as ``--name value`` to values, and values back to strings.

A value is JSON, or words and numbers separated by commas.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hopgym.errors import ArgumentError
from hopgym.tasks import PATH_ARGUMENTS

_LITERALS = {"True": True, "False": False, "None": None}


def read_arguments(args: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """Return the positional arguments of a command line, and the named ones by name.

    ``--name value`` and ``--name=value`` are equivalent, and ``-`` may replace ``_`` in a name. A
    name without a value is True.
    """
    positional: list[str] = []
    named: dict[str, Any] = {}
    rest = list(args)
    while rest:
        arg = rest.pop(0)
        if not arg.startswith("--") or arg == "--":
            positional.append(arg)
            continue
        name, value = split_option(arg, rest)
        named[name] = True if value is None else read_value(name, value)
    return positional, named


def split_option(arg: str, rest: list[str]) -> tuple[str, str | None]:
    """Return name and text of one option, with ``_`` for ``-`` in the name.

    Args:
        arg: ``--name`` or ``--name=value``.
        rest: The strings after it. If the first one is the option's value, it is removed.

    Returns:
        The name without its dashes, and the value; None for an option without one.
    """
    name, equals, value = arg[2:].partition("=")
    name = name.replace("-", "_")
    if equals:
        return name, value
    if rest and not rest[0].startswith("--"):
        return name, rest.pop(0)
    return name, None


def read_value(name: str, text: str) -> Any:
    """Return the value of an argument: JSON, a list separated by commas, or the text itself."""
    if name in PATH_ARGUMENTS:
        return text
    value = json_or_text(text)
    if isinstance(value, str) and "," in text and not text.startswith(('"', "[", "{")):
        return [json_or_text(item.strip()) for item in text.split(",") if item.strip()]
    return value


def json_or_text(text: str) -> Any:
    """Return the JSON value of a text, or the text itself; also reads True, False and None."""
    if text in _LITERALS:
        return _LITERALS[text]
    try:
        return json.loads(text)
    except ValueError:
        return text


def policy_options(args: Sequence[str], policy: str) -> tuple[list[str], dict[str, Any]]:
    """Split a command line into the options of a policy and everything else.

    Options of ``llm`` are written ``--llm.model M``, and entries of an option that is an object
    ``--llm.extra.NAME value``. For ``module:Class``, the class name is enough, as in
    ``--Class.model M``. A value is JSON or plain text.

    Returns:
        The remaining strings, and the policy's options by name.

    Raises:
        ArgumentError: On options of another policy.
    """
    owners = (policy, policy.rpartition(":")[2])
    remaining: list[str] = []
    options: dict[str, Any] = {}
    rest = list(args)
    while rest:
        arg = rest.pop(0)
        path = arg.removeprefix("--").partition("=")[0]
        if not arg.startswith("--") or "." not in path:
            remaining.append(arg)
            continue
        owner = next((owner for owner in owners if path.startswith(f"{owner}.")), None)
        if owner is None:
            option = path.rpartition(".")[2]
            raise ArgumentError(
                f"options must be those of the policy, as in --{policy}.{option}, got --{path}"
            )
        _, text = split_option(arg, rest)
        value = True if text is None else json_or_text(text)
        option, dot, key = path.removeprefix(f"{owner}.").partition(".")
        option = option.replace("-", "_")
        if dot and isinstance(options.setdefault(option, {}), dict):
            options[option][key] = value
        else:
            options[option] = value
    return remaining, options


def write_arguments(arguments: Mapping[str, Any]) -> list[str]:
    """Return arguments as strings of a command line, readable by `read_arguments`."""
    args: list[str] = []
    for name, value in arguments.items():
        text = value if isinstance(value, str) else json.dumps(value)
        args += [f"--{name}", text]
    return args
