"""Several processes on one trajectory file, one after the other or at once, killed or not."""

import os
import random
import runpy
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from hopgym.runs.trajectory_file import Header, RunEnvironment, read_trajectories
from hopgym.runs.writer import TrajectoryWriter
from hopgym.trajectory import StopReason, Trajectory
from tests.support.paths import ROOT

EMPTY = Trajectory("", {}, "q", 0, 0, "", "", "tags", ())


def test_another_process_is_refused_too_until_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    code = (
        "from hopgym.runs.trajectory_file import Header, RunEnvironment\n"
        "from hopgym.runs.writer import TrajectoryWriter\n"
        f"TrajectoryWriter({str(path)!r}, Header.of({{}}, [RunEnvironment('hand')]))"
    )

    def other() -> str:
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr

    # Error records make the file be replaced while it is locked: the lock has to outlast that.
    with TrajectoryWriter(path, Header.of({}, [RunEnvironment("hand")])) as writer:
        writer.write(replace(EMPTY, stop_reason=StopReason.API_ERROR))
    with TrajectoryWriter(path, Header.of({}, [RunEnvironment("hand")])):
        assert "RunFileError" in other()
    assert other() == ""


def test_many_openers_at_once_write_one_after_another(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    code = f"""
from dataclasses import replace
from hopgym.errors import RunFileError
from hopgym.runs.trajectory_file import Header, RunEnvironment
from hopgym.runs.writer import TrajectoryWriter
from hopgym.trajectory import StopReason, Trajectory
empty = Trajectory("", {{}}, "q", 0, 0, "", "", "tags", (), stop_reason=StopReason.BUDGET)
left = 25
while left:
    try:
        with TrajectoryWriter({str(path)!r}, Header.of({{}}, [RunEnvironment("hand")])) as writer:
            writer.write(replace(empty, sample=len(writer.finished)))
            left -= 1
    except RunFileError:
        pass
"""
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert [each.sample for each in read_trajectories(path)] == list(range(75))
    assert os.listdir(tmp_path) == ["a.jsonl"]


SCRIPT = """
import sys

sys.path.insert(0, {tests!r})
from conftest import HandSource
from hopgym.env import HopEnv
from hopgym.rollout import episode_rng, run_episodes

TEXTS = ("<lookup>Ada Brook</lookup>", "<lookup>Elmstead</lookup>", "hm", "<answer>baker</answer>")
SAMPLES = 1250


class Policy:
    def __init__(self, seed=0):
        self.seed = seed

    def seeded(self, seed):
        return Policy(seed)

    def __call__(self, prefixes):
        rngs = [episode_rng(self.seed, p.index, p.sample, len(p.steps)) for p in prefixes]
        return [TEXTS[rng.integers(len(TEXTS))] for rng in rngs]


def play(out=None):
    env = HopEnv(HandSource())
    return run_episodes(env, Policy(), range(4), slots=32, samples=SAMPLES, seed=7, out=out)


if __name__ == "__main__":
    for trajectory in play(sys.argv[1]):
        pass
"""
KILLS = 20


@pytest.mark.slow
def test_a_run_killed_at_twenty_moments_loses_and_doubles_nothing(tmp_path: Path) -> None:
    script, path, whole = (tmp_path / name for name in ("script.py", "a.jsonl", "whole.jsonl"))
    script.write_text(SCRIPT.format(tests=str(ROOT / "tests")), encoding="utf-8")
    undisturbed = {each.key: each for each in runpy.run_path(str(script))["play"](whole)}
    assert len(undisturbed) == 5000
    rng = random.Random(0)
    # The last run would end before a kill that comes late; a fifth of the work is left for it.
    moments = sorted(rng.randrange(whole.stat().st_size * 4 // 5) for _ in range(KILLS))
    kept: set[tuple[str, int]] = set()
    for moment in moments:
        process = subprocess.Popen([sys.executable, str(script), str(path)])
        while process.poll() is None and not (path.exists() and path.stat().st_size > moment):
            time.sleep(0.0002)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        now = [each.key for each in read_trajectories(path)]
        assert kept <= set(now)
        kept = set(now)
    assert 0 < len(kept) < 5000
    subprocess.run([sys.executable, str(script), str(path)], check=True)
    records = list(read_trajectories(path))
    assert len(records) == 5000
    assert {each.key: each for each in records} == undisturbed
    assert sorted(os.listdir(tmp_path)) == ["a.jsonl", "script.py", "whole.jsonl"]
