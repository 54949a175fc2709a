"""The errors that hopgym raises on purpose, each with one message argument.

HopgymError
├── ArgumentError (ValueError)   a wrong argument of an environment, a source or a reset
├── DataError (ValueError)       a file or a record that cannot be used as it is
├── WorldError (ValueError)      a world too small for what is asked of it
└── RunFileError (RuntimeError)  a trajectory file in use elsewhere or written by another run

None inherits ``TypeError``: ``gymnasium.make`` catches that one and raises another in its place.
"""

import difflib
from collections.abc import Iterable


class HopgymError(Exception):
    """Root of every error that hopgym raises on purpose; catch this one to catch all."""


class ArgumentError(HopgymError, ValueError):
    """An argument of the wrong type, out of its range, or of an unknown name."""


class DataError(HopgymError, ValueError):
    """A missing, truncated or malformed data file; the message names the file and the place."""


class WorldError(HopgymError, ValueError):
    """A generated world cannot give what was asked of it."""


class RunFileError(HopgymError, RuntimeError):
    """A trajectory file is locked by another writer, or belongs to another configuration."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``" (did you mean 'x'?)"`` for the closest known name, or an empty string."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def require(condition: bool, argument: str, expected: str, actual: object) -> None:
    """Raise an `ArgumentError` that names argument, expectation and value unless condition holds.

    Raises:
        ArgumentError: When the condition is false.
    """
    if not condition:
        raise ArgumentError(f"{argument} must be {expected}, got {actual!r}")
