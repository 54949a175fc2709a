"""Intervals of an audit whose rates are the same in every task."""

import pytest

from hopgym.evaluation.bootstrap import wilson
from hopgym_agents.judging.audit import RatedStep, audit_steps
from hopgym_agents.judging.judge import Rating


def test_rates_of_0_and_1_have_wilsons_interval_over_tasks() -> None:
    # Three steps of each of ten tasks; four of the tasks have a BAD one.
    steps = [RatedStep(f"t{i % 10}", "search", i >= 4, Rating.GOOD) for i in range(30)]
    agreeing = [RatedStep(each.task_id, "search", True, Rating.GOOD) for each in steps]
    whole = audit_steps(steps)["all"]
    assert whole.false_positive_rate is not None and whole.judged_good is not None
    assert (whole.false_positive_rate.mean, whole.false_positive_rate.n) == (1.0, 4)
    ends = whole.false_positive_rate.low, whole.false_positive_rate.high
    assert ends == pytest.approx(wilson(1.0, 4))
    assert (whole.judged_good.low, whole.judged_good.high) == pytest.approx(wilson(1.0, 10))
    missed = audit_steps(agreeing)["all"].false_negative_rate
    assert missed is not None
    assert (missed.mean, missed.low, missed.high) == pytest.approx((0.0, *wilson(0.0, 10)))
    assert whole.kappa is not None and not whole.kappa.has_interval, "kappa is no share"
