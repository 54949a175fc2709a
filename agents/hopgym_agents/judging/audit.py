"""The audit of a judge: what it said of steps against what is known of them.

In: marks and exact verdicts. Out: the confusion matrix, error rates and Cohen's kappa, with
bootstrap intervals over tasks, and Wilson's for rates that are 0 or 1 in every task.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hopgym.evaluation import Estimate
from hopgym.evaluation.bootstrap import estimate, plain_fields, resampled
from hopgym.trajectory import Step, Trajectory
from hopgym.verdicts import GOOD_VERDICTS, Verdict
from hopgym_agents.judging.judge import Mark

ALL = "all"
"""Name of the whole among the parts of an audit."""

MALFORMED = "malformed"
"""Name of the part of the steps that are no call."""

_PARTS = (ALL, "search", "lookup", "calculate", MALFORMED, "answer")
_MARKS = (Mark.GOOD, Mark.BAD, Mark.UNPARSED)
_Counts = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Marked:
    """A judged step."""

    task: str
    part: str
    """The tool that it calls, ``answer`` among them, or `MALFORMED`."""
    exact: bool | None
    """Whether its verdict is one of `GOOD_VERDICTS`; None where it has none to trust."""
    mark: Mark


@dataclass(frozen=True, slots=True)
class Audit:
    """What a judge comes to on some steps."""

    steps: int
    unparsed: int
    """Those on which the judge's text could not be read."""
    judged_good: Estimate | None
    """The share of steps called GOOD, of those whose text could be read."""
    confusion: Mapping[str, Mapping[str, int]]
    """By the exact verdict (``GOOD``, ``BAD``), then by mark: steps that have one."""
    false_positive_rate: Estimate | None
    """The share called GOOD of the steps that are BAD."""
    false_negative_rate: Estimate | None
    """The share called BAD of the steps that are GOOD."""
    accuracy: Estimate | None
    """The share called what they are."""
    kappa: Estimate | None
    """Cohen's kappa: the agreement beyond chance, in [-1, 1]; 0 for a judge that says the same of
    every step. None where both say the same of every step, and nothing is left to chance."""

    @property
    def audited(self) -> int:
        """Steps with an exact verdict."""
        return sum(sum(row.values()) for row in self.confusion.values())

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON, each rate ``{mean, low, high, n}`` or None."""
        return asdict(self, dict_factory=plain_fields) | {"audited": self.audited}


def marked(episode: Trajectory, step: int, mark: Mark) -> Marked:
    """Return a judged step of an episode with what is known of it.

    Verdicts of episodes whose evidence is unknown are not trusted, not even those that a repeated
    or a malformed step has there: they would all be BAD.
    """
    judged = episode.tools != ("answer",) and not any(
        each.verdict is Verdict.UNJUDGED for each in episode.steps
    )
    found = episode.steps[step]
    exact = found.verdict in GOOD_VERDICTS if judged else None
    return Marked(episode.task_id, part_of(found), exact, mark)


def part_of(step: Step) -> str:
    """Return the tool that a step calls, or `MALFORMED`."""
    return step.action.tool if step.action is not None else MALFORMED


def audits(steps: Sequence[Marked]) -> dict[str, Audit]:
    """Return the audit of all steps, and of each part that there are steps of.

    Rates are over the steps whose text could be read; the rest is counted as unparsed.
    """
    there = {ALL, *(step.part for step in steps)}
    return {
        part: _audit([step for step in steps if part in (ALL, step.part)])
        for part in (*_PARTS, *sorted(there - {*_PARTS}))
        if part in there
    }


def _audit(steps: Sequence[Marked]) -> Audit:
    # In the order of their ids: what the resamples draw must not depend on which answer came first.
    places = {task: i for i, task in enumerate(sorted({step.task for step in steps}))}
    # (tasks; exact GOOD, BAD, unknown; marked GOOD, BAD, unparsed)
    counts = np.zeros((len(places), 3, 3))
    for step in steps:
        exact = 2 if step.exact is None else int(not step.exact)
        counts[places[step.task], exact, _MARKS.index(step.mark)] += 1
    whole = counts.sum(axis=0)[None]
    drawn = resampled(counts.reshape(len(places), 9)).reshape(-1, 3, 3)

    def rate(name: str) -> Estimate | None:
        (over,), (under,) = _ratio(name, whole)
        if not under:
            return None
        tops, bottoms = _ratio(name, drawn)
        usable = bottoms > 0
        n, trials = int(under), int((_ratio(name, counts)[1] > 0).sum())
        if name == "kappa":  # No share.
            n, trials = int(whole[0, :2, :2].sum()), 0
        return estimate(float(over / under), tops[usable] / bottoms[usable], n, trials)

    confusion = {
        exact: {mark.value: int(whole[0, row, column]) for column, mark in enumerate(_MARKS)}
        for row, exact in enumerate(("GOOD", "BAD"))
    }
    names = ("judged_good", "false_positive_rate", "false_negative_rate", "accuracy", "kappa")
    return Audit(
        steps=len(steps),
        unparsed=int(whole[0, :, 2].sum()),
        confusion=confusion,
        **{name: rate(name) for name in names},
    )


def _ratio(name: str, counts: _Counts) -> tuple[_Counts, _Counts]:
    """Return numerators and denominators of a rate.

    Args:
        name: Of the rate.
        counts: ``(n, 3, 3)``: exact GOOD, BAD, unknown by marked GOOD, BAD, unparsed.
    """
    read = counts[:, :2, :2]
    if name == "judged_good":
        return counts[:, :, 0].sum(axis=1), counts[:, :, :2].sum(axis=(1, 2))
    if name == "false_positive_rate":
        return read[:, 1, 0], read[:, 1].sum(axis=1)
    if name == "false_negative_rate":
        return read[:, 0, 1], read[:, 0].sum(axis=1)
    same, total = read[:, 0, 0] + read[:, 1, 1], read.sum(axis=(1, 2))
    if name == "accuracy":
        return same, total
    # In whole numbers, so that agreement by chance alone comes to 0 exactly.
    chance = (read.sum(axis=1) * read.sum(axis=2)).sum(axis=1)
    return total * same - chance, total * total - chance
