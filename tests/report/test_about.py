"""A report tells what was run, how completions ended, and how many episodes stand behind a bar."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hopgym.policies import ConstantPolicy, ScriptedPolicy
from hopgym.report import render_report
from hopgym.report.about import about_folder
from hopgym.trajectory import Completion, Trajectory
from tests.support.report_page import SCRIPT, Page, play

CONFIG = {
    "policy": "llm",
    "options": {"model": "some/model", "sampling": {"temperature": 0.7}, "key": "(hidden)"},
    "tasks": 60,
    "samples": 4,
    "seed": 0,
    "command": "hopgym eval hopgym/People-v0 --policy llm",
    "config": "2f44",
}
ENVIRONMENT = {"versions": {"hopgym": "0.1.0"}, "commit": {"hash": "f0a1" * 10, "changed": True}}


def folder(path: Path, **files: object) -> Path:
    for name, value in files.items():
        (path / f"{name}.json").write_text(json.dumps(value))
    return path


def test_what_was_run_is_read_from_a_folder(tmp_path: Path) -> None:
    assert about_folder(tmp_path) == {}
    assert about_folder(folder(tmp_path, config=CONFIG)) == {
        "policy": "llm",
        "options": 'model=some/model, sampling={"temperature": 0.7}, key=(hidden)',
        "tasks": "60",
        "samples": "4",
        "seed": "0",
        "command": CONFIG["command"],
    }
    code = about_folder(folder(tmp_path, environment=ENVIRONMENT))["code"]
    assert code == "hopgym 0.1.0, started in a folder at commit f0a1f0a1f0a1, with changed files"


@pytest.mark.parametrize("config", [[], "x", {"other": 1}, None])
def test_files_of_others_are_passed_over(tmp_path: Path, config: object) -> None:
    assert about_folder(folder(tmp_path, config=config)) == {}
    (tmp_path / "config.json").write_bytes(b"\xff{")
    assert about_folder(tmp_path) == {}


def test_the_page_says_what_was_run(source: Any) -> None:
    runs = {"mine": play(source, ScriptedPolicy(SCRIPT))}
    assert "What was run" not in Page(render_report(runs, source)).all("summary")
    hostile = "</dd><script>alert(1)</script>"
    about = {"mine": {"policy": hostile, "command": f"--x {hostile}"}, "other": {}}
    page = Page(render_report(runs, source, about=about))
    assert "What was run" in page.all("summary")
    assert page.all("dd").count(hostile) == 1
    assert page.all("code") == [f"--x {hostile}"]
    assert page.tags.count("script") == 2


@pytest.mark.parametrize(
    ("finish", "notes", "hint"),
    [("length", ["finish: length"], "; cut off at max_tokens"), ("stop", [], ""), ("", [], "")],
)
def test_texts_cut_off_are_told(source: Any, finish: str, notes: list[str], hint: str) -> None:
    def policy(prefixes: Sequence[Trajectory]) -> list[Completion]:
        return [Completion("<search>so lo", finish_reason=finish) for _ in prefixes]

    played = play(source, policy, indices=[0])
    (episode,) = Page(render_report({"mine": played}, source)).data["episodes"]
    assert all(step["notes"] == notes for step in episode["steps"])
    assert episode["meaning"] == f"no answer: too many malformed texts in a row{hint}"


def test_attempts_are_numbered(source: Any) -> None:
    (one,) = play(source, ConstantPolicy(), indices=[0])
    data = Page(render_report({"mine": [one, replace(one, sample=1)]}, source)).data
    assert [each["head"]["attempt"] for each in data["episodes"]] == ["", "attempt 2"]


def test_bars_tell_their_episodes_where_runs_differ(source: Any) -> None:
    whole, part = play(source, ConstantPolicy()), play(source, ConstantPolicy(), indices=[0, 1])
    page = render_report({"a": whole, "b": whole}, source).decode()
    assert " each</small>" in page and 'class="count"' not in page
    page = render_report({"a": whole, "b": part}, source).decode()
    kind = page[page.index("by kind of question") :]
    attribute = re.findall(r'<bdi>(\w)</bdi> <span class="count">([^<]+)<', kind)
    assert attribute[:2] == [("a", "n 2"), ("b", "n 1")]
