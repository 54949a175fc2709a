"""What a report charts and tabulates of its runs: success by group, endings, steps, tokens."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from hopgym.evaluation import Estimate, Estimates, Evaluation, TokenTotal
from hopgym.evaluation.accumulator import Accumulator
from hopgym.evaluation.bootstrap import Ratio
from hopgym.evaluation.endings import ENDINGS, Ending
from hopgym.report.charts import Bar, Chart, bar, column_chart, dot_chart, stack
from hopgym.report.table import ABSENT, Cell, cell, role_of
from hopgym.report.text import hops_text
from hopgym.tasks import TaskSource
from hopgym.trajectory import ERROR_REASONS, Trajectory
from hopgym.verdicts import GOOD_VERDICTS


@dataclass(frozen=True, slots=True)
class RunBar:
    """The success of one run, as text and as a bar."""

    run: str
    role: str
    value: str
    interval: str
    bar: Bar | None
    """None without an estimate."""
    count: str = ""
    """Number of episodes as text; empty if the group states it for all runs."""


@dataclass(frozen=True, slots=True)
class BarGroup:
    """The success of all runs on one group of questions."""

    title: str
    episodes: str
    """Number of episodes per run as text; empty if the runs differ."""
    bars: tuple[RunBar, ...]


@dataclass(frozen=True, slots=True)
class EndingStack:
    """How the episodes of one run ended."""

    run: str
    counts: tuple[int, ...]
    """Episodes by ending, in the order of the table."""
    segments: tuple[tuple[str, str, str], ...]
    """Tone, start and width in percent, of each ending that occurs."""


def run_bar(run: str, estimate: Estimate | None, count: str = "") -> RunBar:
    """Return the bar of a share of one run."""
    text = cell(estimate)
    return RunBar(run, role_of(run), text.value, text.interval, bar(estimate), count)


def success_by_hops(evaluations: Mapping[str, Evaluation]) -> list[BarGroup]:
    """Return success by number of hops, one group each."""
    groups = {run: evaluation.by_hops for run, evaluation in evaluations.items()}
    names = sorted({hops for by_hops in groups.values() for hops in by_hops}, key=int)
    return [_bar_group(groups, hops, hops_text(int(hops))) for hops in names]


def success_by_kind(evaluations: Mapping[str, Evaluation]) -> list[BarGroup]:
    """Return success by kind of question, one group each."""
    groups = {run: evaluation.by_kind for run, evaluation in evaluations.items()}
    names = sorted({kind for by_kind in groups.values() for kind in by_kind})
    return [_bar_group(groups, kind, kind or "kind unknown") for kind in names]


def ending_stacks(
    endings: Mapping[str, Mapping[str, int]],
) -> tuple[list[Ending], list[EndingStack]]:
    """Return the endings that occur in any run, and each run's counts of them.

    Args:
        endings: By run, the number of episodes by name of their ending.
    """
    occurring = [e for e in ENDINGS if any(counts.get(e.name) for counts in endings.values())]
    stacks = []
    for run, by_name in endings.items():
        counts = tuple(by_name.get(ending.name, 0) for ending in occurring)
        tones = [ending.tone for ending in occurring]
        stacks.append(EndingStack(run, counts, stack(zip(tones, counts, strict=True))))
    return occurring, stacks


class StepTally:
    """Counts the steps of a run's judged episodes, against the oracle's and by step number.

    Args:
        source: The source of the run's tasks.
    """

    def __init__(self, source: TaskSource) -> None:
        self.lengths: Counter[tuple[int, int]] = Counter()
        """Episodes by (steps of the oracle, steps of the agent), if the former are known."""
        self.good_by_number: Estimates = {}
        """The share of good steps by step number from 1, as text, without the steps of prefixes;
        available after all trajectories were observed."""
        self._source = source

    def observe(self, trajectories: Iterable[Trajectory]) -> Iterator[Trajectory]:
        """Yield the trajectories unchanged, counting each after it was consumed."""
        accumulator = Accumulator[_StepsGood]()
        for trajectory in trajectories:
            # Yielded first: the consumer checks that the task is one of the source.
            yield trajectory
            if trajectory.stop_reason not in ERROR_REASONS and self._is_judged(trajectory):
                steps = trajectory.steps
                if trajectory.oracle_steps > 0:
                    self.lengths[trajectory.oracle_steps, len(steps)] += 1
                good = tuple(None if s.from_prefix else s.verdict in GOOD_VERDICTS for s in steps)
                task = trajectory.task_id
                accumulator.add(trajectory.index, trajectory.sample, good, task=task)
        episodes = accumulator.ordered()
        names = {name for row in episodes.rows for name in _good_by_number(row)}
        self.good_by_number = episodes.estimates(_good_by_number, sorted(names, key=int))

    def _is_judged(self, trajectory: Trajectory) -> bool:
        proofs = self._source[trajectory.index].question.proofs
        return bool(proofs) and trajectory.tools != ("answer",)


def steps_against_oracle(tallies: Mapping[str, StepTally]) -> list[Chart]:
    """Return for each run a chart of its steps against the oracle's; empty if none are known."""
    lengths_of = {run: tally.lengths for run, tally in tallies.items() if tally.lengths}
    pairs = [pair for lengths in lengths_of.values() for pair in lengths]
    if not pairs:
        return []
    # All charts have the same axes, so that runs can be compared.
    limits = (max(oracle for oracle, _ in pairs) + 1, max(steps for _, steps in pairs) + 1)
    return [
        dot_chart(
            run,
            lengths,
            "oracle",
            "agent",
            limits,
            caption=_lengths_summary(lengths),
            role=role_of(run),
        )
        for run, lengths in lengths_of.items()
    ]


