"""Detect which benchmark a file belongs to, and check all of its records.

Every reader tries the first records of a file. Several readers may accept them, because many
benchmarks share field names. The reader that uses the most fields is then taken to be the right
one: fields are removed one by one, and the reader whose result changes most often wins.
"""

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from hopgym.benchmarks.base import ReadOptions
from hopgym.benchmarks.catalogue import DATASETS, Dataset, find_dataset, normalize_dataset_name
from hopgym.benchmarks.jsonl import JsonlSource
from hopgym.benchmarks.lookup import (
    check_reader_arguments,
    load_scorer,
    reader_arguments,
    source_class,
)
from hopgym.benchmarks.phantomwiki import PhantomWikiSource
from hopgym.benchmarks.records import Content, read_content, split_records
from hopgym.errors import ArgumentError, DataError
from hopgym.progress import Progress, no_progress
from hopgym.tasks import TaskSource

_OTHER_FORMATS = ("jsonl", "phantomwiki")
_SAMPLE_SIZE = 20

SampleReader = Callable[[Content], tuple[Any, int]]
"""Reads a sample; returns a comparable result, false if it read nothing, and a problem count."""


@dataclass(slots=True)
class FileReport:
    """The content of a file and all problems with it."""

    benchmark: str
    """Name of the benchmark, or one of the other formats ``jsonl`` and ``phantomwiki``."""
    arguments: Mapping[str, Any]
    """The arguments that the file was read with."""
    records: int = 0
    """Number of usable records."""
    judged: int = 0
    """Number of records whose evidence is known and shown by their own paragraphs."""
    repeated: int = 0
    """Number of records whose question text is that of an earlier record."""
    kinds: Counter[str] = field(default_factory=Counter)
    hops: Counter[int] = field(default_factory=Counter)
    unjudged: list[str] = field(default_factory=list)
    """Ids of the records whose evidence is unknown or not in their own paragraphs."""
    remarks: tuple[str, ...] = ()
    """What users of the file need to know, as full sentences."""
    problems: list[str] = field(default_factory=list)
    """All problems, each with its place in the file."""


def check_file(
    path: str, name: str | None, options: Mapping[str, Any], progress: Progress = no_progress
) -> FileReport:
    """Check all records of a file; the records of a benchmark are read past the first problem.

    Args:
        path: The file, or a folder.
        name: The benchmark; None detects it.
        options: The benchmark's own arguments.
        progress: Shows the number of records checked.

    Raises:
        ArgumentError: If the benchmark is unknown or ambiguous, or an argument is wrong.
        DataError: If the file cannot be split into records.
    """
    arguments = dict(options)
    if name is None:
        name, detected = _detect(path)
        arguments = detected | arguments
    name = normalize_dataset_name(name)
    if name in _OTHER_FORMATS:
        return _check_other_format(path, name, arguments, progress)
    dataset = find_dataset(name)
    check_reader_arguments(dataset, arguments)
    return _check_benchmark(path, dataset, arguments, progress)


def _detect(path: str) -> tuple[str, dict[str, Any]]:
    """Return the name of a file's format, and the arguments to read it with."""
    if os.path.isfile(os.path.join(path, "facts.pl")):
        return "phantomwiki", {}
    content = read_content(path)
    match = detect_benchmark(content)
    if match is not None:
        # A file that is read in the default form may be of another form that looks the same.
        default = not match.variant or match.variant == source_class(match.dataset).variants[0]
        arguments = {} if default else {reader_arguments(match.dataset)[0]: match.variant}
        return match.dataset.name, arguments
    if is_user_jsonl(content):
        return "jsonl", {}
    raise DataError(
        f"{path!r}: expected the records of a benchmark (hopgym data list names them), got others; "
        "for a file of test questions or a broken one --benchmark NAME tells what is missing"
    )


def _check_other_format(
    path: str, name: str, arguments: Mapping[str, Any], progress: Progress
) -> FileReport:
    if arguments:
        raise ArgumentError(f"further arguments of {name} must be none, got {', '.join(arguments)}")
    report = FileReport(name, {})
    if name == "jsonl":
        read_content(path)  # An unreadable file is an error, not a problem of one record.
    try:
        source: TaskSource = JsonlSource(path) if name == "jsonl" else PhantomWikiSource(path)
    except DataError as error:
        report.problems.append(str(error))
        return report
    _count(source, report, progress)
    return report


def _check_benchmark(
    path: str, dataset: Dataset, arguments: Mapping[str, Any], progress: Progress
) -> FileReport:
    report = FileReport(dataset.name, arguments)
    if not dataset.env_id:
        report.records = _count_questions(dataset, read_content(path))
        return report
    kind = source_class(dataset)
    records, problems = _lenient(kind.records_type)
    # Subclasses made here collect problems without changing the reader that others share.
    lenient_kind = type(kind.__name__, (kind,), {"records_type": records})
    _count(lenient_kind(path, corpus="record", **arguments), report, progress)
    report.problems += map(str, problems)
    return report


def _count(source: TaskSource, report: FileReport, progress: Progress) -> None:
    texts: set[str] = set()
    report.records = len(source)
    report.remarks = source.remarks
    with progress("records checked", len(source)) as advance:
        for index in range(len(source)):
            question = source[index].question
            report.judged += bool(question.proofs)
            if not question.proofs:
                report.unjudged.append(question.id)
            report.repeated += question.text in texts
            texts.add(question.text)
            report.kinds[question.kind or "none"] += 1
            report.hops[question.hop_count] += 1
            advance(1)


