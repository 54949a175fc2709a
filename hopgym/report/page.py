"""The page: runs and their source in, one self-contained HTML file out.

Model and tool texts are untrusted. The template escapes every one of them, the page holds no
script, and its content security policy forbids scripts, frames and anything from the network.
"""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hopgym import __version__
from hopgym.actions import replace_surrogates
from hopgym.errors import ArgumentError, require
from hopgym.evaluation import Evaluation, evaluate
from hopgym.report import charts
from hopgym.report.endings import Watch, shared_out
from hopgym.report.episodes import EpisodeView, episode_view, shortened
from hopgym.report.official import official_table
from hopgym.report.table import COLUMNS, caption_of, cell, episodes_cell, privileged_steps, role_of
from hopgym.runfile import read_trajectories
from hopgym.tasks import EvidenceSource, TaskSource
from hopgym.trajectory import Trajectory
from hopgym.verdicts import Verdict

EPISODES = 500
"""Episodes that a report shows one by one, by default."""

# 500 episodes stay below 5 MB or so: long texts give way, the more the longer the episodes are.
_PAGE_BYTES, _LEAST_TEXT_BYTES = 4_800_000, 1_000_000
_STEP_BYTES, _EPISODE_BYTES = 220, 1_600
_ROOMS = (20_000, 8_000, 4_000, 2_000, 1_500, 1_000, 800, 600, 500, 400, 300, 250, 200)
# Browsers drop NUL and hide the other control characters; their pictures say what was there.
_CONTROL_PICTURES = {c: 0x2400 + c for c in range(32) if chr(c) not in "\t\n\r"} | {127: 0x2421}

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
class _Run:
    name: str
    evaluation: Evaluation
    watch: Watch


def write_report(
    runs: Mapping[str, Iterable[Trajectory] | Path],
    source: TaskSource,
    path: Path,
    *,
    episodes: int = EPISODES,
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

    Raises:
        ArgumentError: When there are no runs, or one cannot be evaluated.
        DataError: When a file is no trajectory file.
    """
    page = render_report(runs, source, episodes=episodes)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(page)


def render_report(
    runs: Mapping[str, Iterable[Trajectory] | Path],
    source: TaskSource,
    *,
    episodes: int = EPISODES,
) -> bytes:
    """Return what `write_report` writes."""
    require(episodes >= 0, "episodes", "a whole number from 0", episodes)
    require(bool(runs), "runs", "at least one run by name", dict(runs))
    read = [_read(name, records, source, episodes) for name, records in runs.items()]
    html = _environment().get_template("report.html.j2").render(_context(read, source, episodes))
    return replace_surrogates(html).translate(_CONTROL_PICTURES).encode()


def _read(name: str, records: Iterable[Trajectory] | Path, source: TaskSource, limit: int) -> _Run:
    watch = Watch(limit)
    if isinstance(records, str | os.PathLike):
        records = read_trajectories(records)
    try:
        return _Run(name, evaluate(watch.over(records), source), watch)
    except ArgumentError as error:
        raise ArgumentError(f"run {name!r}: {error}") from error


def _environment() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("hopgym", "data"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _context(runs: list[_Run], source: TaskSource, episodes: int) -> dict[str, Any]:
    evaluations = {run.name: run.evaluation for run in runs}
    endings, stacks = charts.stacks({run.name: run.watch.endings for run in runs})
    records = sum(run.watch.endings.total() for run in runs)
    return {
        "title": _title(runs, source),
        "settings": _settings(runs),
        "source": source.name,
        "evidence": source.evidence_source,
        "trust": _TRUST[source.evidence_source],
        "tasks": len(set().union(*(run.watch.tasks for run in runs))),
        "same_tasks": all(run.watch.tasks == runs[0].watch.tasks for run in runs),
        "records": records,
        "columns": COLUMNS,
        "caption": caption_of({n: privileged_steps(each) for n, each in evaluations.items()}),
        "rows": [_row(run) for run in runs],
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
        "browser": _browser(runs, source, episodes),
        "verdicts": [(verdict.value, meaning) for verdict, meaning in _VERDICTS.items()],
        "version": __version__,
    }


def _title(runs: list[_Run], source: TaskSource) -> str:
    ids = {run.watch.first.env_id for run in runs if run.watch.first}
    return " and ".join(sorted(ids - {""})) or source.name


def _settings(runs: list[_Run]) -> list[tuple[str, list[tuple[str, str]]]]:
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


def _row(run: _Run) -> dict[str, Any]:
    metrics = run.evaluation.metrics
    return {
        "run": run.name,
        "role": role_of(run.name),
        "bar": charts.bar(run.name, metrics["success"]),
        "cells": [cell(metrics[column.name], column.share) for column in COLUMNS],
        "episodes": episodes_cell(run.evaluation),
    }


def _shares(runs: list[_Run], episodes: int) -> list[int]:
    """Return how many episodes of each run to show; floors get what the others leave."""
    totals = [run.watch.endings.total() for run in runs]
    floors = [role_of(run.name) == "floor" for run in runs]
    first = [0 if floor else n for n, floor in zip(totals, floors, strict=True)]
    shares = shared_out(first, episodes)
    rest = [n if floor else 0 for n, floor in zip(totals, floors, strict=True)]
    left = shared_out(rest, episodes - sum(shares))
    return [a + b for a, b in zip(shares, left, strict=True)]


def _browser(runs: list[_Run], source: TaskSource, episodes: int) -> list[dict[str, Any]]:
    """Return the episodes to show by run; texts are cut to what a file of a few MB holds."""
    shares = _shares(runs, episodes)
    chosen = [run.watch.chosen(share) for run, share in zip(runs, shares, strict=True)]
    room = _room([trajectory for each in chosen for trajectory in each])
    return [
        {
            "run": run.name,
            "role": role_of(run.name),
            "records": run.watch.endings.total(),
            "failed": run.watch.failed,
            "episodes": _views(trajectories, source, room),
        }
        for run, trajectories in zip(runs, chosen, strict=True)
    ]


def _views(trajectories: list[Trajectory], source: TaskSource, room: int) -> list[EpisodeView]:
    return [episode_view(trajectory, source, room) for trajectory in trajectories]


def _room(trajectories: list[Trajectory]) -> int:
    """Return the most characters of a text with which the page stays within `_PAGE_BYTES`."""
    from markupsafe import escape

    steps = [step for trajectory in trajectories for step in trajectory.steps]
    texts = [text for step in steps for text in (step.text, step.observation) if text]
    sizes = [len(str(escape(text)).encode("utf-8", "replace")) for text in texts]

    markup = _STEP_BYTES * len(steps) + _EPISODE_BYTES * len(trajectories)
    text_bytes = max(_PAGE_BYTES - markup, _LEAST_TEXT_BYTES)

    def fits(room: int) -> bool:
        kept = (min(1.0, room / len(t)) * size for t, size in zip(texts, sizes, strict=True))
        return sum(kept) <= text_bytes

    return next(filter(fits, _ROOMS), _ROOMS[-1])
