"""Metrics over several attempts per task: pass@k and majority voting; tasks have equal weight."""

from collections import Counter
from collections.abc import Hashable
from hashlib import blake2b
from math import comb

import numpy as np
from numpy.typing import NDArray

from hopgym.evaluation.bootstrap import Estimate, estimates_of
from hopgym.scoring import normalize_answer, parse_number, split_answers
from hopgym.tasks import Question


def vote_of(question: Question, answer: str | None) -> Hashable:
    """Return a value that is equal for answers that vote for the same thing; None for no answer.

    Sets are compared as sets, numbers by value and other answers by their normalized text, like
    `hopgym.scoring` compares an answer with a gold one. A text without letters or digits is no
    answer.
    """
    if answer is None:
        return None
    if question.answer_kind == "set":
        items = map(_text, split_answers(answer, question.answers))
        return frozenset(item for item in items if item) or None
    number = parse_number(answer) if question.answer_kind == "number" else None
    return (_text(answer) or None) if number is None else number


def ballot_of(vote: Hashable) -> int:
    """Return the hash of a vote in [1, 2**64), equal for equal votes; 0 for None."""
    if vote is None:
        return 0
    if isinstance(vote, float):
        vote += 0.0  # Turns -0.0 into 0.0.
    text = repr(sorted(vote) if isinstance(vote, frozenset) else vote)
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") or 1


def pass_at(tried: NDArray[np.int64], right: NDArray[np.int64]) -> dict[str, Estimate]:
    """Return by k, as ``"1"``, the probability that at least one of k attempts at a task is right.

    The unbiased estimate ``1 - C(n - c, k) / C(n, k)`` for c right attempts of n (Chen et al. 2021,
    arXiv 2107.03374, section 2.1), averaged over tasks, for every k from 1 to the number of
    attempts that all tasks have.

    Args:
        tried: ``(tasks,)``: the number of attempts that did not end in an error.
        right: ``(tasks,)``: the number of these that are right.
    """
    if not len(tried):
        return {}
    ks = range(1, int(tried.min()) + 1)
    pairs, pair_of_task = np.unique(np.stack([tried, right], axis=1), axis=0, return_inverse=True)
    sums = np.ones((len(tried), 2, len(ks)))
    for i, k in enumerate(ks):
        probabilities = np.array([_probability(int(n), int(c), k) for n, c in pairs])
        sums[:, 0, i] = probabilities[pair_of_task.ravel()]
    estimates = estimates_of(sums, [str(k) for k in ks])
    return {k: estimate for k, estimate in estimates.items() if estimate}


def majority(
    tried: NDArray[np.int64], ballots: NDArray[np.uint64], em: NDArray[np.float64]
) -> Estimate | None:
    """Return the share of tasks whose most frequent answer is right; None without second attempts.

    Attempts without an answer do not vote, and a task without votes is wrong. Ties go to the answer
    that occurred first; equal answers are scored by their first occurrence.

    Args:
        tried: ``(tasks,)``: the number of attempts that did not end in an error.
        ballots: ``(attempts,)``: the `ballot_of` each of these, sorted by task and sample.
        em: ``(attempts,)``: the exact match of each answer.
    """
    if tried.max(initial=0) < 2:
        return None
    sums = np.ones((len(tried), 2, 1))
    start = 0
    for task, count in enumerate(map(int, tried)):
        end = start + count
        sums[task, 0] = _winner_score(ballots[start:end], em[start:end])
        start = end
    return estimates_of(sums, ["right"])["right"]


def _probability(tried: int, right: int, k: int) -> float:
    return 1.0 - comb(tried - right, k) / comb(tried, k)


def _winner_score(ballots: NDArray[np.uint64], em: NDArray[np.float64]) -> float:
    """Return the exact match of the answer with the most votes; 0.0 without votes."""
    votes = Counter(ballot for ballot in ballots.tolist() if ballot)
    if not votes:
        return 0.0
    # Counter orders ties by first occurrence.
    winner = votes.most_common(1)[0][0]
    return float(em[np.flatnonzero(ballots == winner)[0]])


def _text(answer: str) -> str:
    if not any(map(str.isalnum, answer)):
        return ""
    # Normalizing removes articles; the answer "A" to a multiple-choice question must remain.
    return normalize_answer(answer) or " ".join(answer.lower().split())
