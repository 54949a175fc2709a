"""The examples run as they are, on a small budget."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

EXAMPLES = ROOT / "examples"


def _run(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        timeout=600,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.torch
def test_tiny_imitation_learns_and_acts() -> None:
    pytest.importorskip("transformers")
    script = str(EXAMPLES / "tiny_imitation.py")
    output = _run(script, "--steps", "30", "--every", "16", "--eval", "6", "--seed", "3")
    point, last = output.splitlines()
    assert "CPU s: step 16, loss" in point
    result = json.loads(last)
    assert set(result) == {
        *("seed", "hops", "relations", "parameters", "vocabulary"),
        *("cpu_seconds", "steps", "trajectories", "tokens", "first_loss", "last_loss"),
        *("tasks", "success", "interval", "success_by_group", "success_heldout_names", "floors"),
    }
    assert result["seed"] == 3
    assert 600_000 < result["parameters"] < 700_000
    assert result["last_loss"] < result["first_loss"]
    assert (result["steps"], result["trajectories"]) == (30, 480)
    low, high = result["interval"]
    assert 0 <= low <= result["success"] <= high <= 1
    assert result["success_by_group"]["1 hop"] == result["success"]
    assert set(result["floors"]) == {"guess", "value of the page", "value of its kind"}


def test_records_are_not_written_over_another_file(tmp_path: Path) -> None:
    path, script = tmp_path / "hotpot.json", str(EXAMPLES / "hotpot_file.py")
    for _ in range(2):
        _run(script, str(path))
        assert len(json.loads(path.read_text())) == 3
    path.write_text("mine")
    done = subprocess.run([sys.executable, script, str(path)], capture_output=True, text=True)
    assert done.returncode == 1 and "which holds something else" in done.stderr
    assert path.read_text() == "mine"


@pytest.mark.torch
def test_tiny_imitation_passes_a_dry_run() -> None:
    pytest.importorskip("transformers")
    told = json.loads(_run(str(EXAMPLES / "tiny_imitation.py"), "--dry-run"))
    assert set(told) == {"seed", "hops", "relations", "parameters", "vocabulary"}


def test_the_custom_agent_plays_and_is_short() -> None:
    script = EXAMPLES / "custom_agent.py"
    lines = _run(str(script)).splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "success",
        "supported",
        "process_accuracy",
    ]
    assert len(script.read_text(encoding="utf-8").splitlines()) < 30
