"""Runs the program in this process."""

from typer.testing import CliRunner, Result

from hopgym.cli.app import app


def hopgym(*words: object, typed: str | None = None) -> Result:
    """Return what ``hopgym`` prints for words, and its exit status.

    Args:
        words: The command line.
        typed: What the user types.
    """
    return CliRunner().invoke(app, [str(word) for word in words], input=typed)
