"""Runs the command line as ``python -m hopgym``, for when the script is not on the path."""

from hopgym.cli import main

main()
