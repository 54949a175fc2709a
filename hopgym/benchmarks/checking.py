"""What is in a benchmark's file, and all that is wrong with it.

In: a path, and a benchmark or none. Out: counts and problems; a benchmark's records are read on
past the first problem.
"""

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hopgym.benchmarks.lookup import check_own, dataset_named, own_names, source_class
from hopgym.errors import ArgumentError, DataError
from hopgym.progress import Progress, no_progress

if TYPE_CHECKING:
    from hopgym.benchmarks.catalogue import Dataset
    from hopgym.tasks import TaskSource

_OWN = ("jsonl", "phantomwiki")


@dataclass(slots=True)
class Findings:
    """What is in a file."""

    benchmark: str
    """Its name; ``jsonl`` and ``phantomwiki`` are no benchmarks, but can be checked as well."""
    arguments: Mapping[str, Any]
    """How it was read."""
    records: int = 0
    """That can be used."""
    judged: int = 0
    """Records whose evidence is known over their own paragraphs."""
    repeated: int = 0
    """Records that ask, word for word, what another one before asks too."""
    kinds: Counter[str] = field(default_factory=Counter)
    hops: Counter[int] = field(default_factory=Counter)
    unjudged: list[str] = field(default_factory=list)
    """Ids of the records whose evidence is not known, or not among their paragraphs."""
    remarks: tuple[str, ...] = ()
    """What a user of the file has to know."""
    problems: list[str] = field(default_factory=list)
    """All of them, each with its place."""


def check_file(
    path: str, name: str | None, own: Mapping[str, Any], progress: Progress = no_progress
) -> Findings:
    """Return what is in a file.

    Args:
        path: The file, or a folder.
        name: The benchmark; None finds out.
        own: The benchmark's own arguments.
        progress: Shows how many records have been checked.

    Raises:
        ArgumentError: When the benchmark is unknown or cannot be told, or an argument is wrong.
        DataError: When the file cannot be taken apart into records.
    """
    given = dict(own)
    if name is None:
        name, found = _detected(path)
        given = found | given
    name = name.strip().lower().removeprefix("hopgym/").removesuffix("-v0")
    if name in _OWN:
        return _check_own_file(path, name, given, progress)
    dataset = dataset_named(name)
    check_own(dataset, given)
    return _check_benchmark(path, dataset, given, progress)


def _detected(path: str) -> tuple[str, dict[str, Any]]:
    """Return the name of what a path holds, and how to read it."""
    from hopgym.benchmarks.detection import benchmark_of, is_own
    from hopgym.benchmarks.files import read_content

    if os.path.isfile(os.path.join(path, "facts.pl")):
        return "phantomwiki", {}
    content = read_content(path)
    found = benchmark_of(content)
    if found is not None:
        # What reads a file as its default form does cannot tell it from others that look alike.
        default = not found.variant or found.variant == source_class(found.dataset).variants[0]
        own = {} if default else {own_names(found.dataset)[0]: found.variant}
        return found.dataset.name, own
    if is_own(content):
        return "jsonl", {}
    raise DataError(
        f"{path!r}: expected the records of a benchmark (hopgym data list names them), got others; "
        "for a file of test questions or a broken one --benchmark NAME tells what is missing"
    )


def _check_own_file(path: str, name: str, given: Mapping[str, Any], progress: Progress) -> Findings:
    from hopgym.benchmarks.files import read_content
    from hopgym.benchmarks.jsonl import JsonlSource
    from hopgym.benchmarks.phantomwiki import PhantomWikiSource

    if given:
        raise ArgumentError(f"further arguments of {name} must be none, got {', '.join(given)}")
    findings = Findings(name, {})
    if name == "jsonl":
        read_content(path)  # What is wrong with the file as a whole is no problem of a record.
    try:
        source: TaskSource = JsonlSource(path) if name == "jsonl" else PhantomWikiSource(path)
    except DataError as error:
        findings.problems.append(str(error))
        return findings
    _count(source, findings, progress)
    return findings


def _check_benchmark(
    path: str, dataset: "Dataset", given: Mapping[str, Any], progress: Progress
) -> Findings:
    from hopgym.benchmarks.detection import count_questions, lenient
    from hopgym.benchmarks.files import read_content

    findings = Findings(dataset.name, given)
    if not dataset.env_id:
        findings.records = count_questions(dataset, read_content(path))
        return findings
    kind = source_class(dataset)
    records, problems = lenient(kind.records_type)
    reader = type(kind.__name__, (kind,), {"records_type": records})
    _count(reader(path, corpus="record", **given), findings, progress)
    findings.problems += map(str, problems)
    return findings


def _count(source: "TaskSource", findings: Findings, progress: Progress) -> None:
    asked: set[str] = set()
    findings.records, findings.remarks = len(source), source.remarks
    with progress("records checked", len(source)) as advance:
        for index in range(len(source)):
            question = source[index].question
            findings.judged += bool(question.proofs)
            if not question.proofs:
                findings.unjudged.append(question.id)
            findings.repeated += question.text in asked
            asked.add(question.text)
            findings.kinds[question.kind or "none"] += 1
            findings.hops[question.hop_count] += 1
            advance(1)
