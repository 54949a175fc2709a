"""How a run stands while it is played: sums, intervals, the live table, and lines on a pipe."""

import gc
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hopgym.cli import live
from hopgym.cli.live import REFRESHES, LiveTable, RunRow, play, short_count
from hopgym.env import HopEnv
from hopgym.evaluation import evaluate
from hopgym.evaluation.progress import RunProgress
from hopgym.rollout import run_episodes
from hopgym.runs.reader import RunPlan, StoredEpisodes
from hopgym.trajectory import Completion, Trajectory

if TYPE_CHECKING:
    from rich.table import Table

ANSWER = "<answer>baker</answer>"
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def policy(transcript: str) -> Completion:
    """Right at one task, wrong at two, and down at the last."""
    if "founded" in transcript:
        raise RuntimeError("down")
    return Completion(ANSWER, generated_tokens=5, prompt_tokens=20)


def episodes(env: HopEnv, samples: int = 2) -> list[Trajectory]:
    from hopgym.policy import as_policy

    return list(run_episodes(env, as_policy(policy), range(4), samples=samples))


@pytest.mark.parametrize(
    ("successes", "of", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (1, 1, 0.2065, 1.0)],
)
def test_the_interval_is_wilsons(successes: int, of: int, low: float, high: float) -> None:
    # Figures of Newcombe 1998 (Statistics in Medicine 17, table I) and of R's prop.test.
    share = RunProgress(episodes=of, successes=successes).success
    assert share is not None and share.mean == successes / of
    assert share.low == pytest.approx(low, abs=5e-5)
    assert share.high == pytest.approx(high, abs=5e-5)


def test_sums_are_those_of_the_evaluation(env: HopEnv) -> None:
    played, standing = episodes(env), RunProgress()
    assert standing.success is None
    for trajectory in played:
        standing.add(trajectory)
    whole = evaluate(played, env.source)
    assert (standing.episodes, standing.errors) == (8, 2) == (whole.episodes + 2, whole.errors)
    assert standing.success is not None and whole.metrics["success"] is not None
    assert standing.success.mean == whole.metrics["success"].mean == 1 / 3
    assert whole.metrics["f1"] is not None
    assert standing.reward / standing.evaluated == pytest.approx(whole.metrics["f1"].mean)
    assert whole.tokens is not None and whole.tokens.generated is not None
    assert standing.generated == whole.tokens.generated.sum == 30
    assert standing.prompted == 120
    assert standing.reasons.total() == 8
    assert standing.reasons["agent error"] == 2
    assert standing.first_error == "task q3: RuntimeError: down"


def filled(board: LiveTable, env: HopEnv, total: int = 16) -> RunRow:
    row = board.add_row("mine", total)
    for trajectory in episodes(env, 1):
        row.add_stored(trajectory)
    with row.timed():
        for trajectory in episodes(env):
            row.add(trajectory)
    return row


