"""HopEnv: resets, prefixes, budgets, rewards and verdicts, over the hand source."""

import json
from typing import Any

import numpy as np
import pytest
from gymnasium.error import ResetNeeded

from hopgym.env import HopEnv
from hopgym.env.settings import EnvSettings
from hopgym.errors import ArgumentError
from hopgym.tools import ToolSettings
from hopgym.trajectory import transcript

ADA, CLEO, IVO = (f"<lookup>{name}</lookup>" for name in ("Ada Brook", "Cleo Dunn", "Ivo Jay"))
ANSWER, BAD = "<answer>baker</answer>", "no call at all"
TOOL_SETTINGS = {"search_k", "search_returns", "snippet_sentences"}
TOOL_SETTINGS |= {"search_noise", "tool_failure", "noise_seed"}


@pytest.fixture
def make(source):
    """Return environments over the hand source with the given settings."""

    def make(**settings: Any) -> HopEnv:
        tools = {name: settings.pop(name) for name in TOOL_SETTINGS & set(settings)}
        return HopEnv(source, EnvSettings(**settings), ToolSettings(**tools))

    return make


def task_ids(env: HopEnv, count: int) -> list[str]:
    return [env.reset()[1]["task_id"] for _ in range(count)]


def play(env: HopEnv, *texts: str) -> list[tuple[Any, ...]]:
    """Return what each step returns."""
    return [env.step(text) for text in texts]


def verdicts(env: HopEnv, *texts: str) -> list[str]:
    return [turn[4]["verdict"] for turn in play(env, *texts)]


# Resets


def test_resets_without_seed_go_through_the_tasks_in_order(env: HopEnv) -> None:
    assert task_ids(env, 6) == ["q0", "q1", "q2", "q3", "q0", "q1"]


def test_a_seed_draws_where_to_start(env: HopEnv, make) -> None:
    drawn = []
    for seed in range(20):
        first = env.reset(seed=seed)[1]["task_id"]
        assert make().reset(seed=seed)[1]["task_id"] == first
        assert task_ids(env, 3) == [f"q{(int(first[1:]) + i) % 4}" for i in (1, 2, 3)]
        drawn.append(first)
    assert set(drawn) == {"q0", "q1", "q2", "q3"}


def test_named_tasks_leave_the_order_alone(env: HopEnv) -> None:
    env.reset()
    for options in ({"index": 3}, {"task_id": "q2"}, {"index": 0}):
        named = env.reset(options=options)[1]["task_id"]
        assert named == options.get("task_id", f"q{options.get('index')}")
    assert task_ids(env, 2) == ["q1", "q2"]
    start = env.reset(seed=7)[1]["task_id"]
    assert env.reset(seed=7, options={"index": 3})[1]["task_id"] == "q3"
    assert env.reset()[1]["task_id"] == start


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"indx": 1}, "'indx' .did you mean 'index'"),
        ({"taskid": "q1"}, "did you mean 'task_id'"),
        ({"prefixes": []}, "did you mean 'prefix'"),
        ({"seed": 1}, "must be among index, task_id, prefix, got 'seed'"),
        ({"index": 4}, r"must be a whole number in \[0, 4\), got 4"),
        ({"index": -1}, "got -1"),
        ({"index": "1"}, "got '1'"),
        ({"index": 1.0}, "got 1.0"),
        ({"index": True}, "got True"),
        ({"index": 1, "task_id": "q1"}, "got both"),
        ({"prefix": ADA}, "must be a list of strings"),
        ({"prefix": [ADA, 3]}, "must be a list of strings"),
        ({"prefix": 3}, "must be a list of strings"),
        ({"index": 0, "prefix": [ADA, ANSWER]}, r"its action 2 of 2 ends it \(answer\)"),
        ({"index": 0, "prefix": [BAD] * 3}, r"its action 3 of 3 ends it \(malformed\)"),
        ({"index": 0, "prefix": [ADA] * 16}, r"its action 16 of 16 ends it \(budget\)"),
    ],
)
def test_a_refused_reset_leaves_the_episode_as_it_was(env: HopEnv, options, message: str) -> None:
    env.reset(options={"index": 2})
    env.step(ADA)
    before = env.trajectory()
    with pytest.raises(ArgumentError, match=message):
        env.reset(options=options)
    assert env.trajectory() == before and env.task.question.id == "q2"
    assert env.step(CLEO)[4]["step"] == 2
    assert env.reset()[1]["task_id"] == "q0"


def test_attributes_before_the_first_reset(env: HopEnv, source, make) -> None:
    assert env.source is source and env.task.question.id == "q0"
    assert env.corpus is source.corpus and len(list(env.corpus)) == 5
    assert [tool.name for tool in env.tools] == ["search", "lookup", "answer"]
    assert [tool.name for tool in make(mode="closed_book").tools] == ["answer"]
    for call in (lambda: env.step(ADA), env.trajectory, env.snapshot):
        with pytest.raises(ResetNeeded):
            call()


