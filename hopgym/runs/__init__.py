"""Runs on disk: trajectory files, run folders, and what a run was made with."""
