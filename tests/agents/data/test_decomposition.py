"""Trajectories cut by action, and other actions judged exactly as the environment judges them."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import gymnasium
import pytest

from hopgym.env import HopEnv
from hopgym.errors import ArgumentError, DataError
from hopgym.policies import ExhaustivePolicy, GreedySearchPolicy, OraclePolicy, RandomPolicy
from hopgym.rollout import run_episodes
from hopgym.trajectory import Completion, StopReason, Trajectory
from hopgym.verdicts import GOOD_VERDICTS, Verdict
from hopgym_agents.data import decomposition
from hopgym_agents.data.decomposition import ActionOutcome, State, decompose, judge_actions
from tests.support.contract_files import FILES

NOISY = {"search_noise": 0.4, "tool_failure": 0.2, "noise_seed": 3}
PEOPLE = {"size": 10, "questions_per_world": 4}
PLACES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "people": ("hopgym/People-v0", PEOPLE),
    "json": ("hopgym/People-v0", PEOPLE | {"dialect": "json", "score": "em"}),
    "noise": ("hopgym/People-v0", PEOPLE | NOISY),
    "short": ("hopgym/People-v0", PEOPLE | {"max_steps": 3, "page_style": "brief"}),
    "one turn": ("hopgym/People-v0", PEOPLE | {"mode": "one_turn"}),
    "hotpotqa": ("hopgym/HotpotQA-v0", {}),
    "hotpotqa, noise": ("hopgym/HotpotQA-v0", NOISY | {"dialect": "json"}),
    "phantomwiki": ("hopgym/PhantomWiki-v0", {"max_steps": 6}),
    "sums": ("hopgym/GSM8K-v0", {}),
}


def played(env_id: str, env_kwargs: Mapping[str, Any], tasks: int = 12) -> list[Trajectory]:
    """Episodes of good and bad players, wrong texts among them."""
    env = gymnasium.make(env_id, **env_kwargs)
    source = env.unwrapped.source  # type: ignore[attr-defined]
    players = (
        RandomPolicy(),
        GreedySearchPolicy(),
        OraclePolicy(source),
        ExhaustivePolicy(source),
        lambda text: f"no call, {len(text)} letters",
    )
    return [
        replace(each, sample=sample)
        for sample, policy in enumerate(players)
        for each in run_episodes(env, policy, range(min(tasks, len(source))))  # type: ignore[arg-type]
    ]


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, dict[str, Any]]:
    env_id, env_kwargs = PLACES[request.param]
    path = {"path": FILES[env_id](tmp_path)} if env_id in FILES else {}
    return env_id, {**env_kwargs, **path}


def test_k_actions_give_k_sub_trajectories() -> None:
    for episode in played("hopgym/People-v0", PEOPLE, tasks=4):
        subs = decompose(episode)
        own = [step for step in episode.steps if step.completion is None]
        assert [sub.step for sub in subs] == own
        for sub in subs:
            number = len(sub.prefix.steps)
            assert sub.prefix == episode.prefix(number) and not sub.prefix.stop_reason
            assert sub.with_action.steps == episode.steps[: number + 1]
            assert sub.is_success == episode.is_success
            assert sub.is_good == (sub.step.verdict in GOOD_VERDICTS)
            assert sub.state.prefix == tuple(step.text for step in episode.steps[:number])
            assert sub.state.index == episode.index and sub.state.task_id == episode.task_id


def test_what_is_never_trained_on_is_left_out(env: HopEnv) -> None:
    env.reset(options={"index": 0, "prefix": ["<lookup>Gil Hart</lookup>"]})
    env.step("<lookup>Cleo Dunn</lookup>")
    env.step("<answer>baker</answer>")
    episode = env.trajectory()
    subs = decompose(episode)
    assert [len(sub.prefix.steps) for sub in subs] == [1, 2]
    told = Completion(episode.steps[1].text, privileged=True)
    steps = (episode.steps[0], replace(episode.steps[1], completion=told), episode.steps[2])
    kept = decompose(replace(episode, steps=steps))
    assert [sub.step.text for sub in kept] == ["<answer>baker</answer>"]
    assert len(kept[0].prefix.steps) == 2  # It did happen, and stays in what came before.
    for reason in (StopReason.API_ERROR, StopReason.AGENT_ERROR):
        assert decompose(replace(episode, stop_reason=reason)) == ()
    assert len(decompose(replace(episode, stop_reason=StopReason.CONTEXT))) == 2


def test_the_actions_taken_are_judged_as_the_environment_judged_them(
    place: tuple[str, dict[str, Any]],
) -> None:
    episodes = played(*place)
    cut = [(sub, step) for each in episodes for sub in decompose(each) for step in [sub.step]]
    # Not in the order of the episodes: neighbours share nothing but what they are sorted to share.
    cut.sort(key=lambda pair: (pair[1].text[::-1], pair[0].prefix.sample))
    outcomes = judge_actions([sub.state for sub, _ in cut], [step.text for _, step in cut])
    assert len(outcomes) == len(cut) >= 10
    for (sub, step), outcome in zip(cut, outcomes, strict=True):
        assert outcome.verdict is step.verdict and outcome.is_good == sub.is_good
        assert outcome.process_reward == step.process_reward
        assert outcome.outcome_reward == step.outcome_reward
        if step.action and step.action.tool == "answer":
            assert (outcome.score.em == 1.0) == sub.is_success


def test_other_actions_are_judged_as_if_they_had_been_taken(
    place: tuple[str, dict[str, Any]],
) -> None:
    env_id, env_kwargs = place
    episodes = played(env_id, env_kwargs, tasks=3)
    subs = [sub for each in episodes for sub in decompose(each)][:60]
    texts = list(dict.fromkeys(sub.step.text for sub in subs))[:9]
    texts += ["", "\ud800", "<think>hm</think> <answer>Elmstead</answer> and more"]
    states = [sub.state for sub in subs for _ in texts]
    outcomes = judge_actions(states, texts * len(subs))
    env = gymnasium.make(env_id, **env_kwargs).unwrapped
    assert isinstance(env, HopEnv)
    for state, text, outcome in zip(states, texts * len(subs), outcomes, strict=True):
        env.reset(options={"index": state.index, "prefix": list(state.prefix)})
        info = env.step(text)[4]
        step = env.trajectory().steps[-1]
        found = (outcome.verdict, outcome.process_reward, outcome.outcome_reward)
        assert found == (step.verdict, step.process_reward, step.outcome_reward)
        assert (outcome.score.em == 1.0) == info["is_success"]


def test_an_environment_is_made_once_and_a_task_begun_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decomposition._environment.cache_clear()
    made: list[Any] = []
    begun: list[Any] = []
    make, reset = gymnasium.make, HopEnv.reset

    def counted_make(*args: Any, **kwargs: Any) -> Any:
        made.append(args)
        return make(*args, **kwargs)

    def counted_reset(self: HopEnv, **kwargs: Any) -> Any:
        begun.append(kwargs["options"]["index"])
        return reset(self, **kwargs)

    episodes = played("hopgym/People-v0", PEOPLE, tasks=8)
    subs = [sub for each in episodes for sub in decompose(each)]
    states, texts = [sub.state for sub in subs], [sub.step.text for sub in subs]
    monkeypatch.setattr(gymnasium, "make", counted_make)
    monkeypatch.setattr(HopEnv, "reset", counted_reset)
    first = judge_actions(states, texts)
    assert len(made) == 1 and begun == list(range(8))
    # Equal arguments in other mappings, in another order, are those of the same environment.
    again = [replace(each, env_kwargs=dict(reversed(each.env_kwargs.items()))) for each in states]
    assert judge_actions(again, texts) == first and len(made) == 1
    json = PEOPLE | {"dialect": "json"}
    other = [replace(each, env_kwargs=json, prefix=()) for each in states]
    mixed = judge_actions([*states, *other], texts * 2)
    assert len(made) == 2 and mixed[: len(states)] == first
    assert {each.verdict for each in mixed[len(states) :]} == {Verdict.MALFORMED}


def test_states_without_an_id_are_judged_in_a_given_environment(env: HopEnv) -> None:
    states = [State("", {}, 0), State("", {}, 0, ("<lookup>Ada Brook</lookup>",), "q0")]
    env.reset(options={"index": 2})
    before = env.trajectory()
    outcomes = judge_actions(states, ["<lookup>Ada Brook</lookup>", "<answer>baker</answer>"], env)
    assert [each.verdict for each in outcomes] == [Verdict.GOOD, Verdict.LUCKY]
    assert outcomes[1].outcome_reward == outcomes[1].score.em == 1.0
    assert env.trajectory() == before  # It is left as it was.
    with pytest.raises(ArgumentError, match="env must be given"):
        judge_actions(states, ["a", "b"])


def test_what_cannot_be_judged_is_told(env: HopEnv) -> None:
    state = State("hopgym/People-v0", PEOPLE, 0)
    with pytest.raises(ArgumentError, match="actions must be 2 texts"):
        judge_actions([state, state], ["one"])
    with pytest.raises(ArgumentError, match="ends it"):
        judge_actions([replace(state, prefix=("<answer>x</answer>",))], ["more"])
    with pytest.raises(DataError, match="must hold the task 'other'"):
        judge_actions([replace(state, task_id="other")], ["more"])
    with pytest.raises(ArgumentError, match=r"options\['index'\]"):
        judge_actions([State("", {}, -1)], ["more"], env)
    assert judge_actions([], []) == []
    assert isinstance(judge_actions([state], ["more"])[0], ActionOutcome)
