"""What holds of every registered id: Gymnasium's contract, specs, infos and rendering."""

import hashlib
import json
import random
import runpy
from collections.abc import Iterator
from typing import Any

import gymnasium
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from gymnasium.utils.performance import benchmark_step

from hopgym.registry import FACTORIES
from tests.support.paths import SUPPORT

FILES = runpy.run_path(str(SUPPORT / "contract_files.py"))["FILES"]
IDS = list(FACTORIES)
every_id = pytest.mark.parametrize("env_id", IDS)
INFO = {
    "task_id": str, "step": int, "steps_left": int, "tool": str, "argument": str, "verdict": str,
    "process_reward": float, "outcome_reward": float, "potential": float, "oracle_steps": int,
    "is_success": bool, "reason": str, "evidence_source": str, "corpus": str, "gold": str,
}  # fmt: skip


@pytest.fixture(scope="module")
def kwargs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Return the arguments that each id is made with here."""
    folder = tmp_path_factory.mktemp("files")
    return {i: {"path": FILES[i](folder)} if i in FILES else {} for i in FACTORIES}


def actions(env: gymnasium.Env[str, str], seed: int, count: int) -> Iterator[str]:
    """Yield texts of every kind, in the environment's dialect, over its current corpus."""
    rng, base = random.Random(seed), env.unwrapped
    wrong = ("", "no call", "<search>", "\ud800<think>", "<tool_call>{}</tool_call>", "\0" * 9)
    names = {tool.name: tool.argument for tool in base.tools}
    for _ in range(count):
        size = len(base.corpus)
        title = base.corpus.pages.title(rng.randrange(size)) if size else f"{rng.randrange(9)} * 4"
        word = rng.choice((*title.split(), "mother", "bees", "nothing #2"))
        argument = rng.choice((title, word, f"{title} {word}", f"{title.lower()} #2", title + "-x"))
        tool = rng.choice([*names] * 2 + ["search", "lookup"])
        if rng.random() < 0.25:
            yield rng.choice(wrong)
        elif base.settings.dialect == "tags":
            yield f"I want {word}. <{tool}>{argument}</{tool}> Done."
        else:
            call = {"name": tool, "arguments": {names.get(tool, "query"): argument}}
            yield f"<tool_call>{json.dumps(call)}</tool_call>"


Turn = tuple[str, float, bool, bool, dict[str, Any]]


def play(env: gymnasium.Env[str, str], seed: int, count: int) -> Iterator[Turn]:
    """Yield every reset (with reward 0) and step of episodes of random texts."""
    observation, info = env.reset(seed=seed)
    yield observation, 0.0, False, False, info
    for text in actions(env, seed, count):
        turn = env.step(text)
        yield turn
        if turn[2] or turn[3]:
            observation, info = env.reset()
            yield observation, 0.0, False, False, info


def digest(env_id: str, kwargs: dict[str, Any]) -> str:
    """Return the SHA-256 of what episodes of random texts return and record, in every mode."""
    digest = hashlib.sha256()
    for mode, dialect in (("tools", "tags"), ("tools", "json"), ("one_turn", "tags")):
        noise = {"search_noise": 0.3, "tool_failure": 0.2} if dialect == "json" else {}
        env = gymnasium.make(env_id, mode=mode, dialect=dialect, reveal=True, **noise, **kwargs)
        for turn in play(env, 5, 40):
            digest.update(repr(turn).encode("utf-8", "backslashreplace"))
            digest.update(repr(env.unwrapped.trajectory()).encode("utf-8", "backslashreplace"))
    return digest.hexdigest()


def test_the_registered_ids_are_those_with_a_factory() -> None:
    assert {i for i in gymnasium.registry if i.startswith("hopgym/")} == set(FACTORIES)
    assert {f"hopgym/{name}-v0" for name in ("People", "PeopleEasy", "PeopleHard")} <= set(
        FACTORIES
    )


# Gymnasium's contract


@every_id
@pytest.mark.filterwarnings("error")
def test_the_checker_has_nothing_to_say(env_id: str, kwargs, capsys) -> None:
    # It wants a first step that does not truncate, which modes of a single step cannot promise.
    for options in ({}, {"dialect": "json", "reward": "both", "reveal": True}):
        check_env(gymnasium.make(env_id, **kwargs[env_id], **options).unwrapped)


@every_id
def test_specs_survive_json(env_id: str, kwargs) -> None:
    env = gymnasium.make(env_id, **kwargs[env_id], max_steps=7, reward="process")
    text = env.spec.to_json()
    json.loads(text)
    twin = gymnasium.make(EnvSpec.from_json(text))
    assert twin.spec == env.spec and twin.unwrapped.settings.max_steps == 7
    assert list(play(twin, 2, 12)) == list(play(env, 2, 12))


@every_id
def test_infos_always_hold_the_same_keys_and_types(env_id: str, kwargs) -> None:
    for mode in ("tools", "one_turn", "closed_book"):
        for extra in (
            {},
            {"dialect": "json", "reveal": True, "tool_failure": 0.3, "reward": "both"},
        ):
            env = gymnasium.make(env_id, mode=mode, **extra, **kwargs[env_id])
            for observation, reward, terminated, truncated, info in play(env, 1, 40):
                assert observation in env.observation_space and type(reward) is float
                assert type(terminated) is type(truncated) is bool
                assert {key: type(value) for key, value in info.items()} == INFO
                numbers = [info["process_reward"], info["outcome_reward"], info["potential"]]
                assert all(0.0 <= number <= 1.0 for number in numbers)
                ended = bool(info["reason"])
                assert info["oracle_steps"] == -1 or ended
                assert bool(info["gold"]) == (ended or "reveal" in extra)
                assert not (terminated and truncated) and (terminated or truncated) == ended
                assert terminated == (info["reason"] == "answer")


@every_id
def test_render_modes(env_id: str, kwargs, capsys) -> None:
    assert FACTORIES[env_id](**kwargs[env_id]).metadata["render_modes"] == ["ansi", "human"]
    ansi = gymnasium.make(env_id, render_mode="ansi", **kwargs[env_id])
    prompt, _ = ansi.reset(seed=0)
    assert ansi.render() == prompt
    observation, *_ = ansi.step("<search>mother</search>")
    assert isinstance(ansi.render(), str) and observation in ansi.render()
    assert capsys.readouterr().out == ""
    human = gymnasium.make(env_id, render_mode="human", **kwargs[env_id])
    human.reset(seed=0)
    human.step("<search>mother</search>")
    printed = capsys.readouterr().out
    assert prompt in printed and observation in printed and human.render() is None


@every_id
def test_steps_can_be_benchmarked(env_id: str, kwargs) -> None:
    assert benchmark_step(gymnasium.make(env_id, **kwargs[env_id]), 0.05, seed=0) > 0
