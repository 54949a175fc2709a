"""SQuAD 1.1 and 2.0, and Bamboogle: prediction files are scored, there are no tasks.

Reads official files or the rows of ``rajpurkar/squad``, ``rajpurkar/squad_v2`` and
``chiayewken/bamboogle`` on the Hub, and predictions ``{id: text}``. The metrics are those that
``evaluate-v1.1.py`` and ``evaluate-v2.0.py`` print (Rajpurkar et al. 2016, arXiv 1606.05250; 2018,
arXiv 1806.03822). Bamboogle (Press et al. 2022, arXiv 2210.03350) has no script; it is scored like
SQuAD 1.1.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import msgspec

from hopgym.benchmarks.predictions import read_answers
from hopgym.benchmarks.records import Content, Record, decode, split_records
from hopgym.errors import DataError, require
from hopgym.scoring import Score, exact_match, normalize_answer, token_f1

VERSIONS = ("2.0", "1.1")
"""Versions of the official script, the default first."""

_FIX = "expected the layout of dev-v2.0.json or dev-v1.1.json, or the Hub's rows"
_FIX_BAMBOOGLE = 'records must be as {"Question": text, "Answer": text}'
_PREDICTIONS = "a prediction file is {id: text}"
_PERCENT = 100.0

Golds = Mapping[str, tuple[str, ...]]
"""The gold answers by question id; empty for a question without an answer."""


@dataclass(frozen=True, slots=True)
class PredictionScores:
    """The scores of a prediction file."""

    metrics: Mapping[str, float]
    """The values that the official script prints, under its names."""
    rows: Mapping[str, Mapping[str, float]]
    """Exact match and F1 by question id, in [0, 1], named as in ``metrics``."""
    missing: int
    """Number of questions without a prediction."""


def answer_score(prediction: str, golds: Collection[str]) -> Score:
    """Return SQuAD 1.1's exact match and F1, each the best over the golds.

    Two answers that are both empty after normalization match exactly, with an F1 of 0.
    """
    em = max(exact_match(prediction, gold) for gold in golds)
    return Score(em, max(token_f1(prediction, gold) for gold in golds))


def answer_score_v2(prediction: str, golds: Collection[str]) -> Score:
    """Return SQuAD 2.0's exact match and F1, each the best over the golds.

    Golds that are empty after normalization are ignored. If none is left, the right answer is the
    empty one, with an F1 of 1.
    """
    score = answer_score(prediction, [gold for gold in golds if normalize_answer(gold)] or [""])
    return Score(score.em, score.f1 or score.em)


def score_squad(gold: Content, predictions: Content, version: str = "2.0") -> PredictionScores:
    """Return the official scores of predictions for SQuAD, in percent.

    Version 1.1 averages over the questions that have an answer; one without a prediction scores
    0. Version 2.0 averages over the questions that have a prediction, like the sums of the
    script, which itself stops at the first missing one. ``HasAns_*`` and ``NoAns_*`` are present
    if there are such questions.

    Args:
        gold: A file of either version, or its rows on the Hub.
        predictions: The answers by id; unknown ids are ignored, as in the script.
        version: Version of the script, ``2.0`` or ``1.1``.

    Raises:
        ArgumentError: If there is no such version.
        DataError: If a file has another layout, or nothing in it can be scored.
    """
    require(version in VERSIONS, "version", f"one of {', '.join(VERSIONS)}", version)
    golds = _squad_golds(gold)
    answers = _read_predictions(predictions, golds, gold.path)
    if version == "2.0":
        return _score_v2(golds, answers, predictions.path)
    answerable = {name: texts for name, texts in golds.items() if texts}
    if not answerable:
        raise DataError(f"{gold.path}: expected questions with answers, got none; take version 2.0")
    return _score_v1(answerable, answers, "exact_match", _PERCENT)


def score_bamboogle(gold: Content, predictions: Content) -> PredictionScores:
    """Return ``em`` and ``f1`` of predictions for Bamboogle, in [0, 1], scored like SQuAD 1.1.

    Args:
        gold: The records, which have no ids: the id of a record is its position, from 0, as text.
        predictions: The answers by id; a question without one scores 0.

    Raises:
        DataError: If a file has another layout.
    """
    records = split_records(gold)
    if not records:
        raise DataError(f"{gold.path}: expected records, got none; {_FIX_BAMBOOGLE}")
    answers = [decode(record, _BAMBOOGLE, _FIX_BAMBOOGLE).answer for record in records]
    golds = {str(place): (answer,) for place, answer in enumerate(answers)}
    return _score_v1(golds, _read_predictions(predictions, golds, gold.path), "em", 1.0)


def _score_v1(
    golds: Golds, answers: Mapping[str, str], em_name: str, unit: float
) -> PredictionScores:
    rows = {}
    for name, texts in golds.items():
        score = answer_score(answers[name], texts) if name in answers else Score(0.0, 0.0)
        rows[name] = {em_name: score.em, "f1": score.f1}
    return PredictionScores(
        _means(rows.values(), em_name, unit), rows, len(golds.keys() - answers.keys())
    )


def _score_v2(golds: Golds, answers: Mapping[str, str], path: str) -> PredictionScores:
    rows = {}
    for name in filter(answers.__contains__, golds):
        score = answer_score_v2(answers[name], golds[name])
        rows[name] = {"exact": score.em, "f1": score.f1}
    if not rows:
        raise DataError(f"{path}: expected at least one prediction, got none; {_PREDICTIONS}")
    metrics: dict[str, float] = {}
    answered = [row for name, row in rows.items() if golds[name]]
    unanswerable = [row for name, row in rows.items() if not golds[name]]
    groups = {"": list(rows.values()), "HasAns_": answered, "NoAns_": unanswerable}
    for prefix, group in groups.items():
        if group:
            means = _means(group, "exact", _PERCENT) | {"total": len(group)}
            metrics |= {f"{prefix}{name}": value for name, value in means.items()}
    return PredictionScores(metrics, rows, len(golds) - len(rows))


def _means(rows: Collection[Mapping[str, float]], em_name: str, unit: float) -> dict[str, float]:
    return {name: unit * sum(row[name] for row in rows) / len(rows) for name in (em_name, "f1")}


class _SquadAnswer(msgspec.Struct):
    text: str


class _SquadQuestion(msgspec.Struct):
    id: str
    answers: list[_SquadAnswer]


class _SquadParagraph(msgspec.Struct):
    qas: list[_SquadQuestion]


class _SquadArticle(msgspec.Struct):
    paragraphs: list[_SquadParagraph]


class _SquadFile(msgspec.Struct):
    data: list[_SquadArticle]


class _HubSquadAnswers(msgspec.Struct):
    text: list[str]


class _HubSquadRow(msgspec.Struct):
    id: str
    answers: _HubSquadAnswers


class _BamboogleRow(msgspec.Struct):
    question: str = msgspec.field(name="Question")
    answer: str = msgspec.field(name="Answer")


_FILES = msgspec.json.Decoder(_SquadFile)
_HUB_ROWS = msgspec.json.Decoder(_HubSquadRow)
_BAMBOOGLE = msgspec.json.Decoder(_BamboogleRow)


def _squad_golds(content: Content) -> dict[str, tuple[str, ...]]:
    """Return the gold answers by id; `DataError` if an id repeats."""
    golds: dict[str, tuple[str, ...]] = {}
    for place, name, texts in _questions(content):
        if name in golds:
            raise DataError(
                f"{place}: expected every question to have its own id, got {name!r} again"
            )
        golds[name] = texts
    if not golds:
        raise DataError(f"{content.path}: expected questions, got none; {_FIX}")
    return golds


def _questions(content: Content) -> Iterable[tuple[str, str, tuple[str, ...]]]:
    """Yield the place, id and answers of every question in any of the layouts."""
    if not _is_official_file(content):
        for record in split_records(content):
            row = decode(record, _HUB_ROWS, _FIX)
            yield record.place, row.id, tuple(row.answers.text)
        return
    file = decode(Record(content.path, content.data), _FILES, _FIX)
    for article in file.data:
        for paragraph in article.paragraphs:
            for question in paragraph.qas:
                yield content.path, question.id, tuple(answer.text for answer in question.answers)


def _is_official_file(content: Content) -> bool:
    """Return whether a file is an official file: a single JSON object that is not a row."""
    try:
        fields = msgspec.json.decode(content.data, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, RecursionError):
        return False
    return "answers" not in fields


def _read_predictions(content: Content, golds: Golds, gold_path: str) -> dict[str, str]:
    answers = {name: entry.answer or "" for name, entry in read_answers(content).items()}
    if answers and answers.keys().isdisjoint(golds):
        raise DataError(
            f"{content.path}: expected predictions for questions of {gold_path}, got ids such as "
            f"{next(iter(answers))!r}, which it lacks; {_PREDICTIONS}"
        )
    return answers
