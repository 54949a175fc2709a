"""Writes the report of a study: ``summary.json``, ``report.md`` and ``report.html``.

The files are complete after every run of the study; jobs without a result are listed as not run.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hopgym.runs.line_file import whole_file
from hopgym.runs.machine import describe_environment
from hopgym.version import __version__
from hopgym_agents.curves import Table, write_curves
from hopgym_agents.studies.plan import Job
from hopgym_agents.studies.spec import Study
from hopgym_agents.studies.tables import (
    NOT_RUN,
    Results,
    collected_table,
    cost_table,
    environment_table,
    grid_table,
    pairs_table,
    process_table,
    study_figures,
    suite_table,
    training_runs,
)

_FILES = {"figures": "summary.json", "table": "report.md", "report": "report.html"}
_EXPLANATION = (
    "In brackets 95 % bootstrap intervals; tasks and seeds are resampled together, and differences "
    "are paired by both. Few seeds make intervals too narrow. guess and unknown read nothing: "
    "their scores are the floor. oracle is the ceiling. p is a two-sided bootstrap p value: twice "
    "the smaller of the shares of resamples with a difference of at most 0 and at least 0."
)


@dataclass(frozen=True, slots=True)
class StudyReport:
    """The report of a study, as it was written."""

    paths: Mapping[str, Path]
    """The files by kind: ``figures``, ``table`` and ``report``."""
    tables: tuple[Table, ...]
    """The tables of the suites."""
    summary: Mapping[str, Any]
    """The content of ``summary.json``."""


def write_report(
    study: Study,
    jobs: Sequence[Job],
    results: Results,
    failed: Mapping[str, str],
    folder: Path,
    *,
    command: str,
) -> StudyReport:
    """Write the report of a study into its folder.

    Args:
        study: The study.
        jobs: All of its jobs.
        results: Results of the jobs that are done, by name.
        failed: Error messages of the jobs that failed, by name.
        folder: Folder of the study.
        command: The command that ran the study.
    """
    suite_tables = _suite_tables(study, jobs, results)
    other_tables = _other_tables(study, jobs, results, failed)
    summary = _summary(study, jobs, results, failed, command)
    seeds = ", ".join(map(str, study.seeds))
    lead = f"{len(results):,} of {len(jobs):,} jobs done, seeds {seeds}. {_EXPLANATION}"
    paths = {name: folder / file for name, file in _FILES.items()}
    _write(paths["figures"], json.dumps(summary, indent=1, ensure_ascii=False))
    _write(paths["table"], format_markdown(study.title, lead, command, suite_tables + other_tables))
    arms = {arm.name for arm in study.arm}
    logs = {
        subject: [Path(results[job.name]["progress"]) for job in runs if job.name in results]
        for subject, runs in training_runs(study, jobs).items()
        if subject in arms
    }
    write_curves(
        logs, paths["report"], study.title, lead=lead, tables=suite_tables, below=other_tables
    )
    return StudyReport(paths, tuple(suite_tables), summary)


def format_markdown(title: str, lead: str, command: str, tables: Sequence[Table]) -> str:
    """Return tables as a Markdown page."""
    parts = [f"# {title}", lead, f"```text\n{command}\n```"]
    for table in tables:
        parts.append(f"## {table.title}")
        if table.rows:
            rule = ("---", *("---:" for _ in table.headings[1:]))
            rows = (table.headings, rule, *table.rows)
            parts.append("\n".join(f"| {' | '.join(row)} |" for row in rows))
        if table.note:
            parts.append(table.note)
    return "\n\n".join(parts) + "\n"


def _suite_tables(study: Study, jobs: Sequence[Job], results: Results) -> list[Table]:
    planned = {job.suite for job in jobs}
    tables = []
    for suite in study.suite:
        if suite.name in planned:
            tables.append(suite_table(study, jobs, results, suite.name))
        else:
            note = f"{NOT_RUN}: no --{suite.file} FILE was given."
            tables.append(Table(f"Suite {suite.name}", ("",), (), note))
    return tables


def _other_tables(
    study: Study, jobs: Sequence[Job], results: Results, failed: Mapping[str, str]
) -> list[Table]:
    tables = [
        cost_table(study, jobs, results),
        process_table(study, jobs, results),
        *(pairs_table(study, jobs, results, suite.name) for suite in study.suite),
        grid_table(jobs, results),
        collected_table(jobs, results),
        environment_table(jobs),
        Table("Failed", ("", "why"), tuple(failed.items())),
    ]
    return [table for table in tables if table.rows]


def _summary(
    study: Study,
    jobs: Sequence[Job],
    results: Results,
    failed: Mapping[str, str],
    command: str,
) -> dict[str, Any]:
    planned = {job.suite for job in jobs}
    return {
        "title": study.title,
        "version": __version__,
        "command": command,
        "environment": describe_environment(),
        "study": study.to_dict(),
        **study_figures(study, jobs, results),
        "not_run": {
            "jobs": [job.name for job in jobs if job.name not in results],
            "suites": [suite.name for suite in study.suite if suite.name not in planned],
        },
        "failed": dict(failed),
    }


def _write(path: Path, text: str) -> None:
    with whole_file(path, "--out") as file:
        file.write(f"{text.rstrip()}\n".encode())
