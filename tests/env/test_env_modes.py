"""HopEnv: modes, snapshots, noise, dialects and frames, over the hand source."""

import json
from typing import Any

import gymnasium
import pytest

from hopgym.env import HopEnv
from hopgym.env.settings import EnvSettings
from hopgym.tools import ToolSettings
from hopgym.verdicts import Verdict
from hopgym.wrappers import TranscriptObservation

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


# Judgement


def test_unknown_evidence_is_not_judged(make) -> None:
    env = make(reward="both")
    _, info = env.reset(options={"index": 3})
    assert info["evidence_source"] == "none" and info["potential"] == 0.0
    texts = ("<lookup>Elmstead</lookup>", "<lookup>elmstead</lookup>", BAD, ADA)
    turns = play(env, *texts, "<answer>1410</answer>")
    assert [turn[4]["verdict"] for turn in turns] == [
        "unjudged", "repeat", "malformed", "unjudged", "unjudged",
    ]  # fmt: skip
    assert [turn[1] for turn in turns] == [0.0, 0.0, 0.0, 0.0, 1.0]
    assert turns[-1][4]["is_success"]
    assert {turn[4]["potential"] for turn in turns} == {0.0}


@pytest.mark.parametrize("index", range(3))
@pytest.mark.parametrize("dialect", ["tags", "json"])
def test_reveal_leads_to_the_answer(make, index: int, dialect: str) -> None:
    env = make(reveal=True, dialect=dialect)
    _, info = env.reset(options={"index": index})
    total = 0.0
    while not info["reason"]:
        *_, info = env.step(json.loads(info["gold"])["oracle"])
        total += info["process_reward"]
    assert info["is_success"] and info["verdict"] == Verdict.SUPPORTED
    assert info["step"] == info["oracle_steps"] and total == pytest.approx(1.0)
    assert json.loads(info["gold"])["oracle"] == ""


# Modes


def pages_of(prompt: str) -> str:
    """Return what stands before the question of a one-turn prompt."""
    return prompt[: prompt.index("Question: ")].removesuffix("\n\n")


def test_one_turn_puts_the_pages_in_the_prompt(make) -> None:
    env = make(mode="one_turn")
    prompt, info = env.reset(options={"index": 0})
    for document in env.corpus:
        assert f"{document.title}\n{' '.join(document.sentences)}" in pages_of(prompt)
    assert "<answer>" in prompt and "<search>" not in prompt
    assert (info["steps_left"], info["evidence_source"]) == (1, "none")
    _, reward, terminated, truncated, info = env.step(ANSWER)
    assert (reward, terminated, truncated) == (1.0, True, False)
    assert info["verdict"] == "unjudged" and info["is_success"] and info["potential"] == 0.0


def test_the_shuffle_follows_the_noise_seed_alone(make) -> None:
    def prompts(noise_seed: int, reset_seed: int) -> list[str]:
        env = make(mode="one_turn", noise_seed=noise_seed)
        env.reset(seed=reset_seed)
        return [env.reset(options={"index": i})[0] for i in (0, 1, 0)]

    first = prompts(0, 0)
    assert first[0] == first[2] and prompts(0, 9) == first
    assert len({prompts(seed, 0)[0] for seed in range(8)}) > 3
    # With room for the two gold pages alone, both orders come up.
    gold = [make(mode="one_turn", context_chars=124, noise_seed=seed) for seed in range(12)]
    assert len({env.reset(options={"index": 0})[0] for env in gold}) == 2


@pytest.mark.parametrize("room", [0, 20, 61, 62, 123, 124, 190, 260, 1000])
def test_the_context_is_bounded_and_gold_comes_first(make, room: int) -> None:
    env = make(mode="one_turn", context_chars=room)
    for index in range(3):
        pages = pages_of(env.reset(options={"index": index})[0])
        assert len(pages) <= room
        # The gold pages of the first question take 62 + 60 characters and the break 2.
        if index == 0 and room >= 124:
            assert "Her mother is Cleo Dunn." in pages and "works as a baker." in pages
    assert ("Ivo Jay was born in 1948." in pages) or room < 1000


