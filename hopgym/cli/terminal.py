"""The player's line: read from a terminal with completion, or from a pipe.

In: a prompt and the lines worth completing to. Out: what was typed, or None at the end of input.
"""

import sys
from collections.abc import Callable, Sequence

Completions = Callable[[], Sequence[str]]
"""Returns the whole lines that may be completed to at this moment."""


def read_line(prompt: str, completions: Completions) -> str | None:
    """Return the next line without surrounding white space; None at the end of input.

    From a pipe, the line is printed behind the prompt, so that the output reads as a session.
    """
    if sys.stdin.isatty() and sys.stdout.isatty():
        _complete_with(completions)
        try:
            return input(prompt).strip()
        except EOFError:
            print()
            return None
    line = sys.stdin.readline()
    text = line.strip()
    print(f"{prompt}{text}" if line else prompt.rstrip())
    return text if line else None


def matching(lines: Sequence[str], typed: str) -> list[str]:
    """Return the lines that what was typed may become, upper and lower case alike."""
    return [line for line in lines if line.lower().startswith(typed.lower())]


def _complete_with(completions: Completions) -> None:
    try:
        import readline
    except ImportError:  # Windows has none: the line is read all the same
        return

    def complete(typed: str, state: int) -> str | None:
        found = matching(completions(), typed)
        return found[state] if state < len(found) else None

    readline.set_completer_delims("")
    readline.set_completer(complete)
    libedit = "libedit" in (readline.__doc__ or "")
    readline.parse_and_bind("bind ^I rl_complete" if libedit else "tab: complete")
