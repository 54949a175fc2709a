import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from hopgym.env import HopEnv
from hopgym.env.settings import EnvSettings
from hopgym.errors import ArgumentError, RunFileError
from hopgym.rollout import Completion, as_policy, episode_rng, run_episodes
from hopgym.runs.trajectory_file import read_trajectories
from hopgym.trajectory import StopReason, Trajectory

TEXTS = (
    "<lookup>Ada Brook</lookup>",
    "<search>bees</search>",
    "<lookup>Elmstead</lookup>",
    "nothing to call",
    "<answer>baker</answer> and more",
)
ANSWER = "<answer>baker</answer>"


class Wanderer:
    """Draws its texts at random, and says so."""

    def __init__(self, seed: int = 0, concurrency: int = 1) -> None:
        self.seed, self.concurrency = seed, concurrency
        self.sizes: list[int] = []

    def seeded(self, seed: int) -> "Wanderer":
        return Wanderer(seed, self.concurrency)

    def __call__(self, prefixes: Sequence[Trajectory]) -> list[str | Completion]:
        self.sizes.append(len(prefixes))
        return [self.act(prefix) for prefix in prefixes]

    def act(self, prefix: Trajectory) -> str | Completion:
        assert prefix.stop_reason is StopReason.RUNNING
        t = len(prefix.steps)
        text = TEXTS[episode_rng(self.seed, prefix.index, prefix.sample, t).integers(len(TEXTS))]
        return text if t % 2 else Completion(text, (t,), (-0.5,), 1, "stop")


def by_key(trajectories: Iterator[Trajectory]) -> dict[tuple[str, int], Trajectory]:
    listed = list(trajectories)
    keyed = {each.key: each for each in listed}
    assert len(keyed) == len(listed)
    return keyed


def only(trajectories: Iterator[Trajectory]) -> Trajectory:
    (trajectory,) = trajectories
    return trajectory


def test_every_index_and_sample_is_played_once(env: HopEnv) -> None:
    played = by_key(run_episodes(env, Wanderer(), [2, 0, 2, np.int64(3)], slots=3, samples=5))
    assert set(played) == {(f"q{i}", sample) for i in (0, 2, 3) for sample in range(5)}
    assert all(each.stop_reason for each in played.values())
    assert all(each.index == int(each.task_id[1:]) for each in played.values())


def test_nothing_to_play(env: HopEnv) -> None:
    assert list(run_episodes(env, Wanderer(), [])) == []


@pytest.mark.parametrize(("slots", "concurrency"), [(1, 1), (7, 1), (1, 4), (7, 4), (64, 4)])
def test_results_do_not_depend_on_slots_and_threads(
    env: HopEnv, slots: int, concurrency: int
) -> None:
    expected = by_key(run_episodes(env, Wanderer(), range(4), samples=10, seed=3))
    policy = Wanderer(concurrency=concurrency)
    assert by_key(run_episodes(env, policy, range(4), slots=slots, samples=10, seed=3)) == expected
    assert by_key(run_episodes(env, policy, range(4), samples=10, seed=4)) != expected


def test_the_record_is_what_the_environment_says(env: HopEnv) -> None:
    texts = [TEXTS[0], "<lookup>Cleo Dunn</lookup>", TEXTS[4]]

    def policy(prefixes: Sequence[Trajectory]) -> list[str]:
        return [texts[len(prefixes[0].steps)]]

    trajectory = only(run_episodes(env, policy, [0]))
    env.reset(options={"index": 0})
    for text in texts:
        env.step(text)
    assert trajectory == env.trajectory()
    assert (trajectory.answer, trajectory.is_success, trajectory.oracle_steps) == ("baker", True, 3)
    assert trajectory.steps[-1].text == ANSWER


def test_the_environment_given_is_left_as_it_is(env: HopEnv) -> None:
    env.reset(options={"index": 1})
    env.step(TEXTS[1])
    before = env.trajectory()
    list(run_episodes(env, Wanderer(), range(4)))
    assert env.trajectory() == before


