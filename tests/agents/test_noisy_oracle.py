"""The oracle with a controlled share of errors."""

from collections import Counter
from pathlib import Path
from typing import Any

import gymnasium
import pytest

from hopgym.env import HopEnv
from hopgym.errors import ArgumentError
from hopgym.policies import OraclePolicy
from hopgym.rollout import run_episodes
from hopgym.trajectory import Trajectory
from hopgym.verdicts import GOOD_VERDICTS, Verdict
from hopgym_agents.noisy_oracle import KINDS, NoisyOracle, noisy_oracle
from tests.support.contract_files import FILES


def people(**env_kwargs: Any) -> HopEnv:
    made = gymnasium.make("hopgym/People-v0", questions_per_world=40, **env_kwargs).unwrapped
    assert isinstance(made, HopEnv)
    return made


def playing(env: HopEnv, tasks: int = 40, samples: int = 1, **options: Any) -> list[Trajectory]:
    policy = noisy_oracle(env, options)
    return list(run_episodes(env, policy, range(tasks), samples=samples, seed=5))


def verdicts(episodes: list[Trajectory]) -> Counter[Verdict]:
    return Counter(step.verdict for each in episodes for step in each.steps)


def test_without_errors_it_is_the_oracle() -> None:
    env = people()
    oracle = list(run_episodes(env, OraclePolicy(env.source), range(40), seed=5))
    assert playing(env, p=0) == oracle


@pytest.mark.parametrize("dialect", ["tags", "json"])
def test_the_share_of_errors_is_as_asked(dialect: str) -> None:
    found = verdicts(playing(people(dialect=dialect), samples=5, p=0.3))
    bad = sum(count for verdict, count in found.items() if verdict not in GOOD_VERDICTS)
    assert 0.26 < bad / found.total() < 0.35
    expected = {Verdict.MALFORMED, Verdict.IRRELEVANT, Verdict.REPEAT, Verdict.UNSUPPORTED}
    assert expected <= set(found)


@pytest.mark.parametrize(
    ("kind", "verdict"),
    [
        ("search", Verdict.IRRELEVANT),
        ("lookup", Verdict.IRRELEVANT),
        ("repeat", Verdict.REPEAT),
        ("malformed", Verdict.MALFORMED),
    ],
)
def test_each_kind_is_what_it_is_called(kind: str, verdict: Verdict) -> None:
    found = verdicts(playing(people(), p=0.5, kinds=kind))
    assert found[verdict] > 30
    assert set(found) <= {verdict, *GOOD_VERDICTS}


def test_a_wrong_answer_scores_nothing() -> None:
    episodes = playing(people(), p=1, kinds="answer")
    wrong = [each for each in episodes if len(each.steps) == 1]
    assert len(wrong) > 30 and not any(each.is_success for each in wrong)
    assert {each.steps[0].outcome_reward for each in wrong} == {0.0}


def test_what_it_does_depends_on_the_prefix_and_seed_alone() -> None:
    env = people()
    policy = noisy_oracle(env, {"p": 0.5}).seeded(5)
    prefixes = [each.prefix(1) for each in playing(env, samples=2, p=0.5) if len(each.steps) > 1]
    together = policy(prefixes)
    assert together == [policy([each])[0] for each in prefixes]
    assert together != policy.seeded(6)(prefixes)
    assert policy.fingerprint != noisy_oracle(env, {"p": 0.4}).seeded(5).fingerprint


def test_where_there_are_no_tools_it_answers() -> None:
    found = playing(people(mode="one_turn"), p=1, kinds=["search", "repeat"])
    assert all(each.is_success for each in found)


def test_sums_have_errors_too(tmp_path: Path) -> None:
    made = gymnasium.make("hopgym/GSM8K-v0", path=FILES["hopgym/GSM8K-v0"](tmp_path)).unwrapped
    assert isinstance(made, HopEnv)
    found = verdicts(playing(made, tasks=3, samples=8, p=0.5, kinds="calculate"))
    assert found[Verdict.IRRELEVANT] and found[Verdict.SUPPORTED]
    assert set(found) <= {Verdict.IRRELEVANT, *GOOD_VERDICTS}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"q": 1}, "takes p, kinds, got 'q'"),
        ({"p": 1.5}, r"p must be a number in \[0, 1\]"),
        ({"p": True}, "p must be a number"),
        ({"kinds": "serach"}, "did you mean 'search'"),
        ({"kinds": 3}, "kinds must be some of"),
        ({"kinds": []}, "kinds must be some of"),
    ],
)
def test_wrong_options_are_told(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        noisy_oracle(people(), options)


def test_all_kinds_are_on_by_default() -> None:
    env = people()
    assert set(NoisyOracle(env.source, env.tool_settings).kinds) == set(KINDS)
