"""The page: runs and their source in, one self-contained HTML file out.

Model and tool texts are untrusted. The template escapes every one of them, the script builds the
episodes from text nodes alone, and the content security policy allows that one script by its hash
and nothing from the network.
"""

import json
import os
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hopgym import __version__
from hopgym.errors import ArgumentError, require
from hopgym.evaluation import Evaluation, evaluate
from hopgym.evaluation.endings import EpisodeSelector
from hopgym.report import charts, plots
from hopgym.report.about import About, about_rows
from hopgym.report.assets import content_policy, script, style, template
from hopgym.report.browser import BrowserData, chosen_views, filters_of
from hopgym.report.official import official_table, unjudged_line
from hopgym.report.table import COLUMNS, caption_of, cell, episodes_cell, privileged_steps, role_of
from hopgym.report.tally import StepTally
from hopgym.report.wording import safe_json, shortened, visible
from hopgym.runs.key_set import KeySet
from hopgym.runs.line_file import whole_file
from hopgym.runs.trajectory_file import read_trajectories
from hopgym.tasks import EvidenceSource, TaskSource
from hopgym.trajectory import Trajectory
from hopgym.verdicts import Verdict

EPISODES = 500
"""Episodes that a report shows one by one, by default."""

Runs = Mapping[str, Iterable[Trajectory] | Path]
"""By name, in the order of the tables: trajectories, read once, or a trajectory file."""

_TRUST: Mapping[EvidenceSource, str] = {
    "exact": "The world is generated, so every verdict is exact.",
    "annotated": "Verdicts are as good as the annotation of the data.",
    "heuristic": "Verdicts are estimated from the worked solutions.",
    "none": "The evidence is unknown, so steps are not judged.",
}
_VERDICTS: Mapping[Verdict, str] = {
    Verdict.GOOD: "the step brought a fact of the proof",
    Verdict.LEAD: "the step showed the title of a page that holds one",
    Verdict.IRRELEVANT: "the step brought nothing towards the proof",
    Verdict.REPEAT: "the same call had been made before",
    Verdict.MALFORMED: "the text held no complete call",
    Verdict.FAILED: "the tool was made to fail",
    Verdict.UNJUDGED: "the evidence of the task is unknown",
}


@dataclass(frozen=True, slots=True)
class RunFigures:
    """What a run comes to, and what was kept of it."""

    name: str
    evaluation: Evaluation
    watch: EpisodeSelector
    tally: StepTally


def write_report(
    runs: Runs,
    source: TaskSource,
    path: Path,
    *,
    episodes: int = EPISODES,
    about: About | None = None,
    known: Mapping[str, Evaluation] | None = None,
) -> None:
    """Write one HTML file on finished runs; equal runs give equal bytes.

    Args:
        runs: By name, in the order of the tables: trajectories, read once, or a trajectory file.
            ``oracle`` is marked as the ceiling, ``guess``, ``constant``, ``unknown``,
            ``exhaustive`` and ``random`` as floors.
        source: The source that all their tasks come from.
        path: The file, made with its folders.
        episodes: The most episodes to show one by one, failures first, 0 or more. The runs share
            them equally.
        about: What was run, such as policy and options: texts by label, by name of the run.
            `hopgym.report.about.about_folder` gives those of a folder.
        known: What runs come to, by name, where that has been worked out already.

    Raises:
        ArgumentError: When there are no runs, one cannot be evaluated, or what is known of one is
            of another number of episodes.
        DataError: When a file is no trajectory file.
    """
    page = render_report(runs, source, episodes=episodes, about=about, known=known)
    with whole_file(Path(path), "path") as file:
        file.write(page)


def render_report(
    runs: Runs,
    source: TaskSource,
    *,
    episodes: int = EPISODES,
    about: About | None = None,
    known: Mapping[str, Evaluation] | None = None,
) -> bytes:
    """Return what `write_report` writes."""
    require(episodes >= 0, "episodes", "a whole number from 0", episodes)
    figures = figures_of(runs, source, keep=episodes, known=known)
    views = chosen_views({run.name: run.watch for run in figures}, source, episodes)
    total = sum(run.watch.endings.total() for run in figures)
    filters = filters_of((view.head.labels for view in views), runs)
    data = BrowserData(False, False, total, filters, views)
    return render_page(figures, source, data, about=about)


def figures_of(
    runs: Runs,
    source: TaskSource,
    *,
    keep: int = 0,
    known: Mapping[str, Evaluation] | None = None,
) -> list[RunFigures]:
    """Read finished runs; return what they come to, with so many episodes of each kept.

    Raises:
        ArgumentError: When there are no runs, or one cannot be evaluated.
        DataError: When a file is no trajectory file.
    """
    require(bool(runs), "runs", "at least one run by name", dict(runs))
    known = known or {}
    return [_read(name, each, source, keep, known.get(name)) for name, each in runs.items()]


