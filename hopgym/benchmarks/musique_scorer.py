"""MuSiQue's scores, and how its predictions are written: in official files and in answers.

As ``evaluate_v1.0.py`` of github.com/StonyBrookNLP/musique scores, with its ``metrics`` (Trivedi et
al. 2022, arXiv 2108.00573). Paragraphs go by their number ``idx`` in the record.
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import zip_longest

import msgspec

from hopgym.benchmarks.entries import Entry, read_support, write_support
from hopgym.benchmarks.files import Content, Record, decode, split_lines
from hopgym.benchmarks.official import mean_of
from hopgym.documents import fold
from hopgym.scoring import Score, exact_match, f1_of, token_f1

Row = Mapping[str, float]

_SUFFICIENCY = "sufficiency"
_GROUPS = {
    "group_answer_sufficiency_f1": "answer_f1",
    "group_support_sufficiency_f1": "support_f1",
}
_NOTHING = Score(0.0, 0.0)
_LINES = (
    'a line of a prediction file is {"id": text, "predicted_answer": text, '
    '"predicted_support_idxs": [paragraph number], "predicted_answerable": true or false}'
)


def answer_score(prediction: str, golds: Collection[str]) -> Score:
    """Return the official score of an answer (``AnswerMetric``), each part the best of any gold.

    Two answers that both normalise to nothing earn an F1 of 1; yes and no are words like others.
    """
    em = max(exact_match(prediction, gold) for gold in golds)
    return Score(em, max(token_f1(prediction, gold) for gold in golds) or em)


def support_score(predicted: Collection[int], gold: Collection[int]) -> Score:
    """Return the official score of a set of paragraph numbers (``SupportMetric``).

    Nothing named where nothing is to be named earns 1.
    """
    given, due = set(predicted), set(gold)
    em = float(given == due)
    return Score(em, f1_of(len(given & due), len(given), len(due)) or em)


def record_metrics(entry: Entry, gold: Entry, answers: Collection[str]) -> dict[str, float]:
    """Return the official metrics of a record, none where it has no answer."""
    if not gold.answerable:
        return {}
    answer = support = _NOTHING
    if entry.answer is not None:
        answer = answer_score(entry.answer, answers)
    if entry.paragraphs is not None:
        support = support_score(entry.paragraphs, gold.paragraphs or ())
    return {
        "answer_em": answer.em,
        "answer_f1": answer.f1,
        "support_em": support.em,
        "support_f1": support.f1,
    }


def sufficiency(entry: Entry, gold: Entry) -> dict[str, float]:
    """Return whether an entry tells rightly that there is an answer; without one it tells nothing.

    It is what the groups of MuSiQue-Full need of a record (`over_pairs`).
    """
    return {_SUFFICIENCY: float(entry.answer is not None and entry.answerable == gold.answerable)}


def over_pairs(rows: Mapping[int, Row], pairs: Collection[tuple[int, int]]) -> dict[str, float]:
    """Return the means over records and over the pairs that stand whole among them.

    A pair earns the F1 of its answerable record where ``sufficiency`` is 1 in both, else 0
    (``GroupAnswerSufficiencyMetric``, ``GroupSupportSufficiencyMetric``).

    Args:
        rows: The metrics of records by index.
        pairs: Indices of the answerable and the other record.
    """
    groups = []
    for answerable, other in pairs:
        if answerable in rows and other in rows:
            told = rows[answerable][_SUFFICIENCY] * rows[other][_SUFFICIENCY]
            groups.append({name: rows[answerable][of] * told for name, of in _GROUPS.items()})
    means = mean_of(list(rows.values())) | mean_of(groups)
    return {name: value for name, value in means.items() if name != _SUFFICIENCY}


class _Line(msgspec.Struct):
    id: str
    predicted_answer: str
    predicted_support_idxs: list[int]
    predicted_answerable: bool


_DECODER = msgspec.json.Decoder(_Line)


def read_lines(content: Content, ids: Sequence[str]) -> list[Entry]:
    """Return the entries of a prediction file.

    Args:
        content: The file.
        ids: Of the records, as the gold file has them; lines stand in the same order.

    Raises:
        DataError: When a line is malformed, too many, missing, or of another id.
    """
    entries: list[Entry] = []
    for wanted, line in zip_longest(ids, split_lines(content)):
        if line is None:
            raise Record(content.path, b"").error(
                f"expected {len(ids)} lines, one for each record, got {len(entries)}; "
                f"the next is that of {wanted!r}"
            )
        given = decode(line, _DECODER, _LINES)
        if given.id != wanted:
            due = "no further line" if wanted is None else f"the id {wanted!r}"
            raise line.error(
                f"expected {due}, got the id {given.id!r}; write one line for each of the "
                f"{len(ids)} records, in their order"
            )
        numbers, answerable = tuple(given.predicted_support_idxs), given.predicted_answerable
        entries.append(Entry(given.predicted_answer, paragraphs=numbers, answerable=answerable))
    return entries


def write_line(record_id: str, entry: Entry) -> bytes:
    """Return a line of a prediction file; what an entry lacks is written as nothing."""
    numbers = list(entry.paragraphs or ())
    return (
        msgspec.json.encode(_Line(record_id, entry.answer or "", numbers, entry.answerable)) + b"\n"
    )


def titles_support(titles: Sequence[str], positions: Sequence[int]) -> str:
    """Return paragraphs of a record as an answer names them, ``title#i`` (see `titles_named`).

    Args:
        titles: Of all paragraphs of the record.
        positions: Of the paragraphs to name.
    """
    folded = [fold(title) for title in titles]
    return write_support((titles[i], folded[:i].count(folded[i])) for i in positions)


def titles_named(support: str, titles: Sequence[str]) -> list[int | None]:
    """Return the positions of the paragraphs that a support names.

    ``title#i`` is the paragraph ``i``, from 0, of those of that title, which is compared as in a
    lookup; a title alone names all of these. None stands for an item that names no paragraph.
    """
    positions: dict[str, list[int]] = {}
    for position, title in enumerate(titles):
        positions.setdefault(fold(title), []).append(position)
    named = read_support(support)
    found: list[int | None] = [None] * len(set(named.triples))
    for title, i in dict.fromkeys((fold(title), i) for title, i in named.facts):
        own = positions.get(title, [])
        found += (own if i is None else own[i : i + 1]) or [None]
    return found
