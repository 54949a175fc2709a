"""The command line, ``hopgym``. None of its verbs needs torch.

Each verb is a function in a module of its own, which `hopgym.cli.app` imports on demand. Other
packages add verbs through entry points of the group ``hopgym.commands``; each is a function or a
``typer.Typer``.
"""

import os


def main() -> None:
    """Run the command line with the arguments of the process."""
    # OpenMP reads it when torch is loaded. Waiting threads sleep instead of spinning.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from hopgym.cli.app import run

    run()
