"""Prediction files: their entries, the support that answers name, and common metrics."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from hopgym.benchmarks.records import Content, Record, decode

SupportSource = Literal["read", "named"]
"""Where the predicted support comes from: the sentences shown, or those that the answer named."""

_FACT = re.compile(r"(.*\S)\s*#\s*(\d{1,6})", re.DOTALL)
_TRIPLE_PARTS = 3
_LAYOUT = 'a prediction file is {id: text} or {"answer": {id: text}}'
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ANSWERS = msgspec.json.Decoder(dict[str, str])


@dataclass(frozen=True, slots=True)
class PredictionEntry:
    """The entry of one record in a prediction file.

    Gold annotations have the same form: they are the entry of a perfect prediction. A field is
    None if the file does not have it.
    """

    answer: str | None = None
    facts: tuple[tuple[str, int], ...] | None = None
    """Supporting facts: title and 0-based sentence index."""
    triples: tuple[tuple[str, str, str], ...] | None = None
    """Evidence: subject, relation, object."""
    paragraphs: tuple[int, ...] | None = None
    """Supporting paragraphs by their number in the record."""
    answerable: bool = True
    """Whether the paragraphs are said to answer the question."""

    @property
    def support(self) -> str:
        """The facts and triples in the form in which answers name them; may be empty."""
        return write_support(self.facts or (), self.triples or ())


@dataclass(frozen=True, slots=True)
class SupportItems:
    """The items that the ``support`` of an answer names."""

    facts: tuple[tuple[str, int | None], ...] = ()
    """Title and 0-based index; the index is None for a title alone."""
    triples: tuple[tuple[str, str, str], ...] = ()
    """Subject, relation and object, written with `` > `` between them."""


def read_support(text: str) -> SupportItems:
    """Parse a support such as ``title#1 | title#0 | subject > relation > object``."""
    facts: list[tuple[str, int | None]] = []
    triples: list[tuple[str, str, str]] = []
    for item in filter(None, map(str.strip, text.split("|"))):
        fact = _FACT.fullmatch(item)
        parts = [part.strip() for part in item.split(" > ")]
        if len(parts) == _TRIPLE_PARTS:
            triples.append((parts[0], parts[1], parts[2]))
        elif fact:
            facts.append((fact[1], int(fact[2])))
        else:
            facts.append((item, None))
    return SupportItems(tuple(facts), tuple(triples))


def write_support(
    facts: Iterable[tuple[str, int]], triples: Iterable[tuple[str, str, str]] = ()
) -> str:
    """Return facts and triples as the text that `read_support` parses."""
    items = [f"{title}#{index}" for title, index in facts]
    return " | ".join([*items, *(" > ".join(triple) for triple in triples)])


def read_answers(content: Content) -> dict[str, PredictionEntry]:
    """Read a prediction file that holds only answers.

    Returns:
        The entries by task id.

    Raises:
        DataError: If the file has another layout.
    """
    record = Record(content.path, content.data)
    fields = decode(record, _FIELDS, _LAYOUT)
    nested = fields.get("answer")
    # "answer" is the layout's own field unless texts beside it show that it is a task id.
    has_texts = any(bytes(value).startswith(b'"') for value in fields.values())
    if nested is not None and not has_texts and bytes(nested).startswith(b"{"):
        record = Record(f"{content.path}, 'answer'", nested)
    answers = decode(record, _ANSWERS, _LAYOUT)
    return {task_id: PredictionEntry(answer) for task_id, answer in answers.items()}


def write_answers(entries: Mapping[str, PredictionEntry]) -> bytes:
    """Return the file ``{"answer": {id: text}}``, without entries that have no answer."""
    answers = {i: entry.answer for i, entry in entries.items() if entry.answer is not None}
    return msgspec.json.encode({"answer": answers})


@dataclass(frozen=True, slots=True)
class Metrics:
    """Exact match, F1, precision and recall of one prediction, each in [0, 1]."""

    em: float
    f1: float
    prec: float
    recall: float

    def by_name(self, prefix: str = "") -> dict[str, float]:
        """Return the four metrics by prefixed name: ``sp_em``, ``sp_f1``, ..."""
        return {f"{prefix}{name}": getattr(self, name) for name in self.__slots__}


METRIC_NAMES = {part: tuple(f"{part}_{n}" for n in Metrics.__slots__) for part in ("sp", "joint")}
"""The names of the four metrics of supporting facts, and of the joint metrics."""

NO_METRICS = Metrics(0.0, 0.0, 0.0, 0.0)


def mean_of(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of each metric over the rows that have it, in order of first occurrence."""
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: [row[name] for row in rows if name in row] for name in names}
    return {name: sum(values) / len(values) for name, values in columns.items()}