def test_the_prompt_asks_and_explains(env: HopEnv, make) -> None:
    prompt, info = env.reset()
    assert prompt.startswith("Question: What is the job of the mother of Ada Brook?\n")
    assert all(part in prompt for part in ("<search>query</search>", "<lookup>", "<answer>", "16"))
    assert (info["step"], info["steps_left"], info["verdict"], info["gold"]) == (0, 16, "", "")
    bare = make(instructions=False)
    assert bare.reset()[0] == "Question: What is the job of the mother of Ada Brook?"
    assert "steps left" not in bare.step(ADA)[0]


# Prefixes


def test_a_prefix_is_given_and_pays_nothing(make) -> None:
    env = make(reward="process")
    observation, info = env.reset(options={"index": 0, "prefix": [ADA, IVO]})
    steps = env.trajectory().steps
    assert [step.from_prefix for step in steps] == [True, True]
    assert observation == transcript(env.trajectory().prompt, steps)
    assert all(text in observation for text in (ADA, "Her mother is Cleo Dunn.", "born in 1948"))
    assert (info["step"], info["steps_left"], info["verdict"]) == (2, 14, "irrelevant")
    assert (info["potential"], info["process_reward"], info["reason"]) == (0.75, 0.0, "")
    # The share is of what was missing before the prefix: (1 - 3/4) / (1 - 1/4).
    _, reward, _, _, info = env.step(CLEO)
    assert reward == info["process_reward"] == pytest.approx(1 / 3)
    assert [step.from_prefix for step in env.trajectory().steps] == [True, True, False]


def test_a_prefix_counts_for_repeats_budget_and_malformed(make) -> None:
    env = make(max_steps=4)
    env.reset(options={"index": 0, "prefix": [ADA, ADA, BAD]})
    assert [str(step.verdict) for step in env.trajectory().steps] == ["good", "repeat", "malformed"]
    observation, _, terminated, truncated, info = env.step(ADA)
    assert info["verdict"] == "repeat" and info["reason"] == "budget" and info["steps_left"] == 0
    assert truncated and not terminated and observation.endswith("[no steps left]")
    env.reset(options={"index": 0, "prefix": [BAD, BAD]})
    _, _, terminated, truncated, info = env.step(BAD)
    assert truncated and not terminated and info["reason"] == "malformed"


def test_a_prefix_goes_on_as_the_same_steps_would(make) -> None:
    given, played = make(), make()
    given.reset(options={"index": 2, "prefix": [ADA, BAD]})
    played.reset(options={"index": 2})
    play(played, ADA, BAD)
    for text in (CLEO, ADA, BAD, "<answer>Farrow</answer>"):
        assert given.step(text) == played.step(text)


def test_an_empty_prefix_is_none(env: HopEnv) -> None:
    assert env.reset(options={"index": 0, "prefix": []}) == env.reset(options={"index": 0})


# Budget, truncation, malformed text


@pytest.mark.parametrize("reward", ["outcome", "process", "both"])
def test_the_budget_truncates_and_says_what_is_left(make, reward: str) -> None:
    env = make(max_steps=3, reward=reward)
    env.reset()
    turns = play(env, IVO, IVO, IVO)
    endings = [turn[0].rsplit("\n", 1)[1] for turn in turns]
    assert endings == ["[2 steps left]", "[1 step left]", "[no steps left]"]
    assert [turn[2:4] for turn in turns] == [(False, False), (False, False), (False, True)]
    assert [turn[4]["steps_left"] for turn in turns] == [2, 1, 0]
    assert turns[-1][4]["reason"] == "budget" and not turns[-1][4]["is_success"]
    with pytest.raises(ResetNeeded):
        env.step(ANSWER)


def test_an_answer_on_the_last_step_terminates(make) -> None:
    env = make(max_steps=2)
    env.reset()
    *_, (_, reward, terminated, truncated, info) = play(env, IVO, ANSWER)
    assert terminated and not truncated and reward == 1.0 and info["reason"] == "answer"
    assert info["steps_left"] == 0
    with pytest.raises(ResetNeeded):
        env.step(ANSWER)


def test_malformed_texts_in_a_row_truncate(env: HopEnv) -> None:
    env.reset()
    turns = play(env, BAD, BAD, IVO, BAD, BAD, BAD)
    assert [turn[3] for turn in turns] == [False] * 5 + [True]
    assert not any(turn[2] for turn in turns)
    observation, reward, _, _, info = turns[0]
    assert info["verdict"] == "malformed" and reward == 0.0 and info["tool"] == ""
    assert "<search>query</search>" in observation and "[15 steps left]" in observation
    assert turns[-1][4]["reason"] == "malformed" and turns[-1][4]["steps_left"] == 10


