"""Policies that raise, reply wrongly or give up: what becomes of their episodes."""

import threading
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import pytest

from hopgym.env import HopEnv
from hopgym.rollout import Completion, as_policy, run_episodes
from hopgym.runs.trajectory_file import read_trajectories
from hopgym.trajectory import StopReason, Trajectory

LOOKUP, ANSWER = "<lookup>Ada Brook</lookup>", "<answer>baker</answer>"


def forgiven(calls: str, first: str) -> AbstractContextManager[object]:
    """Expect one warning, of calls that went well when they were made again."""
    told = f"^{calls} of the policy failed and, made again, went well; the first: {first}"
    return pytest.warns(UserWarning, match=told)


@pytest.mark.parametrize("concurrency", [1, 4])
def test_only_the_episode_that_raises_ends(env: HopEnv, concurrency: int) -> None:
    def fail(prefixes: Sequence[Trajectory]) -> list[str]:
        if any(prefix.task_id == "q1" and prefix.steps for prefix in prefixes):
            raise ValueError("no \ud800")
        return [ANSWER if prefix.steps else LOOKUP for prefix in prefixes]

    fail.concurrency = concurrency  # type: ignore[attr-defined]
    with forgiven("1 call", "ValueError: no") if concurrency == 1 else nullcontext():
        played = {each.key: each for each in run_episodes(env, fail, range(4))}
    assert played["q1", 0].stop_reason is StopReason.AGENT_ERROR
    assert played["q1", 0].error == "ValueError: no �"
    assert [step.text for step in played["q1", 0].steps] == [LOOKUP]
    assert {played[f"q{i}", 0].stop_reason for i in (0, 2, 3)} == {StopReason.ANSWER}


@pytest.mark.parametrize("concurrency", [1, 4])
def test_one_failure_of_a_call_is_forgiven(env: HopEnv, concurrency: int) -> None:
    failed: set[tuple[tuple[str, int], int]] = set()

    def flaky(prefixes: Sequence[Trajectory]) -> list[str]:
        for prefix in prefixes:
            point = (prefix.key, len(prefix.steps))
            if point not in failed:
                failed.add(point)
                raise OSError("try again")
        return [ANSWER] * len(prefixes)

    flaky.concurrency = concurrency  # type: ignore[attr-defined]
    with forgiven("4 calls", "OSError: try again"):
        played = list(run_episodes(env, flaky, range(4), slots=1))
    assert [each.stop_reason for each in played] == [StopReason.ANSWER] * 4


@pytest.mark.parametrize("count", [0, 1, 5])
def test_a_wrong_number_of_replies_is_asked_for_again_one_by_one(env: HopEnv, count: int) -> None:
    def policy(prefixes: Sequence[Trajectory]) -> list[str]:
        return [ANSWER] * (1 if len(prefixes) == 1 else count)

    with forgiven("1 call", f"HopgymError: a policy must return a list of 4 replies, got {count}"):
        played = list(run_episodes(env, policy, range(4)))
    assert [each.stop_reason for each in played] == [StopReason.ANSWER] * 4


@pytest.mark.parametrize("concurrency", [1, 4])
def test_an_agent_that_leaves_is_one_that_raises(env: HopEnv, concurrency: int) -> None:
    def leave(transcript: str) -> str:
        if "founded" in transcript:
            raise SystemExit("no key")
        return ANSWER

    leave.concurrency = concurrency  # type: ignore[attr-defined]
    played = {each.key: each for each in run_episodes(env, as_policy(leave), range(4))}
    assert played["q3", 0].stop_reason is StopReason.AGENT_ERROR
    assert played["q3", 0].error == "SystemExit: no key"
    assert {played[f"q{i}", 0].stop_reason for i in (0, 1, 2)} == {StopReason.ANSWER}


@pytest.mark.parametrize(
    ("replies", "error"),
    [
        ([], "a policy must return a list of 1 replies, got 0"),
        (["a", "b"], "a policy must return a list of 1 replies, got 2"),
        ("a", "a policy must return a list of 1 replies, got a string"),
        (None, "TypeError"),
        ([7], "a reply must be a string or a Completion, got 7"),
        ([None], "a reply must be a string or a Completion, got None"),
        ([Completion(None)], "AttributeError"),  # type: ignore[arg-type]
        ([Completion("a", logprobs=(float("-inf"),))], "finite"),
        ([Completion("a", token_ids=(np.int64(3),))], "ArgumentError"),  # type: ignore[arg-type]
    ],
)
def test_replies_that_are_none(env: HopEnv, replies: object, error: str, tmp_path: Path) -> None:
    def policy(prefixes: Sequence[Trajectory]) -> object:
        return replies

    trajectory = next(run_episodes(env, policy, [0], out=tmp_path / "a"))  # type: ignore[arg-type]
    assert trajectory.stop_reason is StopReason.AGENT_ERROR
    assert error in trajectory.error
    assert list(read_trajectories(tmp_path / "a")) == [trajectory]


@pytest.mark.parametrize(
    ("reply", "reason", "error"),
    [
        (
            Completion("", error="503", error_reason=StopReason.API_ERROR),
            StopReason.API_ERROR,
            "503",
        ),
        (
            Completion("x", error="no", error_reason=StopReason.AGENT_ERROR),
            StopReason.AGENT_ERROR,
            "no",
        ),
        (Completion("x", error="no", error_reason=StopReason.ANSWER), StopReason.AGENT_ERROR, "no"),
        (Completion("x", error="out of luck"), StopReason.AGENT_ERROR, "out of luck"),
        (Completion("x", finish_reason="context"), StopReason.CONTEXT, ""),
    ],
)
def test_completions_that_end_an_episode(
    env: HopEnv, reply: Completion, reason: StopReason, error: str
) -> None:
    def policy(prefixes: Sequence[Trajectory]) -> list[str | Completion]:
        return [reply if prefix.steps else LOOKUP for prefix in prefixes]

    trajectory = next(run_episodes(env, policy, [0]))
    assert (trajectory.stop_reason, trajectory.error) == (reason, error)
    assert len(trajectory.steps) == 1 and not trajectory.is_success


def test_threads_end_with_the_run(env: HopEnv) -> None:
    def going() -> int:
        return sum(each.name.startswith("hopgym-policy") for each in threading.enumerate())

    release = threading.Event()

    class Policy:
        concurrency = 3

        def __call__(self, prefixes: Sequence[Trajectory]) -> list[str]:
            if prefixes[0].sample:
                release.wait(timeout=60)
            return [ANSWER]

    before = going()
    run = run_episodes(env, Policy(), range(4), samples=2, slots=8)
    next(run)
    assert going() == before + 3
    run.close()  # type: ignore[attr-defined]
    release.set()
    for _ in range(6_000):
        if going() == before:
            break
        time.sleep(0.01)
    assert going() == before
