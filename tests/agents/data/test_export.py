"""Training rows: rendered as for acting, whole through every kind of file, and judged again."""

import copy
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import pytest

from hopgym.env import HopEnv
from hopgym.errors import ArgumentError, DataError
from hopgym.policies import RandomPolicy
from hopgym.rollout import run_episodes
from hopgym.trajectory import Completion, StopReason, Trajectory
from hopgym_agents.data.decomposition import SubTrajectory, decompose, judge_actions
from hopgym_agents.data.export import (
    WEIGHTS,
    TrainingRow,
    check_output_path,
    load_rows,
    message_row,
    prompt_row,
    state_of,
    state_row,
    write_rows,
)
from hopgym_agents.generate import Message, Request, Sampling
from hopgym_agents.noisy_oracle import noisy_oracle
from hopgym_agents.policy import LLMPolicy
from hopgym_agents.prompts import STYLES, render

KWARGS = {"size": 10, "questions_per_world": 6, "dialect": "json", "max_steps": 8}


@pytest.fixture(scope="module")
def episodes() -> list[Trajectory]:
    env = gymnasium.make("hopgym/People-v0", **KWARGS)
    policy = noisy_oracle(env.unwrapped, {"p": 0.4})  # type: ignore[arg-type]
    good = list(run_episodes(env, policy, range(6), samples=2))
    return good + [replace(e, sample=2) for e in run_episodes(env, RandomPolicy(), range(6))]


@pytest.fixture(scope="module")
def subs(episodes: list[Trajectory]) -> list[SubTrajectory]:
    return [sub for each in episodes for sub in decompose(each)]


class Recorder:
    """Keeps what it was asked."""

    concurrency, fingerprint, sampling = 1, "recorder", Sampling()

    def __init__(self) -> None:
        self.asked: list[Request] = []

    def __call__(self, requests: Sequence[Request]) -> list[Completion]:
        self.asked += requests
        return [Completion("x") for _ in requests]


@pytest.mark.parametrize("style", STYLES)
def test_a_prompt_is_what_an_agent_is_asked(subs: list[SubTrajectory], style: str) -> None:
    recorder = Recorder()
    LLMPolicy(recorder, STYLES[style])([sub.prefix for sub in subs])
    for sub, request in zip(subs, recorder.asked, strict=True):
        row = prompt_row(sub, STYLES[style])
        assert tuple(map(as_sent, row["prompt"])) == request.messages
        assert tuple(row.get("tools", ())) == request.tools
        (completion,) = row["completion"]
        assert completion["role"] == "assistant" and row["action"] == sub.step.text
        if style != "native":
            assert completion["content"] == sub.step.text
        longer = render(sub.with_action, STYLES[style]).messages
        assert longer[:-1] == tuple(map(as_sent, [*row["prompt"], completion]))


def as_sent(message: Message) -> Message:
    """A message as servers take it: with the arguments of its calls as text, not as objects."""
    sent = copy.deepcopy(message)
    for call in sent.get("tool_calls", ()):
        assert isinstance(call["function"]["arguments"], dict)
        call["function"]["arguments"] = json.dumps(
            call["function"]["arguments"], ensure_ascii=False
        )
    return sent


def test_arguments_hold_what_was_written_and_nothing_else(
    subs: list[SubTrajectory], tmp_path: Path
) -> None:
    pytest.importorskip("datasets")
    write_rows((prompt_row(sub, STYLES["native"]) for sub in subs), tmp_path / "rows.jsonl")
    names = set()
    for row, sub in zip(load_rows(tmp_path / "rows.jsonl"), subs, strict=True):
        (completion,) = row["completion"]
        if (action := sub.step.action) is None:
            assert completion == {"role": "assistant", "content": sub.step.text}
            continue
        ((name, argument),) = completion["tool_calls"][0]["function"]["arguments"].items()
        assert argument == action.argument
        names.add(name)
    assert names == {"query", "title", "answer"}


def test_messages_are_a_whole_episode(episodes: list[Trajectory]) -> None:
    for episode in episodes:
        row = message_row(episode)
        assert row is not None
        assert [m["role"] for m in row["messages"][1:]] == (
            ["assistant", "user"] * len(episode.steps)
        )[:-1]
        said = [m["content"] for m in row["messages"] if m["role"] == "assistant"]
        assert said == row["actions"] == [step.text for step in episode.steps]
        assert row["verdicts"] == [str(step.verdict) for step in episode.steps]
        assert row["is_success"] == episode.is_success
    first = episodes[0]
    told = replace(first.steps[0], completion=Completion("x", privileged=True))
    assert message_row(replace(first, steps=(told, *first.steps[1:]))) is None
    assert message_row(replace(first, stop_reason=StopReason.API_ERROR)) is None
    assert message_row(first.prefix(0)) is None


def test_weights(subs: list[SubTrajectory], episodes: list[Trajectory]) -> None:
    for sub in subs:
        weights = {name: prompt_row(sub, weight=name)["weight"] for name in WEIGHTS}
        assert weights == {
            "one": 1.0, "good": float(sub.is_good), "process": sub.step.process_reward,
            "success": float(sub.is_success),
        }  # fmt: skip
    for episode in episodes:
        rows = [message_row(episode, weight=name) for name in ("good", "process", "success")]
        good, process, success = (row["weight"] for row in rows if row)
        assert good == float(all(sub.is_good for sub in decompose(episode)))
        assert process == pytest.approx(sum(step.process_reward for step in episode.steps))
        assert success == float(episode.is_success)


