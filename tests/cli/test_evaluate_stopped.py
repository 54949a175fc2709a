"""`hopgym eval` stopped by Ctrl-C, at whatever moment."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_line import hopgym as run
from tests.support.paths import ROOT

SMALL = ("--size", "10", "--questions_per_world", "20")
RUN = ("eval", "People-v0", "--policy", "random", *SMALL)
AGENT = """
import os, time
from pathlib import Path

class Hanging:
    concurrency = 4
    def __call__(self, transcript: str) -> str:
        if (Path("hang").exists() and int(Path("hang").read_text()) <= os.stat("calls").st_size):
            time.sleep(600)
        with open("calls", "a") as file:
            file.write(".")
        return "<answer>unknown</answer>"
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    (tmp_path / "hanging_agent.py").write_text(AGENT)
    sys.modules.pop("hanging_agent", None)
    return tmp_path


def latest() -> Path:
    return Path(Path("runs/latest").read_text().strip())


def lines(path: Path) -> list[str]:
    return sorted(path.read_text().splitlines())


def start(*words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "hopgym", *words],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_ctrl_c_keeps_and_tells_what_is_done(here: Path) -> None:
    words = (
        "eval",
        "People-v0",
        "--policy",
        "hanging_agent:Hanging",
        *SMALL,
        "-n",
        "30",
        "-c",
        "6",
    )
    (here / "hang").write_text("10")
    (here / "calls").touch()
    process = start(*words, "--out", "run")
    episodes, deadline = here / "run" / "episodes.jsonl", time.monotonic() + 120
    while not (episodes.exists() and len(lines(episodes)) > 10):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    # Nobody waits for the four calls that hang: they would take far longer than this.
    try:
        printed, told = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == 130, told
    assert "Traceback" not in told
    assert f"hopgym {shlex.join(words)} --out run" in told
    done = len(lines(here / "run" / "episodes.jsonl")) - 1
    assert 10 <= done <= 13
    assert f"{done} of 30 episodes of hanging_agent:Hanging are there." in told
    assert json.loads((here / "run" / "summary.json").read_text())["episodes"] == done
    assert (here / "run" / "report.html").stat().st_size > 1000
    assert "By kind of question" in printed
    (here / "hang").unlink()
    for out in ("run", "unbroken"):
        assert run(*words, "--out", out).exit_code == 0
    assert lines(here / "run" / "episodes.jsonl") == lines(here / "unbroken" / "episodes.jsonl")


def test_ctrl_c_before_the_first_episode(monkeypatch: pytest.MonkeyPatch) -> None:
    from hopgym.policies import RandomPolicy

    def interrupted(*_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(RandomPolicy, "act", interrupted)
    result = run(*RUN, "-n", "3")
    assert result.exit_code == 130
    assert "0 of 3 episodes of random are there." in result.stderr
    assert not (latest() / "summary.json").exists()
    monkeypatch.undo()


def test_ctrl_c_while_figures_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    import hopgym.cli.evaluate as verb

    measure = verb._measure

    def interrupted(*arguments: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return measure(*arguments)

    def twice(*arguments: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return interrupted(*arguments)

    monkeypatch.setattr(verb, "_measure", interrupted)
    result = run(*RUN, "-n", "3")
    assert result.exit_code == 130
    assert "Ctrl-C once more" in result.stderr
    assert json.loads((latest() / "summary.json").read_text())["episodes"] == 3
    (latest() / "summary.json").unlink()
    monkeypatch.setattr(verb, "_measure", twice)
    assert run(*RUN, "-n", "3").exit_code == 130
    assert not (latest() / "summary.json").exists()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