def test_a_row_tells_how_the_run_stands(env: HopEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = count(100.0, 0.001)
    monkeypatch.setattr(live.time, "monotonic", lambda: next(clock))
    row = filled(LiveTable(), env)
    assert (row.stored, row.played, row.progress.episodes) == (4, 8, 12)
    assert row.seconds > 0
    assert row.rate == pytest.approx(8 / row.seconds)
    cells = row.cells(with_tokens=True)
    assert cells[:4] == ["mine", "12\nof 16", "33.3%\n12.1–64.6", "33.3%"]
    assert cells[4:6] == ["45 sum\n3.75 mean", "180 sum\n15 mean"]
    assert cells[-2:] == ["0:00", "3"]
    told = row.line()
    assert told.startswith("mine episodes: 12 of 16, success 33.3% (12.1–64.6), 45 tokens")
    assert told.endswith("3 errors")


def test_a_row_without_an_episode(env: HopEnv) -> None:
    row = LiveTable().add_row("mine", 5)
    assert row.cells(with_tokens=True) == ["mine", "0\nof 5", "–\n", "–", "–", "–", "0.0", "–", "0"]


def test_time_left_goes_by_what_was_played_now(
    env: HopEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(live.time, "monotonic", lambda: now)
    row = LiveTable().add_row("mine", 8 + 8 * 3600)
    with row.timed():
        for trajectory in episodes(env):
            row.progress.add(trajectory)
        now += 8.0
    assert row.rate == 1.0
    assert row.cells(with_tokens=False)[-2] == "8:00:00"


@pytest.mark.parametrize(
    ("count", "words"),
    [(0, "0"), (3.75, "3.75"), (950, "950"), (12_345, "12.3k"), (4_560_000, "4.56M"), (2e9, "2G")],
)
def test_counts_are_short(count: float, words: str) -> None:
    assert short_count(count) == words


def test_a_pipe_gets_a_line_now_and_then(
    env: HopEnv, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr(live.time, "monotonic", lambda: now)
    some = episodes(env)
    with LiveTable() as board:
        row = board.add_row("mine", 10_000)
        for _ in range(3600):
            now += 1.0
            row.add(some[0])
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("mine episodes: 2 of 10,000, success 100.0%")
    assert 50 < len(told) < 80  # Once a minute in the end.


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], str]]:
    """Make stderr a terminal; what is given tells what was written to it since."""
    import pty

    reads, writes = pty.openpty()
    os.set_blocking(reads, False)
    with os.fdopen(writes, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setenv("COLUMNS", "80")
        monkeypatch.setenv("TERM", "xterm-256color")

        def written() -> str:
            text = b""
            while True:
                try:
                    text += os.read(reads, 65_536)
                except BlockingIOError:
                    return text.decode()

        yield written
    os.close(reads)


def test_a_terminal_gets_a_table_that_goes_away(
    env: HopEnv, monkeypatch: pytest.MonkeyPatch
) -> None:
    with terminal(monkeypatch) as written:
        with LiveTable() as board:
            filled(board, env)
            frames, deadline = "", time.monotonic() + 60
            while frames.count("per s") < 3 and time.monotonic() < deadline:
                time.sleep(0.05)
                frames += written()
            assert board._live is not None
            assert board._live.refresh_per_second == REFRESHES == 4
        last = written()
    text = CONTROL.sub("", frames)
    assert text.count("per s") >= 3
    lines = re.split(r"\x1b\[1A|\n|\r", frames)
    assert all(len(CONTROL.sub("", line)) <= 80 for line in lines)
    for told in ("mine", "of 16", "33.3%", "12.1–64.6", "45 sum", "3.75 mean", "0:00"):
        assert told in text
    # The last thing done is to wipe every line of it.
    assert "mine" not in last.rpartition("\x1b[1A\x1b[2K")[2]
    assert last.count("\x1b[2K") >= 4


def test_an_episode_draws_no_table(env: HopEnv, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = 0

    class Counting(LiveTable):
        def render(self) -> "Table":
            nonlocal drawn
            drawn += 1
            return super().render()

    monkeypatch.setattr(live, "REFRESHES", 1e-3)  # Not again while the test runs.
    some, added = episodes(env)[0], 10_000
    with terminal(monkeypatch), Counting() as board:
        row = board.add_row("mine", added)
        before = drawn
        for _ in range(added):
            row.add(some)
        assert drawn == before
    assert drawn > before
    assert row.progress.episodes == added


def test_at_no_time_are_all_episodes_in_memory(env: HopEnv, tmp_path: Path) -> None:
    from hopgym.policy import as_policy

    most = 0

    class Watching(LiveTable):
        def tick(self, row: RunRow) -> None:
            nonlocal most
            if row.progress.episodes % 50 == 0:
                most = max(most, alive())

    def alive() -> int:
        return sum(type(each) is Trajectory for each in gc.get_objects())

    before = alive()
    run = RunPlan("mine", 4, tmp_path / "run.jsonl", samples=100, slots=8)
    row = play(env, as_policy(lambda _: ANSWER), run, Watching())
    assert row.progress.episodes == 400
    # The prefix of each slot, and what ended at one turn.
    assert 0 < most - before <= 3 * 8 + 5
    read = StoredEpisodes(run)
    assert len(read) == 400
    most, order = 0, []
    for number, trajectory in enumerate(read):
        order.append((trajectory.index, trajectory.sample))
        if number % 50 == 0:
            most = max(most, alive())
    assert order == [(index, sample) for index in range(4) for sample in range(100)]
    assert most - before <= 3


def test_episodes_are_those_asked_for(env: HopEnv, tmp_path: Path) -> None:
    from dataclasses import replace

    from hopgym.policy import as_policy

    def sampled(transcript: str) -> Completion:
        return Completion(ANSWER, (1, 2), (-0.5, -0.5), 2, "stop", prompt_tokens=9)

    run = RunPlan("mine", 4, tmp_path / "run.jsonl", samples=2, slots=3)
    play(env, as_policy(sampled), run, LiveTable())
    fewer = list(StoredEpisodes(replace(run, tasks=3, samples=1)))
    assert [each.key for each in fewer] == [("q0", 0), ("q1", 0), ("q2", 0)]
    kept = fewer[0].steps[0].completion
    # Token ids and their probabilities are not needed for figures, and would fill the memory.
    assert kept == Completion(ANSWER, generated_tokens=2, finish_reason="stop", prompt_tokens=9)
    with run.out.open("ab") as file:
        file.write(b'{"env_id": "half')
    assert len(list(StoredEpisodes(run))) == 8
    assert list(StoredEpisodes(replace(run, out=tmp_path / "none.jsonl"))) == []
