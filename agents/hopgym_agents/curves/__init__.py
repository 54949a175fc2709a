"""Learning curves: what the logs of training runs tell, as one self-contained HTML page.

In: logs by the name of what they are of, and tables. Out: a page in the style of hopgym's report,
for a single run as for a whole study.
"""

from hopgym_agents.curves.logs import write_curves
from hopgym_agents.curves.page import Table

__all__ = ["Table", "write_curves"]
