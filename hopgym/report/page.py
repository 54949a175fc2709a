"""The report: one self-contained HTML file on finished runs.

Texts of models and tools are untrusted. The template escapes all of them, the script builds the
episodes from text nodes only, and the content security policy allows that one script by its hash
and no network access.
"""

import json
import os
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from hopgym.errors import ArgumentError, require
from hopgym.evaluation import Evaluation, evaluate
from hopgym.evaluation.endings import EpisodeSelector
from hopgym.report import run_charts
from hopgym.report.about import About, about_rows
from hopgym.report.assets import browser_script, render
from hopgym.report.browser import BrowserData, filters_of, select_views
from hopgym.report.table import (
    COLUMNS,
    caption_of,
    cell,
    episodes_cell,
    official_table,
    privileged_steps,
    role_of,
    unjudged_line,
)
from hopgym.report.text import safe_json, shortened
from hopgym.runs.key_set import KeySet
from hopgym.runs.line_file import whole_file
from hopgym.runs.trajectory_file import read_trajectories
from hopgym.tasks import EvidenceSource, TaskSource
from hopgym.trajectory import Trajectory
from hopgym.verdicts import Verdict

EPISODES = 500
"""The default number of episodes that a report shows one by one."""

Runs = Mapping[str, Iterable[Trajectory] | Path]
"""Trajectories, which are read once, or a trajectory file, by name of the run."""

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
class RunSummary:
    """What a report needs of one run, without its trajectories."""

    name: str
    evaluation: Evaluation
    selector: EpisodeSelector
    """The endings of all episodes, and those to show one by one."""
    tally: run_charts.StepTally


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
        runs: By name, in the order of the tables: trajectories, which are read once, or a
            trajectory file. ``oracle`` is marked as the ceiling; ``guess``, ``constant``,
            ``unknown``, ``exhaustive`` and ``random`` are marked as floors.
        source: The source of all their tasks.
        path: The file to write; missing folders are created.
        episodes: The maximum number of episodes to show one by one, 0 or more. The runs share it
            equally; failures come first.
        about: What was run, such as policy and options: texts by label, by name of the run.
            `hopgym.report.about.about_folder` returns those of a folder.
        known: Evaluations that are already available, by name of the run.

    Raises:
        ArgumentError: If there are no runs, one cannot be evaluated, or a known evaluation is of
            another number of episodes.
        DataError: If a file is not a trajectory file.
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
    """Return the page that `write_report` writes, as UTF-8 HTML."""
    require(episodes >= 0, "episodes", "a whole number from 0", episodes)
    summaries = summarize_runs(runs, source, episodes=episodes, known=known)
    selectors = {run.name: run.selector for run in summaries}
    views = select_views(selectors, source, episodes)
    filters = filters_of((view.head.labels for view in views), runs)
    total = sum(selector.endings.total() for selector in selectors.values())
    data = BrowserData(remote=False, working=False, total=total, filters=filters, episodes=views)
    return render_page(summaries, source, data, about=about)


def summarize_runs(
    runs: Runs,
    source: TaskSource,
    *,
    episodes: int = 0,
    known: Mapping[str, Evaluation] | None = None,
) -> list[RunSummary]:
    """Read and summarize finished runs.

    Args:
        runs: See `write_report`.
        source: The source of all their tasks.
        episodes: The number of episodes to retain of each run.
        known: See `write_report`.

    Raises:
        ArgumentError: If there are no runs, or one cannot be evaluated.
        DataError: If a file is not a trajectory file.
    """
    require(bool(runs), "runs", "at least one run by name", dict(runs))
    known = known or {}
    return [
        _summarize(name, records, source, episodes, known.get(name))
        for name, records in runs.items()
    ]


def render_page(
    runs: Sequence[RunSummary],
    source: TaskSource,
    data: BrowserData,
    *,
    title: str = "",
    notice: str = "",
    about: About | None = None,
) -> bytes:
    """Return the page as UTF-8 HTML.

    Args:
        runs: The runs to report on; empty while they are being evaluated.
        source: The source of their tasks.
        data: The data of the episode browser.
        title: The heading; by default the ids of the runs' environments.
        notice: Shown instead of results if there are no runs.
        about: What was run, by name of the run; see `write_report`.
    """
    return render(
        "report.html.j2",
        script=browser_script(),
        remote=data.remote,
        title=title or _title(runs, source),
        source=source.name,
        evidence=source.evidence_source,
        trust=_TRUST[source.evidence_source],
        notice=notice,
        about=about_rows(about or {}),
        data=Markup(safe_json(data).decode()),
        total=data.total,
        shown=len(data.episodes),
        verdicts=[(verdict.value, meaning) for verdict, meaning in _VERDICTS.items()],
        results=_results(runs, source) if runs else None,
    )


