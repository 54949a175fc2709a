"""``python -m hopgym.cli``, for where the script is not on the path."""

from hopgym.cli import main

main()
