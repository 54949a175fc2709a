import os
import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from hopgym.actions import Action
from hopgym.errors import ArgumentError, DataError, RunFileError
from hopgym.runs.resume import describe_difference
from hopgym.runs.trajectory_file import (
    Header,
    RunEnvironment,
    as_recorded,
    read_header,
    read_trajectories,
)
from hopgym.runs.writer import TrajectoryWriter
from hopgym.trajectory import Completion, Step, StopReason, Trajectory
from hopgym.verdicts import ShownContent, Verdict

HAND = [RunEnvironment("hand")]
HEADER = Header.of({"max_steps": 16}, HAND)


def record(task_id: str = "q0", sample: int = 0, **changes) -> Trajectory:
    step = Step(
        text="<lookup>Ada Brook</lookup>",
        action=Action("lookup", "Ada Brook", "who?"),
        observation="Ada Brook\nHer mother is Cleo Dunn.\u2028é\x00😀",
        shown_content=ShownContent((("d0", 0), ("d0", 1)), ("Ada Brook",)),
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
        stop_reason=StopReason.BUDGET,
        oracle_steps=3,
    )
    return replace(trajectory, **changes)


def write(path: Path, *records: Trajectory, header: Header = HEADER) -> None:
    with TrajectoryWriter(path, header) as writer:
        for each in records:
            writer.write(each)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a.jsonl"
    records = [record(), record(sample=1), record("q1", stop_reason=StopReason.ANSWER)]
    write(path, *records[:2])
    with TrajectoryWriter(path, HEADER) as writer:
        assert writer.finished == {(0, 0), (0, 1)}
        writer.write(records[2])
        assert (1, 0) in writer.finished
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
    failed = record("q1", stop_reason=StopReason.API_ERROR, error="503")
    raised = record("q2", stop_reason=StopReason.AGENT_ERROR, error="ValueError: no")
    write(path, failed, record(), raised)
    assert len(list(read_trajectories(path))) == 3
    with TrajectoryWriter(path, HEADER) as writer:
        assert writer.finished == {(0, 0)}
        writer.write(record("q1"))
    assert list(read_trajectories(path)) == [record(), record("q1")]
    assert os.listdir(tmp_path) == ["a.jsonl"]


def test_a_kill_while_the_file_is_rewritten_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.jsonl"
    write(path, record(), record("q1", stop_reason=StopReason.API_ERROR))
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
        (Header.of({"max_steps": 8}, HAND), "another config"),
        (Header.of({"max_steps": 16}, [RunEnvironment("foot")]), "another source"),
        (Header.of({"max_steps": 8}, HAND, "agent v2"), "another config"),
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


def test_another_policy_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write(path, record(), header=Header.of({"policy": "play.py:go 1f"}, HAND, "play.py:go 1f"))
    told = r"policy: its name, options, seed, or the code of an agent .* \(then 1f, now 2e\)"
    with pytest.raises(RunFileError, match=told):
        TrajectoryWriter(path, Header.of({"policy": "play.py:go 2e"}, HAND, "play.py:go 2e"))


@pytest.mark.parametrize(
    ("then", "now", "told"),
    [
        ("m (top_k=1, seed=0)", "m (top_k=1, seed=1)", "then seed=0, now seed=1"),
        ('go {"n": 1, "m": [1]} 1f', 'go {"n": 1, "m": [2]} 1f', "then [1], now [2]"),
        ("m (seed=0)", "m (seed=0) dtype=bf16", "then nothing more, now dtype=bf16"),
        ("m {{(f(x), y)}}", "m {{(f(x), z)}}", "then y, now z"),
    ],
)
def test_what_differs_has_no_stray_brackets(then: str, now: str, told: str) -> None:
    assert describe_difference(then, now) == told


def test_files_of_unnamed_policies_are_told_by_their_hashes(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write(path, record())
    with pytest.raises(RunFileError, match=r"seed or policy \(hash"):
        TrajectoryWriter(path, Header.of({"policy": "m"}, HAND, "m"))
    with pytest.raises(RunFileError, match=r"seed or policy \(hash"):
        TrajectoryWriter(path, Header.of({"max_steps": 8}, HAND))


def test_another_code_version_is_warned_of(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    write(path, record(), header=replace(HEADER, version="0.0.1"))
    with pytest.warns(UserWarning, match=r"started by hopgym 0\.0\.1"):
        write(path, record("q1"))
    assert len(list(read_trajectories(path))) == 2


def test_the_config_is_hashed_by_its_values() -> None:
    assert Header.of({"a": (1,), "b": 2}, HAND) == Header.of({"b": 2, "a": [1]}, HAND)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"", "line 1: expected the header"),
        (b"my notes\n", "line 1: expected the header"),
        (b'{"schema":2}\n', "line 1: expected the header"),
        (b'{"schema":1}\n', "line 1: expected schema 2 of hopgym .*, got 1; use"),
        (b'{"schema":true,"version":"2.0"}\n', "expected schema 2 .*, got True of hopgym 2.0;"),
        (b'{"config":"","source":"","code":"0.3"}\n', "schema 2 .*, got none of hopgym 0.3;"),
        (b'{"schema":9,"config":"","source":"","code":"7.0"}\n', "got 9 of hopgym 7.0; use"),
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
@pytest.mark.parametrize("checked", [False, True])
def test_a_corrupt_line_is_named(tmp_path: Path, line: bytes, checked: bool) -> None:
    path = tmp_path / "a.jsonl"
    write(path, record(), record("q1"))
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    if checked:
        line = b'{"checksum":"%08x","episode":%s}' % (zlib.crc32(line), line)
    path.write_bytes(b"".join([*lines[:2], line + b"\n", lines[2]]))
    with pytest.raises(DataError, match=r"a\.jsonl, line 3: expected a trajectory"):
        list(read_trajectories(path))
    with pytest.warns(UserWarning, match=r"dropped .* line 3: expected a trajectory") as caught:
        TrajectoryWriter(path, HEADER).close()
    assert len(caught) == 1
    assert path.read_bytes() == whole


def test_no_key_twice(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    with TrajectoryWriter(path, HEADER) as writer:
        writer.write(record())
        with pytest.raises(RunFileError, match=r"once, .* of index \d, again"):
            writer.write(record())
    path.write_bytes(path.read_bytes() + path.read_bytes().splitlines(keepends=True)[1])
    with pytest.raises(DataError, match="line 3: expected each task and sample once"):
        list(read_trajectories(path))


@pytest.mark.parametrize(
    "broken",
    [
        record(stop_reason=StopReason.RUNNING),
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