def accuracy_by_step(tallies: Mapping[str, StepTally]) -> list[Chart]:
    """Return for each run a chart of the share of good steps by step number."""
    by_run = {run: tally.good_by_number for run, tally in tallies.items() if tally.good_by_number}
    most = max((int(name) for estimates in by_run.values() for name in estimates), default=0)
    return [
        column_chart(
            run, estimates, "step", most, caption=_accuracy_summary(estimates), role=role_of(run)
        )
        for run, estimates in by_run.items()
    ]


def token_rows(evaluations: Mapping[str, Evaluation]) -> list[tuple[str, list[str]]]:
    """Return sum and mean of generated and of prompt tokens, for the runs that report tokens."""
    return [
        (run, [*_total_cells(evaluation.tokens.generated), *_total_cells(evaluation.tokens.prompt)])
        for run, evaluation in evaluations.items()
        if evaluation.tokens
    ]


def attempt_rows(evaluations: Mapping[str, Evaluation]) -> list[tuple[str, list[tuple[str, Cell]]]]:
    """Return pass@k and majority votes, for the runs with several attempts at a task."""
    rows = []
    for run, evaluation in evaluations.items():
        if evaluation.majority:
            cells = [(f"pass@{k}", cell(estimate)) for k, estimate in evaluation.pass_at.items()]
            rows.append((run, [*cells, ("majority", cell(evaluation.majority))]))
    return rows


_StepsGood = tuple[bool | None, ...]
"""Whether each step was good; None for steps of the prefix."""


def _good_by_number(steps: _StepsGood) -> dict[str, Ratio]:
    return {
        str(number): (float(good), 1.0)
        for number, good in enumerate(steps, start=1)
        if good is not None
    }


def _bar_group(groups: Mapping[str, Mapping[str, Estimates]], name: str, title: str) -> BarGroup:
    estimates = {run: by_name.get(name, {}).get("success") for run, by_name in groups.items()}
    counts = {estimate.n for estimate in estimates.values() if estimate is not None}
    if len(counts) == 1:
        bars = tuple(run_bar(run, estimate) for run, estimate in estimates.items())
        return BarGroup(title, f"{counts.pop():,} each", bars)
    bars = tuple(
        run_bar(run, estimate, f"n {estimate.n:,}" if estimate else "")
        for run, estimate in estimates.items()
    )
    return BarGroup(title, "", bars)


def _total_cells(total: TokenTotal | None) -> tuple[str, str]:
    return (f"{total.sum:,}", f"{total.mean:,.1f}") if total else (ABSENT, ABSENT)


def _lengths_summary(lengths: Mapping[tuple[int, int], int]) -> str:
    total = sum(lengths.values())
    oracle_mean = sum(oracle * count for (oracle, _), count in lengths.items()) / total
    mean = sum(steps * count for (_, steps), count in lengths.items()) / total
    fewer = sum(count for (oracle, steps), count in lengths.items() if steps < oracle) / total
    more = sum(count for (oracle, steps), count in lengths.items() if steps > oracle) / total
    return (
        f"On average {mean:.1f} steps, the oracle {oracle_mean:.1f}; "
        f"fewer than it in {fewer:.0%}, more in {more:.0%} of {total:,} episodes."
    )


def _accuracy_summary(estimates: Estimates) -> str:
    steps = [f"{name}: {cell(estimate).value}" for name, estimate in estimates.items() if estimate]
    return "By step " + ", ".join(steps) + "."
