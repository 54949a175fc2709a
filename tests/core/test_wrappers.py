import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import gymnasium
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env

from hopgym.env import HopEnv
from hopgym.env.settings import EnvSettings
from hopgym.errors import ArgumentError, RunFileError
from hopgym.replay import replay
from hopgym.rollout import run_episodes
from hopgym.runs.trajectory_file import read_trajectories
from hopgym.trajectory import Completion, StopReason, Trajectory, transcript
from hopgym.wrappers import RecordTrajectory, TranscriptObservation

LOOKUP, ANSWER = "<lookup>Ada Brook</lookup>", "<answer>baker</answer>"


@pytest.fixture
def hand_id(source, monkeypatch: pytest.MonkeyPatch) -> str:
    """An id in the registry, over the hand-written source."""
    monkeypatch.setattr(
        "hopgym.hand",
        lambda max_steps=16, render_mode=None: HopEnv(source, EnvSettings(max_steps=max_steps)),
        raising=False,
    )
    monkeypatch.setitem(gymnasium.registry, "Hand-v0", EnvSpec("Hand-v0", "hopgym:hand"))
    return "Hand-v0"


def test_the_transcript_grows_and_is_cleared(env: HopEnv) -> None:
    wrapped = TranscriptObservation(env)
    prompt, _ = wrapped.reset(options={"index": 0})
    assert prompt == env.trajectory().prompt
    page, *_ = wrapped.step(LOOKUP)
    assert page.startswith(f"{prompt}\n\n{LOOKUP}\n\n") and "Her mother is Cleo Dunn." in page
    end, _, terminated, _, _ = wrapped.step(f"{ANSWER} and more")
    assert terminated and end == f"{page}\n\n{ANSWER}\n\nAnswer given."
    again, _ = wrapped.reset(options={"index": 0})
    assert again == prompt


def test_a_prefix_stands_in_the_transcript(env: HopEnv) -> None:
    wrapped = TranscriptObservation(env)
    observation, _ = wrapped.reset(options={"index": 0, "prefix": [LOOKUP]})
    assert observation == env.reset(options={"index": 0, "prefix": [LOOKUP]})[0]


def test_the_longest_transcript_stays_in_the_space(source) -> None:
    env = TranscriptObservation(HopEnv(source, EnvSettings(max_malformed=99)))
    observation, _ = env.reset()
    truncated = False
    while not truncated:
        assert observation in env.observation_space
        observation, _, _, truncated, _ = env.step("x" * 50_000)
    assert observation in env.observation_space
    # 16 steps, of each of which a transcript repeats 8,192 characters.
    assert len(observation) > 16 * 8_192


def test_wrapped_environments_pass_the_checker(hand_id: str, tmp_path: Path) -> None:
    env = gymnasium.make(hand_id, disable_env_checker=True)
    env = RecordTrajectory(TranscriptObservation(env), tmp_path / "a.jsonl")
    # The only thing that the checker has against it is that it is wrapped.
    with pytest.warns(UserWarning, match="has a wrapper applied") as caught:
        check_env(env, skip_render_check=True, skip_close_check=True)
    assert len(caught) == 1
    env.close()


def test_specs_round_trip(hand_id: str, tmp_path: Path) -> None:
    env = gymnasium.make(hand_id, max_steps=2)
    env = RecordTrajectory(TranscriptObservation(env), tmp_path / "a.jsonl")
    assert env.spec is not None
    again = gymnasium.make(EnvSpec.from_json(env.spec.to_json()))
    assert isinstance(again, RecordTrajectory) and isinstance(again.env, TranscriptObservation)
    assert again.spec == env.spec
    assert json.loads(env.spec.to_json())["kwargs"] == {"max_steps": 2}
    # Both may be there, as nothing is opened before a reset.
    observation, _ = env.reset(options={"index": 1})
    with pytest.raises(RunFileError):
        again.reset()
    env.close()
    assert again.reset(options={"index": 1})[0] == observation
    again.close()


@pytest.mark.parametrize("wrap", [TranscriptObservation, lambda env: RecordTrajectory(env, "a")])
def test_other_environments_are_refused(wrap) -> None:
    with pytest.raises(ArgumentError, match="must be a hopgym environment"):
        wrap(gymnasium.make("CartPole-v1"))


