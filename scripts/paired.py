"""Ratios of two works that are measured in turns."""

import time
from collections.abc import Callable

Ratios = list[float]
"""What a thing takes in parts of what its reference takes, one a round."""

Clock = Callable[[], float]


def alternate(
    rounds: int,
    ours: Callable[[], object],
    reference: Callable[[], object],
    clock: Clock = time.process_time,
) -> Ratios:
    """Return the ratio of each round, after one that does not count.

    Args:
        rounds: How often both are measured.
        ours: Work of hopgym.
        reference: What it is compared with.
        clock: Seconds that count.
    """
    found = []
    for _ in range(rounds + 1):
        taken = [_seconds(work, clock) for work in (ours, reference)]
        found.append(taken[0] / taken[1])
    return found[1:]


def _seconds(work: Callable[[], object], clock: Clock) -> float:
    begun = clock()
    work()
    return clock() - begun
