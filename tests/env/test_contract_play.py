"""What holds of every registered id: determinism, isolation, vectors, no leaks, docs."""

import copy
import json
import os
import pickle
import random
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.error import CustomSpaceError
from gymnasium.vector import AutoresetMode

import hopgym
from hopgym.registry import FACTORIES

CONTRACT = str(Path(__file__).with_name("test_contract.py"))
SHARED = runpy.run_path(CONTRACT)
FILES, IDS, INFO = (SHARED[name] for name in ("FILES", "IDS", "INFO"))
Turn, actions, digest = (SHARED[name] for name in ("Turn", "actions", "digest"))
every_id, kwargs, play = (SHARED[name] for name in ("every_id", "kwargs", "play"))


# Determinism and isolation


@every_id
def test_two_environments_play_alike(env_id: str, kwargs) -> None:
    one, two = (gymnasium.make(env_id, **kwargs[env_id]) for _ in range(2))
    for seed in range(3):
        turns = list(play(one, seed, 25))
        assert turns == list(play(two, seed, 25)) == list(play(one, seed, 25))
    assert one.reset() == two.reset()


def test_other_processes_play_alike(kwargs) -> None:
    made = {i: kwargs[i] for i in FACTORIES}
    program = "import json, runpy, sys; digest = runpy.run_path(sys.argv[1])['digest']; "
    program += "print(*[digest(*pair) for pair in json.loads(sys.argv[2]).items()])"
    command = [sys.executable, "-c", program, CONTRACT, json.dumps(made)]
    runs = [
        subprocess.Popen(command, env=os.environ | {"PYTHONHASHSEED": seed}, stdout=subprocess.PIPE)
        for seed in ("1", "4242")
    ]
    outputs = [run.communicate(timeout=600)[0].decode().split() for run in runs]
    here = [digest(*pair) for pair in made.items()]
    assert outputs == [here, here] and len(set(here)) == len(made)


@every_id
def test_global_random_states_are_left_alone(env_id: str, kwargs) -> None:
    def states() -> list[str]:
        return [repr(random.getstate()), repr(np.random.get_state())]

    before = states()
    env = gymnasium.make(env_id, search_noise=0.5, tool_failure=0.2, **kwargs[env_id])
    list(play(env, 3, 20))
    gymnasium.make(env_id, mode="one_turn", **kwargs[env_id]).reset(seed=1)
    env.action_space.sample()
    assert states() == before


@every_id
def test_interleaved_environments_do_not_meet(env_id: str, kwargs) -> None:
    def made(seed: int) -> Iterator[Turn]:
        return play(gymnasium.make(env_id, **kwargs[env_id]), seed, 25)

    alone = [list(made(1)), list(made(2))]
    together: list[list[Turn]] = [[], []]
    running = [made(1), made(2)]
    for _ in range(100):
        for turns, run in zip(together, running, strict=True):
            turns += [turn for turn in [next(run, None)] if turn is not None]
    assert together == alone


@every_id
@pytest.mark.parametrize("dialect", ["tags", "json"])
def test_copies_go_on_alike(env_id: str, kwargs, dialect: str) -> None:
    env = gymnasium.make(env_id, dialect=dialect, tool_failure=0.2, **kwargs[env_id])
    before = [env, pickle.loads(pickle.dumps(env)), copy.deepcopy(env)]
    assert len({twin.reset(seed=4)[0] for twin in before}) == 1
    env.reset(seed=4, options={"prefix": ["no call"]})
    for text in [*actions(env, 4, 30)][:4]:
        if not env.unwrapped.trajectory().stop_reason:
            env.step(text)
    twins = [env, pickle.loads(pickle.dumps(env)), copy.deepcopy(env)]
    assert all(t.unwrapped.trajectory() == env.unwrapped.trajectory() for t in twins)
    follow = [*actions(env, 9, 12)]
    ends = []
    for twin in twins:
        turns: list[Any] = []
        for text in follow:
            if twin.unwrapped.trajectory().stop_reason:
                turns.append(twin.reset())
            turns.append(twin.step(text))
        ends.append([*turns, twin.reset(), twin.reset(seed=8)])
    assert ends[0] == ends[1] == ends[2]


