"""Scores of answers against gold answers: exact match, token F1, set F1 and numbers.

All scores are in [0, 1]. Benchmarks build their official scorers on `normalize_answer`; worlds and
user files use `score_answer`.
"""

import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

AnswerKind = Literal["text", "set", "number", "yesno"]

ANSWER_KINDS: tuple[AnswerKind, ...] = ("text", "set", "number", "yesno")

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NUMBER = re.compile(r"[-+]?(?:\d+(?:,\d{3})*|\d*)(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Score:
    """An answer's exact match (0.0 or 1.0) and F1 (in [0, 1])."""

    em: float
    f1: float


def normalize_answer(text: str) -> str:
    """Return a text in lower case, without ASCII punctuation, articles and extra white space.

    This is the normalizer of SQuAD's evaluation script, which HotpotQA, 2WikiMultihopQA, MuSiQue
    and BeerQA share (HotpotQA: ``hotpot_evaluate_v1.py``, ``normalize_answer``).
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(prediction: str, gold: str) -> float:
    """Return 1.0 if both are equal after `normalize_answer`, else 0.0."""
    return float(normalize_answer(prediction) == normalize_answer(gold))


def token_f1(prediction: str, gold: str) -> float:
    """Return the F1 in [0, 1] of the two multisets of normalized tokens; 0.0 without overlap."""
    predicted = normalize_answer(prediction).split()
    expected = normalize_answer(gold).split()
    same = sum((Counter(predicted) & Counter(expected)).values())
    return f1_of(same, len(predicted), len(expected))


def f1_of(same: int, predicted: int, expected: int) -> float:
    """Return the F1 of ``same`` common items among ``predicted`` and ``expected`` items."""
    if not same:
        return 0.0
    precision = same / predicted
    recall = same / expected
    return 2 * precision * recall / (precision + recall)


def split_answers(prediction: str, golds: Sequence[str]) -> list[str]:
    """Return the answers of a list separated by ``;`` or newlines, in order, without empty items.

    Commas separate answers too, unless a gold answer has one.
    """
    commas_allowed = not any("," in gold for gold in golds)
    separators = r"[;\n,]" if commas_allowed else r"[;\n]"
    return [item.strip() for item in re.split(separators, prediction) if item.strip()]


def set_score(prediction: str, golds: Sequence[str]) -> Score:
    """Return exact match and F1 of the two sets of normalized answers."""
    predicted = {normalize_answer(item) for item in split_answers(prediction, golds)}
    expected = {normalize_answer(gold) for gold in golds}
    same = len(predicted & expected)
    return Score(float(predicted == expected), f1_of(same, len(predicted), len(expected)))


def parse_number(text: str) -> float | None:
    """Return the value of a text that is a number (``1,234``, ``-3``, ``2.50``), else None."""
    stripped = text.strip().rstrip(".").lstrip("$").strip()
    if not stripped or not _NUMBER.fullmatch(stripped) or not any(map(str.isdigit, stripped)):
        return None
    return float(stripped.replace(",", ""))


def _number_match(prediction: str, gold: str) -> float:
    predicted = parse_number(prediction)
    expected = parse_number(gold)
    if predicted is None or expected is None:
        return exact_match(prediction, gold)
    return float(predicted == expected)


def score_answer(
    prediction: str, golds: Sequence[str], kind: AnswerKind, *, partial: bool = True
) -> Score:
    """Return the score of an answer against the gold answers of a question.

    Args:
        prediction: The answer as the agent wrote it.
        golds: All expected answers for ``set``; otherwise aliases, of which the best match counts.
        kind: How answers are compared.
        partial: Whether ``text`` answers earn token F1. Otherwise F1 equals exact match, so that a
            shared surname earns nothing.
    """
    if kind == "set":
        return set_score(prediction, golds)
    match = _number_match if kind == "number" else exact_match
    em = max((match(prediction, gold) for gold in golds), default=0.0)
    if kind != "text" or not partial:
        return Score(em, em)
    return Score(em, max((token_f1(prediction, gold) for gold in golds), default=0.0) or em)
