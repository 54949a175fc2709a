"""The pages of docs/ say what the code does."""

import re
from dataclasses import fields

from hopgym.env import HopEnv
from hopgym.env.settings import EnvSettings
from hopgym.tools import ToolSettings
from hopgym.worlds.people.settings import QuestionSettings, WorldSettings
from tests.support.paths import ROOT

DOCS = ROOT / "docs"


def test_the_arguments_are_those_of_the_code() -> None:
    text = (DOCS / "arguments.md").read_text(encoding="utf-8")
    written = dict(re.findall(r"^\| `(\w+)` \| `(.+?)` \|", text, re.MULTILINE))
    settings = (EnvSettings(), ToolSettings(), WorldSettings(), QuestionSettings())
    actual = {f.name: repr(getattr(s, f.name)) for s in settings for f in fields(s)}
    assert written == actual


def test_the_worked_example_is_what_the_environment_says(env: HopEnv) -> None:
    text = (DOCS / "semantics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(<\w+>[^`]*)` \|.*\| `(\w+)` \|$", text, re.MULTILINE)
    expected = [2 / 3, 0.0, 1 / 3, 0.0]
    _, info = env.reset(options={"task_id": "q0"})
    assert info["potential"] == 1 / 4
    assert len(rows) == len(expected)
    for (action, verdict), reward in zip(rows, expected, strict=True):
        _, _, _, _, info = env.step(action)
        assert info["verdict"] == verdict
        assert abs(info["process_reward"] - reward) < 1e-12
