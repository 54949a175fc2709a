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

from hopgym.actions import Action
from hopgym.errors import ArgumentError, DataError, RunFileError
from hopgym.runfile import (
    Header,
    TrajectoryWriter,
    as_recorded,
    read_header,
    read_trajectories,
)
from hopgym.trajectory import Completion, Step, StopReason, Trajectory
from hopgym.verdicts import Shown, Verdict

HEADER = Header.of({"max_steps": 16}, "hand")


def record(task_id: str = "q0", sample: int = 0, **changes) -> Trajectory:
    step = Step(
        text="<lookup>Ada Brook</lookup>",
        action=Action("lookup", "Ada Brook", "who?"),
        observation="Ada Brook\nHer mother is Cleo Dunn.\u2028é\x00😀",
        shown=Shown((("d0", 0), ("d0", 1)), ("Ada Brook",)),
        verdict=Verdict.GOOD,
        process_reward=1 / 3,
        outcome_reward=0.0,
        potential=0.1 + 0.2,
        completion=Completion("x", (1, 2), (-0.1, -1e-9), 2, "stop"),
    )
    malformed = replace(step, action=None, verdict=Verdict.MALFORMED, completion=None)
    trajectory = Trajectory(
        env_id="hopgym/People-v0",
        env_kwargs={"hops": [1, 4], "mode": "tools"},
        task_id=task_id,
        index=int(task_id[1:]),
        sample=sample,
        question="Who?",
        prompt="Question: Who?",
        dialect="tags",
        tools=("search", "answer"),
        steps=(step, malformed),
        reason=StopReason.BUDGET,
        oracle_steps=3,
    )
    return replace(trajectory, **changes)


def write(path: Path, *records: Trajectory, header: Header = HEADER) -> None:
    with TrajectoryWriter(path, header) as writer:
        for each in records:
            writer.write(each)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.jsonl"
    records = [record(), record(sample=1), record("q1", reason=StopReason.ANSWER)]
    write(path, *records[:2])
    with TrajectoryWriter(path, HEADER) as writer:
        assert writer.finished == {("q0", 0), ("q0", 1)}
        writer.write(records[2])
        assert ("q1", 0) in writer.finished
    assert list(read_trajectories(path)) == records
    assert read_header(path) == HEADER
    assert os.listdir(path.parent) == ["a.jsonl"]


def test_a_writer_is_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    (tmp_path / "link.jsonl").symlink_to(path)
    with TrajectoryWriter(path, HEADER) as writer:
        for name in ("a.jsonl", "link.jsonl"):
            with pytest.raises(RunFileError, match="one writer at a time"):
                TrajectoryWriter(tmp_path / name, HEADER)
        writer.write(record())
    write(tmp_path / "link.jsonl", record("q1"))
    assert (tmp_path / "link.jsonl").is_symlink()
    assert [each.task_id for each in read_trajectories(path)] == ["q0", "q1"]


def test_another_process_is_refused_too_until_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    code = (
        "import sys\nfrom hopgym.runfile import Header, TrajectoryWriter\n"
        f"TrajectoryWriter({str(path)!r}, Header.of({{'max_steps': 16}}, 'hand'))"
    )

    def other() -> str:
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr

    # Error records make the file be replaced while it is locked: the lock has to outlast that.
    write(path, record(reason=StopReason.API_ERROR))
    with TrajectoryWriter(path, HEADER):
        assert "RunFileError" in other()
    assert other() == ""


