"""The judge of single steps: what it is asked, how its words are read, and how it is audited."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hopgym.env import HopEnv
from hopgym.policies import ExhaustivePolicy, GreedySearchPolicy, OraclePolicy, RandomPolicy
from hopgym.rollout import run_episodes
from hopgym.trajectory import Completion, StopReason, Trajectory
from hopgym.verdicts import GOOD_VERDICTS, Verdict
from hopgym_agents.generate import Request
from hopgym_agents.judging.audit import Audit, RatedStep, audit_steps, rated_step
from hopgym_agents.judging.judge import (
    Rating,
    judge_request,
    judge_steps,
    parse_rating,
    step_prefixes,
)
from hopgym_agents.prompts import STYLES, render

Rule = Callable[[tuple[int, int, int], bool], str]


class RuleJudge:
    """Says of a step what a rule makes of its key and of what it is."""

    fingerprint = "rule"

    def __init__(self, played: Sequence[Trajectory], rule: Rule, concurrency: int = 1) -> None:
        self.good = {
            (each.index, each.sample, position): step.verdict in GOOD_VERDICTS
            for each in played
            for position, step in enumerate(each.steps)
        }
        self.rule, self.concurrency = rule, concurrency
        self.asked = 0

    def __call__(self, requests: Sequence[Request]) -> list[Completion]:
        self.asked += len(requests)
        return [Completion(self.rule(each.key, self.good[each.key])) for each in requests]


def perfect(key: tuple[int, int, int], good: bool) -> str:
    return "It helps, so GOOD." if good else "GOOD at first sight. So:\n**BAD**"


def flipped(key: tuple[int, int, int]) -> bool:
    return bool(np.random.default_rng(key).random() < 0.2)


@pytest.fixture(scope="module")
def played() -> list[Trajectory]:
    """Episodes of good and bad readers, steps of every verdict among them."""
    import gymnasium

    env = gymnasium.make("hopgym/People-v0", size=10, questions_per_world=20)
    source = env.unwrapped.source  # type: ignore[attr-defined]
    policies = (
        RandomPolicy(),
        GreedySearchPolicy(),
        OraclePolicy(source),
        ExhaustivePolicy(source),
    )
    episodes = [
        replace(each, sample=sample)
        for sample, policy in enumerate(policies)
        for each in run_episodes(env, policy, range(20))
    ]
    assert {step.verdict for each in episodes for step in each.steps} >= GOOD_VERDICTS
    return episodes


def judged(played: Sequence[Trajectory], rule: Rule, concurrency: int = 1) -> dict[str, Audit]:
    by_key = {each.key: each for each in played}
    prefixes = (prefix for each in played for prefix in step_prefixes(each))
    judgements = list(judge_steps(RuleJudge(played, rule, concurrency), prefixes))
    assert len({each.key for each in judgements}) == len(judgements)
    return audit_steps(
        [
            rated_step(by_key[each.task_id, each.sample], each.step, each.rating)
            for each in judgements
        ]
    )


def test_a_perfect_judge(played: list[Trajectory]) -> None:
    found = judged(played, perfect)
    whole = found["all"]
    assert whole.steps == whole.audited == sum(len(each.steps) for each in played)
    assert whole.kappa is not None and whole.accuracy is not None
    assert (whole.kappa.mean, whole.kappa.low, whole.kappa.high) == (1.0, 1.0, 1.0)
    assert whole.false_positive_rate is not None and whole.false_positive_rate.mean == 0.0
    assert whole.false_negative_rate is not None and whole.false_negative_rate.mean == 0.0
    assert whole.accuracy.mean == 1.0 and whole.unparsed == 0
    assert list(found) == ["all", "search", "lookup", "answer"]
    assert sum(found[part].steps for part in ("search", "lookup", "answer")) == whole.steps


def test_a_judge_flipped_at_a_fifth(played: list[Trajectory]) -> None:
    whole = judged(played, lambda key, good: perfect(key, good != flipped(key)))["all"]
    turned = {True: [0, 0], False: [0, 0]}
    for each in played:
        for position, step in enumerate(each.steps):
            counts = turned[step.verdict in GOOD_VERDICTS]
            counts[0] += flipped((each.index, each.sample, position))
            counts[1] += 1
    assert min(turned[True][1], turned[False][1]) > 100
    for rate, (wrong, of) in (
        (whole.false_negative_rate, turned[True]),
        (whole.false_positive_rate, turned[False]),
    ):
        assert rate is not None and (rate.mean, rate.n) == (pytest.approx(wrong / of), of)
        assert rate.mean == pytest.approx(0.2, abs=0.08)  # three standard errors of 200 steps
        assert rate.low < rate.mean < rate.high < rate.low + 0.2
    assert whole.accuracy is not None and whole.accuracy.mean == pytest.approx(0.8, abs=0.05)
    assert whole.kappa is not None and 0.45 < whole.kappa.low < whole.kappa.mean < 0.7


@pytest.mark.parametrize(("word", "positive", "negative"), [("GOOD", 1.0, 0.0), ("BAD", 0.0, 1.0)])
def test_a_judge_that_always_says_the_same(
    played: list[Trajectory], word: str, positive: float, negative: float
) -> None:
    whole = judged(played, lambda key, good: word)["all"]
    assert whole.false_positive_rate is not None and whole.false_positive_rate.mean == positive
    assert whole.false_negative_rate is not None and whole.false_negative_rate.mean == negative
    assert whole.kappa is not None
    assert (whole.kappa.mean, whole.kappa.low, whole.kappa.high) == (0.0, 0.0, 0.0)


def test_unparsed_texts_are_counted_and_left_out_of_rates(played: list[Trajectory]) -> None:
    def mumbles(key: tuple[int, int, int], good: bool) -> str:
        return "who knows" if key[2] == 0 else perfect(key, good)

    whole = judged(played, mumbles)["all"]
    first = len([each for each in played if each.steps])
    assert whole.unparsed == first > 0
    assert sum(row["unparsed"] for row in whole.confusion.values()) == first
    assert whole.accuracy is not None and whole.accuracy.n == whole.steps - first
    assert whole.accuracy.mean == 1.0


def test_kappa_by_hand() -> None:
    # Agreement 35 of 50, by chance 25: (0.7 - 0.5) / (1 - 0.5).
    cells = {(True, Rating.GOOD): 20, (True, Rating.BAD): 5, (False, Rating.GOOD): 10}
    steps = [
        RatedStep(f"t{i}", "search", exact, mark)
        for (exact, mark), count in {**cells, (False, Rating.BAD): 15}.items()
        for i in range(count)
    ]
    whole = audit_steps(steps)["all"]
    assert whole.kappa is not None and whole.kappa.mean == pytest.approx(0.4)
    assert whole.kappa.low < 0.4 < whole.kappa.high
    assert whole.to_dict()["confusion"]["BAD"] == {"GOOD": 10, "BAD": 15, "unparsed": 0}
    agreeing = [step for step in steps if step.is_good and step.rating is Rating.GOOD]
    agreed = audit_steps(agreeing)["all"]
    assert agreed.kappa is None and agreed.false_positive_rate is None


def test_steps_without_trusted_verdicts_are_not_audited(source: Any) -> None:
    env = HopEnv(source)
    env.reset(options={"index": 3})  # its evidence is unknown
    for text in ("<search>bees</search>", "<search>bees</search>", "<answer>1410</answer>"):
        env.step(text)
    episode = env.trajectory()
    assert [step.verdict for step in episode.steps].count(Verdict.REPEAT) == 1
    found = judged([episode], lambda key, good: "GOOD")["all"]
    assert (found.steps, found.audited, found.kappa) == (3, 0, None)
    assert found.judged_good is not None and found.judged_good.mean == 1.0


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("The call helps. GOOD", "GOOD"),
        ("At first GOOD, but then it repeats: BAD.", "unparsed"),
        ("At first it looks GOOD. But then it repeats: BAD.", "BAD"),
        ("NOT GOOD", "unparsed"),
        ("GOOD call.\nThis isn't a GOOD one.", "unparsed"),
        ("It isn’t really GOOD", "unparsed"),
        ("It is not what I hoped for, yet GOOD", "GOOD"),  # the negation is of something else
        ("I'd say GOOD or BAD", "unparsed"),
        ("GOOD or BAD? It repeats.\n**Verdict:** BAD", "BAD"),
        ("NOT GOOD, NOT BAD\n\nFinal answer: `good`\n---\n", "GOOD"),
        ("It helps, so it is good.", "GOOD"),
        ("All in all it is not good.", "unparsed"),
        ("BAD? No. **GOOD**\n", "GOOD"),
        ("verdict: good.", "GOOD"),
        ("GOODNESS! This is a bad call indeed", "unparsed"),
        ("A good idea, on the whole\nBad!", "BAD"),
        ("A GOOD idea that turned out bad", "GOOD"),  # capitals are the asked form
        ("<think>BAD, I think</think>GOOD", "GOOD"),
        ("<think>either GOOD or BAD, let me", "unparsed"),  # cut while it thought
        ("thinking, BAD</think> so\nGOOD", "GOOD"),
        ("", "unparsed"),
        ("\ud800 BAD", "BAD"),
    ],
)
def test_marks_are_read(text: str, mark: str) -> None:
    assert parse_rating(text) == mark


@given(st.text(st.sampled_from("GODBAgodba<>/think \n*."), max_size=60))
def test_any_text_has_a_mark(text: str) -> None:
    assert parse_rating(text) in Rating
    assert parse_rating(f"{text}\nGOOD") is Rating.GOOD or "<think>" in text
    assert parse_rating(f"{text}\nnot GOOD") is not Rating.GOOD
    assert parse_rating(f"{text}\nI'd say GOOD or BAD") is Rating.UNPARSED


def test_marks_are_read_in_long_texts() -> None:
    for text in ("good ." * 100_000, "GOOD " * 100_000):
        assert parse_rating(text) == "GOOD"
    for text in ("bad" + "." * 500_000 + "x", "<think>" * 100_000, ". " * 300_000 + "!" * 300_000):
        assert parse_rating(text) == "unparsed"


def test_the_judge_reads_what_the_agent_read_and_no_more(played: list[Trajectory]) -> None:
    episode = max(played, key=lambda each: len(each.steps))
    for prefix in step_prefixes(episode):
        (message,) = judge_request(prefix).messages
        for said in render(prefix.prefix(len(prefix.steps) - 1)).messages:
            assert said["content"] in message["content"]
        assert prefix.steps[-1].text in message["content"]
        *_, last = prefix.steps
        brought = replace(
            last, observation="SECRET", verdict=Verdict.GOOD, process_reward=1.0, potential=1.0,
            outcome_reward=1.0,
        )  # fmt: skip
        told = replace(prefix, steps=(*prefix.steps[:-1], brought), is_success=True, oracle_steps=1)
        assert judge_request(told) == judge_request(prefix)


@pytest.mark.parametrize("style", ["plain", "swirl", "native"])
def test_every_style_can_be_judged(source: Any, style: str) -> None:
    from hopgym.env.settings import EnvSettings

    env = HopEnv(source, EnvSettings(dialect="json"))
    env.reset(options={"index": 0})
    call = '<tool_call>{"name": "search", "arguments": {"query": "Ada {Brook}"}}</tool_call>'
    env.step(f"Her page first. {call}")
    env.step("hm")
    first, second = step_prefixes(env.trajectory())
    asked = judge_request(first, STYLES[style]).messages[0]["content"]
    last = asked.partition("<last_message>")[2]
    assert "Ada {Brook}" in last and "Her page first." in last
    later = judge_request(second, STYLES[style]).messages[0]["content"]
    conversation = later.partition("<last_message>")[0]
    assert "Ada {Brook}" in conversation and env.trajectory().steps[0].observation in conversation


def test_given_steps_and_failed_episodes_are_not_judged(source: Any) -> None:
    env = HopEnv(source)
    env.reset(options={"index": 0, "prefix": ["<search>Ada</search>"]})
    env.step("<answer>baker</answer>")
    episode = env.trajectory()
    assert [len(prefix.steps) for prefix in step_prefixes(episode)] == [2]
    assert not list(step_prefixes(replace(episode, stop_reason=StopReason.API_ERROR)))


def test_threads_judge_the_same_within_their_number(played: list[Trajectory]) -> None:
    lock, together, running, most = threading.Lock(), threading.Event(), 0, 0

    def slow(key: tuple[int, int, int], good: bool) -> str:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            if running > 1:
                together.set()
        together.wait(timeout=60)
        with lock:
            running -= 1
        return perfect(key, good)

    some = played[:20]
    assert judged(some, slow, concurrency=4) == judged(some, perfect)
    assert 1 < most <= 4


def test_stopping_ends_the_calls_under_way(played: list[Trajectory]) -> None:
    class Stalling:
        concurrency, fingerprint = 4, "stalling"

        def __init__(self) -> None:
            self.closed = threading.Event()
            self.answered = 0

        def __call__(self, requests: Sequence[Request]) -> list[Completion]:
            self.answered += 1
            if self.answered > 1:
                assert self.closed.wait(30), "nobody closed the generator"
            return [Completion("GOOD") for _ in requests]

        def close(self) -> None:
            self.closed.set()

    stalling = Stalling()
    judging = judge_steps(stalling, (step for each in played for step in step_prefixes(each)))
    next(judging)
    judging.close()  # type: ignore[attr-defined]
    assert stalling.closed.is_set()
