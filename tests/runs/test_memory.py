"""What a run costs beside environment and policy: memory that stays flat, and calls."""

import gc
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hopgym.env import HopEnv
from hopgym.env.settings import EnvSettings
from hopgym.evaluation.results import measure
from hopgym.report import render_report
from hopgym.rollout import run_episodes
from hopgym.runs.reader import RunPlan, StoredEpisodes
from hopgym.tasks import Task
from hopgym.trajectory import Completion, Trajectory
from hopgym_agents.generate import Request
from hopgym_agents.policy import LLMPolicy

FEW, MANY = 250, 1_000
# With sets of keys it was 190 bytes an episode in a rollout, with a list of rows 1,360 in figures.
# These still take a task's sums of all metrics, for a moment, and with few episodes as much again
# in small tuples that Python keeps.
ROLLOUT_BYTES, FIGURES_BYTES = 24, 900


@pytest.fixture
def endless(source: Any) -> Any:
    """The questions of the hand-written source again and again, under ids of their own."""

    class Endless(type(source)):  # type: ignore[misc]
        def __len__(self) -> int:
            return 10**9

        def __getitem__(self, index: int, /) -> Task:
            task = super().__getitem__(index % 4)
            question = replace(task.question, id=f"endless/{index}")
            return replace(task, question=question)

        def index_of(self, task_id: str) -> int:
            return int(task_id.partition("/")[2])

    return Endless()


def play(source: Any, out: Path, episodes: int) -> int:
    """Play so many; return the bytes in use when the last has ended, if they are traced."""

    def answers(prefixes: Sequence[Trajectory]) -> list[str]:
        names = ("baker", "Ada Brook; Ivo Jay", "nobody")
        return [f"<answer>{names[each.index % 7 % 3]}</answer>" for each in prefixes]

    played = run_episodes(HopEnv(source), answers, range(episodes), slots=16, out=out)
    for number, _ in enumerate(played, start=1):
        if number == episodes:
            gc.collect()  # Episodes are full of cycles.
            return tracemalloc.get_traced_memory()[0]
    raise AssertionError("fewer episodes than asked for")


def figures(source: Any, out: Path, episodes: int) -> None:
    """What ``hopgym eval`` does once all is played."""
    run = RunPlan("random", episodes, out)
    found = measure(StoredEpisodes(run), source, episodes)
    assert found.overall.tasks == episodes
    assert render_report({"random": StoredEpisodes(run)}, source, episodes=50)


def test_memory_of_a_rollout_is_flat(
    endless: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hopgym.env.env._CACHED_COUNTS", FEW // 2)  # Bounded, but far above MANY.
    play(endless, tmp_path / "first.jsonl", FEW)  # What is made once is there from now on.
    in_use = list[int]()
    for episodes in (FEW, MANY):
        tracemalloc.start()
        in_use.append(play(endless, tmp_path / f"{episodes}.jsonl", episodes))
        tracemalloc.stop()
    assert (in_use[1] - in_use[0]) / (MANY - FEW) <= ROLLOUT_BYTES


def test_memory_of_figures_and_report_is_flat(
    endless: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hopgym.evaluation.bootstrap._MAX_CELLS", 50 * FEW)  # As full for few.
    for episodes in (FEW, MANY):
        play(endless, tmp_path / f"{episodes}.jsonl", episodes)
    figures(endless, tmp_path / f"{FEW}.jsonl", FEW)
    peaks = list[int]()
    for episodes in (FEW, MANY):
        gc.collect()
        tracemalloc.start()
        figures(endless, tmp_path / f"{episodes}.jsonl", episodes)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert (peaks[1] - peaks[0]) / (MANY - FEW) <= FIGURES_BYTES


def test_a_turn_of_1000_slots_is_one_call(endless: Any) -> None:
    searches = Completion("<search>bees</search>", generated_tokens=5, finish_reason="stop")
    sizes = list[int]()

    def generate(requests: Sequence[Request]) -> list[Completion]:
        sizes.append(len(requests))
        return [searches] * len(requests)

    env = HopEnv(endless, EnvSettings(max_steps=4))
    played = run_episodes(env, LLMPolicy(generate), range(1_000), slots=1_000)
    assert sum(len(each.steps) for each in played) == 4_000
    assert sizes == [1_000] * 4
