"""Entries: what prediction files say of a record, and how answers name their support.

In: prediction files and the text of a support. Out: `Entry`, which is also what gold files say.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from hopgym.benchmarks.records import Content, Record, decode

_FACT = re.compile(r"(.*\S)\s*#\s*(\d{1,6})", re.DOTALL)
_TRIPLE_PARTS = 3
_LAYOUT = 'a prediction file is {id: text} or {"answer": {id: text}}'
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ANSWERS = msgspec.json.Decoder(dict[str, str])


@dataclass(frozen=True, slots=True)
class Entry:
    """What a file says of one record: a prediction, or the gold. None is what it does not say."""

    answer: str | None = None
    facts: tuple[tuple[str, int], ...] | None = None
    """Supporting facts: title and 0-based sentence index."""
    triples: tuple[tuple[str, str, str], ...] | None = None
    """Evidence: subject, relation, object."""
    paragraphs: tuple[int, ...] | None = None
    """Supporting paragraphs by their number in the record."""
    answerable: bool = True
    """Whether the question is taken to have an answer in its paragraphs."""

    @property
    def support(self) -> str:
        """The facts and triples as an answer names them; empty where there are none."""
        return write_support(self.facts or (), self.triples or ())


@dataclass(frozen=True, slots=True)
class Named:
    """What an answer's ``support`` names."""

    facts: tuple[tuple[str, int | None], ...] = ()
    """Title and 0-based index; None where only a title stands."""
    triples: tuple[tuple[str, str, str], ...] = ()
    """Subject, relation and object, written with `` > `` between them."""


def read_support(text: str) -> Named:
    """Return what a support names: ``title#1 | title#0 | subject > relation > object``."""
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
    return Named(tuple(facts), tuple(triples))


def write_support(
    facts: Iterable[tuple[str, int]], triples: Iterable[tuple[str, str, str]] = ()
) -> str:
    """Return the text that `read_support` reads."""
    named = [f"{title}#{index}" for title, index in facts]
    return " | ".join([*named, *(" > ".join(triple) for triple in triples)])


def read_answers(content: Content) -> dict[str, Entry]:
    """Return the entries of a prediction file of answers alone, by task id.

    Raises:
        DataError: When it is none.
    """
    record = Record(content.path, content.data)
    fields = decode(record, _FIELDS, _LAYOUT)
    nested = fields.get("answer")
    # Beside texts, "answer" is an id like theirs; beside other fields it is one of the layout's.
    texts = any(bytes(value).startswith(b'"') for value in fields.values())
    if nested is not None and not texts and bytes(nested).startswith(b"{"):
        record = Record(f"{content.path}, 'answer'", nested)
    answers = decode(record, _ANSWERS, _LAYOUT)
    return {task_id: Entry(answer) for task_id, answer in answers.items()}


def write_answers(entries: Mapping[str, Entry]) -> bytes:
    """Return the layout ``{"answer": {id: text}}``; entries without an answer are left out."""
    answers = {i: each.answer for i, each in entries.items() if each.answer is not None}
    return msgspec.json.encode({"answer": answers})


How = Literal["read", "named"]


@dataclass(frozen=True, slots=True)
class Metrics:
    """Exact match, F1, precision and recall of one prediction; each in [0, 1]."""

    em: float
    f1: float
    prec: float
    recall: float

    def named(self, prefix: str = "") -> dict[str, float]:
        """Return the four by name behind a prefix: ``sp_em``, ``sp_f1``, ..."""
        return {f"{prefix}{name}": getattr(self, name) for name in self.__slots__}


METRIC_NAMES = {part: tuple(f"{part}_{n}" for n in Metrics.__slots__) for part in ("sp", "joint")}
"""The names of the four metrics of supporting facts, and of the joint ones."""

NO_METRICS = Metrics(0.0, 0.0, 0.0, 0.0)


def mean_of(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of each metric over the rows that hold it, in order of first occurrence."""
    names = dict.fromkeys(name for row in rows for name in row)
    kept = {name: [row[name] for row in rows if name in row] for name in names}
    return {name: sum(values) / len(values) for name, values in kept.items()}
