"""The exceptions that hopgym raises deliberately, each with one message argument.

HopgymError
├── ArgumentError (ValueError)   an invalid argument of an environment, a source or a reset
├── DataError (ValueError)       a file or record that cannot be used
├── WorldError (ValueError)      a world that is too small for the request
└── RunFileError (RuntimeError)  a trajectory file that is in use or belongs to another run

None of them inherits from ``TypeError``, which ``gymnasium.make`` catches and replaces.
"""

import difflib
from collections.abc import Iterable


class HopgymError(Exception):
    """Base class of all exceptions that hopgym raises deliberately."""


class ArgumentError(HopgymError, ValueError):
    """An argument with a wrong type, an invalid value or an unknown name."""


class DataError(HopgymError, ValueError):
    """A missing, truncated or malformed file; the message names the file and the position."""


class WorldError(HopgymError, ValueError):
    """A generated world cannot satisfy the request."""


class RunFileError(HopgymError, RuntimeError):
    """A trajectory file is locked by another writer, or belongs to another configuration."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``" (did you mean 'x'?)"`` for the closest known name, or an empty string."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def require(condition: bool, argument: str, expected: str, actual: object) -> None:
    """Raise an `ArgumentError` with argument, expectation and value unless a condition holds.

    Raises:
        ArgumentError: When the condition is false.
    """
    if not condition:
        raise ArgumentError(f"{argument} must be {expected}, got {actual!r}")
