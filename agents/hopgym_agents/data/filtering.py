"""Filtering: which trajectories are kept to train on, by process, by outcome, or by both.

In: finished trajectories, and a judge's marks where verdicts are not to be asked. Out: which of
them pass which filter, and equally many of each filter, as SWiRL compares them (Goldie et al.
2025, arXiv 2504.04736, sections 2.1 and 4).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from hopgym.errors import DataError, require
from hopgym.evaluation import Estimate
from hopgym.evaluation.bootstrap import ABSENT, Ratio, estimate_all, plain_fields
from hopgym.progress import Progress, no_progress
from hopgym.rollout import episode_rng
from hopgym.runs.line_file import whole_file
from hopgym.runs.trajectory_file import Header, read_header, read_trajectories
from hopgym.trajectory import ERROR_REASONS, Trajectory
from hopgym_agents.judging.audit import marked
from hopgym_agents.judging.judge import Mark, digest_of, judge_request, steps_of
from hopgym_agents.judging.store import read_judgements
from hopgym_agents.prompts import Style

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


@dataclass(frozen=True, slots=True)
class FilteredRun:
    """How many episodes of a run pass each filter, and how many were written."""

    run: str
    """Path of the trajectory file."""
    left_out: int
    """Episodes that no filter considers: they ended in an error, or some step is not judged."""
    filters: Mapping[str, Passed]
    """What passes each of `FILTERS`."""
    filter: str
    """Name of the filter that selected the written trajectories."""
    kept: int
    """How many trajectories were written."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON."""
        return asdict(self, dict_factory=plain_fields)


def filter_file(
    file: Path,
    out: Path | None,
    name: str,
    *,
    keep: int | Literal["all", "equal"] = "equal",
    seed: int = 0,
    marks: Marks | None = None,
    progress: Progress = no_progress,
) -> FilteredRun:
    """Count how many episodes pass each filter, and write a sample of those that pass one.

    Args:
        file: Trajectory file of the run.
        out: Trajectory file to write, with the same content at each call; None writes nothing.
        name: A key of `FILTERS`.
        keep: How many trajectories to write; ``equal`` takes the smallest number that passes any
            filter.
        seed: Seed of the sample, 0 or more.
        marks: A judge's marks, used instead of the exact verdicts.
        progress: Shows how many episodes are read.

    Raises:
        ArgumentError: On an unknown filter, or when ``out`` is ``file``.
        DataError: When no episode passes, or fewer than ``keep``.
    """
    passing([], name)  # Refuse an unknown name before reading anything.
    labels: list[Label] = []
    left_out = 0
    with progress("episodes read") as advance:
        for label in labels_of(read_trajectories(file), marks):
            left_out += label is None
            labels += [label] if label is not None else []
            advance(1)
    if not labels:
        expected = "that a judge has judged whole" if marks is not None else "without an error"
        raise DataError(f"{file}: expected episodes {expected}, got none of {left_out:,}")
    selected: list[Label] = []
    if out is not None:
        count = len(passing(labels, name)) or 1 if keep == "all" else keep
        selected = draw(labels, name, keep=None if count == "equal" else count, seed=seed)
        _write_selected(file, out, selected, {"filter": name})
    return FilteredRun(str(file), left_out, passed(labels), name, len(selected))


def marks_of(path: Path, run: Path, style: Style) -> Marks:
    """Return a judge's marks on the steps of a run.

    Args:
        path: File of judgements.
        run: Trajectory file that the judgements belong to.
        style: How the conversations were rendered for the judge.

    Raises:
        DataError: When the file holds no judgements, or judgements of other texts than the steps
            of the run.
    """
    if read_header(path).source != read_header(run).source:
        raise DataError(f"{path}: expected judgements of the tasks of {run}, got those of others")
    marks: dict[tuple[str, int, int], Mark] = {}
    digests: dict[tuple[str, int, int], str] = {}
    for judgement in read_judgements(path):
        marks[judgement.key] = judgement.mark
        digests[judgement.key] = judgement.asked
    for episode in read_trajectories(run):
        for prefix in steps_of(episode):
            key = (*prefix.key, len(prefix.steps) - 1)
            if key in digests and digests[key] != digest_of(judge_request(prefix, style)):
                raise DataError(
                    f"{path}: expected judgements of the steps of {run}, that of {key} is of "
                    "another text: give the --style of hopgym judge, or judge the run again"
                )
    return marks


def _write_selected(
    file: Path, out: Path, labels: Sequence[Label], config: Mapping[str, Any]
) -> None:
    """Write the selected trajectories as a new run, in the order of the file."""
    keys = {label.key for label in labels}
    run = read_header(file)
    header = Header.of({"run": run.config, "kept": sorted(keys), **config}, run.source)
    with whole_file(out, "--out", [file]) as target:
        target.write(msgspec.json.encode(header) + b"\n")
        for trajectory in read_trajectories(file):
            if trajectory.key in keys:
                target.write(msgspec.json.encode(trajectory) + b"\n")
