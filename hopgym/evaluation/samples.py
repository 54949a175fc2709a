"""Several attempts at each task: pass@k, and the vote of the majority.

In: what each attempt came to. Out: estimates over tasks, each of which counts once.
"""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from math import comb

from hopgym.evaluation.bootstrap import Estimate, Ratio, estimate_all
from hopgym.scoring import normalize_answer, parse_number, split_answers
from hopgym.tasks import Question

_RIGHT = 1.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """What one finished episode adds to the figures over attempts."""

    task: str
    """Id of its task."""
    vote: Hashable
    """What equals it in votes of other answers to the task; None abstains."""
    em: float
    """Exact match of its answer, 0.0 without one."""


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


def pass_at(attempts: Sequence[Attempt]) -> dict[str, Estimate]:
    """Return by k, as ``"1"``, the chance that one of k attempts at a task is right.

    The unbiased estimate ``1 - C(n - c, k) / C(n, k)`` for c right ones of n (Chen et al. 2021,
    arXiv 2107.03374, section 2.1), averaged over tasks; for every k from 1 to the number of
    attempts that all tasks have.

    Args:
        attempts: All of a run that did not end in an error.
    """
    tasks = _by_task(attempts)
    most = min(map(len, tasks.values()), default=0)
    ks = [str(k) for k in range(1, most + 1)]
    ratios: list[Mapping[str, Ratio]] = []
    for tried in tasks.values():
        right = sum(each.em == _RIGHT for each in tried)
        ratios.append({k: (_chance(len(tried), right, int(k)), 1.0) for k in ks})
    return {k: each for k, each in estimate_all(list(tasks), ratios, ks).items() if each}


def majority(attempts: Sequence[Attempt]) -> Estimate | None:
    """Return the share of tasks whose most frequent answer is right; None without second attempts.

    Attempts without an answer do not vote, and a task without votes counts as wrong. Of answers
    that are equally frequent the one given first counts, of equal answers its first writing.

    Args:
        attempts: Those at one task in the order of their samples.
    """
    tasks = _by_task(attempts)
    if max(map(len, tasks.values()), default=0) < 2:
        return None
    ratios = [{"right": (_voted(tried), 1.0)} for tried in tasks.values()]
    return estimate_all(list(tasks), ratios, ["right"])["right"]


def _by_task(attempts: Sequence[Attempt]) -> dict[str, list[Attempt]]:
    tasks: dict[str, list[Attempt]] = {}
    for each in attempts:
        tasks.setdefault(each.task, []).append(each)
    return tasks


def _chance(tried: int, right: int, k: int) -> float:
    return 1.0 - comb(tried - right, k) / comb(tried, k)


def _voted(tried: Sequence[Attempt]) -> float:
    """Return the exact match of the answer that has most votes."""
    votes = Counter(each.vote for each in tried if each.vote is not None)
    if not votes:
        return 0.0
    # Equal counts stay in the order in which they were first met.
    winner = votes.most_common(1)[0][0]
    return next(each.em for each in tried if each.vote == winner)


def _text(answer: str) -> str:
    if not any(map(str.isalnum, answer)):
        return ""
    # An article alone, as a letter that was chosen, is nothing to the normaliser.
    return normalize_answer(answer) or " ".join(answer.lower().split())
