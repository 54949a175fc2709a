"""The tables of a study, as words, and its figures as plain JSON.

In: a study, its jobs and their results. Out: `Table`s for Markdown, page and terminal.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from itertools import combinations
from typing import Any

import numpy as np

from hopgym.evaluation import Estimate
from hopgym.evaluation.bootstrap import plain_fields
from hopgym_agents.curves.page import Table
from hopgym_agents.studies.figures import Entry, Gain, entries_of, gain_of, mean_of
from hopgym_agents.studies.plan import Job
from hopgym_agents.studies.spec import START, Study
from hopgym_agents.training.budget import Spent

ABSENT = "–"
UNKNOWN = "unknown"
NOT_RUN = "not run"
SPENT = tuple(each.name for each in fields(Spent))

Results = Mapping[str, Mapping[str, Any]]


def suite_table(study: Study, jobs: Sequence[Job], results: Results, suite: str) -> Table:
    """Return what everything comes to on a suite."""
    entries = in_order(study, entries_of(jobs, results, suite))
    hops = sorted({n for each in entries.values() for n in each.hop_counts} - {0})
    by_hops = hops if len(hops) > 1 else []
    official = next((list(each.official)[:2] for each in entries.values() if each.official), [])
    start = entries.get(START)
    rows = [
        (
            who,
            share(mean_of(entry, "success")),
            *([_gain(entry, start)] if start else []),
            *(share(mean_of(entry, "success", n)) for n in by_hops),
            share(mean_of(entry, "f1")),
            share(mean_of(entry, "process_accuracy")),
            *(_official(entry, name) for name in official),
            f"{len(entry.tasks):,} × {len(entry.seeds)}",
        )
        for who, entry in entries.items()
    ]
    headings = (
        *("", "success %", *(["over start"] if start else [])),
        *(*(f"{n} hop{'s' * (n > 1)}" for n in by_hops), "F1", "process accuracy"),
        *(f"official {name}" for name in official),
        "tasks × seeds",
    )
    lacking = [job for job in jobs if job.suite == suite and job.name not in results]
    notes = [f"{NOT_RUN}: {', '.join(job.name for job in lacking)}."] if lacking else []
    notes += [
        f"{entry.errors:,} episodes of {who} ended in an error and are left out."
        for who, entry in entries.items()
        if entry.errors
    ]
    return Table(f"Suite {suite}", headings, tuple(rows), " ".join(notes))


def pairs_table(study: Study, jobs: Sequence[Job], results: Results, suite: str) -> Table:
    """Return the differences between trained models on a suite, each pair once."""
    rows = tuple(
        (f"{one} − {other}", gain_words(gain), f"{gain.share:.3f}" if gain else ABSENT)
        for one, other, gain in pairs_of(study, jobs, results, suite)
    )
    return Table(f"Differences on {suite}", ("", "success, points", "share"), rows)


def pairs_of(
    study: Study, jobs: Sequence[Job], results: Results, suite: str
) -> list[tuple[str, str, Gain | None]]:
    """Return the difference in success of each pair of trained models."""
    entries = entries_of(jobs, results, suite)
    arms = [entries[arm.name] for arm in study.arm if arm.name in entries]
    return [(a.who, b.who, gain_of(a, b, "success")) for a, b in combinations(arms, 2)]


def process_table(study: Study, jobs: Sequence[Job], results: Results) -> Table:
    """Return process accuracy before and after training, as SWiRL's table 3 has it."""
    rows = []
    for suite in study.suite:
        entries = entries_of(jobs, results, suite.name)
        if START in entries:
            before = mean_of(entries[START], "process_accuracy")
            for arm in study.arm:
                if arm.name in entries:
                    after = entries[arm.name]
                    gain = gain_of(after, entries[START], "process_accuracy")
                    told = (share(before), share(mean_of(after, "process_accuracy")))
                    rows.append((f"{arm.name}, {suite.name}", *told, gain_words(gain)))
    note = "The share of actions that brought evidence or gave a supported answer."
    return Table("Process accuracy", ("", "before", "after", "difference"), tuple(rows), note)


def spent_table(study: Study, jobs: Sequence[Job], results: Results) -> Table:
    """Return what training cost, as means over seeds."""
    rows = []
    for who, runs in runs_of(study, jobs).items():
        found = [results[job.name] for job in runs if job.name in results]
        if found:
            means = [np.mean([each["spent"].get(name, 0) for each in found]) for name in SPENT]
            ended = sorted({each["ended_by"].replace("_", " ") for each in found})
            told = (f"{mean:,.0f}" for mean in means)
            rows.append((who, f"{len(found)}", *told, ", ".join(ended)))
        else:
            rows.append((who, "0", *[ABSENT] * len(SPENT), NOT_RUN))
    heads = (name.replace("_", " ") for name in SPENT)
    note = "Means over the runs. What the start cost comes before what each arm cost."
    return Table("Spent on training", ("", "runs", *heads, "ended by"), tuple(rows), note)


def grid_table(jobs: Sequence[Job], results: Results) -> Table:
    """Return what was tried in grids, and what was chosen."""
    rows = []
    for job in jobs:
        if job.kind == "choose" and job.name in results:
            chosen = results[job.name]["values"]
            for values, success in results[job.name]["tried"]:
                told = ", ".join(f"{name} = {value}" for name, value in values.items())
                rows.append((job.who, told, f"{success:.1%}", "chosen" if values == chosen else ""))
    note = "Chosen by dev success on the first seed; the first of equal ones."
    return Table("Grids", ("", "values", "dev success", ""), tuple(rows), note)