def test_many_openers_at_once_write_one_after_another(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    code = f"""
from dataclasses import replace
from hopgym.errors import RunFileError
from hopgym.runfile import Header, TrajectoryWriter
from hopgym.trajectory import StopReason, Trajectory
empty = Trajectory("", {{}}, "q", 0, 0, "", "", "tags", (), reason=StopReason.BUDGET)
left = 25
while left:
    try:
        with TrajectoryWriter({str(path)!r}, Header.of({{}}, "hand")) as writer:
            writer.write(replace(empty, sample=len(writer.finished)))
            left -= 1
    except RunFileError:
        pass
"""
    processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [process.wait() for process in processes] == [0, 0, 0]
    assert [each.sample for each in read_trajectories(path)] == list(range(75))
    assert os.listdir(tmp_path) == ["a.jsonl"]


@pytest.mark.parametrize("cut", [1, 40, -2])
def test_a_half_written_last_line_is_passed_over_and_cut(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "a.jsonl"
    write(path, record(), record("q1"))
    whole = path.read_bytes()
    first_two, last = whole.splitlines(keepends=True)[:2], whole.splitlines(keepends=True)[2]
    path.write_bytes(b"".join(first_two) + last[:cut])
    assert [each.task_id for each in read_trajectories(path)] == ["q0"]
    write(path, record("q1"))
    assert path.read_bytes() == whole


def test_a_whole_last_line_without_its_newline_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write(path, record())
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    write(path, record("q1"))
    assert [each.task_id for each in read_trajectories(path)] == ["q0", "q1"]


def test_a_header_without_its_newline(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write(path)
    path.write_bytes(path.read_bytes().rstrip(b"\n"))
    write(path, record())
    assert list(read_trajectories(path)) == [record()]


def test_error_records_are_dropped_to_be_done_again(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    failed = record("q1", reason=StopReason.API_ERROR, error="503")
    raised = record("q2", reason=StopReason.AGENT_ERROR, error="ValueError: no")
    write(path, failed, record(), raised)
    assert len(list(read_trajectories(path))) == 3
    with TrajectoryWriter(path, HEADER) as writer:
        assert writer.finished == {("q0", 0)}
        writer.write(record("q1"))
    assert list(read_trajectories(path)) == [record(), record("q1")]
    assert os.listdir(tmp_path) == ["a.jsonl"]


def test_a_kill_while_the_file_is_rewritten_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.jsonl"
    write(path, record(), record("q1", reason=StopReason.API_ERROR))
    before = path.read_bytes()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            TrajectoryWriter(path, HEADER)
    assert path.read_bytes() == before
    write(path, record("q1"))
    assert list(read_trajectories(path)) == [record(), record("q1")]
    assert os.listdir(tmp_path) == ["a.jsonl"]


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (Header.of({"max_steps": 8}, "hand"), "another config"),
        (Header.of({"max_steps": 16}, "foot"), "another source"),
    ],
)
def test_files_of_other_runs_are_refused(tmp_path: Path, other: Header, what: str) -> None:
    path = tmp_path / "a.jsonl"
    write(path, record())
    before = path.read_bytes()
    with pytest.raises(RunFileError, match=what):
        TrajectoryWriter(path, other)
    assert path.read_bytes() == before
    write(path)


def test_another_code_version_is_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write(path, record(), header=replace(HEADER, code="0.0.1"))
    with pytest.warns(UserWarning, match=r"begun by hopgym 0\.0\.1"):
        write(path, record("q1"))
    assert len(list(read_trajectories(path))) == 2


def test_the_config_is_hashed_by_its_values() -> None:
    assert Header.of({"a": (1,), "b": 2}, "s") == Header.of({"b": 2, "a": [1]}, "s")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"", "line 1: expected the header"),
        (b"my notes\n", "line 1: expected the header"),
        (b'{"schema":1}\n', "line 1: expected the header"),
        (b'{"schema":9,"config":"","source":"","code":"7.0"}\n', "expected schema 1, got 9"),
    ],
)
def test_files_of_another_kind(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "a.jsonl"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        list(read_trajectories(path))
    if content:
        with pytest.raises(DataError, match=message):
            TrajectoryWriter(path, HEADER)
        assert path.read_bytes() == content
        assert os.listdir(tmp_path) == ["a.jsonl"]


@pytest.mark.parametrize(
    "line", [b"{}", b"", b"{", b'{"\xff', b"\0" * 9, b'{"env_id":1}', b"[" * 5000]
)
def test_a_corrupt_line_is_named(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "a.jsonl"
    write(path, record(), record("q1"))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], line + b"\n", lines[2]]))
    with pytest.raises(DataError, match=r"a\.jsonl, line 3: expected a trajectory"):
        list(read_trajectories(path))
    with pytest.raises(DataError, match="line 3"):
        TrajectoryWriter(path, HEADER)


def test_no_key_twice(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with TrajectoryWriter(path, HEADER) as writer:
        writer.write(record())
        with pytest.raises(RunFileError, match="once"):
            writer.write(record())
    path.write_bytes(path.read_bytes() + path.read_bytes().splitlines(keepends=True)[1])
    with pytest.raises(DataError, match="line 3: expected each task and sample once"):
        list(read_trajectories(path))


@pytest.mark.parametrize(
    "broken",
    [
        record(reason=StopReason.RUNNING),
        record(error="\ud800"),
        record(env_kwargs={"path": Path("x")}),
        record(oracle_steps="3"),
        replace(record(), steps=(replace(record().steps[0], potential=float("nan")),)),
    ],
    ids=["running", "surrogate", "path", "type", "nan"],
)
def test_nothing_is_written_that_could_not_be_read(tmp_path: Path, broken: Trajectory) -> None:
    path = tmp_path / "a.jsonl"
    with TrajectoryWriter(path, HEADER) as writer:
        with pytest.raises(ArgumentError):
            writer.write(broken)
        writer.write(record())
    assert list(read_trajectories(path)) == [record()]


def test_as_recorded_gives_declared_types() -> None:
    completion = Completion("x", token_ids=[1, 2], logprobs=[-1])  # type: ignore[arg-type]
    assert as_recorded(completion) == Completion("x", (1, 2), (-1.0,))


def test_a_full_disk_leaves_no_half_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with TrajectoryWriter(path, HEADER) as writer:
        writer.write(record())
        file = writer._file

        class Full:
            def write(self, line: bytes) -> int:
                return file.write(line[: len(line) // 2])

            def __getattr__(self, name: str):
                return getattr(file, name)

        writer._file = Full()  # type: ignore[assignment]
        with pytest.raises(RunFileError, match="make room"):
            writer.write(record("q1"))
        writer._file = file
        writer.write(record("q1"))
    assert list(read_trajectories(path)) == [record(), record("q1")]


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


def test_a_run_killed_at_twenty_moments_loses_and_doubles_nothing(tmp_path: Path) -> None:
    script, path, whole = (tmp_path / name for name in ("script.py", "a.jsonl", "whole.jsonl"))
    script.write_text(SCRIPT.format(tests=str(Path(__file__).parent)), encoding="utf-8")
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