def _summarize(
    name: str,
    records: Iterable[Trajectory] | Path,
    source: TaskSource,
    episodes: int,
    known: Evaluation | None,
) -> RunSummary:
    selector = EpisodeSelector(episodes)
    tally = run_charts.StepTally(source)
    if isinstance(records, str | os.PathLike):
        records = read_trajectories(records)
    observed = tally.observe(selector.observe(records))
    try:
        if known is None:
            return RunSummary(name, evaluate(observed, source), selector, tally)
        deque(observed, maxlen=0)  # Reads all records for the observers and retains none.
        count = known.episodes + known.errors
        actual = selector.endings.total()
        require(count == actual, "known", f"the evaluation of these {actual:,} episodes", count)
    except ArgumentError as error:
        raise ArgumentError(f"run {name!r}: {error}") from error
    return RunSummary(name, known, selector, tally)


def _results(runs: Sequence[RunSummary], source: TaskSource) -> dict[str, Any]:
    """Return the values of all sections of the page above the episodes."""
    evaluations = {run.name: run.evaluation for run in runs}
    tallies = {run.name: run.tally for run in runs}
    endings, stacks = run_charts.ending_stacks({run.name: run.selector.endings for run in runs})
    privileged = {run: privileged_steps(evaluation) for run, evaluation in evaluations.items()}
    tasks = KeySet()
    for run in runs:
        tasks |= run.selector.tasks
    return {
        "settings": _settings(runs),
        "tasks": len(tasks),
        "same_tasks": all(run.selector.tasks == runs[0].selector.tasks for run in runs),
        "records": sum(run.selector.endings.total() for run in runs),
        "columns": COLUMNS,
        "caption": caption_of(privileged),
        "rows": [_row(run) for run in runs],
        "searched": source[0].corpus.description if _has_tools(runs) else "",
        "remarks": [*source.remarks, *(unjudged_line(runs[0].evaluation) if runs else ())],
        "official": [
            {"run": run.name, "role": role_of(run.name), "table": table}
            for run in runs
            if (table := official_table(run.evaluation, source))
        ],
        "breakdowns": [
            ("by number of hops", run_charts.success_by_hops(evaluations)),
            ("by kind of question", run_charts.success_by_kind(evaluations)),
        ],
        "endings": endings,
        "stacks": stacks,
        "charts": [
            ("Steps against the oracle's", run_charts.steps_against_oracle(tallies)),
            ("Process accuracy by step", run_charts.accuracy_by_step(tallies)),
        ],
        "tokens": run_charts.token_rows(evaluations),
        "attempts": run_charts.attempt_rows(evaluations),
    }


def _has_tools(runs: Sequence[RunSummary]) -> bool:
    firsts = (run.selector.first for run in runs)
    return any(first is not None and first.tools != ("answer",) for first in firsts)


def _title(runs: Sequence[RunSummary], source: TaskSource) -> str:
    ids = {run.selector.first.env_id for run in runs if run.selector.first}
    return " and ".join(sorted(ids - {""})) or source.name


def _settings(runs: Sequence[RunSummary]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the arguments of the environments, with the names of the runs if they differ."""
    runs_by_arguments: dict[str, list[str]] = {}
    for run in runs:
        arguments = run.selector.first.env_kwargs if run.selector.first else {}
        encoded = json.dumps(arguments, sort_keys=True, ensure_ascii=False, default=str)
        runs_by_arguments.setdefault(encoded, []).append(run.name)
    differ = len(runs_by_arguments) > 1
    return [
        (
            ", ".join(names) if differ else "",
            [
                (name, shortened(json.dumps(value, ensure_ascii=False), 200))
                for name, value in json.loads(encoded).items()
            ],
        )
        for encoded, names in runs_by_arguments.items()
    ]


def _row(run: RunSummary) -> dict[str, Any]:
    metrics = run.evaluation.metrics
    bar = run_charts.run_bar(run.name, metrics["success"])
    return {
        "run": run.name,
        "role": bar.role,
        "bar": bar.bar,
        "cells": [cell(metrics[column.name], column.share) for column in COLUMNS],
        "episodes": episodes_cell(run.evaluation),
    }
