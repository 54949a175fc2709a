"""Arguments as text: ``--name value`` words to values, and values back to words.

Values are JSON, or words and numbers separated by commas.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from hopgym.errors import ArgumentError
from hopgym.tasks import PATH_ARGUMENTS


def read_arguments(words: Sequence[str]) -> tuple[list[str], dict[str, Any]]:
    """Return the plain words of a command line, and the environment arguments among them.

    ``--name value`` and ``--name=value`` name an argument, with ``-`` for ``_`` if liked; one
    without a value is true.
    """
    plain: list[str] = []
    arguments: dict[str, Any] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--") or word == "--":
            plain.append(word)
            continue
        name, equals, value = word[2:].partition("=")
        name = name.replace("-", "_")
        if not equals and rest and not rest[0].startswith("--"):
            value, equals = rest.pop(0), "="
        arguments[name] = read_value(name, value) if equals else True
    return plain, arguments


def read_value(name: str, text: str) -> Any:
    """Return the value that a text stands for: JSON, a list by commas, or the text itself."""
    if name in PATH_ARGUMENTS:
        return text
    parsed = _json_or_text(text)
    if isinstance(parsed, str) and "," in text and not text.startswith(('"', "[", "{")):
        return [_json_or_text(part.strip()) for part in text.split(",") if part.strip()]
    return parsed


def policy_options(words: Sequence[str], policy: str) -> tuple[list[str], dict[str, Any]]:
    """Return the words that are no option of a policy, and its options by name.

    Those of ``llm`` are given as ``--llm.model M``. Of ``module:Class`` the class alone will do, as
    in ``--Class.model M``. Values are JSON or the text as it stands.

    Raises:
        ArgumentError: On options of another policy.
    """
    rest: list[str] = []
    options: dict[str, Any] = {}
    left = list(words)
    while left:
        word = left.pop(0)
        written, equals, value = word.removeprefix("--").partition("=")
        owner, dot, name = written.rpartition(".")
        if not word.startswith("--") or not dot:
            rest.append(word)
            continue
        if owner not in (policy, policy.rpartition(":")[2]):
            raise ArgumentError(
                f"options must be those of the policy, as in --{policy}.{name}, got --{written}"
            )
        if not equals and left and not left[0].startswith("--"):
            value, equals = left.pop(0), "="
        options[name.replace("-", "_")] = _json_or_text(value) if equals else True
    return rest, options


def write_arguments(arguments: Mapping[str, Any]) -> list[str]:
    """Return the words that give some arguments on a command line."""
    words: list[str] = []
    for name, value in arguments.items():
        text = value if isinstance(value, str) else json.dumps(value)
        words += [f"--{name}", text]
    return words


def _json_or_text(text: str) -> Any:
    named = {"True": True, "False": False, "None": None}
    if text in named:
        return named[text]
    try:
        return json.loads(text)
    except ValueError:
        return text
