"""Several attempts at each task: pass@k, and the vote of the majority.

In: what each attempt came to. Out: estimates over tasks, each of which counts once.
"""

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
    """Return what is equal for two answers that a vote takes for one; None for no answer.

    Sets are compared as sets, numbers by value, all else by its normalised text: how
    `hopgym.scoring` compares an answer with a gold one. A text without a word or a figure is none.
    """
    if answer is None:
        return None
    if question.answer_kind == "set":
        items = map(_text, split_answers(answer, question.answers))
        return frozenset(item for item in items if item) or None
    number = parse_number(answer) if question.answer_kind == "number" else None
    return (_text(answer) or None) if number is None else number


def ballot_of(vote: Hashable) -> int:
    """Return a vote as a number in [1, 2**64), equal ones as the same; 0 for None."""
    if vote is None:
        return 0
    if isinstance(vote, float):
        vote += 0.0  # -0.0 is 0.0.
    told = repr(sorted(vote) if isinstance(vote, frozenset) else vote)
    digest = blake2b(told.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") or 1


def pass_at(tried: NDArray[np.int64], right: NDArray[np.int64]) -> dict[str, Estimate]:
    """Return by k, as ``"1"``, the chance that one of k attempts at a task is right.

    The unbiased estimate ``1 - C(n - c, k) / C(n, k)`` for c right ones of n (Chen et al. 2021,
    arXiv 2107.03374, section 2.1), averaged over tasks; for every k from 1 to the number of
    attempts that all tasks have.

    Args:
        tried: By task, how many attempts did not end in an error.
        right: By task, how many of these are right.
    """
    if not len(tried):
        return {}
    ks = range(1, int(tried.min()) + 1)
    pairs, place = np.unique(np.stack([tried, right], axis=1), axis=0, return_inverse=True)
    sums = np.ones((len(tried), 2, len(ks)))
    for i, k in enumerate(ks):
        chances = np.array([_chance(int(n), int(c), k) for n, c in pairs])
        sums[:, 0, i] = chances[place.ravel()]
    return {k: each for k, each in estimates_of(sums, [str(k) for k in ks]).items() if each}


def majority(
    tried: NDArray[np.int64], ballots: NDArray[np.uint64], em: NDArray[np.float64]
) -> Estimate | None:
    """Return the share of tasks whose most frequent answer is right; None without second attempts.

    Attempts without an answer do not vote, and a task without votes counts as wrong. Of answers
    that are equally frequent the one given first counts, of equal answers its first writing.

    Args:
        tried: By task, how many attempts did not end in an error.
        ballots: `ballot_of` each of these attempts, those at one task in the order of their
            samples, task by task.
        em: Exact match of the answer of each.
    """
    if tried.max(initial=0) < 2:
        return None
    sums = np.ones((len(tried), 2, 1))
    start = 0
    for task, count in enumerate(map(int, tried)):
        end = start + count
        sums[task, 0] = _voted(ballots[start:end], em[start:end])
        start = end
    return estimates_of(sums, ["right"])["right"]


def _chance(tried: int, right: int, k: int) -> float:
    return 1.0 - comb(tried - right, k) / comb(tried, k)


def _voted(ballots: NDArray[np.uint64], em: NDArray[np.float64]) -> float:
    """Return the exact match of the answer that has most votes."""
    votes = Counter(each for each in ballots.tolist() if each)
    if not votes:
        return 0.0
    # Equal counts stay in the order in which they were first met.
    winner = votes.most_common(1)[0][0]
    return float(em[np.flatnonzero(ballots == winner)[0]])


def _text(answer: str) -> str:
    if not any(map(str.isalnum, answer)):
        return ""
    # An article alone, as a letter that was chosen, is nothing to the normaliser.
    return normalize_answer(answer) or " ".join(answer.lower().split())
