"""The command line, ``hopgym``: verbs over what the package does, none of which needs torch.

Each verb is one function of one module here; `hopgym.cli.app` knows their names and loads a module
when its verb is asked for. Other packages add verbs through entry points of the group
``hopgym.commands``, each a function or a ``typer.Typer``.
"""

import os


def main() -> None:
    """Run the command line with the arguments of the process."""
    # Read when a library that computes in threads is loaded: those that wait are not to spin.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from hopgym.cli.app import run

    run()