# Vector environments


def vector(env_id: str, mode: str, kwargs: dict[str, Any], **vector_kwargs: Any) -> Any:
    return gymnasium.make_vec(
        env_id, num_envs=2, vectorization_mode=mode, vector_kwargs=vector_kwargs, **kwargs
    )


def plain(value: Any) -> Any:
    """Return arrays as lists, within dicts too."""
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    return [plain(v) for v in value.tolist()] if isinstance(value, np.ndarray) else value


TEXTS = (
    "<search>Ada mother</search>",
    "no call",
    "<lookup>Elmstead</lookup>",
    "<answer>no</answer>",
)


@every_id
def test_sync_async_and_single_environments_agree(env_id: str, kwargs) -> None:
    # Where there is nothing to search, all but the last of the texts are malformed.
    arguments = kwargs[env_id] | {"max_malformed": len(TEXTS)}
    singles = [gymnasium.make(env_id, **arguments) for _ in range(2)]
    expected = [tuple(env.reset(seed=seed) for seed, env in enumerate(singles, start=6))]
    expected += [tuple(env.step(text) for env in singles) for text in TEXTS]
    for mode, options in (("sync", {}), ("async", {"shared_memory": False})):
        envs = vector(env_id, mode, arguments, **options)
        try:
            observations, infos = envs.reset(seed=6)
            assert observations == tuple(observation for observation, _ in expected[0])
            for text, turns in zip(TEXTS, expected[1:], strict=True):
                observations, rewards, ends, cuts, infos = envs.step([text] * 2)
                assert observations == tuple(turn[0] for turn in turns)
                columns = [rewards.tolist(), ends.tolist(), cuts.tolist()]
                assert columns == [[turn[i] for turn in turns] for i in (1, 2, 3)]
                for key in INFO:
                    assert infos[key].tolist() == [turn[4][key] for turn in turns]
        finally:
            envs.close()


@every_id
def test_shared_memory_is_refused_in_words(env_id: str, kwargs) -> None:
    with pytest.raises(ValueError, match="shared_memory=False") as caught:
        vector(env_id, "async", kwargs[env_id])
    cause = caught.value.__cause__
    assert isinstance(cause, CustomSpaceError) and "'shared_memory': False" in str(cause)


@every_id
def test_vector_environments_begin_again_in_the_same_step(env_id: str, kwargs) -> None:
    envs = vector(env_id, "sync", kwargs[env_id], autoreset_mode=AutoresetMode.SAME_STEP)
    single = gymnasium.make(env_id, **kwargs[env_id])
    single.reset(seed=1)
    envs.reset(seed=[0, 1])
    observations, _, ends, _, infos = envs.step(["no call", "<answer>no</answer>"])
    last = single.step("<answer>no</answer>")
    assert ends.tolist() == [False, True] and observations[1] == single.reset()[0]
    assert infos["final_obs"][1] == last[0] == "Answer given."
    final = plain(infos["final_info"])
    assert {key: final[key][1] for key in INFO} == last[4]
    assert infos["step"].tolist() == [1, 0] and infos["gold"].tolist() == ["", ""]


# Nothing leaks


