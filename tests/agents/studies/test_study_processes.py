"""``hopgym study`` on processes of its own: one that dies, and Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.study_files import WORLDS

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
    assert "go on with" in err
    assert "oracle" in out
