"""Reports: evaluations and trajectories in, a table for the terminal or one HTML file out.

`table` says which columns there are, `endings` how episodes end, `episodes` what is shown of
each, `charts` what is drawn, and `page` puts them into the template ``data/report.html.j2``.
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
