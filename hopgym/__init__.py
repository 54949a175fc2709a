"""Gymnasium text environments for multi-hop question answering, every step judged.

Importing registers the ids (``gymnasium.make("hopgym/People-v0")``) and nothing else; the public
names below are loaded when first used.
"""

from importlib import import_module
from typing import Any

import hopgym.registry  # noqa: F401 (registers the ids)
from hopgym.version import __version__

_PUBLIC = {
    "hopgym.errors": ("HopgymError", "ArgumentError", "DataError", "WorldError", "RunFileError"),
    "hopgym.documents": ("Document", "Corpus", "PageList"),
    "hopgym.scoring": ("Score", "normalize_answer", "score_answer"),
    "hopgym.tasks": ("Evidence", "Hop", "Prediction", "Question", "Task", "TaskSource"),
    "hopgym.actions": ("Action", "Malformed"),
    "hopgym.tools": ("ToolSettings",),
    "hopgym.verdicts": ("Verdict", "GOOD_VERDICTS"),
    "hopgym.trajectory": ("Completion", "Step", "StopReason", "Trajectory", "transcript"),
    "hopgym.runs.trajectory_file": ("read_trajectories",),
    "hopgym.env.settings": ("EnvSettings",),
    "hopgym.env": ("HopEnv",),
    "hopgym.wrappers": ("RecordTrajectory", "TranscriptObservation"),
    "hopgym.rollout": ("Policy", "as_policy", "run_episodes"),
    "hopgym.policies": (
        "ConstantPolicy",
        "ExhaustivePolicy",
        "FirstPagePolicy",
        "GreedySearchPolicy",
        "GuessPolicy",
        "OraclePolicy",
        "RandomPolicy",
        "ScriptedPolicy",
    ),
    "hopgym.evaluation": ("Estimate", "Evaluation", "evaluate"),
    "hopgym.report": ("results_rows", "results_table", "write_report"),
}
_MODULES = {name: module for module, names in _PUBLIC.items() for name in names}

__all__ = ["__version__", *sorted(_MODULES)]


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used (PEP 562)."""
    if name not in _MODULES:
        raise AttributeError(f"module 'hopgym' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    """Return the public names, loaded or not."""
    return __all__
