"""Reports on evaluated runs: tables for the terminal, and one self-contained HTML page.

The page is written to a file or, by ``hopgym view``, served with all episodes.
"""

from hopgym.report.page import EPISODES, render_report, write_report
from hopgym.report.table import COLUMNS, Column, results_rows, results_table

__all__ = [
    "COLUMNS",
    "EPISODES",
    "Column",
    "render_report",
    "results_rows",
    "results_table",
    "write_report",
]
