"""SQuAD 1.1 and 2.0, and Bamboogle: predictions against gold files, without tasks.

In: official files, or the rows of ``rajpurkar/squad``, ``rajpurkar/squad_v2`` and
``chiayewken/bamboogle`` on the Hub, and predictions ``{id: text}``. Out: what ``evaluate-v1.1.py``
and ``evaluate-v2.0.py`` print (Rajpurkar et al. 2016, arXiv 1606.05250; 2018, arXiv 1806.03822).
Bamboogle (Press et al. 2022, arXiv 2210.03350) has no script; SQuAD 1.1's scores stand for one.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import msgspec

from hopgym.benchmarks.predictions import read_answers
from hopgym.benchmarks.records import Content, Record, decode, split_records
from hopgym.errors import DataError, require
from hopgym.scoring import Score, exact_match, normalize_answer, token_f1

VERSIONS = ("2.0", "1.1")
"""Of the official script, the default first."""

_MEND = "expected the layout of dev-v2.0.json or dev-v1.1.json, or the Hub's rows"
_MEND_BAMBOOGLE = 'records must be as {"Question": text, "Answer": text}'
_PREDICTIONS = "a prediction file is {id: text}"
_PERCENT = 100.0

Golds = Mapping[str, tuple[str, ...]]
"""The gold answers by id; none where a question has no answer."""


@dataclass(frozen=True, slots=True)
class Scored:
    """The scores of a prediction file."""

    metrics: Mapping[str, float]
    """As the official script prints them, by its names."""
    rows: Mapping[str, Mapping[str, float]]
    """Exact match and F1 by id, in [0, 1], by the names that they have in ``metrics``."""
    missing: int
    """Number of questions without a prediction."""


def answer_score(prediction: str, golds: Collection[str]) -> Score:
    """Return SQuAD 1.1's exact match and F1, each the best of any gold.

    Two answers that both normalise to nothing match exactly with an F1 of 0.
    """
    em = max(exact_match(prediction, gold) for gold in golds)
    return Score(em, max(token_f1(prediction, gold) for gold in golds))


def answer_score_v2(prediction: str, golds: Collection[str]) -> Score:
    """Return SQuAD 2.0's exact match and F1, each the best of any gold.

    Golds that normalise to nothing are passed over; where none is left the right answer is one
    that normalises to nothing, which earns an F1 of 1.
    """
    score = answer_score(prediction, [gold for gold in golds if normalize_answer(gold)] or [""])
    return Score(score.em, score.f1 or score.em)


def score_squad(gold: Content, predictions: Content, version: str = "2.0") -> Scored:
    """Return the official scores of predictions for SQuAD, in percent.

    Version 1.1 is over the questions that have an answer, and one without a prediction scores 0.
    Version 2.0 is over the questions that have a prediction, as the script's sums are, which
    itself breaks off at the first one missing; ``HasAns_*`` and ``NoAns_*`` stand where there are
    such questions.

    Args:
        gold: A file of either version, or its rows on the Hub.
        predictions: The answers by id; ids that gold lacks are passed over, as by the script.
        version: Of the script, ``2.0`` or ``1.1``.

    Raises:
        ArgumentError: When there is no such version.
        DataError: When a file is none of these, or nothing in it can be scored.
    """
    require(version in VERSIONS, "version", f"one of {', '.join(VERSIONS)}", version)
    golds = _squad_golds(gold)
    given = _read_predictions(predictions, golds, gold.path)
    if version == "2.0":
        return _score_v2(golds, given, predictions.path)
    answerable = {name: texts for name, texts in golds.items() if texts}
    if not answerable:
        raise DataError(f"{gold.path}: expected questions with answers, got none; take version 2.0")
    return _score_v1(answerable, given, "exact_match", _PERCENT)


def score_bamboogle(gold: Content, predictions: Content) -> Scored:
    """Return ``em`` and ``f1`` of predictions for Bamboogle, in [0, 1], as SQuAD 1.1 scores.

    Args:
        gold: The records, which have no ids: each goes by its place, from 0, as text.
        predictions: The answers by id; a question without one scores 0.

    Raises:
        DataError: When a file is none of these.
    """
    records = split_records(gold)
    if not records:
        raise DataError(f"{gold.path}: expected records, got none; {_MEND_BAMBOOGLE}")
    answers = [decode(record, _BAMBOOGLE, _MEND_BAMBOOGLE).answer for record in records]
    golds = {str(place): (answer,) for place, answer in enumerate(answers)}
    return _score_v1(golds, _read_predictions(predictions, golds, gold.path), "em", 1.0)


def _score_v1(golds: Golds, given: Mapping[str, str], em_name: str, unit: float) -> Scored:
    rows = {}
    for name, texts in golds.items():
        score = answer_score(given[name], texts) if name in given else Score(0.0, 0.0)
        rows[name] = {em_name: score.em, "f1": score.f1}
    return Scored(_means(rows.values(), em_name, unit), rows, len(golds.keys() - given.keys()))


def _score_v2(golds: Golds, given: Mapping[str, str], path: str) -> Scored:
    rows = {}
    for name in filter(given.__contains__, golds):
        score = answer_score_v2(given[name], golds[name])
        rows[name] = {"exact": score.em, "f1": score.f1}
    if not rows:
        raise DataError(f"{path}: expected at least one prediction, got none; {_PREDICTIONS}")
    metrics: dict[str, float] = {}
    answered = [row for name, row in rows.items() if golds[name]]
    others = [row for name, row in rows.items() if not golds[name]]
    parts = {"": list(rows.values()), "HasAns_": answered, "NoAns_": others}
    for prefix, part in parts.items():
        if part:
            means = _means(part, "exact", _PERCENT) | {"total": len(part)}
            metrics |= {f"{prefix}{name}": value for name, value in means.items()}
    return Scored(metrics, rows, len(golds) - len(rows))


def _means(rows: Collection[Mapping[str, float]], em_name: str, unit: float) -> dict[str, float]:
    return {name: unit * sum(row[name] for row in rows) / len(rows) for name in (em_name, "f1")}


class _Answer(msgspec.Struct):
    text: str


class _Question(msgspec.Struct):
    id: str
    answers: list[_Answer]


class _Paragraph(msgspec.Struct):
    qas: list[_Question]


class _Article(msgspec.Struct):
    paragraphs: list[_Paragraph]


class _File(msgspec.Struct):
    data: list[_Article]


class _HubAnswers(msgspec.Struct):
    text: list[str]


class _HubRow(msgspec.Struct):
    id: str
    answers: _HubAnswers


class _Bamboogle(msgspec.Struct):
    question: str = msgspec.field(name="Question")
    answer: str = msgspec.field(name="Answer")


_FILES = msgspec.json.Decoder(_File)
_HUB_ROWS = msgspec.json.Decoder(_HubRow)
_BAMBOOGLE = msgspec.json.Decoder(_Bamboogle)


def _squad_golds(content: Content) -> dict[str, tuple[str, ...]]:
    """Return the gold answers by id, after checking that ids differ."""
    golds: dict[str, tuple[str, ...]] = {}
    for place, name, texts in _questions(content):
        if name in golds:
            raise DataError(
                f"{place}: expected every question to have its own id, got {name!r} again"
            )
        golds[name] = texts
    if not golds:
        raise DataError(f"{content.path}: expected questions, got none; {_MEND}")
    return golds


def _questions(content: Content) -> Iterable[tuple[str, str, tuple[str, ...]]]:
    """Yield place, id and answers of every question, whichever the layout."""
    if not _is_one_object(content):
        for record in split_records(content):
            row = decode(record, _HUB_ROWS, _MEND)
            yield record.place, row.id, tuple(row.answers.text)
        return
    file = decode(Record(content.path, content.data), _FILES, _MEND)
    for article in file.data:
        for paragraph in article.paragraphs:
            for question in paragraph.qas:
                yield content.path, question.id, tuple(each.text for each in question.answers)


def _is_one_object(content: Content) -> bool:
    """Return whether a file is one JSON object and no row, unlike JSONL and lists."""
    try:
        found = msgspec.json.decode(content.data, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, RecursionError):
        return False
    return "answers" not in found


def _read_predictions(content: Content, golds: Golds, gold_path: str) -> dict[str, str]:
    given = {name: entry.answer or "" for name, entry in read_answers(content).items()}
    if given and given.keys().isdisjoint(golds):
        raise DataError(
            f"{content.path}: expected predictions for questions of {gold_path}, got ids such as "
            f"{next(iter(given))!r}, which it lacks; {_PREDICTIONS}"
        )
    return given
