"""Jobs of a study on processes: their order, what is done again, failures, and Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from hopgym.errors import DataError
from hopgym_agents.studies import pool
from hopgym_agents.studies.plan import Job, plan_jobs
from hopgym_agents.studies.store import StudyStore
from tests.support.study_files import GRID, TEXT, WORLDS, read

Jobs = tuple[Job, ...]
PLAYED = f"""
title = "Played"
policies = ["oracle", "agent:act", "guess"]
{WORLDS}
[[suite]]
name = "test"
n = 20
"""
DYING = "import os\ndef act(transcript):\n    os._exit(3)\n"
SLOW = "import time\ndef act(transcript):\n    time.sleep(600)\n    return ''\n"


@contextmanager
def begun(folder: Path, agent: str, *words: str) -> Iterator["subprocess.Popen[str]"]:
    """Give a running study, which is killed with all its processes in the end."""
    (folder / "agent.py").write_text(agent)
    (folder / "study.toml").write_text(PLAYED)
    process = subprocess.Popen(
        [sys.executable, "-m", "hopgym", "study", "study.toml", "--out", "out", *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def test_a_process_that_dies_takes_its_job_alone(tmp_path: Path) -> None:
    with begun(tmp_path, DYING, "-j", "1") as process:
        _, err = process.communicate(timeout=120)
    assert process.returncode == 1, err
    assert "test: agent:act: its process ended with code 3" in err
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert list(summary["failed"]) == ["test: agent:act"]
    rows = summary["suites"]["test"]["rows"]
    assert set(rows) == {"oracle", "guess"}
    assert rows["oracle"]["success"]["mean"] == 1.0


def test_ctrl_c_leaves_what_is_done(tmp_path: Path) -> None:
    done = tmp_path / "out" / "results"
    with begun(tmp_path, SLOW, "-j", "1") as process:
        deadline = time.monotonic() + 120
        while not (done.is_dir() and list(done.glob("test-oracle*.json"))):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "Stopped with 1 of 3 jobs done." in err
    assert "resume" in err
    assert "oracle" in out


class Silent:
    """Sees jobs begin and end."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ended: dict[str, str] = {}

    def start(self, job: Job) -> None:
        self.begun.append(job.name)

    def advance(self, job: Job, done: int, total: int) -> None:
        pass

    def finish(self, job: Job, error: str) -> None:
        self.ended[job.name] = error


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Any, Silent]]:
    def play(jobs: Jobs, failing: str = "") -> tuple[Any, Silent]:
        def run_job(work: Any, report: Any) -> Any:
            assert set(work.results) == set(work.job.needs)
            if work.job.name == failing:
                raise DataError("no such thing")
            return {"name": work.job.name}

        monkeypatch.setattr(pool, "run_job", run_job)
        kept = StudyStore(tmp_path / "out", jobs)
        found = {job.name: result for job in jobs if (result := kept.read(job)) is not None}
        schedule, watcher = pool.Schedule(jobs, found), Silent()
        pool.run_jobs(schedule, kept, watcher, processes=0)
        return schedule, watcher

    return play


def test_what_is_done_is_not_done_again(tmp_path: Path, run: Any) -> None:
    jobs = plan_jobs(read(tmp_path, GRID))
    first, seen = run(jobs)
    assert seen.begun == [job.name for job in jobs]
    assert list(first.results) == seen.begun
    assert run(jobs)[1].begun == []


def test_a_change_touches_what_comes_of_it_alone(tmp_path: Path, run: Any) -> None:
    run(plan_jobs(read(tmp_path)))
    changed = TEXT.replace("learning_rate = 0.1", "learning_rate = 0.2")
    again = run(plan_jobs(read(tmp_path, changed)))[1].begun
    assert again == ["one, seed 0", "one, seed 1", "test: one, seed 0", "test: one, seed 1"]
    assert run(plan_jobs(read(tmp_path)))[1].begun == [], "what was before is still there"


def test_a_failure_takes_what_needs_it_along_and_nothing_else(tmp_path: Path, run: Any) -> None:
    jobs = plan_jobs(read(tmp_path))
    schedule, seen = run(jobs, failing="one, seed 0")
    assert schedule.failed == {
        "one, seed 0": "no such thing",
        "test: one, seed 0": "needs one, seed 0, which failed",
    }
    assert seen.ended["one, seed 0"] == "no such thing"
    assert len(schedule.results) == len(jobs) - 2
    assert run(jobs)[1].begun == ["one, seed 0", "test: one, seed 0"], "the same command mends it"
