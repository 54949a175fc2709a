"""Reports: evaluations and trajectories in, a table for the terminal or one HTML file out.

`table` says which columns there are, `endings` how episodes end, `charts` and `plots` what is
drawn of runs, with the steps that a `tally` counts; `about` tells what was run. `episodes` is what
is shown of one episode, with the `marks` in its texts and its `proof`; `browser` is what the page's
script starts from. `page` puts them into ``data/report.html.j2`` with the other `assets`; `live`
does the same for ``hopgym view``, where an `index` finds episodes in their files and a `server`
answers the page. `wording` makes every text safe to show.
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
