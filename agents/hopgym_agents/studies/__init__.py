"""Studies: grids of training runs and their evaluations, from a TOML file to a report.

A study is stored in one folder and can be resumed. Its report has tables with intervals, and
learning curves.
"""