@dataclass(frozen=True, slots=True)
class DetectedBenchmark:
    """A benchmark that a file may belong to."""

    dataset: Dataset
    variant: str
    """The form with the fewest problems in the first records; empty if there is only one."""
    reader: SampleReader


def detect_benchmark(content: Content) -> DetectedBenchmark | None:
    """Return the benchmark of a file, or None if no reader accepts its first records.

    Raises:
        ArgumentError: If several benchmarks fit equally well.
        DataError: If the file cannot be split into records.
    """
    sample = _first_records(content)
    candidates = [match for dataset in DATASETS for match in _matches(dataset, sample)]
    if len(candidates) < 2:
        return candidates[0] if candidates else None
    # Many benchmarks share fields; the right reader notices most often when one is missing.
    counts = [
        sum(_uses(candidate, sample, name) for name in sample.fields()) for candidate in candidates
    ]
    best = [c for c, count in zip(candidates, counts, strict=True) if count == max(counts)]
    if len(best) > 1:
        names = ", ".join(candidate.dataset.name for candidate in best)
        raise ArgumentError(
            f"--benchmark must be given for {content.path!r}, which may be of several: {names}"
        )
    return best[0]


def is_user_jsonl(content: Content) -> bool:
    """Return whether the first line of a file looks like `hopgym.benchmarks.jsonl`."""
    keys = _fields(next((line for line in content.data.split(b"\n") if line.strip()), b""))
    return "title" in keys or {"id", "question"} <= keys.keys()


class _NestedFile(msgspec.Struct):
    data: list[msgspec.Raw]


@dataclass(frozen=True, slots=True)
class _Sample:
    """The first records of a file, and the bytes around them in its layout."""

    path: str
    records: tuple[bytes, ...]
    prefix: bytes
    separator: bytes
    suffix: bytes

    def content(self, dropped: str = "") -> Content:
        """Return the records as a file of the same layout, without one field."""
        records = [_without(record, dropped) for record in self.records] if dropped else ()
        data = self.prefix + self.separator.join(records or self.records) + self.suffix
        return Content(self.path, data, "")

    def fields(self) -> list[str]:
        """Return the names of all fields."""
        return list(dict.fromkeys(name for record in self.records for name in _fields(record)))


def _first_records(content: Content) -> _Sample:
    if content.data.lstrip().startswith(b"["):
        layout = (b"[", b",", b"]")
    else:
        try:
            # BeerQA and SQuAD nest their records under "data".
            rows = msgspec.json.decode(content.data, type=_NestedFile).data[:_SAMPLE_SIZE]
            return _Sample(content.path, tuple(map(bytes, rows)), b'{"data":[', b",", b"]}")
        except (msgspec.MsgspecError, RecursionError):
            layout = (b"", b"\n", b"")
    records = split_records(content, _SAMPLE_SIZE)
    return _Sample(content.path, tuple(bytes(record.data) for record in records), *layout)


def _matches(dataset: Dataset, sample: _Sample) -> Iterator[DetectedBenchmark]:
    """Yield the form of a benchmark that reads a sample with the fewest problems, if any does."""
    if not dataset.env_id:
        forms = [DetectedBenchmark(dataset, "", _question_reader(dataset))]
    else:
        source = source_class(dataset)
        forms = [
            DetectedBenchmark(dataset, variant, _record_reader(source.records_type, variant))
            for variant in source.variants
        ]
    problems = []
    for form in forms:
        result, problem_count = form.reader(sample.content())
        if result:
            problems.append((problem_count, form))
    if problems:
        yield min(problems, key=lambda pair: pair[0])[1]


def _record_reader(kind: type[Any], variant: str) -> SampleReader:
    def read(content: Content) -> tuple[Any, int]:
        lenient_kind, problems = _lenient(kind)
        try:
            records = lenient_kind(content, None, ReadOptions(variant, "record"))
        except DataError:
            return None, 1
        return list(zip(records.questions, records.gold, strict=True)), len(problems)

    return read


def _question_reader(dataset: Dataset) -> SampleReader:
    def read(content: Content) -> tuple[Any, int]:
        try:
            return _question_ids(dataset, content), 0
        except DataError:
            return None, 1

    return read


def _lenient(kind: type[Any]) -> tuple[type[Any], list[DataError]]:
    """Return a subclass of records that collects problems, and the list that collects them."""
    problems: list[DataError] = []
    return type(kind.__name__, (kind,), {"problems": problems}), problems


def _question_ids(dataset: Dataset, content: Content) -> list[str]:
    """Return the ids of the questions with an answer, for a benchmark that is scored only."""
    version = {"version": "1.1"} if dataset.name == "squad" else {}
    return list(load_scorer(dataset)(content, Content("", b"{}", ""), **version).rows)


def _count_questions(dataset: Dataset, content: Content) -> int:
    """Return the number of questions, for a benchmark that is scored only."""
    answered = _question_ids(dataset, content)
    if dataset.name != "squad":
        return len(answered)
    # Version 2.0 also counts questions without an answer, and needs at least one prediction.
    predictions = Content("", msgspec.json.encode({answered[0]: ""}), "")
    return 1 + int(load_scorer(dataset)(content, predictions).missing)


def _uses(candidate: DetectedBenchmark, sample: _Sample, name: str) -> bool:
    return bool(candidate.reader(sample.content(name)) != candidate.reader(sample.content()))


def _fields(record: bytes) -> dict[str, msgspec.Raw]:
    try:
        return msgspec.json.decode(record, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return {}


def _without(record: bytes, name: str) -> bytes:
    fields = _fields(record)
    if name not in fields:
        return record
    return msgspec.json.encode({key: raw for key, raw in fields.items() if key != name})