def test_completions_stand_in_the_steps_and_in_later_prefixes(env: HopEnv) -> None:
    reply = Completion(f"<think>x</think>{TEXTS[0]} \ud800", (1, 2), (-1.0, -2.0), 2, "stop")
    seen: list[Trajectory] = []

    def policy(prefixes: Sequence[Trajectory]) -> list[str | Completion]:
        seen.append(prefixes[0])
        return [ANSWER if prefixes[0].steps else reply]

    trajectory = only(run_episodes(env, policy, [0]))
    kept = trajectory.steps[0].completion
    assert kept is not None and kept.text.endswith("�") and kept.token_ids == (1, 2)
    assert seen[1] == trajectory.prefix(1)
    assert trajectory.steps[1].completion is None


def test_a_batched_policy_is_asked_for_all_that_wait(env: HopEnv) -> None:
    sizes: list[int] = []

    def policy(prefixes: Sequence[Trajectory]) -> list[str]:
        sizes.append(len(prefixes))
        return [ANSWER] * len(prefixes)

    assert len(list(run_episodes(env, policy, range(4), slots=3, samples=2))) == 8
    assert sizes == [3, 3, 2]


def test_a_slow_request_holds_no_other(env: HopEnv) -> None:
    others = threading.Semaphore(0)

    class Policy:
        concurrency = 2

        def __call__(self, prefixes: Sequence[Trajectory]) -> list[str]:
            (prefix,) = prefixes
            if prefix.key == ("q0", 0):
                # It replies only when the 19 other episodes have: they must not wait for it.
                assert all(others.acquire(timeout=60) for _ in range(19))
            else:
                others.release()
            return [ANSWER]

    played = list(run_episodes(env, Policy(), range(4), slots=3, samples=5))
    assert len({each.key for each in played}) == 20
    assert {each.stop_reason for each in played} == {StopReason.ANSWER}


def test_calls_at_once_stay_within_the_concurrency(env: HopEnv) -> None:
    lock, going, most = threading.Lock(), 0, 0
    full = threading.Barrier(3)

    class Policy:
        concurrency = 3

        def __call__(self, prefixes: Sequence[Trajectory]) -> list[str]:
            nonlocal going, most
            with lock:
                going += 1
                most = max(most, going)
            full.wait(timeout=60)
            with lock:
                going -= 1
            return [ANSWER] * len(prefixes)

    assert len(list(run_episodes(env, Policy(), range(3), samples=4))) == 12
    assert most == 3


@pytest.mark.parametrize("concurrency", [1, 4])
def test_a_run_is_taken_up_where_it_stopped(env: HopEnv, tmp_path: Path, concurrency: int) -> None:
    path = tmp_path / "a.jsonl"

    def run(samples: int, policy: Wanderer | None = None) -> Iterator[Trajectory]:
        policy = policy or Wanderer(concurrency=concurrency)
        return run_episodes(env, policy, range(4), slots=3, samples=samples, seed=1, out=path)

    first = run(3)
    seen = [next(first) for _ in range(5)]
    first.close()  # type: ignore[attr-defined]
    written = by_key(read_trajectories(path))
    assert {each.key for each in seen} <= set(written)
    rest = by_key(run(3))
    assert not rest.keys() & written.keys()
    expected = by_key(run_episodes(env, Wanderer(), range(4), samples=5, seed=1))
    assert {each.key for each in run(5)} == {key for key in expected if key[1] >= 3}
    assert by_key(read_trajectories(path)) == expected
    assert list(run(5)) == []


