"""Secrets: what an option, field or setting by its name holds, kept out of files and messages."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

HIDDEN = "(hidden)"

_SECRET = re.compile(
    r"(apikey|authori[sz]ation|secret|passw(or)?d|pwd|credential|(^auth|token|headers?|privatekey"
    r"|accesskey|cookies?)$|^key$)(?!env$)"
)
"""Names of secrets, in small letters and digits alone; ``max_tokens`` is none."""


def is_secret(name: str) -> bool:
    """Return whether a name tells that its value is a key, a password or the like.

    The name of an environment variable, as in ``api_key_env``, is none.
    """
    return _SECRET.search(re.sub(r"[^a-z0-9]", "", name.lower())) is not None


def without_secrets(value: Any) -> Any:
    """Return JSON with the values of secrets replaced by `HIDDEN`, at any depth."""
    if isinstance(value, Mapping):
        return {
            name: HIDDEN if is_secret(str(name)) else without_secrets(inner)
            for name, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return [without_secrets(inner) for inner in value]
    return value


def words_without_secrets(words: Sequence[str]) -> list[str]:
    """Return the words of a command line with the values of secrets replaced by `HIDDEN`."""
    kept, hide = list[str](), False
    for word in words:
        name, equals, value = word.removeprefix("--").partition("=")
        secret = word.startswith("--") and is_secret(name.rpartition(".")[2])
        if hide or (secret and equals):
            kept.append(HIDDEN if hide else f"--{name}={HIDDEN}")
        elif word.startswith("--") and equals:
            kept.append(f"--{name}={_shown(value)}")
        else:
            kept.append(_shown(word))
        hide = secret and not equals
    return kept


def _shown(word: str) -> str:
    """Return a word, without the secrets in it where it is a JSON object or list."""
    try:
        value = json.loads(word)
    except ValueError:
        return word
    shown = without_secrets(value)
    return word if shown == value else json.dumps(shown)