def kinds_of_rows(
    subs: list[SubTrajectory], episodes: list[Trajectory]
) -> dict[str, list[TrainingRow]]:
    return {
        "states": [state_row(sub) for sub in subs],
        "plain": [prompt_row(sub) for sub in subs],
        "native": [prompt_row(sub, STYLES["native"]) for sub in subs],
        "messages": [row for e in episodes if (row := message_row(e, STYLES["native"]))],
    }


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.parquet", "rows"])
@pytest.mark.parametrize("kind", ["states", "plain", "native", "messages"])
def test_rows_come_back_as_they_were_written(
    subs: list[SubTrajectory],
    episodes: list[Trajectory],
    kind: str,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    rows, out = kinds_of_rows(subs, episodes)[kind], tmp_path / name
    assert write_rows(iter(rows), out) == len(rows)
    again = load_rows(out)
    # No message was given keys of another one, and no list lost its type for being empty.
    assert list(again) == rows
    assert "null" not in str(again.features) and "None" not in str(again[0])
    if name.endswith(".jsonl"):
        assert [json.loads(line) for line in out.read_text().splitlines()] == rows
    # Written once more, over what is there.
    check_output_path(out, tmp_path / "run.jsonl")
    assert write_rows(iter(rows[:3]), out) == 3 and list(load_rows(out)) == rows[:3]
    assert not list(tmp_path.glob("*.partial"))


def test_the_tables_of_few_and_of_many_rows_have_the_same_types(
    subs: list[SubTrajectory], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("datasets")
    monkeypatch.setattr("hopgym_agents.data.export._ROWS_PER_TABLE", 3)
    rows = [prompt_row(sub, STYLES["native"]) for sub in subs]
    write_rows(rows, tmp_path / "many")
    write_rows(rows[:1], tmp_path / "one")
    many, one = load_rows(tmp_path / "many"), load_rows(tmp_path / "one")
    assert list(many) == rows and many.features == one.features


@pytest.mark.parametrize("name", ["rows.jsonl", "rows"])
def test_rows_judge_as_they_were_recorded(
    subs: list[SubTrajectory], name: str, tmp_path: Path
) -> None:
    pytest.importorskip("datasets")
    write_rows((prompt_row(sub) for sub in subs), tmp_path / name)
    rows: list[Any] = list(load_rows(tmp_path / name))
    outcomes = judge_actions([state_of(row) for row in rows], [row["action"] for row in rows])
    for row, outcome in zip(rows, outcomes, strict=True):
        assert str(outcome.verdict) == row["verdict"]
        assert outcome.process_reward == row["process_reward"]
        assert outcome.outcome_reward == row["outcome_reward"]
    # Of an episode's row the state is its begin, and its actions lead on from there.
    for row in [r for s in subs if (r := message_row(s.with_action)) is not None][:20]:
        state, made = state_of(row), row["actions"]
        states = [replace(state, prefix=(*state.prefix, *made[:i])) for i in range(len(made))]
        assert [str(w.verdict) for w in judge_actions(states, made)] == row["verdicts"]


def test_given_steps_stand_in_the_state_alone(env: HopEnv) -> None:
    env.reset(options={"index": 0, "prefix": ["<lookup>Ada Brook</lookup>"]})
    env.step("<answer>baker</answer>")
    episode = env.trajectory()
    (sub,), row = decompose(episode), message_row(episode)
    assert row is not None and len(row["messages"]) == 4
    assert row["prefix"] == state_row(sub)["prefix"] == ["<lookup>Ada Brook</lookup>"]
    assert row["actions"] == ["<answer>baker</answer>"] and state_row(sub)["step"] == 1


def test_what_cannot_be_written_is_told(tmp_path: Path, subs: list[SubTrajectory]) -> None:
    run = tmp_path / "run" / "episodes.jsonl"
    run.parent.mkdir()
    run.write_text("")
    with pytest.raises(DataError, match="at least one row"):
        write_rows([], tmp_path / "rows.jsonl")
    with pytest.raises(ArgumentError, match=r"out must end with \.jsonl or \.parquet"):
        check_output_path(tmp_path / "rows.csv", run)
    for own in (run, run.parent):
        with pytest.raises(ArgumentError, match="another path than the run's own"):
            check_output_path(own, run)
    with pytest.raises(ArgumentError, match="a new or empty folder"):
        check_output_path(tmp_path, run)
    check_output_path(tmp_path / "rows.jsonl", run)
    with pytest.raises(ArgumentError, match="needs the dialect 'json'"):
        prompt_row(
            replace(subs[0], prefix=replace(subs[0].prefix, dialect="tags")), STYLES["native"]
        )
    pytest.importorskip("datasets")
    with pytest.raises(DataError, match="no such file or folder"):
        load_rows(tmp_path / "nothing")
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(DataError, match="at least one row"):
        load_rows(tmp_path / "empty.jsonl")
