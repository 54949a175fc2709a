"""Metrics against numbers worked out by hand on the hand-written source."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hopgym.env import HopEnv
from hopgym.env.settings import EnvSettings
from hopgym.errors import ArgumentError
from hopgym.evaluation import METRICS, Estimate, Evaluation, evaluate
from hopgym.evaluation.bootstrap import estimate_all, estimates_of, wilson
from hopgym.policies import ExhaustivePolicy, OraclePolicy, ScriptedPolicy
from hopgym.report.table import Cell, cell
from hopgym.rollout import run_episodes
from hopgym.trajectory import StopReason, Trajectory

SCRIPT = {
    # Title led, page held: good. The same again: repeat. Then malformed, then right without the
    # job's page: lucky. Held at the end: 1 of 2. Oracle: 3 steps, here 4.
    "q0": [
        "<lookup>Ada Brook</lookup>",
        "I know! <lookup>Ada Brook</lookup>",
        "hm, Cleo Dunnings",
        "<answer>baker</answer>",
    ],
    # One of two, so F1 = 2 * 1 * 1/2 / (1 + 1/2) = 2/3; nothing read: unsupported.
    "q1": ["<answer>Ada Brook</answer>"],
    # The second proof (town, river) alone: good, good, supported, in 3 steps to the oracle's 4.
    "q2": ["<lookup>Cleo Dunn</lookup>", "<lookup>Elmstead</lookup>", "<answer>Farrow</answer>"],
    # Without evidence: right, unjudged.
    "q3": ["<answer>1410</answer>"],
}

ONE_OF_ONE = Estimate(1.0, *wilson(1.0, 1), 1)


def play(
    source: Any,
    script: Sequence[str],
    index: int = 0,
    sample: int = 0,
    given: Sequence[str] = (),
    settings: EnvSettings | None = None,
) -> Trajectory:
    env = HopEnv(source, settings)
    env.reset(options={"index": index, "prefix": list(given)})
    for text in script:
        env.step(text)
    return env.trajectory(sample=sample)


@pytest.fixture
def played(env: HopEnv) -> list[Trajectory]:
    finished = run_episodes(env, ScriptedPolicy(SCRIPT), range(4), slots=2)
    return sorted(finished, key=lambda trajectory: trajectory.index)


@pytest.fixture
def evaluation(played: list[Trajectory], source: Any) -> Evaluation:
    return evaluate(played, source)


@pytest.mark.parametrize(
    ("name", "mean", "n"),
    [
        ("success", 3 / 4, 4),  # q0, q2, q3
        ("f1", (1 + 2 / 3 + 1 + 1) / 4, 4),
        ("supported", 1 / 3, 3),  # q2 of the three judged ones
        ("lucky", 1 / 3, 3),  # q0
        ("wrong", 0.0, 3),
        ("unsupported", 1 / 3, 3),  # q1
        ("unjudged", 1 / 4, 4),  # q3
        ("evidence_recall", (1 / 2 + 0 + 1) / 3, 3),
        ("process_accuracy", (1 + 0 + 3) / (4 + 1 + 3), 8),
        ("regret", (1 + 0 + 0) / 3, 3),  # 4 - 3; 1 - 2 and 3 - 4 are below 0
        ("shortcut", 1 / 3, 3),  # q2: supported in 3 < 4; q1 was shorter, not supported
        ("malformed", 1 / 9, 9),  # of 4 + 1 + 3 + 1 steps
        ("repeat", 1 / 9, 9),
        ("steps", 9 / 4, 4),
    ],
)
def test_metrics(evaluation: Evaluation, name: str, mean: float, n: int) -> None:
    estimate = evaluation.metrics[name]
    assert estimate is not None
    assert (estimate.mean, estimate.n) == (pytest.approx(mean), n)
    assert 0 <= estimate.low <= estimate.mean <= estimate.high


def test_every_metric_is_there_in_order(evaluation: Evaluation) -> None:
    assert list(evaluation.metrics) == list(METRICS)
    assert (evaluation.source, evaluation.evidence_source) == ("hand", "annotated")
    assert (evaluation.episodes, evaluation.tasks, evaluation.errors) == (4, 4, 0)
    assert evaluation.reasons == {"answer": 4}
    assert evaluation.official == {"em": 0.75, "f1": pytest.approx(11 / 12)}


def means(estimates: Any) -> dict[str, float | None]:
    return {name: estimate and estimate.mean for name, estimate in estimates.items()}


def test_hops_are_found_as_whole_words(evaluation: Evaluation) -> None:
    # 1/1 (q1): nothing shown, one of two friends named. 1/2 (q0): Cleo Dunn shown; "Cleo Dunnings"
    # is not her name. 2/2: the baker not shown, but named. q2 and q3 have no hops.
    assert list(evaluation.hop_shown) == ["1/1", "1/2", "2/2"]
    assert means(evaluation.hop_shown) == {"1/1": 0.0, "1/2": 1.0, "2/2": 0.0}
    assert means(evaluation.hop_named) == {"1/1": 0.5, "1/2": 0.0, "2/2": 1.0}


def test_thoughts_and_malformed_texts_name_hops_and_given_ones_do_not(source: Any) -> None:
    thought = play(source, ["So Cleo Dunn it is. <answer>baker</answer>"])
    malformed = play(source, ["Cleo Dunn", "<answer>baker</answer>"])
    lower = play(source, ["cleo dunn", "<answer>baker</answer>"])
    given = play(source, ["<answer>baker</answer>"], given=["<lookup>Cleo Dunn</lookup>"])
    named = [means(evaluate([t], source).hop_named)["1/2"] for t in (thought, malformed, lower)]
    assert named == [1.0, 1.0, 0.0]
    result = evaluate([given], source)
    assert means(result.hop_named) == {"1/2": 0.0, "2/2": 1.0}
    assert means(result.hop_shown) == {"1/2": 1.0, "2/2": 1.0}  # the page's title and sentence


def test_given_steps_count_for_evidence_and_length_not_for_accuracy(source: Any) -> None:
    given = ["<lookup>Ada Brook</lookup>", "<lookup>Ivo Jay</lookup>", "<lookup>Ivo Jay</lookup>"]
    script = ["<lookup>Cleo Dunn</lookup>", "<answer>baker</answer>"]
    metrics = evaluate([play(source, script, given=given)], source).metrics
    assert metrics["process_accuracy"] == Estimate(1.0, *wilson(1.0, 1), 2)
    assert metrics["repeat"] == Estimate(0.0, *wilson(0.0, 1), 2)
    assert metrics["evidence_recall"] == ONE_OF_ONE
    assert metrics["regret"] == Estimate(2.0, 2.0, 2.0, 1)  # 5 steps - 3


def test_breakdowns(evaluation: Evaluation) -> None:
    by_kind = {kind: means(metrics) for kind, metrics in evaluation.by_kind.items()}
    assert list(by_kind) == ["attribute", "chain"]
    assert (by_kind["attribute"]["success"], by_kind["chain"]["success"]) == (1.0, 0.5)
    by_hops = {hops: means(metrics) for hops, metrics in evaluation.by_hops.items()}
    assert list(by_hops) == ["0", "1", "2"]
    assert [by_hops[n]["steps"] for n in by_hops] == [2.0, 1.0, 4.0]  # (3 + 1) / 2; 1; 4


def test_what_no_episode_has_is_none(source: Any) -> None:
    result = evaluate([play(source, SCRIPT["q3"], 3)], source)
    absent = {name for name, estimate in result.metrics.items() if estimate is None}
    assert absent == {
        *("supported", "lucky", "wrong", "unsupported", "evidence_recall", "process_accuracy"),
        *("regret", "shortcut"),
    }
    assert result.hop_shown == {}


@pytest.mark.parametrize("mode", ["one_turn", "closed_book"])
def test_without_tools_nothing_is_judged_or_shown(source: Any, mode: str) -> None:
    settings = EnvSettings(mode=mode)
    result = evaluate([play(source, ["<answer>baker</answer>"], settings=settings)], source)
    assert result.metrics["supported"] is result.metrics["process_accuracy"] is None
    assert result.metrics["unjudged"] == result.metrics["success"] == ONE_OF_ONE
    assert result.metrics["regret"] is None and result.evidence_source == "none"
    assert (result.hop_shown, means(result.hop_named)) == ({}, {"1/2": 0.0, "2/2": 1.0})


def test_episodes_without_an_answer_score_nothing(source: Any) -> None:
    cut = play(source, ["<search>bees</search>"], 1, settings=EnvSettings(max_steps=1))
    result = evaluate([cut], source)
    verdicts = ("success", "f1", "supported", "lucky", "wrong", "unsupported")
    assert [means(result.metrics)[name] for name in verdicts] == [0.0] * 6
    assert means(result.metrics)["evidence_recall"] == 1.0
    assert (result.reasons, result.official) == ({"budget": 1}, {"em": 0.0, "f1": 0.0})


def test_errors_are_counted_and_left_out(played: list[Trajectory], source: Any) -> None:
    failed = replace(played[0], sample=1, stop_reason=StopReason.API_ERROR, error="500")
    result = evaluate([*played, failed], source)
    assert (result.episodes, result.errors) == (4, 1)
    assert result.reasons == {"answer": 4, "api_error": 1}
    assert result.metrics == evaluate(played, source).metrics
    alone = evaluate([failed], source)
    assert (alone.episodes, alone.errors, alone.official) == (0, 1, {})
    assert set(alone.metrics.values()) == {None}


def test_order_changes_nothing(played: list[Trajectory], source: Any) -> None:
    assert evaluate(iter(played[::-1]), source) == evaluate(played, source)


def test_official_takes_the_first_sample(source: Any) -> None:
    right, wrong = ["<answer>baker</answer>"], ["<answer>miller</answer>"]
    played = [play(source, wrong, sample=2), play(source, right, sample=1)]
    assert evaluate(played, source).official == {"em": 1.0, "f1": 1.0}


def test_floors_and_ceiling(env: HopEnv, source: Any) -> None:
    oracle = evaluate(run_episodes(env, OraclePolicy(source), range(4)), source)
    expected = {"success": 1.0, "supported": 1.0, "process_accuracy": 1.0, "regret": 0.0}
    assert means(oracle.metrics).items() >= expected.items()
    assert set(means(oracle.hop_shown).values()) == {1.0}
    reader = evaluate(run_episodes(env, ExhaustivePolicy(source), range(4)), source)
    assert means(reader.metrics).items() >= {"wrong": 1.0, "evidence_recall": 1.0}.items()


def test_plain_json(evaluation: Evaluation) -> None:
    plain = evaluation.to_dict()
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert set(plain["success"]) == {"mean", "low", "high", "n"}
    assert plain["by_hops"]["0"]["regret"] == {"mean": 0.0, "low": None, "high": None, "n": 1}
    assert plain["by_hops"]["1"]["process_accuracy"]["mean"] == 0.0
    sections = {"hop_shown", "hop_named", "by_hops", "by_kind", "reasons", "official", "errors"}
    assert set(plain) >= sections | set(METRICS)


def test_bad_input_is_refused(played: list[Trajectory], source: Any) -> None:
    with pytest.raises(ArgumentError, match="at least one record, got none"):
        evaluate([], source)
    with pytest.raises(ArgumentError, match="must be finished, that of task 'q0'"):
        evaluate([played[0].prefix(1)], source)
    with pytest.raises(ArgumentError, match="got task 'q0' at index 2, where that is task 'q2'"):
        evaluate([replace(played[0], index=2)], source)
    with pytest.raises(ArgumentError, match="where there is none"):
        evaluate([replace(played[0], index=9)], source)


def test_intervals_are_those_of_the_percentile_bootstrap() -> None:
    # 200 tasks, half right: the standard error is sqrt(0.25 / 200) = 0.0354, so 0.5 +- 0.069.
    tasks = [f"t{i}" for i in range(200)]
    ratios = [{"right": (float(i % 2), 1.0)} for i in range(200)]
    estimate = estimate_all(tasks, ratios, ["right"])["right"]
    assert estimate is not None
    assert (estimate.mean, estimate.n) == (0.5, 200)
    assert (estimate.low, estimate.high) == pytest.approx((0.431, 0.569), abs=0.015)


def test_attempts_at_a_task_are_drawn_together() -> None:
    # One task: each resample is the task itself, whatever its 40 attempts differ.
    ratios = [{"right": (float(i % 2), 1.0)} for i in range(40)]
    together = estimate_all(["t"] * 40, ratios, ["right"])
    assert together["right"] == Estimate(0.5, 0.5, 0.5, 40)


def test_a_rare_metric_never_divides_by_zero() -> None:
    # Most resamples of 300 tasks leave out the only one that has what the metric is about.
    ratios = [{"rare": (1.0, 2.0)}, *({"other": (1.0, 1.0)} for _ in range(299))]
    tasks = [str(i) for i in range(300)]
    with np.errstate(all="raise"):
        estimates = estimate_all(tasks, ratios, ["rare", "other", "never"])
    assert estimates["rare"] == Estimate(0.5, 0.5, 0.5, 2)
    assert estimates["never"] is None


@pytest.mark.parametrize(("right", "ends"), [(0.0, (0.0, 0.2775)), (1.0, (0.7225, 1.0))])
def test_shares_that_are_the_same_for_all_get_wilsons_interval(
    right: float, ends: tuple[float, float]
) -> None:
    # Four attempts at each of ten tasks: as many trials as tasks, as attempts are not independent.
    tasks = [f"t{i % 10}" for i in range(40)]
    found = estimate_all(tasks, [{"right": (right, 1.0)}] * 40, ["right"])["right"]
    assert found is not None and found.has_interval
    assert (found.mean, found.n) == (right, 40)
    assert (found.low, found.high) == pytest.approx(ends, abs=5e-5)


def test_what_else_is_the_same_for_all_has_no_known_interval(
    played: list[Trajectory], source: Any
) -> None:
    sums = np.tile([[1.0, 3.0], [3.0, 3.0]], (7, 1, 1)).transpose(0, 2, 1)
    third, count = estimates_of(sums, ["third", "count"], counts=["count"]).values()
    assert third == Estimate(1 / 3, 1 / 3, 1 / 3, 21) and not third.has_interval
    assert count == Estimate(1.0, 1.0, 1.0, 21) and not count.has_interval
    # One task: whether its answer is right is one trial, how many steps it took is none.
    metrics = evaluate([played[3]], source).metrics
    success, steps = metrics["success"], metrics["steps"]
    assert success is not None and success.low == pytest.approx(0.2065, abs=5e-5)
    plain = evaluate([played[3]], source).to_dict()
    assert plain["steps"] == {"mean": 1.0, "low": None, "high": None, "n": 1}
    assert plain["success"]["low"] == success.low
    assert steps is not None and cell(steps, share=False) == Cell("1.00", "unknown")
