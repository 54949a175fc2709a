"""What a study leaves: ``summary.json``, ``report.md`` and ``report.html``.

In: a study, its jobs, the results there are and what failed. Out: the three files, whole after
every run, with what is missing told as not run.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hopgym import __version__
from hopgym.runs.line_file import whole_file
from hopgym.runs.machine import describe_environment
from hopgym_agents.curves.logs import write_curves
from hopgym_agents.curves.page import Table
from hopgym_agents.studies.plan import Job
from hopgym_agents.studies.spec import Study
from hopgym_agents.studies.tables import (
    NOT_RUN,
    Results,
    collected_table,
    grid_table,
    pairs_table,
    played_table,
    process_table,
    runs_of,
    spent_table,
    suite_table,
    summary_of,
)

_INTERVALS = (
    "In brackets 95 % bootstrap intervals; tasks and seeds are drawn together, and differences "
    "are paired by both. Few seeds make intervals too narrow. guess and unknown read nothing: what "
    "they earn is the floor. oracle is the ceiling. share plays the part of a two-sided p value: "
    "twice the smaller of the shares of resamples with a difference of at most 0 and at least 0."
)


@dataclass(frozen=True, slots=True)
class Written:
    """What was written."""

    paths: Mapping[str, Path]
    """By what each is."""
    tables: tuple[Table, ...]
    """Of the suites."""
    summary: Mapping[str, Any]


def write_results(
    study: Study,
    jobs: Sequence[Job],
    results: Results,
    failed: Mapping[str, str],
    folder: Path,
    *,
    command: str,
) -> Written:
    """Write what there is of a study into its folder.

    Args:
        study: The study.
        jobs: All of its jobs.
        results: Of those that have been done, by name.
        failed: Why, by the name of the job that failed.
        folder: Of the study.
        command: That the study was run with.
    """
    suites, others = _suites(study, jobs, results), _others(study, jobs, results, failed)
    summary = _summary(study, jobs, results, failed, command)
    seeds = ", ".join(map(str, study.seeds))
    lead = f"{len(results):,} of {len(jobs):,} jobs done, seeds {seeds}. {_INTERVALS}"
    paths = {name: folder / file for name, file in _FILES.items()}
    _write(paths["figures"], json.dumps(summary, indent=1, ensure_ascii=False))
    _write(paths["table"], markdown(study.title, lead, command, [*suites, *others]))
    runs = {
        who: [Path(results[job.name]["progress"]) for job in found if job.name in results]
        for who, found in runs_of(study, jobs).items()
        if who in {arm.name for arm in study.arm}
    }
    write_curves(runs, paths["report"], study.title, lead=lead, tables=suites, below=others)
    return Written(paths, tuple(suites), summary)


def markdown(title: str, lead: str, command: str, tables: Sequence[Table]) -> str:
    """Return tables as a Markdown page."""
    parts = [f"# {title}", lead, f"```text\n{command}\n```"]
    for table in tables:
        rule = ("---", *("---:" for _ in table.headings[1:]))
        lines = [f"| {' | '.join(row)} |" for row in (table.headings, rule, *table.rows)]
        parts += [f"## {table.title}", "\n".join(lines)] if table.rows else [f"## {table.title}"]
        parts += [table.note] if table.note else []
    return "\n\n".join(parts) + "\n"


_FILES = {"figures": "summary.json", "table": "report.md", "report": "report.html"}


def _suites(study: Study, jobs: Sequence[Job], results: Results) -> list[Table]:
    planned = {job.suite for job in jobs}
    return [
        suite_table(study, jobs, results, each.name)
        if each.name in planned
        else Table(f"Suite {each.name}", ("",), (), f"{NOT_RUN}: no --{each.file} FILE was given.")
        for each in study.suite
    ]


def _others(
    study: Study, jobs: Sequence[Job], results: Results, failed: Mapping[str, str]
) -> list[Table]:
    made = [
        spent_table(study, jobs, results),
        process_table(study, jobs, results),
        *(pairs_table(study, jobs, results, each.name) for each in study.suite),
        grid_table(jobs, results),
        collected_table(jobs, results),
        played_table(jobs),
        Table("Failed", ("", "why"), tuple(failed.items())),
    ]
    return [each for each in made if each.rows]


def _summary(
    study: Study,
    jobs: Sequence[Job],
    results: Results,
    failed: Mapping[str, str],
    command: str,
) -> dict[str, Any]:
    left = [job.name for job in jobs if job.name not in results]
    planned = {job.suite for job in jobs}
    files = [each.name for each in study.suite if each.name not in planned]
    return {
        "title": study.title,
        "version": __version__,
        "command": command,
        "environment": describe_environment(),
        "study": study.to_dict(),
        **summary_of(study, jobs, results),
        "not_run": {"jobs": left, "suites": files},
        "failed": dict(failed),
    }


def _write(path: Path, text: str) -> None:
    with whole_file(path, "--out") as file:
        file.write(f"{text.rstrip()}\n".encode())
