"""What actions are worth to a learner: by hand, by a judge, and with verdicts turned around."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hopgym.errors import HopgymError
from hopgym.policies import OraclePolicy, RandomPolicy
from hopgym.rollout import run_episodes
from hopgym.trajectory import Completion, Step, StopReason, Trajectory
from hopgym.verdicts import GOOD_VERDICTS, ShownContent, Verdict
from hopgym_agents.data.decomposition import decompose
from hopgym_agents.generate import Request
from hopgym_agents.judging.judge import step_prefixes
from hopgym_agents.training.rewards import REWARD_NAMES, ActionGroup, Rewards
from tests.conftest import HandSource
from tests.support.training_runs import env


def step(text: str, verdict: Verdict, process: float = 0.0, outcome: float = 0.0) -> Step:
    return Step(text, None, "", ShownContent(), verdict, process, outcome, 0.0)


@pytest.fixture
def by_hand(source: HandSource) -> Trajectory:
    """A good call, words that are none, a useless call, and the right answer."""
    from hopgym.env import HopEnv

    (played,) = run_episodes(HopEnv(source), OraclePolicy(source), [0])
    steps = (
        step("<lookup>Ada Brook</lookup>", Verdict.GOOD, 0.4),
        step("well", Verdict.MALFORMED),
        step("<search>x</search>", Verdict.IRRELEVANT),
        step("<answer>baker</answer>", Verdict.SUPPORTED, 0.1, 1.0),
    )
    return replace(played, steps=steps)


@pytest.mark.parametrize(
    ("name", "first", "second", "all_four"),
    [
        ("one", 1.0, 1.0, 1.0),
        ("good", 1.0, 0.0, 0.5),
        ("process", 0.4, 0.0, 0.5),
        ("format", 1.0, 0.0, 0.75),
    ],
)
def test_rewards_by_hand(
    by_hand: Trajectory, name: str, first: float, second: float, all_four: float
) -> None:
    parts = [
        ActionGroup(by_hand, (0,)),
        ActionGroup(by_hand, (1,)),
        ActionGroup(by_hand, (0, 1, 2, 3)),
    ]
    assert Rewards({name: 1.0}).values(parts) == {name: [first, second, pytest.approx(all_four)]}


def test_the_outcome_is_that_of_the_whole_episode(by_hand: Trajectory) -> None:
    unanswered = replace(by_hand, steps=by_hand.steps[:2])
    parts = [
        ActionGroup(by_hand, (0,)),
        ActionGroup(by_hand, (0, 1, 2, 3)),
        ActionGroup(unanswered, (0, 1)),
    ]
    assert Rewards({"outcome": 1.0}).values(parts) == {"outcome": [1.0, 1.0, 0.0]}


def test_rewards_are_weighed(by_hand: Trajectory) -> None:
    rewards = Rewards({"good": 1.0, "format": 0.1, "outcome": 2.0})
    assert rewards.totals([ActionGroup(by_hand, (2,))]) == [pytest.approx(0.1 + 2.0)]
    assert rewards.totals([]) == []


@pytest.fixture(scope="module")
def episodes() -> list[Trajectory]:
    made = env(hops=(1, 3), max_steps=8, questions_per_world=5)
    oracle = OraclePolicy(made.source)
    return [
        *run_episodes(made, RandomPolicy(), range(60)),
        *(replace(each, sample=1) for each in run_episodes(made, oracle, range(60))),
    ]


def goods(episodes: Sequence[Trajectory], flip: float, seed: int = 0) -> list[float]:
    parts = [
        ActionGroup(each, (position,)) for each in episodes for position in range(len(each.steps))
    ]
    return Rewards({"good": 1.0}, flip, seed).values(parts)["good"]


def test_a_share_of_verdicts_is_turned_around_for_good(episodes: list[Trajectory]) -> None:
    exact = np.array(goods(episodes, 0.0))
    steps = [each.verdict in GOOD_VERDICTS for episode in episodes for each in episode.steps]
    assert exact.tolist() == steps
    pairs = {
        (e.task_id, *(each.text for each in e.steps[: at + 1])): number
        for number, (e, at) in enumerate((e, at) for e in episodes for at in range(len(e.steps)))
    }
    unique = sorted(pairs.values())
    assert len(unique) > 300
    for share in (0.1, 0.3, 0.5, 1.0):
        turned = np.array(goods(episodes, share)) != exact
        error = 4 * np.sqrt(share * (1 - share) / len(unique))
        assert abs(turned[unique].mean() - share) <= error
        assert goods(episodes, share) == goods(episodes, share)
    # More are turned where the share is larger, none back.
    some, more = (np.array(goods(episodes, share)) != exact for share in (0.2, 0.4))
    assert (more | ~some).all()
    assert goods(episodes, 0.3, seed=1) != goods(episodes, 0.3)


def test_a_flip_belongs_to_the_action_in_its_state(episodes: list[Trajectory]) -> None:
    other = [replace(each, sample=each.sample + 7) for each in episodes]
    assert goods(other, 0.4) == goods(episodes, 0.4)
    # What comes behind an action changes nothing of it.
    cut = [each.prefix(1) for each in episodes if each.steps]
    firsts = [goods([each], 0.4)[0] for each in episodes if each.steps]
    assert goods(cut, 0.4) == firsts


def test_other_rewards_are_not_turned_around(episodes: list[Trajectory]) -> None:
    names = [name for name in REWARD_NAMES if name not in ("good", "judge")]
    weights = dict.fromkeys(names, 1.0)
    parts = [ActionGroup(each, (0,)) for each in episodes]
    assert Rewards(weights, 1.0).values(parts) == Rewards(weights).values(parts)


class Judge:
    """Says what a rule says of the numbered steps that it is shown."""

    fingerprint, concurrency = "rule", 1

    def __init__(self, said: Callable[[str], Completion]) -> None:
        self.said, self.asked = said, list[str]()

    def __call__(self, requests: Sequence[Request]) -> list[Completion]:
        self.asked += [request.messages[0]["content"] for request in requests]
        return [self.said(request.messages[0]["content"]) for request in requests]


def judged(judge: Any, parts: Sequence[ActionGroup]) -> list[float]:
    return Rewards({"judge": 1.0}, judge=judge).values(parts)["judge"]


def test_a_judge_says_what_an_action_is_worth(episodes: list[Trajectory]) -> None:
    from hopgym_agents.judging.judge import judge_request

    some = episodes[:8] + episodes[60:68]
    states = [(sub, sub.is_good) for each in some for sub in decompose(each)]
    good = {
        judge_request(sub.with_action).messages[0]["content"]: is_good for sub, is_good in states
    }
    judge = Judge(lambda asked: Completion("GOOD" if good[asked] else "BAD"))
    parts = [ActionGroup(sub.with_action, (len(sub.prefix.steps),)) for sub, _ in states]
    # The same action in the same state is asked about once.
    assert judged(judge, [*parts, *parts]) == 2 * [float(is_good) for _, is_good in states]
    assert len(judge.asked) == len(set(judge.asked)) <= len(parts)
    whole = [ActionGroup(each, tuple(range(len(each.steps)))) for each in some]
    shares = [
        np.mean(
            [good[judge_request(prefix).messages[0]["content"]] for prefix in step_prefixes(each)]
        )
        for each in some
    ]
    assert judged(judge, whole) == pytest.approx(shares)


def test_a_judge_that_says_neither_pays_nothing(episodes: list[Trajectory]) -> None:
    parts = [ActionGroup(episodes[0], (0,))]
    assert judged(Judge(lambda asked: Completion("perhaps")), parts) == [0.0]


def test_a_judge_that_cannot_answer_ends_the_run(episodes: list[Trajectory]) -> None:
    broken = Judge(lambda asked: Completion("", error="gone", error_reason=StopReason.API_ERROR))
    with pytest.raises(HopgymError, match="gone"):
        judged(broken, [ActionGroup(episodes[0], (0,))])
