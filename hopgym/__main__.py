"""Runs the command line as ``python -m hopgym``, for when the script is not on the path."""

from importlib import import_module

# By name, as no module imports the command line.
import_module("hopgym.cli").main()