def render_page(
    runs: Sequence[RunFigures],
    source: TaskSource,
    data: BrowserData,
    *,
    title: str = "",
    notice: str = "",
    about: About | None = None,
) -> bytes:
    """Return the page as UTF-8 HTML.

    Args:
        runs: What to tell of; none while that is still worked out.
        source: Where their tasks come from.
        data: Of the episode browser.
        title: What stands above them; by default the ids of the runs' environments.
        notice: What stands in the place of the figures where there are none.
        about: What was run, by name of the run; see `write_report`.
    """
    from markupsafe import Markup

    html = template().render(
        title=title or _title(runs, source),
        source=source.name,
        evidence=source.evidence_source,
        trust=_TRUST[source.evidence_source],
        notice=notice,
        about=about_rows(about or {}),
        policy=content_policy(remote=data.remote),
        style=Markup(style()),
        script=Markup(script()),
        data=Markup(safe_json(data).decode()),
        total=data.total,
        remote=data.remote,
        shown=len(data.episodes),
        verdicts=[(verdict.value, meaning) for verdict, meaning in _VERDICTS.items()],
        version=__version__,
        figures=_figures(runs, source) if runs else None,
    )
    return visible(html).encode()


def _read(
    name: str,
    records: Iterable[Trajectory] | Path,
    source: TaskSource,
    keep: int,
    known: Evaluation | None,
) -> RunFigures:
    watch, tally = EpisodeSelector(keep), StepTally(source)
    if isinstance(records, str | os.PathLike):
        records = read_trajectories(records)
    passing = tally.over(watch.observe(records))
    try:
        if known is None:
            return RunFigures(name, evaluate(passing, source), watch, tally)
        deque(passing, 0)
        count, there = known.episodes + known.errors, watch.endings.total()
        require(count == there, "known", f"the evaluation of these {there:,} episodes", count)
    except ArgumentError as error:
        raise ArgumentError(f"run {name!r}: {error}") from error
    return RunFigures(name, known, watch, tally)


def _figures(runs: Sequence[RunFigures], source: TaskSource) -> dict[str, Any]:
    evaluations = {run.name: run.evaluation for run in runs}
    tallies = {run.name: run.tally for run in runs}
    endings, stacks = charts.stacks({run.name: run.watch.endings for run in runs})
    tasks = KeySet()
    for run in runs:
        tasks |= run.watch.tasks
    return {
        "settings": _settings(runs),
        "tasks": len(tasks),
        "same_tasks": all(run.watch.tasks == runs[0].watch.tasks for run in runs),
        "records": sum(run.watch.endings.total() for run in runs),
        "columns": COLUMNS,
        "caption": caption_of({n: privileged_steps(each) for n, each in evaluations.items()}),
        "rows": [_row(run) for run in runs],
        "searched": source[0].corpus.description if _has_tools(runs) else "",
        "remarks": [*source.remarks, *(unjudged_line(runs[0].evaluation) if runs else ())],
        "official": [
            {"run": run.name, "role": role_of(run.name), "table": table}
            for run in runs
            if (table := official_table(run.evaluation, source))
        ],
        "breakdowns": [
            ("By number of hops", charts.by_hops(evaluations)),
            ("By kind of question", charts.by_kind(evaluations)),
        ],
        "endings": endings,
        "stacks": stacks,
        "plots": [
            ("Steps against the oracle's", ("oracle", "agent"), plots.against_oracle(tallies)),
            ("Process accuracy by step", ("step", ""), plots.by_step_number(tallies)),
        ],
        "tokens": charts.tokens_rows(evaluations),
        "attempts": charts.attempts_rows(evaluations),
    }


def _has_tools(runs: Sequence[RunFigures]) -> bool:
    return any(run.watch.first and run.watch.first.tools != ("answer",) for run in runs)


def _title(runs: Sequence[RunFigures], source: TaskSource) -> str:
    ids = {run.watch.first.env_id for run in runs if run.watch.first}
    return " and ".join(sorted(ids - {""})) or source.name


def _settings(runs: Sequence[RunFigures]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the arguments of the environments, with the names of the runs where they differ."""
    by_arguments: dict[str, list[str]] = {}
    for run in runs:
        arguments = run.watch.first.env_kwargs if run.watch.first else {}
        plain = json.dumps(arguments, sort_keys=True, ensure_ascii=False, default=str)
        by_arguments.setdefault(plain, []).append(run.name)
    several = len(by_arguments) > 1
    return [
        (
            ", ".join(names) if several else "",
            [
                (name, shortened(json.dumps(value, ensure_ascii=False), 200))
                for name, value in json.loads(plain).items()
            ],
        )
        for plain, names in by_arguments.items()
    ]


def _row(run: RunFigures) -> dict[str, Any]:
    metrics = run.evaluation.metrics
    return {
        "run": run.name,
        "role": role_of(run.name),
        "bar": charts.bar(run.name, metrics["success"]),
        "cells": [cell(metrics[column.name], column.share) for column in COLUMNS],
        "episodes": episodes_cell(run.evaluation),
    }
