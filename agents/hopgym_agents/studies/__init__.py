"""Studies: grids of training runs with their evaluations, from one file to one report.

In: a study file. Out: resumable runs in one folder, tables with intervals and learning curves.
"""
