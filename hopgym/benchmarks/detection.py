"""Which benchmark a file is of: every reader tries its first records.

A reader may read what another benchmark wrote, as many have the same fields. Then the one that
takes in the most of them is meant: the one that notices most often when a field is missing.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from hopgym.benchmarks.catalogue import DATASETS, Dataset
from hopgym.benchmarks.files import Content, split_records
from hopgym.benchmarks.lookup import scorer, source_class
from hopgym.benchmarks.passages import Reading
from hopgym.errors import ArgumentError, DataError

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
