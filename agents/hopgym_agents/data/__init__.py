"""Training data: sub-trajectories, filters, and export formats."""
