"""A small study for tests."""

from pathlib import Path
from typing import Any

from hopgym_agents.studies.spec import read_study

TEXT = """
title = "T"
seeds = [0, 1]
[env]
id = "People"
[start.tiny]
hidden = 32
[[start.stage]]
collect = { tasks = 20 }
train = { batch = 4 }
[base]
batch = 8
limits = { generated_tokens = 100 }
[base.trl]
max_steps = 5
[[arm]]
name = "one"
method = "sft"
trl = { learning_rate = 0.1 }
[[arm]]
name = "two"
method = "sft"
limits = { cpu_seconds = 3 }
[[suite]]
name = "test"
n = 300
[quick]
seeds = [0]
[quick.suite]
n = 5
[quick.base.limits]
generated_tokens = 10
"""

GRID = TEXT.replace(
    'name = "two"', 'name = "two"\ngrid = { "trl.learning_rate" = [0.1, 0.2], batch = [4] }'
)
"""A study with a grid."""

WORLDS = """
[env]
id = "People"
[env.kwargs]
size = 12
page_style = "brief"
name_pool = "small"
relations = ["mother", "father"]
kinds = ["chain"]
hops = 1
questions_per_world = 1
max_steps = 4
instructions = false
"""
"""Small worlds."""


def read(folder: Path, text: str = TEXT, **how: Any) -> Any:
    """Return the study of a text."""
    file = folder / "study.toml"
    file.write_text(text, encoding="utf-8")
    return read_study(file, **how)
