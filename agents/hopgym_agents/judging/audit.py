"""Audits a judge: compares its ratings of steps with their exact verdicts.

An audit has the confusion matrix, error rates and Cohen's kappa. Intervals are bootstrapped over
tasks; rates that are 0 or 1 in every task have Wilson's interval.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hopgym.evaluation import Estimate
from hopgym.evaluation.bootstrap import estimate, plain_fields, resampled
from hopgym.trajectory import Step, Trajectory, has_verdicts
from hopgym.verdicts import GOOD_VERDICTS
from hopgym_agents.judging.judge import Rating

ALL = "all"
"""Name of the audit of all steps."""

MALFORMED = "malformed"
"""Name of the audit of the steps that are no valid call."""

_TOOLS = (ALL, "search", "lookup", "calculate", MALFORMED, "answer")
"""Order of the audits; other tools follow."""
_RATINGS = (Rating.GOOD, Rating.BAD, Rating.UNPARSED)
_Counts = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RatedStep:
    """A judge's rating of a step and what is known about the step."""

    task_id: str
    tool: str
    """The tool that the step calls (``answer`` for an answer), or `MALFORMED`."""
    is_good: bool | None
    """Whether the verdict is one of `GOOD_VERDICTS`; None if the verdict cannot be trusted."""
    rating: Rating


@dataclass(frozen=True, slots=True)
class Audit:
    """Statistics of a judge's ratings of some steps."""

    steps: int
    unparsed: int
    """Steps for which the judge's reply could not be parsed; no rate includes them."""
    judged_good: Estimate | None
    """Share of steps rated GOOD."""
    confusion: Mapping[str, Mapping[str, int]]
    """Counts of steps with an exact verdict, by verdict (``GOOD``, ``BAD``), then by rating."""
    false_positive_rate: Estimate | None
    """Share of BAD steps that are rated GOOD."""
    false_negative_rate: Estimate | None
    """Share of GOOD steps that are rated BAD."""
    accuracy: Estimate | None
    """Share of steps whose rating agrees with the verdict."""
    kappa: Estimate | None
    """Cohen's kappa: agreement beyond chance, in [-1, 1]; 0 for a constant judge. None if judge
    and verdicts are the same constant."""

    @property
    def audited(self) -> int:
        """Steps with an exact verdict."""
        return sum(sum(row.values()) for row in self.confusion.values())

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON; a rate is ``{mean, low, high, n}`` or None."""
        return asdict(self, dict_factory=plain_fields) | {"audited": self.audited}


def rated_step(episode: Trajectory, position: int, rating: Rating) -> RatedStep:
    """Return a step of an episode with a judge's rating and what is known about it.

    No verdict of an episode is trusted if its evidence is unknown: the verdicts that repeated and
    malformed steps have there are all BAD.
    """
    step = episode.steps[position]
    is_good = step.verdict in GOOD_VERDICTS if has_verdicts(episode) else None
    return RatedStep(episode.task_id, tool_of(step), is_good, rating)


def tool_of(step: Step) -> str:
    """Return the tool that a step calls, or `MALFORMED`."""
    return step.action.tool if step.action is not None else MALFORMED


def audit_steps(steps: Sequence[RatedStep]) -> dict[str, Audit]:
    """Return the audit of all steps under `ALL`, and of the steps of each tool that occurs."""
    present = {ALL, *(step.tool for step in steps)}
    return {
        tool: _audit([step for step in steps if tool in (ALL, step.tool)])
        for tool in (*_TOOLS, *sorted(present - {*_TOOLS}))
        if tool in present
    }


def _audit(steps: Sequence[RatedStep]) -> Audit:
    # Sorted, so that the bootstrap resamples do not depend on the order of the judgements.
    rows = {task: row for row, task in enumerate(sorted({step.task_id for step in steps}))}
    # (tasks; verdict GOOD, BAD, unknown; rated GOOD, BAD, unparsed)
    counts = np.zeros((len(rows), 3, 3))
    for step in steps:
        verdict = 2 if step.is_good is None else int(not step.is_good)
        counts[rows[step.task_id], verdict, _RATINGS.index(step.rating)] += 1
    totals = counts.sum(axis=0)[None]
    resamples = resampled(counts.reshape(len(rows), 9)).reshape(-1, 3, 3)

    def rate(name: str) -> Estimate | None:
        (numerator,), (denominator,) = _ratio(name, totals)
        if not denominator:
            return None
        numerators, denominators = _ratio(name, resamples)
        defined = denominators > 0
        if name == "kappa":  # Not a share: Wilson's interval does not apply.
            n = int(totals[0, :2, :2].sum())
            trials = 0
        else:
            n = int(denominator)
            trials = int((_ratio(name, counts)[1] > 0).sum())
        values = numerators[defined] / denominators[defined]
        return estimate(float(numerator / denominator), values, n, trials)

    confusion = {
        verdict: {rating.value: int(totals[0, row, col]) for col, rating in enumerate(_RATINGS)}
        for row, verdict in enumerate(("GOOD", "BAD"))
    }
    names = ("judged_good", "false_positive_rate", "false_negative_rate", "accuracy", "kappa")
    return Audit(
        steps=len(steps),
        unparsed=int(totals[0, :, 2].sum()),
        confusion=confusion,
        **{name: rate(name) for name in names},
    )


def _ratio(name: str, counts: _Counts) -> tuple[_Counts, _Counts]:
    """Return numerators and denominators of a rate.

    Args:
        name: Name of the rate.
        counts: ``(n, 3, 3)``: verdict GOOD, BAD, unknown by rating GOOD, BAD, unparsed.
    """
    parsed = counts[:, :2, :2]
    if name == "judged_good":
        return counts[:, :, 0].sum(axis=1), counts[:, :, :2].sum(axis=(1, 2))
    if name == "false_positive_rate":
        return parsed[:, 1, 0], parsed[:, 1].sum(axis=1)
    if name == "false_negative_rate":
        return parsed[:, 0, 1], parsed[:, 0].sum(axis=1)
    agreeing = parsed[:, 0, 0] + parsed[:, 1, 1]
    total = parsed.sum(axis=(1, 2))
    if name == "accuracy":
        return agreeing, total
    # Kappa is (total * agreeing - chance) / (total ** 2 - chance). Whole numbers make it exactly 0
    # where the agreement is that of chance.
    chance = (parsed.sum(axis=1) * parsed.sum(axis=2)).sum(axis=1)
    return total * agreeing - chance, total * total - chance
