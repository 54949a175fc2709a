"""`hopgym rollout`, `eval`, `replay` and `demo`: runs, their files, and taking them up again."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from hopgym import read_trajectories
from tests.support.command_line import hopgym as run
from tests.support.paths import ROOT
from tests.support.records import changed_record

METRICS = ("success", "f1", "supported", "process_accuracy", "regret")
SMALL = ("--size", "10", "--questions_per_world", "20")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs go to the working directory."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def rollout(out: Path, *words: str) -> Result:
    return run("rollout", "hopgym/People-v0", *words, "--out", str(out))


def test_rollout_writes_and_says_how_to_go_on(tmp_path: Path) -> None:
    out = tmp_path / "run.jsonl"
    result = rollout(out, "--policy", "oracle", "-n", "5", *SMALL)
    assert result.exit_code == 0
    assert len(list(read_trajectories(out))) == 5
    assert str(out) in result.stderr
    assert result.stdout == ""
    result = rollout(out, "--policy", "oracle", "-n", "8", "--samples", "2", *SMALL)
    assert "16 episodes of oracle on hopgym/People-v0, 5 of them from before." in result.stderr
    keys = [each.key for each in read_trajectories(out)]
    assert len(set(keys)) == len(keys) == 16


def test_a_file_of_another_run_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "run.jsonl"
    rollout(out, "--policy", "oracle", "-n", "2", *SMALL)
    before = out.read_bytes()
    result = rollout(out, "--policy", "greedy", "-n", "2", *SMALL)
    assert result.exit_code == 2
    assert "another policy" in result.stderr
    assert "now GreedySearchPolicy" in result.stderr
    assert out.read_bytes() == before


def start(words: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "hopgym", *words],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_lines(path: Path, count: int) -> None:
    for _ in range(24_000):
        if path.exists() and path.read_bytes().count(b"\n") > count:
            return
        time.sleep(0.005)
    pytest.fail(f"{path} did not come to {count} lines")


@pytest.mark.slow
def test_a_killed_rollout_is_taken_up(tmp_path: Path) -> None:
    broken, whole = tmp_path / "broken.jsonl", tmp_path / "whole.jsonl"
    words = ["rollout", "hopgym/People-v0", "--policy", "random", "-n", "400", *SMALL, "--out"]
    with start([*words, str(broken)]) as process:
        wait_for_lines(broken, 40)
        process.send_signal(signal.SIGKILL)
    kept = broken.read_bytes().count(b"\n") - 1
    assert process.returncode == -signal.SIGKILL
    with start([*words, str(broken)]) as process:
        wait_for_lines(broken, kept + 40)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        told = process.stderr.read()
    assert process.returncode == 130, told
    assert "Traceback" not in told
    assert "hopgym rollout hopgym/People-v0" in told
    assert broken.read_bytes().count(b"\n") - 1 < 400
    assert run(*words, str(broken)).exit_code == 0
    assert run(*words, str(whole)).exit_code == 0
    lines = [sorted(path.read_text().splitlines()) for path in (broken, whole)]
    assert lines[0] == lines[1]
    assert len(lines[0]) == 401


def check_metrics(figures: dict[str, Any]) -> None:
    for name in METRICS:
        assert set(figures[name]) == {"mean", "low", "high", "n"}


def evaluate(*words: str) -> Any:
    result = run("eval", "hopgym/People-v0", *words, *SMALL, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_eval_prints_one_json_object() -> None:
    summary = evaluate("--policy", "oracle", "-n", "30", "--split", "test")
    check_metrics(summary)
    assert summary["success"]["mean"] == summary["supported"]["mean"] == 1.0
    assert summary["success"]["n"] == 30
    assert summary["regret"]["mean"] == 0.0
    assert set(summary["floors"]) == {"guess", "unknown"}
    for part in (summary, *summary["floors"].values()):
        for figures in part["by_kind"].values():
            check_metrics(figures)
        assert set(part["by_answers"]) <= {"single", "set"}
        counted = 0
        for form in part["by_answers"].values():
            check_metrics(form)
            counted += sum(kind["success"]["n"] for kind in form["by_kind"].values())
        assert counted == 30


def test_eval_prints_the_floors_with_its_table() -> None:
    result = run("eval", "hopgym/People-v0", "--policy", "greedy", "-n", "20", *SMALL)
    assert result.exit_code == 0
    for word in ("greedy", "guess", "unknown", "floor", "process accuracy", "one answer", "a set"):
        assert word in result.stdout
    assert "\x1b" not in result.output


def without_timing(summary: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in summary.items() if name != "timing"}


def test_eval_keeps_its_episodes(tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ("--policy", "random", "--seed", "4", "--out", str(out))
    evaluate(*words, "-n", "10")
    written = (out / "episodes.jsonl").read_bytes()
    summary = evaluate(*words, "-n", "15")
    assert (out / "episodes.jsonl").read_bytes().startswith(written)
    assert json.loads((out / "summary.json").read_text()) == summary
    whole = evaluate("--policy", "random", "--seed", "4", "-n", "15")
    assert without_timing(whole) == without_timing(summary)
    assert evaluate(*words, "-n", "10")["success"]["n"] == 10
    assert {path.name for path in out.iterdir()} == {
        *("config.json", "environment.json", "episodes.jsonl", "floors"),
        *("summary.json", "report.html"),
    }
    assert {path.name for path in (out / "floors").iterdir()} == {"guess.jsonl", "unknown.jsonl"}


def test_eval_takes_an_agent_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_agent.py").write_text(
        "def agent(transcript: str) -> str:\n    return '<answer>unknown</answer>'\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    summary = evaluate("--policy", "my_agent:agent", "-n", "10")
    assert summary["success"] == summary["floors"]["unknown"]["success"]


def test_eval_of_more_tasks_than_there_are() -> None:
    result = run("eval", "People-v0", "--policy", "unknown", "-n", "9", "--worlds", "1",
                 "--questions_per_world", "4", "--json")  # fmt: skip
    assert "there are 4 tasks, 9 were asked for" in result.stderr
    assert json.loads(result.stdout)["tasks"] == 4


def test_replay_finds_records_as_they_were(tmp_path: Path) -> None:
    out = tmp_path / "run.jsonl"
    rollout(out, "--policy", "random", "-n", "6", "--hops", "1,2", *SMALL)
    result = run("replay", str(out))
    assert result.exit_code == 0
    assert "6 records, all as recorded" in result.stdout
    header, first, *rest = out.read_bytes().splitlines(keepends=True)
    old, new = b'"process_reward":0.0', b'"process_reward":0.25'
    changed = changed_record(first, lambda data: data.replace(old, new, 1))
    assert changed != first
    out.write_bytes(b"".join([header, changed, *rest]))
    result = run("replay", str(out))
    assert result.exit_code == 1
    assert "process_reward recorded as 0.25, now 0.0" in result.stdout
    found = json.loads(run("replay", str(out), "--json").stdout)
    assert (found["records"], found["different"]) == (6, 1)
    assert run("replay", str(tmp_path / "none.jsonl")).exit_code == 2


def test_demo_compares_every_scripted_policy(tmp_path: Path) -> None:
    result = run("demo", "--quick", "--out", str(tmp_path))
    assert result.exit_code == 0, result.output
    names = ["oracle", "greedy", "guess", "exhaustive", "first", "random", "unknown"]
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert list(summary) == names
    assert summary["oracle"]["success"]["mean"] == 1.0
    assert summary["oracle"]["tasks"] == 20
    for name in names:
        assert name in result.stdout
        assert len(list(read_trajectories(tmp_path / f"{name}.jsonl"))) == 20
    assert (tmp_path / "report.html").read_text(encoding="utf-8").startswith("<!")
    assert "hopgym eval hopgym/People-v0 --policy greedy" in result.stderr