@every_id
def test_observations_depend_on_corpus_and_calls_alone(env_id: str, kwargs) -> None:
    """Two questions over the same pages: same texts, same observations, but for the question."""
    one, two = (gymnasium.make(env_id, **kwargs[env_id]) for _ in range(2))
    for mode in ("tools", "closed_book"):
        made = [gymnasium.make(env_id, mode=mode, **kwargs[env_id]) for _ in range(2)]
        prompts = [env.reset(options={"index": i})[0] for i, env in enumerate(made)]
        texts = [env.unwrapped.task.question.text for env in made]
        assert prompts[0].replace(texts[0], "?") == prompts[1].replace(texts[1], "?")
    one.reset(options={"index": 0})
    two.reset(options={"index": 1})
    for text in actions(one, 6, 60):
        if "<answer>" in text:
            continue
        first, second = one.step(text), two.step(text)
        assert first[0] == second[0]
        judged = {"task_id", "verdict", "process_reward", "potential", "evidence_source", "gold",
                  "oracle_steps"}  # fmt: skip
        for key in set(INFO) - judged:
            assert first[4][key] == second[4][key]
        if first[3]:
            one.reset(options={"index": 0})
            two.reset(options={"index": 1})


@every_id
def test_no_answer_is_told_before_the_end(env_id: str, kwargs) -> None:
    env = gymnasium.make(env_id, **kwargs[env_id])
    prompt, _ = env.reset(options={"index": 0})
    instructions = prompt.replace(env.unwrapped.task.question.text, "?").casefold()
    checked = 0
    for index in range(3 if env_id in FILES else 30):
        observation, info = env.reset(options={"index": index})
        question, corpus = env.unwrapped.task.question, env.unwrapped.corpus
        lines = [line.strip() for d in corpus for line in (d.title, *d.sentences)]
        # Digits, and what the instructions say ("unknown"), stand everywhere.
        hidden = [a for a in question.answers if len(a) > 3 and a.casefold() not in instructions]
        unknown = question.kind == "unanswerable"  # any way of saying so may stand anywhere
        hidden = [a for a in hidden if a not in question.text and not unknown]
        texts = [text for text in actions(env, index, 20) if "<answer>" not in text]
        for text in [*texts, "<answer>no</answer>"]:
            shown = [line for line in lines if line in observation]
            for answer in hidden:
                checked += 1
                assert answer not in repr(info | {"argument": ""})  # what the agent itself wrote
                assert answer not in observation or any(answer in line for line in shown)
            observation, _, terminated, truncated, info = env.step(text)
            if terminated or truncated:
                assert json.loads(info["gold"])["answers"] == list(question.answers)
                break
    assert checked > 5


# Documentation

HEADINGS = (
    "Description", "Action Space", "Observation Space", "Starting State", "Rewards", "Episode End",
    "Information", "Arguments", "References", "Version History",
)  # fmt: skip


@pytest.mark.parametrize("env_id", FACTORIES)
def test_docstrings_have_gymnasiums_headings(env_id: str) -> None:
    text = FACTORIES[env_id].documentation
    sections = dict(re.findall(r"^ *## (.+)\n((?:(?! *## ).*\n?)*)", text, re.MULTILINE))
    assert set(HEADINGS) <= set(sections)
    assert all(len(sections[heading].split()) >= 2 for heading in HEADINGS)
    assert text.strip().splitlines()[0].endswith(".")
    assert all(f"`{key}`" in sections["Information"] for key in INFO)
    assert f"v{env_id[-1]}" in sections["Version History"]
    assert all(f"`{name}" in sections["Arguments"] for name in ("path", "limit") if env_id in FILES)


@pytest.mark.parametrize("env_id", [i for i in IDS if i in FILES])
def test_ids_without_their_file_say_which(env_id: str) -> None:
    with pytest.raises(
        hopgym.HopgymError, match=r"path must name .*(file|folder).*path="
    ) as caught:
        gymnasium.make(env_id)
    assert env_id.removeprefix("hopgym/")[:5].lower() in str(caught.value).lower()


@every_id
def test_unknown_arguments_are_named(env_id: str, kwargs) -> None:
    with pytest.raises(hopgym.HopgymError, match=r"'max_step' .did you mean 'max_steps'"):
        gymnasium.make(env_id, max_step=3, **kwargs[env_id])
    with pytest.raises(hopgym.HopgymError, match="dialect must be one of tags, json, got 'jsn'"):
        gymnasium.make(env_id, dialect="jsn", **kwargs[env_id])
