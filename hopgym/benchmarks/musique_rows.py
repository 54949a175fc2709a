"""MuSiQue's records as they stand in its files, and what is read off each.

In: lines of a file. Out: rows, their supporting paragraphs, steps and facts, and pairs.
"""

import re
from collections.abc import Sequence
from typing import Annotated

import msgspec

from hopgym.benchmarks.facts import Fact
from hopgym.benchmarks.files import Record, decode
from hopgym.documents import Document
from hopgym.tasks import Hop

MEND = "records must be as in musique_ans_v1.0_dev.jsonl; the test files have no answers to score"
"""What error messages tell to do."""

_STEP = re.compile(r"#(\d{1,6})")


class _Paragraph(msgspec.Struct):
    idx: Annotated[int, msgspec.Meta(ge=0)]
    title: str
    paragraph_text: str
    is_supporting: bool


class _Step(msgspec.Struct):
    question: str
    answer: str
    paragraph_support_idx: int | None


class Row(msgspec.Struct):
    """A record; where the file says nothing of it, ``answerable`` is None."""

    id: str
    answer: str
    answer_aliases: list[str]
    question: str
    question_decomposition: list[_Step]
    paragraphs: list[_Paragraph]
    answerable: bool | None = None


class _Head(msgspec.Struct):
    id: str
    answerable: bool | None = None


_DECODER = msgspec.json.Decoder(Row)
_HEADS = msgspec.json.Decoder(_Head)


def read_row(record: Record) -> Row:
    """Return a record; `DataError` for one of another layout."""
    return decode(record, _DECODER, MEND)


def with_partners(records: list[Record], limit: int) -> tuple[list[Record], int]:
    """Return the records with the first ``limit`` and their partners in front, and their count."""
    heads = [decode(record, _HEADS, MEND) for record in records]
    places: dict[tuple[str, bool | None], int] = {}
    for place, head in enumerate(heads):
        places.setdefault((head.id, head.answerable), place)
    chosen = set(range(min(limit, len(records))))
    partners = (places.get((head.id, not head.answerable)) for head in heads[:limit])
    chosen |= {place for place in partners if place is not None}
    ordered = sorted(range(len(records)), key=lambda place: (place not in chosen, place))
    return [records[place] for place in ordered], len(chosen)


def cut_off(row: Row) -> bool:
    """Return whether a step's paragraph was taken out, so that the rest has no answer."""
    return any(step.paragraph_support_idx is None for step in row.question_decomposition)


def supporting_positions(record: Record, row: Row) -> list[int]:
    """Return the positions of the supporting paragraphs, after checking all numbers."""
    numbers = [paragraph.idx for paragraph in row.paragraphs]
    if len(set(numbers)) != len(numbers):
        raise record.error(f"expected every paragraph to have its own 'idx', got {numbers}")
    for step in row.question_decomposition:
        if (named := step.paragraph_support_idx) not in (None, *numbers):
            raise record.error(
                f"expected 'paragraph_support_idx' to be the 'idx' of a paragraph, got {named}"
            )
    return [i for i, paragraph in enumerate(row.paragraphs) if paragraph.is_supporting]


def hops_of(row: Row) -> tuple[Hop, ...]:
    """Return the steps; those without a paragraph have no answer, nor is it told by later ones."""
    steps = row.question_decomposition
    answers = {
        str(number): step.answer
        for number, step in enumerate(steps, start=1)
        if step.paragraph_support_idx is not None
    }

    def told(reference: re.Match[str]) -> str:
        return answers.get(reference[1], reference[0])

    return tuple(
        Hop(_STEP.sub(told, step.question), (step.answer,) if str(number) in answers else ())
        for number, step in enumerate(steps, start=1)
    )


def facts_of(
    row: Row, paragraphs: Sequence[Document], supporting: Sequence[int]
) -> tuple[Fact, ...]:
    """Return the supporting paragraphs as facts; none where one of them cannot be shown."""
    pages = [paragraphs[position] for position in supporting]
    if cut_off(row) or not all(page.title.strip() and page.sentences for page in pages):
        return ()
    return tuple(
        Fact(page.title, None, row.paragraphs[position].paragraph_text, ((position, None),))
        for position, page in zip(supporting, pages, strict=True)
    )