def test_modes_without_instructions_do_not_explain(make) -> None:
    for mode in ("one_turn", "closed_book"):
        prompt, _ = make(mode=mode, instructions=False).reset(options={"index": 0})
        assert prompt.endswith("Question: What is the job of the mother of Ada Brook?")


def test_closed_book_shows_no_page(make) -> None:
    env = make(mode="closed_book", max_steps=9)
    prompt, info = env.reset(options={"index": 0})
    assert "Cleo" not in prompt and "baker" not in prompt and info["steps_left"] == 1
    _, reward, terminated, _, info = env.step(ANSWER)
    assert terminated and reward == 1.0 and info["verdict"] == "unjudged"
    assert info["oracle_steps"] == 1 and info["evidence_source"] == "none"


@pytest.mark.parametrize("mode", ["one_turn", "closed_book"])
@pytest.mark.parametrize("text", [ADA, BAD])
def test_other_texts_use_the_only_step_up(make, mode: str, text: str) -> None:
    env = make(mode=mode)
    env.reset()
    _, reward, terminated, truncated, info = env.step(text)
    assert (reward, terminated, truncated) == (0.0, False, True)
    assert info["verdict"] == "malformed" and info["reason"] == "budget"


# Snapshots


def test_a_snapshot_is_come_back_to_again_and_again(env: HopEnv) -> None:
    env.reset(options={"index": 2})
    play(env, ADA, BAD, BAD)
    point, before = env.snapshot(), env.trajectory()
    ends = []
    for _ in range(3):
        ends.append(play(env, CLEO, CLEO, "<lookup>Elmstead</lookup>", "<answer>Farrow</answer>"))
        env.reset(options={"index": 0})
        env.step(IVO)
        env.restore(point)
        assert env.trajectory() == before and env.task.question.id == "q2"
    assert ends[0] == ends[1] == ends[2] and ends[0][-1][4]["verdict"] == "supported"
    assert env.step(BAD)[3]  # the streak of malformed texts is restored as well


def test_snapshots_branch(env: HopEnv) -> None:
    env.reset(options={"index": 0})
    root = env.snapshot()
    env.step(ADA)
    branch = env.snapshot()
    assert verdicts(env, CLEO, ANSWER) == ["good", "supported"]
    env.restore(root)
    assert verdicts(env, ADA, ADA, IVO) == ["good", "repeat", "irrelevant"]
    env.restore(branch)
    assert verdicts(env, IVO, ADA, ANSWER) == ["irrelevant", "repeat", "lucky"]


def test_a_snapshot_holds_the_place_in_the_order(env: HopEnv) -> None:
    env.reset()
    point = env.snapshot()
    task_ids(env, 2)
    env.restore(point)
    assert env.reset()[1]["task_id"] == "q1"


# Failures and noise

TEXTS = ("<search>Ada</search>", ADA, "<search>baker</search>", CLEO, IVO) * 3


def replies(env: HopEnv, seed: int = 0, index: int = 2) -> list[tuple[Any, ...]]:
    env.reset(seed=seed)
    env.reset(options={"index": index})
    return play(env, *TEXTS)


@pytest.mark.parametrize("setting", ["tool_failure", "search_noise"])
def test_noise_follows_noise_seed_task_and_step_alone(make, setting: str) -> None:
    settings = {setting: 0.5, "noise_seed": 3}
    first = replies(make(**settings))
    assert replies(make(**settings), seed=11) == first
    env = make(**settings)
    assert replies(env, index=0) != first and replies(env) == first  # no history
    env.reset(options={"index": 2, "prefix": TEXTS[:5]})
    assert play(env, *TEXTS[5:]) == first[5:]
    assert replies(make(**settings | {"noise_seed": 4})) != first != replies(make())


