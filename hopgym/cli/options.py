"""Environment arguments from the command line: ``--name value`` for any argument of an id.

In: words. Out: an environment.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from hopgym.arguments import read_arguments
from hopgym.errors import ArgumentError

if TYPE_CHECKING:
    from hopgym.env import HopEnv

CONTEXT_SETTINGS = "context_settings"
"""Attribute of a verb's function that holds the settings of its command."""

V = TypeVar("V", bound=Callable[..., Any])


def takes_arguments(verb: V) -> V:
    """Let a verb take environment arguments beside its own options, in its context's ``args``."""
    settings = {"allow_extra_args": True, "ignore_unknown_options": True}
    setattr(verb, CONTEXT_SETTINGS, settings)
    return verb


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
    from hopgym.registry.lookup import resolve_id

    return make(resolve_id(plain[0]), defaults | arguments)


def option_names(command: Any) -> list[str]:
    """Return the names of a verb's own options, written as arguments are."""
    written = [name for parameter in command.params for name in parameter.opts]
    return [name[2:].replace("-", "_") for name in written if name.startswith("--")]


def make(env_id: str, arguments: Mapping[str, Any]) -> "HopEnv":
    """Return the environment of a registered id; indexing a new corpus shows its progress.

    Raises:
        ArgumentError: As `hopgym.registry.lookup.make` does.
    """
    from hopgym.cli.display import progress
    from hopgym.registry import lookup

    return lookup.make(env_id, arguments, progress)


def one_word(word: str, words: Sequence[str], expected: str) -> tuple[str, dict[str, Any]]:
    """Return the one plain word of a command line, and the arguments beside it.

    Args:
        word: The verb's argument; where options stand before it, the first of them.
        words: The words that are no option of the verb.
        expected: What the word is.

    Raises:
        ArgumentError: When there is no plain word, or more than one.
    """
    plain, arguments = read_arguments([word, *words])
    if len(plain) != 1:
        got = f"{plain[1]!r} as well" if plain else "none"
        raise ArgumentError(
            f"{expected} must be given once, and arguments as --name value, got {got}"
        )
    return plain[0], arguments