def collected_table(jobs: Sequence[Job], results: Results) -> Table:
    """Return how many collected episodes pass each filter."""
    found = [(job, results[job.name]) for job in jobs if job.kind == "collect"
             and job.name in results]  # fmt: skip
    names = list(dict.fromkeys(name for _, each in found for name in each["passed"]))
    rows = tuple(
        (job.name, *(f"{each['passed'].get(name, 0):,}" for name in names)) for job, each in found
    )
    headings = ("", *(f"filter {name}" for name in names))
    return Table("Collected episodes that pass", headings, rows)


def played_table(jobs: Sequence[Job]) -> Table:
    """Return what each suite is: the environment and its arguments."""
    rows = []
    for suite in dict.fromkeys(job.suite for job in jobs if job.kind == "evaluate"):
        asked = next(job.arguments for job in jobs if job.suite == suite)
        told = ", ".join(f"{name}={json.dumps(value)}" for name, value in asked["kwargs"].items())
        rows.append((suite, asked["env"], f"{asked['n']:,}" if asked["n"] else "all", told))
    return Table("What was played", ("", "environment", "tasks", "arguments"), tuple(rows))


def runs_of(study: Study, jobs: Sequence[Job]) -> dict[str, list[Job]]:
    """Return the training runs by stage of the start and by arm, those of grids left out."""
    found: dict[str, list[Job]] = {}
    for job in jobs:
        if job.kind == "train" and job.who == START:
            found.setdefault(job.name.rpartition(", seed")[0], []).append(job)
    for arm in study.arm:
        found[arm.name] = [job for job in jobs if job.kind == "train" and job.who == arm.name]
    return found


def summary_of(study: Study, jobs: Sequence[Job], results: Results) -> dict[str, Any]:
    """Return all figures as plain JSON, shares in [0, 1]."""
    suites = {}
    for suite in study.suite:
        entries = in_order(study, entries_of(jobs, results, suite.name))
        start = entries.get(START)
        pairs = pairs_of(study, jobs, results, suite.name)
        suites[suite.name] = {
            "rows": {who: _figures(entry, start) for who, entry in entries.items()},
            "pairs": [{"first": a, "other": b, "success": _plain(g)} for a, b, g in pairs],
        }
    runs = runs_of(study, jobs)
    spent = {
        who: [results[job.name]["spent"] for job in found if job.name in results]
        for who, found in runs.items()
    }
    choices = {job.who: results[job.name] for job in jobs
               if job.kind == "choose" and job.name in results}  # fmt: skip
    collected = {job.name: results[job.name]["passed"] for job in jobs
                 if job.kind == "collect" and job.name in results}  # fmt: skip
    return {"suites": suites, "spent": spent, "grids": choices, "collected": collected}


def in_order(study: Study, entries: Mapping[str, Entry]) -> dict[str, Entry]:
    """Return entries with floors first, then the start, arms and models, and the oracle last."""
    models = [START, *(arm.name for arm in study.arm), *(model.name for model in study.model)]
    names = sorted(entries, key=lambda who: (who == "oracle", models.index(who) + 1
                                             if who in models else 0))  # fmt: skip
    return {who: entries[who] for who in names}


def share(found: Estimate | None) -> str:
    """Return a share in percent with its interval."""
    if found is None:
        return ABSENT
    ends = f"{100 * found.low:.1f}, {100 * found.high:.1f}" if found.has_interval else UNKNOWN
    return f"{100 * found.mean:.1f} [{ends}]"


def gain_words(gain: Gain | None) -> str:
    """Return a difference in points with its interval."""
    if gain is None:
        return ABSENT
    ends = f"{100 * gain.low:+.1f}, {100 * gain.high:+.1f}" if gain.known else UNKNOWN
    return f"{100 * gain.mean:+.1f} [{ends}]"


def _gain(entry: Entry, start: Entry) -> str:
    return ABSENT if entry is start or not entry.models else gain_words(
        gain_of(entry, start, "success")
    )  # fmt: skip


def _official(entry: Entry, name: str) -> str:
    if name not in entry.official:
        return ABSENT
    places = 2 if entry.unit == "percent" else 3
    return f"{entry.official[name]:.{places}f}"


def _figures(entry: Entry, start: Entry | None) -> dict[str, Any]:
    metrics = ("success", "f1", "supported", "process_accuracy", "steps", "malformed", "repeat")
    by_seed = entry.of("success").sum(axis=0)
    return {
        **{name: _plain(mean_of(entry, name)) for name in metrics},
        "by_hops": {str(n): _plain(mean_of(entry, "success", n)) for n in entry.hop_counts},
        "over_start": _plain(gain_of(entry, start, "success")) if start else None,
        "by_seed": [float(a / b) if b else None for a, b in by_seed],
        "seeds": list(entry.seeds),
        "tasks": len(entry.tasks),
        "errors": entry.errors,
        "official": dict(entry.official),
        "unit": entry.unit,
    }


def _plain(found: Estimate | Gain | None) -> dict[str, Any] | None:
    return asdict(found, dict_factory=plain_fields) if found is not None else None