def test_one_malformed_text_may_be_enough(make) -> None:
    env = make(max_malformed=1)
    env.reset()
    assert env.step(BAD)[2:4] == (False, True)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (f"I think. {ADA} <answer>x</answer>", f"I think. {ADA}"),
        ("\ud800<lookup>Ada Brook</lookup>", "\ufffd<lookup>Ada Brook</lookup>"),
        (np.str_(ADA), ADA),
        ("\ud83d\ude00", "😀"),
        ("x" * 9000, "x" * 9000),
    ],
)
def test_what_is_kept_of_a_text(env: HopEnv, text: str, kept: str) -> None:
    env.reset()
    observation, *_ = env.step(text)
    stored = env.trajectory().steps[0].text
    assert stored == kept and type(stored) is str
    assert observation in env.observation_space and observation.encode()


# Rewards and verdicts


def test_an_episode_is_judged_step_by_step(env: HopEnv) -> None:
    env.reset(options={"index": 0})
    turns = play(env, IVO, ADA, " <lookup> ada  BROOK</lookup>", CLEO, ANSWER)
    infos = [turn[4] for turn in turns]
    assert [info["verdict"] for info in infos] == [
        "irrelevant", "good", "repeat", "good", "supported",
    ]  # fmt: skip
    # The question names Ada Brook: (1/2 + 0)/2; then (1 + 1/2)/2; then (1 + 1)/2.
    assert [info["potential"] for info in infos] == [0.25, 0.75, 0.75, 1.0, 1.0]
    assert [info["process_reward"] for info in infos] == pytest.approx([0, 2 / 3, 0, 1 / 3, 0])
    assert [info["outcome_reward"] for info in infos] == [0.0, 0.0, 0.0, 0.0, 1.0]
    assert [info["oracle_steps"] for info in infos] == [-1, -1, -1, -1, 3]
    assert infos[-1]["is_success"] and not any(info["is_success"] for info in infos[:-1])
    gold = json.loads(infos[-1]["gold"])
    assert gold["answers"] == ["baker"] and len(gold["hops"]) == 2 and len(gold["proofs"]) == 1
    assert "oracle" not in gold and not any(info["gold"] for info in infos[:-1])


def test_a_title_alone_is_a_lead(make) -> None:
    env = make(snippet_sentences=1)
    env.reset(options={"index": 0})
    observation, *_, info = env.step("<search>lives Elmstead</search>")
    assert "Cleo Dunn\nShe lives in Elmstead." in observation
    assert info["verdict"] == "lead" and info["process_reward"] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("texts", "verdict"),
    [
        ([ADA, CLEO, ANSWER], "supported"),
        ([ADA, ANSWER], "lucky"),
        ([ADA, CLEO, "<answer>bee</answer>"], "wrong"),
        ([ADA, "<answer></answer>"], "unsupported"),
    ],
)
def test_answer_verdicts(env: HopEnv, texts: list[str], verdict: str) -> None:
    env.reset(options={"index": 0})
    assert verdicts(env, *texts)[-1] == verdict


def test_absence_needs_the_whole_page(make) -> None:
    env = make(snippet_sentences=1)
    env.reset(options={"index": 1})
    found, read = play(env, "<search>bees</search>", "<lookup>Gil Hart</lookup>")
    assert found[4]["verdict"] == "lead" and found[4]["potential"] == 0.5
    assert read[4]["verdict"] == "good" and read[4]["potential"] == 1.0


@pytest.mark.parametrize(
    ("settings", "rewards"),
    [
        ({"reward": "outcome"}, [0.0, 0.0, 0.0, 2 / 3]),
        ({"reward": "process"}, [2 / 3, 0.0, 1 / 3, 0.0]),
        ({"reward": "both"}, [2 / 3, 0.0, 1 / 3, 2 / 3]),
        ({"score": "em"}, [0.0, 0.0, 0.0, 0.0]),
        ({"step_penalty": 0.25}, [-0.25, -0.25, -0.25, 2 / 3 - 0.25]),
        ({"step_penalty": 1, "reward": "both"}, [-1 / 3, -1.0, -2 / 3, -1 / 3]),
    ],
)
def test_rewards(make, settings: dict[str, Any], rewards: list[float]) -> None:
    env = make(**settings)
    env.reset(options={"index": 0})
    # "baker man": precision 1/2, recall 1, F1 2/3.
    turns = play(env, ADA, BAD, CLEO, "<answer>baker man</answer>")
    assert [turn[1] for turn in turns] == pytest.approx(rewards)
    assert all(type(turn[1]) is float for turn in turns)
    assert turns[-1][4]["is_success"] is False