def test_failed_episodes_are_done_again(env: HopEnv, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"

    def down(prefixes: Sequence[Trajectory]) -> list[str | Completion]:
        broken = Completion("", error="503", error_reason=StopReason.API_ERROR)
        return [broken if prefix.index % 2 else ANSWER for prefix in prefixes]

    def up(prefixes: Sequence[Trajectory]) -> list[str]:
        return [ANSWER] * len(prefixes)

    assert len(list(run_episodes(env, down, range(4), out=path))) == 4
    assert {each.task_id for each in run_episodes(env, up, range(4), out=path)} == {"q1", "q3"}
    played = by_key(read_trajectories(path))
    assert len(played) == 4
    assert {each.stop_reason for each in played.values()} == {StopReason.ANSWER}


def test_files_of_other_runs_are_refused(env: HopEnv, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    named, short = Wanderer(), HopEnv(env.source, EnvSettings(max_steps=3))
    named.seeded = lambda seed: named  # type: ignore[method-assign, assignment]
    named.fingerprint = "another"  # type: ignore[attr-defined]
    list(run_episodes(env, Wanderer(), [0], out=path))
    for other in (
        run_episodes(short, Wanderer(), [0], out=path),
        run_episodes(env, Wanderer(), [0], seed=1, out=path),
        run_episodes(env, named, [0], out=path),
    ):
        with pytest.raises(RunFileError, match="another config"):
            next(other)


@pytest.mark.parametrize("concurrency", [1, 3])
def test_an_interrupt_keeps_what_is_finished(env: HopEnv, tmp_path: Path, concurrency: int) -> None:
    path = tmp_path / "a.jsonl"

    class Policy:
        def __init__(self, calls: int) -> None:
            self.left, self.concurrency = calls, concurrency

        def __call__(self, prefixes: Sequence[Trajectory]) -> list[str]:
            self.left -= 1
            if self.left < 0:
                raise KeyboardInterrupt
            return [ANSWER] * len(prefixes)

    seen: list[Trajectory] = []
    with pytest.raises(KeyboardInterrupt):
        for trajectory in run_episodes(env, Policy(8), range(4), slots=1, samples=5, out=path):
            seen.append(trajectory)
    assert len(seen) == 8
    assert list(read_trajectories(path)) == seen
    # The file is closed: a second run may have it at once.
    assert len(list(run_episodes(env, Policy(99), range(4), samples=5, out=path))) == 12


def test_what_ends_together_is_written_before_any_is_yielded(env: HopEnv, tmp_path: Path) -> None:
    run = run_episodes(env, as_policy(lambda _: ANSWER), range(4), out=tmp_path / "a")
    next(run)
    assert len(list(read_trajectories(tmp_path / "a"))) == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"slots": 0}, "slots"),
        ({"samples": 0}, "samples"),
        ({"seed": -1}, "seed"),
        ({"indices": [4]}, r"indices must be whole numbers in \[0, 4\), got 4"),
        ({"indices": [-1]}, "indices"),
        ({"env_kwargs": {"max_steps": 3}}, "env_kwargs"),
        ({"env_id": gymnasium.make("CartPole-v1")}, "must be a hopgym environment"),
    ],
)
def test_arguments_out_of_range_are_refused_at_the_call(
    env: HopEnv, changes: dict, message: str
) -> None:
    arguments = {"env_id": env, "policy": Wanderer(), "indices": [0]} | changes
    with pytest.raises(ArgumentError, match=message):
        run_episodes(**arguments)


def test_a_registered_id_is_made(source, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = gymnasium.envs.registration.EnvSpec(
        "Hand-v0", lambda max_steps=16, render_mode=None: HopEnv(source, EnvSettings(max_steps))
    )
    monkeypatch.setitem(gymnasium.registry, "Hand-v0", spec)
    policy = as_policy(lambda text: TEXTS[0])
    trajectory = only(run_episodes("Hand-v0", policy, [0], env_kwargs={"max_steps": 3}))
    assert (trajectory.env_id, trajectory.env_kwargs) == ("Hand-v0", {"max_steps": 3})
    assert (trajectory.stop_reason, len(trajectory.steps)) == (StopReason.BUDGET, 3)


def test_each_action_has_randomness_of_its_own() -> None:
    points = [(s, i, k, t) for s in (0, 1) for i in (0, 1) for k in (0, 1) for t in (0, 1)]
    drawn = {tuple(episode_rng(*point).integers(2**62, size=2).tolist()) for point in points}
    assert len(drawn) == len(points)
    assert episode_rng(1, 2, 3, 4).random() == episode_rng(1, 2, 3, 4).random()
