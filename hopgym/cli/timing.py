"""What the rows of ``hopgym bench`` are made of: timed work, medians, figures."""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One figure."""

    name: str
    value: float
    unit: str
    bound: str
    """What it should be, as ``>= 1.5`` of ratio or value; empty where there is no bound."""
    ratio: float | None = None
    """How many times the peer; None without one."""
    peer: str = ""


Measure = Callable[[int], Iterator[Row]]
"""From a number of rounds to figures."""


def median(rounds: int, timed: Callable[[], float]) -> float:
    """Return the median of what several rounds give."""
    return statistics.median(timed() for _ in range(rounds))


def seconds(work: Callable[[], object]) -> float:
    """Return how long some work takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