def test_ended_episodes_are_recorded(hand_id: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    env = RecordTrajectory(gymnasium.make(hand_id, max_steps=2), path)
    ended: list[Trajectory] = []
    for index, texts in [
        (0, [LOOKUP, ANSWER]),
        (1, [LOOKUP]),
        (1, [LOOKUP, LOOKUP]),
        (0, [ANSWER]),
    ]:
        env.reset(options={"index": index})
        for text in texts:
            env.step(text)
        if index == 0 or len(texts) == 2:
            ended.append(env.unwrapped.trajectory())  # type: ignore[attr-defined]
    env.reset()
    env.close()
    records = list(read_trajectories(path))
    assert [replace(each, sample=0) for each in records] == ended
    assert [each.key for each in records] == [("q0", 0), ("q1", 0), ("q0", 1)]
    assert (records[0].env_id, records[0].env_kwargs) == ("Hand-v0", {"max_steps": 2})
    assert records[1].stop_reason is StopReason.BUDGET


def test_samples_go_on_where_the_file_ends(env: HopEnv, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    for _ in range(2):
        recorder = RecordTrajectory(env, str(path))
        for _ in range(2):
            recorder.reset(options={"index": 0})
            recorder.step(ANSWER)
        recorder.close()
        recorder.close()
    assert [each.key for each in read_trajectories(path)] == [("q0", i) for i in range(4)]


def test_one_file_for_each_environment(source, env: HopEnv, tmp_path: Path) -> None:
    first, second = (RecordTrajectory(each, tmp_path / "a") for each in (env, HopEnv(source)))
    first.reset()
    with pytest.raises(RunFileError, match="one writer at a time"):
        second.reset()
    first.close()
    other = RecordTrajectory(HopEnv(source, EnvSettings(max_steps=3)), tmp_path / "a")
    with pytest.raises(RunFileError, match="another config"):
        other.reset()


def played(env: HopEnv, texts: list[str], index: int = 0) -> Trajectory:
    def policy(prefixes: Sequence[Trajectory]) -> list[Completion]:
        return [Completion(texts[len(prefix.steps)]) for prefix in prefixes]

    (trajectory,) = run_episodes(env, policy, [index])
    return trajectory


TEXTS = [
    "<think>hm</think> first <search>bees</search> <search>x</search>",
    "nothing",
    LOOKUP,
    LOOKUP,
    "<answer>Ada Brook; Ivo Jay</answer>",
]


def test_a_record_replays_without_differences(env: HopEnv, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    texts = TEXTS

    def policy(prefixes: Sequence[Trajectory]) -> list[str]:
        return [texts[len(prefix.steps)] for prefix in prefixes]

    for _ in run_episodes(env, policy, range(4), out=path):
        pass
    records = list(read_trajectories(path))
    assert len(records) == 4
    for record in records:
        assert replay(record, env) == []
        assert replay(record.prefix(2), env) == []


def test_given_steps_replay_as_given(env: HopEnv) -> None:
    env.reset(options={"index": 1, "prefix": TEXTS[:2]})
    for text in TEXTS[2:]:
        env.step(text)
    assert replay(env.trajectory(), env) == []


def test_the_environment_of_a_record_is_made(hand_id: str) -> None:
    env = gymnasium.make(hand_id, max_steps=2).unwrapped
    assert isinstance(env, HopEnv)
    assert replay(played(env, TEXTS)) == []
    with pytest.raises(ArgumentError, match="env must be given"):
        replay(replace(played(env, TEXTS), env_id=""))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("observation", "Something else"),
        ("verdict", "lucky"),
        ("process_reward", 0.25),
        ("outcome_reward", 1.0),
        ("potential", 0.75),
        ("shown_content", None),
    ],
)
def test_a_changed_step_is_named(env: HopEnv, field: str, value: object) -> None:
    record = played(env, TEXTS, index=1)
    steps = list(record.steps)
    steps[1] = replace(steps[1], **{field: value})
    (difference,) = replay(replace(record, steps=tuple(steps)), env)
    assert difference.startswith(f"step 2: {field} recorded as {value!r}, now ")


def test_changed_ends_are_named(env: HopEnv) -> None:
    record = played(env, TEXTS, index=1)
    assert replay(replace(record, is_success=False), env) == [
        "end: is_success recorded as False, now True"
    ]
    assert replay(replace(record, prompt="Q"), env)[0].startswith("episode: prompt recorded as 'Q'")
    longer = replace(record, steps=(*record.steps, record.steps[0]))
    assert replay(longer, env) == ["end: recorded after 6 steps, now after 5"]
    assert replay(replace(record, stop_reason=StopReason.CONTEXT), env) == [
        "end: recorded as stopped by its policy, now 'answer'"
    ]
    ended = replace(record.steps[-1], from_prefix=True)
    (difference,) = replay(replace(record, steps=(ended,)), env)
    assert difference.startswith("reset: options['prefix'] must leave the episode open")


def test_what_policies_stop_is_replayed_up_to_there(env: HopEnv) -> None:
    def policy(prefixes: Sequence[Trajectory]) -> list[str | Completion]:
        stop = Completion("", finish_reason="context")
        return [stop if prefix.steps else LOOKUP for prefix in prefixes]

    (record,) = run_episodes(env, policy, [0])
    assert record.stop_reason is StopReason.CONTEXT
    assert replay(record, env) == []
    assert transcript(record.prompt, record.steps).endswith(record.steps[0].observation)
