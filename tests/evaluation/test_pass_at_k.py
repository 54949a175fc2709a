"""Several attempts at a task: pass@k, majority votes and tokens, against numbers by hand."""

from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from hopgym.env import HopEnv
from hopgym.evaluation import Estimate, TokenTotal, TokenUsage, evaluate
from hopgym.evaluation.bootstrap import wilson
from hopgym.evaluation.pass_at_k import ballot_of, majority, pass_at, vote_of
from hopgym.rollout import as_policy, run_episodes
from hopgym.tasks import Question
from hopgym.trajectory import Completion, StopReason, Trajectory

# Of q0 two of three right, of q1 none, of q2 all; q2's third attempt gives no answer.
GIVEN = {
    "q0": ("baker", "miller", "the Baker."),
    "q1": ("Ada Brook", "Gil Hart", "Gil Hart;"),
    "q2": ("Farrow", "the Farrow", None),
}


def attempt(source: Any, index: int, sample: int, answer: str | None) -> Trajectory:
    env = HopEnv(source)
    env.reset(options={"index": index})
    if answer is None:
        for _ in range(3):
            env.step("hm")
    else:
        env.step(f"<answer>{answer}</answer>")
    return env.trajectory(sample=sample)


@pytest.fixture
def played(source: Any) -> list[Trajectory]:
    return [
        attempt(source, index, sample, answer)
        for index, answers in enumerate(GIVEN.values())
        for sample, answer in enumerate(answers)
    ]


def means(estimates: Any) -> dict[str, float]:
    return {name: estimate.mean for name, estimate in estimates.items()}


def test_pass_at_k_is_unbiased(played: list[Trajectory], source: Any) -> None:
    # q0: 2 of 3 right; q1: 0 of 3; q2: 2 of 3. One of 1: 2/3. Of 2 drawn, C(1, 2) = 0: always.
    found = evaluate(played, source).pass_at
    assert means(found) == pytest.approx({"1": 4 / 9, "2": 2 / 3, "3": 2 / 3})
    assert all(each.n == 3 and each.low <= each.mean <= each.high for each in found.values())
    # Over one sample of k each, in every way to choose them, the mean is the same.
    right = {0: (1, 0, 1), 1: (0, 0, 0), 2: (1, 1, 0)}
    for k in (1, 2, 3):
        drawn = [
            sum(max(chosen) for chosen in combinations(each, k)) / len([*combinations(each, k)])
            for each in right.values()
        ]
        assert found[str(k)].mean == pytest.approx(sum(drawn) / 3)


def test_the_largest_k_is_what_all_tasks_have(played: list[Trajectory], source: Any) -> None:
    one_lost = [each for each in played if each.key != ("q1", 2)]
    failed = [
        replace(each, stop_reason=StopReason.API_ERROR) if each.key == ("q1", 2) else each
        for each in played
    ]
    for fewer in (one_lost, failed):
        found = evaluate(fewer, source)
        assert list(found.pass_at) == ["1", "2"]
        assert found.majority is not None and found.majority.n == 3


def test_majority_by_hand(played: list[Trajectory], source: Any) -> None:
    # q0: baker twice, right. q1: Gil Hart twice, wrong. q2: Farrow twice (an article is nothing).
    found = evaluate(played, source).majority
    assert found is not None and (found.mean, found.n) == (pytest.approx(2 / 3), 3)
    assert found == evaluate(played[::-1], source).majority


@pytest.mark.parametrize(
    ("votes", "right"),
    [
        (("x", "y"), 1.0),  # a tie: the first given counts
        (("y", "x"), 0.0),
        ((None, "y", None, "x"), 0.0),  # abstentions do not count, nor do they shift the order
        (("y", "x", "x"), 1.0),
        ((None, None, "x"), 1.0),
        ((None, None), 0.0),  # nobody votes
    ],
)
def test_votes(votes: tuple[str | None, ...], right: float) -> None:
    ballots = np.array([ballot_of(vote) for vote in votes], np.uint64)
    em = np.array([float(vote == "x") for vote in votes])
    found = majority(np.array([len(votes)]), ballots, em)
    assert found == Estimate(right, *wilson(right, 1), 1)


def test_one_sample_has_no_majority(played: list[Trajectory], source: Any) -> None:
    found = evaluate([each for each in played if not each.sample], source)
    assert found.majority is None
    assert found.pass_at["1"] == found.metrics["success"]
    assert list(found.pass_at) == ["1"]
    none = np.zeros(0, np.int64)
    assert pass_at(none, none) == {}
    assert majority(none, none.astype(np.uint64), none.astype(np.float64)) is None


@pytest.mark.parametrize(
    ("kind", "one", "other", "same"),
    [
        ("text", "The Farrow.", "farrow", True),
        ("text", "Farrow", "Barrow", False),
        ("text", "A", "an", False),  # both are articles, which the normaliser drops
        ("set", "Ivo Jay; Ada Brook", "Ada Brook, Ivo Jay, ivo jay", True),
        ("set", "Ada Brook", "Ada Brook; Ivo Jay", False),
        ("number", "1,410", "1410.0", True),
        ("number", "14.10", "1410", False),
        ("number", "-0", "0.0", True),
        ("number", "-1", "-2", False),  # whose hashes are equal in Python
        ("number", "none", "None.", True),
        ("yesno", "Yes!", "yes", True),
    ],
)
def test_equal_answers_vote_together(kind: Any, one: str, other: str, same: bool) -> None:
    question = Question("q", "?", ("Ada Brook", "Ivo Jay"), kind)
    votes = vote_of(question, one), vote_of(question, other)
    assert (votes[0] == votes[1]) is same
    assert (ballot_of(votes[0]) == ballot_of(votes[1])) is same
    assert votes[0] is not None and 0 < ballot_of(votes[0]) < 2**64


@pytest.mark.parametrize("kind", ["text", "set", "number", "yesno"])
@pytest.mark.parametrize("answer", [None, "", "  \n", " ; , "])
def test_nothing_said_is_no_vote(kind: Any, answer: str | None) -> None:
    vote = vote_of(Question("q", "?", ("Ada Brook",), kind), answer)
    assert vote is None and ballot_of(vote) == 0


def test_tokens_are_summed_and_averaged(env: HopEnv, source: Any) -> None:
    def answers(transcript: str) -> Completion:
        asked = "search" if "No page" not in transcript and "1." not in transcript else "answer"
        return Completion(
            f"<{asked}>x</{asked}>", generated_tokens=5, prompt_tokens=len(transcript)
        )

    played = list(run_episodes(env, as_policy(answers), range(3)))
    steps = sum(len(each.steps) for each in played)
    prompts = sum(
        step.completion.prompt_tokens for each in played for step in each.steps if step.completion
    )
    assert steps > 3 and prompts > 0
    expected = TokenUsage(TokenTotal(5 * steps, 5 * steps / 3), TokenTotal(prompts, prompts / 3))
    result = evaluate(played, source)
    assert result.tokens == expected
    assert result.to_dict()["tokens"]["generated"] == {"sum": 5 * steps, "mean": 5 * steps / 3}


def test_tokens_nobody_told_are_none(played: list[Trajectory], source: Any) -> None:
    assert evaluate(played, source).tokens is None
    told = Completion("", generated_tokens=4)
    step = replace(played[0].steps[0], completion=told)
    result = evaluate([replace(played[0], steps=(step,)), played[3]], source)
    assert result.tokens == TokenUsage(generated=TokenTotal(4, 2.0), prompt=None)