def test_failed_calls_show_nothing_and_can_be_made_again(make) -> None:
    turns = replies(make(tool_failure=0.5))
    failed = [turn[4]["verdict"] == "failed" for turn in turns]
    assert 3 < sum(failed) < 12
    for (observation, reward, *_, info), bad in zip(turns, failed, strict=True):
        assert ("failed" in observation) == bad
        assert not bad or (reward == 0.0 and info["process_reward"] == 0.0)
    env = make(tool_failure=1.0)
    env.reset(options={"index": 0})
    assert verdicts(env, ADA, ADA, BAD, ADA, ANSWER) == [
        "failed", "failed", "malformed", "failed", "lucky",
    ]  # fmt: skip
    calls = [i for i, text in enumerate(TEXTS) if text == ADA]
    worked = [i for i in calls if not failed[i]]
    assert all(turns[i][4]["verdict"] != "repeat" for i in calls if i <= worked[0])


def test_noise_shows_other_pages_and_verdicts_follow_what_was_shown(make) -> None:
    env = make(search_noise=1.0, noise_seed=1)
    env.reset(options={"index": 0})
    for _ in range(6):
        observation, *_, info = env.step("<search>Cleo Dunn baker</search>")
        step = env.trajectory().steps[-1]
        for document, index in step.shown_content.sentences:
            assert env.corpus.document(document).sentences[index] in observation
        assert (info["process_reward"] > 0) == (info["verdict"] in ("good", "lead"))


# Dialects and wrappers


def test_the_json_dialect_end_to_end(make) -> None:
    def call(name: str, **arguments: object) -> str:
        return f"<tool_call>{json.dumps({'name': name, 'arguments': arguments})}</tool_call>"

    env = make(dialect="json")
    prompt, _ = env.reset(options={"index": 1})
    assert '{"name":"search","arguments":{"query":"query"}}' in prompt and "<search>" not in prompt
    turns = play(
        env,
        "<search>bees</search>",
        f"<think>Who?</think>{call('search', query='bees')} done",
        call("search", query="bees", page=2),
        call("answer", answer=["Ivo Jay", "Ada Brook"]),
    )
    assert [turn[4]["verdict"] for turn in turns] == [
        "malformed", "good", "irrelevant", "supported",
    ]  # fmt: skip
    assert "<tool_call>" in turns[0][0] and "Gil Hart keeps bees." in turns[1][0]
    assert turns[2][0].startswith("No more results") and turns[-1][1] == 1.0
    assert turns[1][4]["tool"] == "search" and turns[1][4]["argument"] == "bees"
    assert env.trajectory().steps[1].action.thought == "Who?"


def test_the_transcript_is_that_of_this_episode_alone() -> None:
    env = TranscriptObservation(gymnasium.make("hopgym/PeopleEasy-v0"))
    for index in (0, 1):
        seen = [env.reset(options={"index": index})[0]]
        for text in ("<search>mother</search>", BAD, ANSWER):
            seen.append(env.step(text)[0])
            assert seen[-1].startswith(f"{seen[-2]}\n\n{text}\n\n")
        assert seen[-1].count("Question: ") == 1


def test_ansi_frames_and_human_prints(source, capsys: pytest.CaptureFixture[str]) -> None:
    ansi = HopEnv(source, render_mode="ansi")
    prompt, _ = ansi.reset(options={"index": 0})
    assert ansi.render() == prompt
    observation, *_ = ansi.step(ADA)
    frame = ansi.render()
    assert frame is not None and ADA in frame and observation in frame and "good" in frame
    assert capsys.readouterr().out == ""
    human = HopEnv(source, render_mode="human")
    human.reset(options={"index": 0})
    human.step(ADA)
    assert human.render() is None and capsys.readouterr().out == f"{prompt}\n{frame}\n"
