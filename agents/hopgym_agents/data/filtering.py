"""Filtering: which trajectories are kept to train on, by process, by outcome, or by both.

In: finished trajectories, and a judge's marks where verdicts are not to be asked. Out: which of
them pass which filter, and equally many of each filter, as SWiRL compares them (Goldie et al.
2025, arXiv 2504.04736, sections 2.1 and 4).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hopgym.errors import DataError, require
from hopgym.evaluation import Estimate
from hopgym.evaluation.bootstrap import ABSENT, Ratio, estimate_all, plain_fields
from hopgym.rollout import episode_rng
from hopgym.trajectory import ERROR_REASONS, Trajectory
from hopgym_agents.judging.audit import marked
from hopgym_agents.judging.judge import Mark

Marks = Mapping[tuple[str, int, int], Mark]
"""What a judge says by (task id, sample, position of the step)."""


@dataclass(frozen=True, slots=True)
class Label:
    """What the filters know of a trajectory."""

    task_id: str
    index: int
    sample: int
    steps: int
    """The policy's own."""
    good: int | None
    """Those whose exact verdict is GOOD; None where there are none to trust."""
    judged_good: int | None
    """Those that a judge calls GOOD; None where none was asked."""
    is_success: bool

    @property
    def key(self) -> tuple[str, int]:
        """(task id, sample), as `hopgym.trajectory.Trajectory.key`."""
        return self.task_id, self.sample

    @property
    def passes_process(self) -> bool:
        """Whether every step is GOOD: by the judge where one was asked, else by its verdict."""
        found = self.good if self.judged_good is None else self.judged_good
        return found == self.steps > 0


FILTERS: Mapping[str, Callable[[Label], bool]] = {
    "none": lambda label: True,
    "process": lambda label: label.passes_process,
    "outcome": lambda label: label.is_success,
    "both": lambda label: label.passes_process and label.is_success,
}
"""The four filters by name: whether a trajectory passes."""


@dataclass(frozen=True, slots=True)
class Passed:
    """What passes a filter."""

    trajectories: int
    process_accuracy: Estimate | None
    """The share of GOOD steps by exact verdicts; None where there are none."""
    judged_accuracy: Estimate | None
    """The same by the judge's marks; None where none was asked."""
    success: Estimate | None
    """The share of right answers; None where nothing passes."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON."""
        return asdict(self, dict_factory=plain_fields)


def label(episode: Trajectory, marks: Marks | None = None) -> Label:
    """Return what the filters know of a trajectory.

    Args:
        episode: A finished one.
        marks: A judge's, of each of its own steps; None where no judge was asked.

    Raises:
        KeyError: When the marks lack one of its steps.
    """
    own = [position for position, step in enumerate(episode.steps) if not step.given]
    exact = [marked(episode, position, Mark.UNPARSED).exact for position in own]
    said = [marks[(*episode.key, position)] for position in own] if marks is not None else None
    return Label(
        task_id=episode.task_id,
        index=episode.index,
        sample=episode.sample,
        steps=len(own),
        good=None if None in exact else sum(map(bool, exact)),
        judged_good=None if said is None else said.count(Mark.GOOD),
        is_success=episode.is_success,
    )


def labels_of(episodes: Iterable[Trajectory], marks: Marks | None = None) -> Iterator[Label | None]:
    """Yield the label of each trajectory, or None for one that no filter takes.

    Those are trajectories that ended in an error of the policy, and, where a judge was asked,
    those of which it has not judged every step.
    """
    for episode in episodes:
        try:
            yield None if episode.reason in ERROR_REASONS else label(episode, marks)
        except KeyError:
            yield None


def passing(labels: Iterable[Label], name: str) -> list[Label]:
    """Return the labels that pass a filter of `FILTERS`, in their order."""
    require(name in FILTERS, "filter", f"one of {', '.join(FILTERS)}", name)
    return [each for each in labels if FILTERS[name](each)]


def passed(labels: Sequence[Label]) -> dict[str, Passed]:
    """Return what passes each filter, with 95% bootstrap intervals over tasks."""
    return {name: _summed(passing(labels, name)) for name in FILTERS}


def draw(
    labels: Sequence[Label], name: str, *, keep: int | None = None, seed: int = 0
) -> list[Label]:
    """Return as many of the trajectories that pass a filter as the other filters give too.

    As many tasks as possible are drawn from: a second trajectory of a task comes only when every
    task that passes has given its first. What is drawn does not depend on the order of the labels.

    Args:
        labels: Of all trajectories.
        name: Of the filter.
        keep: How many to draw; None takes the smallest number that passes any of `FILTERS`.
        seed: 0 or more.

    Raises:
        ArgumentError: When there is no such filter, or ``keep`` is below 1.
        DataError: When fewer pass than are to be kept, or none does.
    """
    require(keep is None or keep >= 1, "keep", "a whole number from 1, or None", keep)
    through = passing(labels, name)
    counts = {each: len(passing(labels, each)) for each in FILTERS}
    told = ", ".join(f"{each} {count:,}" for each, count in counts.items())
    wanted = min(counts.values()) if keep is None else keep
    if not through or not wanted:
        which = name if not through else min(counts, key=lambda each: counts[each])
        mend = "take another filter" if not through else "say how many to keep (--keep N)"
        raise DataError(
            f"expected trajectories that pass the filter {which}, got none of {len(labels):,} "
            f"({told}); {mend}, or collect more{_no_verdicts(labels, name)}"
        )
    if wanted > len(through):
        raise DataError(
            f"expected {wanted:,} trajectories that pass the filter {name}, got {len(through):,} "
            f"({told}); keep fewer, or collect more"
        )
    return _spread(through, wanted, seed)


def _no_verdicts(labels: Sequence[Label], name: str) -> str:
    """Return a hint for process filters over steps that nothing is known of."""
    unknown = all(each.good is None and each.judged_good is None for each in labels)
    if not unknown or name not in ("process", "both"):
        return ""
    return ". The steps have no exact verdicts: let a model judge them (hopgym judge, --judgements)"


def _spread(labels: Sequence[Label], count: int, seed: int) -> list[Label]:
    drawn = {
        each.key: float(episode_rng(seed, each.index, each.sample, 0).random()) for each in labels
    }
    rounds: dict[str, int] = {}
    order: list[tuple[int, int, Label]] = []
    for each in sorted(labels, key=lambda each: (drawn[each.key], each.key)):
        turn = rounds[each.task_id] = rounds.get(each.task_id, -1) + 1
        order.append((turn, len(order), each))
    return [each for *_, each in sorted(order, key=lambda item: item[:2])[:count]]


def _summed(labels: Sequence[Label]) -> Passed:
    # In the order of their keys: what the resamples draw must not depend on the order of a file.
    ordered = sorted(labels, key=lambda each: (each.index, each.sample))
    ratios = [
        {
            "process": _share(each.good, each.steps),
            "judged": _share(each.judged_good, each.steps),
            "success": (float(each.is_success), 1.0),
        }
        for each in ordered
    ]
    names = ("process", "judged", "success")
    found = estimate_all([each.task_id for each in ordered], ratios, names)
    return Passed(len(ordered), found["process"], found["judged"], found["success"])


def _share(good: int | None, steps: int) -> Ratio:
    return ABSENT if good is None else (float(good), float(steps))
