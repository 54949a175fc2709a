"""Which benchmark a file is of: every reader tries its first records.

A reader may read what another benchmark wrote, as many have the same fields. Then the one that
takes in the most of them is meant: the one that notices most often when a field is missing.
"""

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hopgym.benchmarks.catalogue import dataset_named
from hopgym.benchmarks.lookup import check_own, own_names, source_class
from hopgym.errors import ArgumentError, DataError
from hopgym.progress import Progress, no_progress

if TYPE_CHECKING:
    from hopgym.benchmarks.catalogue import Dataset
    from hopgym.tasks import TaskSource

from collections.abc import Callable, Iterator

import msgspec

from hopgym.benchmarks.base import Reading
from hopgym.benchmarks.catalogue import DATASETS, Dataset
from hopgym.benchmarks.lookup import scorer
from hopgym.benchmarks.records import Content, read_content, split_records

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
    from hopgym.benchmarks.jsonl import JsonlSource
    from hopgym.benchmarks.phantomwiki import PhantomWikiSource
    from hopgym.benchmarks.records import read_content

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


_SAMPLE = 20

Reader = Callable[[Content], tuple[Any, int]]
"""Gives what it reads as a value that can be compared, false for nothing, and how many problems
there were."""


@dataclass(frozen=True, slots=True)
class Found:
    """A benchmark that a file can be of."""

    dataset: Dataset
    variant: str
    """The form with which its first records have the fewest problems; empty where there is one."""
    reader: Reader


class _Nested(msgspec.Struct):
    data: list[msgspec.Raw]


@dataclass(frozen=True, slots=True)
class _Sample:
    """The first records of a file, and how they stand in it."""

    path: str
    records: tuple[bytes, ...]
    before: bytes
    between: bytes
    after: bytes

    def content(self, dropped: str = "") -> Content:
        """Return the records as a file of the same layout, without a field."""
        records = [_without(record, dropped) for record in self.records] if dropped else ()
        data = self.before + self.between.join(records or self.records) + self.after
        return Content(self.path, data, "")

    def fields(self) -> list[str]:
        """Return the names of all fields."""
        return list(dict.fromkeys(name for each in self.records for name in _fields(each)))


def benchmark_of(content: Content) -> Found | None:
    """Return the benchmark that a file is of; None where no reader reads its first records.

    Raises:
        ArgumentError: When it may be of several.
        DataError: When it cannot be taken apart into records.
    """
    sample = _first_records(content)
    found = [each for dataset in DATASETS for each in _reading(dataset, sample)]
    if len(found) < 2:
        return found[0] if found else None
    used = [sum(_notices(each, sample, field) for field in sample.fields()) for each in found]
    best = [each for each, count in zip(found, used, strict=True) if count == max(used)]
    if len(best) > 1:
        names = ", ".join(each.dataset.name for each in best)
        raise ArgumentError(
            f"--benchmark must be given for {content.path!r}, which may be of several: {names}"
        )
    return best[0]


def is_own(content: Content) -> bool:
    """Return whether a file seems to be a user's own JSONL, by its first line."""
    keys = _fields(next((line for line in content.data.split(b"\n") if line.strip()), b""))
    return "title" in keys or {"id", "question"} <= keys.keys()


def _first_records(content: Content) -> _Sample:
    if content.data.lstrip().startswith(b"["):
        around = (b"[", b",", b"]")
    else:
        try:
            rows = msgspec.json.decode(content.data, type=_Nested).data[:_SAMPLE]
            return _Sample(content.path, tuple(map(bytes, rows)), b'{"data":[', b",", b"]}")
        except (msgspec.MsgspecError, RecursionError):
            around = (b"", b"\n", b"")
    records = split_records(content, _SAMPLE)
    return _Sample(content.path, tuple(bytes(each.data) for each in records), *around)


def _reading(dataset: Dataset, sample: _Sample) -> Iterator[Found]:
    """Yield how a benchmark reads a sample best, where it reads any of it."""
    if not dataset.env_id:
        forms = [Found(dataset, "", _scored_only(dataset))]
    else:
        source = source_class(dataset)
        forms = [
            Found(dataset, variant, _by_records(source.records_type, Reading(variant, "record")))
            for variant in source.variants
        ]
    read = [(each.reader(sample.content()), each) for each in forms]
    able = [(problems, each) for (some, problems), each in read if some]
    if able:
        yield min(able, key=lambda pair: pair[0])[1]


def _by_records(kind: type[Any], reading: Reading) -> Reader:
    def read(content: Content) -> tuple[Any, int]:
        notes_problems, problems = lenient(kind)
        try:
            records = notes_problems(content, None, reading)
        except DataError:
            return None, 1
        return list(zip(records.questions, records.gold, strict=True)), len(problems)

    return read


def _scored_only(dataset: Dataset) -> Reader:
    def read(content: Content) -> tuple[Any, int]:
        try:
            return questions_of(dataset, content), 0
        except DataError:
            return None, 1

    return read


def lenient(kind: type[Any]) -> tuple[type[Any], list[DataError]]:
    """Return a class of records that reads on past problems, and the list that they go to."""
    problems: list[DataError] = []
    return type(kind.__name__, (kind,), {"problems": problems}), problems


def questions_of(dataset: Dataset, content: Content) -> list[str]:
    """Return the ids of the questions with an answer in a file that is scored only.

    Raises:
        DataError: When it is not of that benchmark.
    """
    version = {"version": "1.1"} if dataset.name == "squad" else {}
    return list(scorer(dataset)(content, Content("", b"{}", ""), **version).rows)


def count_questions(dataset: Dataset, content: Content) -> int:
    """Return the number of questions in a file that is scored only; errors as `questions_of`."""
    answered = questions_of(dataset, content)
    if dataset.name != "squad":
        return len(answered)
    # Version 2.0 counts those without an answer as well, and wants one prediction at least.
    one = Content("", msgspec.json.encode({answered[0]: ""}), "")
    return 1 + int(scorer(dataset)(content, one).missing)


def _notices(found: Found, sample: _Sample, field: str) -> bool:
    return bool(found.reader(sample.content(field)) != found.reader(sample.content()))


def _fields(record: bytes) -> dict[str, msgspec.Raw]:
    try:
        return msgspec.json.decode(record, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        return {}


def _without(record: bytes, field: str) -> bytes:
    fields = _fields(record)
    if field not in fields:
        return record
    return msgspec.json.encode({name: raw for name, raw in fields.items() if name != field})
