"""Environment arguments from the command line: ``--name value`` for any argument of an id.

In: words. Out: an environment. Values are JSON, or words and numbers with commas between them.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from hopgym.errors import ArgumentError, did_you_mean

if TYPE_CHECKING:
    from hopgym.env import HopEnv

CONTEXT_SETTINGS = "context_settings"
"""Attribute of a verb's function that holds the settings of its command."""

V = TypeVar("V", bound=Callable[..., Any])

_OF_GYMNASIUM = frozenset({"id", "max_episode_steps", "disable_env_checker", "render_mode"})


def takes_arguments(verb: V) -> V:
    """Let a verb take environment arguments beside its own options, in its context's ``args``."""
    settings = {"allow_extra_args": True, "ignore_unknown_options": True}
    setattr(verb, CONTEXT_SETTINGS, settings)
    return verb


def resolve_id(name: str) -> str:
    """Return the registered id that a name stands for; namespace and version may be left out.

    Raises:
        ArgumentError: When there is none.
    """
    import gymnasium

    from hopgym.registry import FACTORIES

    if ":" in name or name in gymnasium.registry:
        return name
    short = {known.removeprefix("hopgym/").lower(): known for known in FACTORIES}
    wanted = name.removeprefix("hopgym/").lower()
    for spelled in (wanted, f"{wanted}-v0"):
        if spelled in short:
            return short[spelled]
    closest = did_you_mean(wanted, short)
    for known in short:
        closest = closest.replace(repr(known), repr(short[known]))
    raise ArgumentError(
        f"an id must be one of {', '.join(FACTORIES)}, got {name!r}{closest}; "
        "hopgym list describes them"
    )


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
    from hopgym.env.settings import PATHS

    if name in PATHS:
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


def make_env(env_id: str, words: Sequence[str], **defaults: Any) -> "HopEnv":
    """Return the environment of an id with the arguments among the words.

    Args:
        env_id: As typed; see `resolve_id`. Where options stand before it, it may be the first of
            them: the first plain word is taken. Empty where the words hold it.
        words: The words that are no option of the verb.
        defaults: Arguments for where the words name none.

    Raises:
        ArgumentError: On an unknown id or argument, or plain words that belong to nothing.
    """
    plain, arguments = read_arguments([*filter(None, [env_id]), *words])
    if not plain:
        raise ArgumentError("an id must be given, as in hopgym/People-v0; hopgym list names them")
    if len(plain) > 1:
        raise ArgumentError(
            f"one id must be given and arguments as --name value, got {plain[1]!r} as well"
        )
    return make(resolve_id(plain[0]), defaults | arguments)


def make(env_id: str, arguments: Mapping[str, Any]) -> "HopEnv":
    """Return the environment of a registered id.

    Raises:
        ArgumentError: On arguments that it does not take, and ids of other packages.
    """
    import gymnasium

    from hopgym.wrappers import hop_env

    for name in arguments:
        if name in _OF_GYMNASIUM:
            raise ArgumentError(f"arguments must be those of {env_id}, got {name!r}")
    _index_corpus(arguments.get("corpus"))
    try:
        return hop_env(gymnasium.make(env_id, **arguments))
    except (TypeError, gymnasium.error.Error) as error:
        raise ArgumentError(str(error)) from error


def _index_corpus(corpus: object) -> None:
    """Index a corpus from elsewhere with a progress display; it is kept for next time."""
    import os

    from hopgym.env.settings import CORPORA

    if isinstance(corpus, str) and corpus not in CORPORA and os.path.isfile(corpus):
        from hopgym.cli.display import progress
        from hopgym.storage import open_corpus

        with progress("paragraphs indexed") as advance:
            open_corpus(corpus, advance=advance)


def option_names(command: Any) -> list[str]:
    """Return the names of a verb's own options, written as arguments are."""
    written = [name for parameter in command.params for name in parameter.opts]
    return [name[2:].replace("-", "_") for name in written if name.startswith("--")]


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
