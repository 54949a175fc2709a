"""Keeps secrets out of files and messages, recognized by the names of options and fields."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

HIDDEN = "(hidden)"

_SECRET = re.compile(
    r"(apikey|authori[sz]ation|secret|passw(or)?d|pwd|credential|(^auth|token|headers?|privatekey"
    r"|accesskey|cookies?)$|^key$)(?!env$)"
)
"""Names of secrets, reduced to lower-case letters and digits; ``max_tokens`` is not one."""


def is_secret(name: str) -> bool:
    """Return whether the name of an option says that its value is a key, password or the like.

    An option for the name of an environment variable, such as ``api_key_env``, is not a secret.
    """
    return _SECRET.search(re.sub(r"[^a-z0-9]", "", name.lower())) is not None


def without_secrets(value: Any) -> Any:
    """Return a JSON value with secrets replaced by `HIDDEN`, at any depth."""
    if isinstance(value, Mapping):
        return {
            name: HIDDEN if is_secret(str(name)) else without_secrets(inner)
            for name, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [without_secrets(inner) for inner in value]
    return value


def command_without_secrets(arguments: Sequence[str]) -> list[str]:
    """Return the arguments of a command line with the values of secrets replaced by `HIDDEN`."""
    cleaned = list[str]()
    hide = False
    for argument in arguments:
        name, equals, value = argument.removeprefix("--").partition("=")
        secret = argument.startswith("--") and is_secret(name.rpartition(".")[2])
        if hide or (secret and equals):
            cleaned.append(HIDDEN if hide else f"--{name}={HIDDEN}")
        elif argument.startswith("--") and equals:
            cleaned.append(f"--{name}={_clean_json(value)}")
        else:
            cleaned.append(_clean_json(argument))
        hide = secret and not equals
    return cleaned


def _clean_json(text: str) -> str:
    """Return a text without the secrets in it if it is a JSON object or list."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    cleaned = without_secrets(value)
    return text if cleaned == value else json.dumps(cleaned)
