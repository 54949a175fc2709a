"""A ledger of episodes: what each adds to metrics, in a few numbers.

In: task, sample and a row for each episode. Out: estimates over all or some of them. Rows that are
equal are kept once, as few of many episodes differ, so that what grows with a run are arrays of
numbers alone: about 60 bytes an episode.
"""

import math
import mmap
from array import array
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from hopgym.evaluation.bootstrap import ABSENT, Estimates, Ratio, estimates_of

R = TypeVar("R", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Ordered(Generic[R]):
    """Episodes in the order of their tasks, those of a task in the order of their samples."""

    rows: tuple[R, ...]
    """The different ones."""
    codes: NDArray[np.int32]
    """By episode, which of `rows` it adds."""
    tasks: NDArray[np.int32]
    """By episode, the number of its task, from 0 on without gaps."""
    numbers: NDArray[np.uint64]
    """By episode, what `Ledger.add` was given."""

    @property
    def task_count(self) -> int:
        """How many tasks there are."""
        return int(self.tasks[-1]) + 1 if len(self.tasks) else 0

    def where(self, wanted: Callable[[R], bool]) -> "Ordered[R]":
        """Return the episodes whose rows are wanted."""
        return self._chosen(np.array([wanted(row) for row in self.rows], np.bool_)[self.codes])

    def grouped(self, label: Callable[[R], str]) -> "Iterator[tuple[str, Ordered[R]]]":
        """Yield each label of the rows, in order, with the episodes that have it."""
        labels = np.array([label(row) for row in self.rows], np.object_)
        for name in sorted(set(labels)):
            yield name, self._chosen((labels == name)[self.codes])

    def firsts(self) -> "Ordered[R]":
        """Return the first attempt at each task."""
        return self._chosen(_begins(self.tasks))

    def values(self, value: Callable[[R], float]) -> NDArray[np.float64]:
        """Return a value of each episode's row."""
        return np.array([value(row) for row in self.rows], np.float64)[self.codes]

    def estimates(
        self,
        ratios: Callable[[R], Mapping[str, Ratio]],
        names: Iterable[str],
        counts: Collection[str] = (),
    ) -> Estimates:
        """Return the estimate of each named metric.

        Args:
            ratios: What a row adds, by metric; a missing name adds nothing.
            names: The metrics wanted.
            counts: Those of them that are no shares in [0, 1].
        """
        columns = list(names)
        added = [ratios(row) for row in self.rows]
        sums = _zeros(self.task_count, 2, len(columns))  # numerator and denominator
        for i, name in enumerate(columns):
            parts = np.array([each.get(name, ABSENT) for each in added]).reshape(-1, 2)
            for part in (0, 1):
                weights = parts[self.codes, part]
                sums[:, part, i] = np.bincount(self.tasks, weights, self.task_count)
        return estimates_of(sums, columns, counts)

    def _chosen(self, mask: NDArray[np.bool_]) -> "Ordered[R]":
        used, codes = np.unique(self.codes[mask], return_inverse=True)
        rows = tuple(self.rows[code] for code in used)
        return Ordered(
            rows, codes.astype(np.int32), _numbered(self.tasks[mask]), self.numbers[mask]
        )


class Ledger(Generic[R]):
    """Takes in episodes one at a time, in any order."""

    def __init__(self) -> None:
        self._rows: dict[R, int] = {}
        self._codes, self._numbers = array("i"), array("Q")
        self._indices, self._samples = array("q"), array("i")
        self._names, self._lengths = bytearray(), array("i")

    def __len__(self) -> int:
        """Return the number of episodes."""
        return len(self._codes)

    def add(self, index: int, sample: int, row: R, *, task: str = "", number: int = 0) -> None:
        """Take in an episode.

        Args:
            index: Of its task.
            sample: Number of the attempt.
            row: What it adds.
            task: Name of the task. Tasks are ordered by their names, those of one name by index.
            number: In [0, 2**64): what is the episode's own and would make no two rows equal.
        """
        name = task.encode("utf-8", "surrogatepass")
        self._indices.append(index)
        self._samples.append(sample)
        self._names += name
        self._lengths.append(len(name))
        self._codes.append(self._rows.setdefault(row, len(self._rows)))
        self._numbers.append(number)

    def ordered(self) -> Ordered[R]:
        """Return what was taken in."""
        indices = np.array(self._indices, np.int64)
        order = np.lexsort((np.array(self._samples, np.int32), indices))
        order = order[np.argsort(self._padded_names()[order], kind="stable")]
        codes, numbers = np.array(self._codes, np.int32), np.array(self._numbers, np.uint64)
        return Ordered(tuple(self._rows), codes[order], _numbered(indices[order]), numbers[order])

    def _padded_names(self) -> NDArray[Any]:
        """Return the names as an array of bytes, which sort as their texts do."""
        lengths = np.array(self._lengths, np.int64)
        width = max(1, int(lengths.max(initial=0)))
        padded = np.zeros((len(lengths), width), np.uint8)
        padded[np.arange(width) < lengths[:, None]] = np.frombuffer(bytes(self._names), np.uint8)
        return padded.view(f"S{width}").ravel()


def _zeros(*shape: int) -> NDArray[np.float64]:
    """Return zeros that go back to the system with the array; after large ones malloc keeps all."""
    count = math.prod(shape)
    return np.frombuffer(mmap.mmap(-1, 8 * count + 1), np.float64, count).reshape(shape)


def _begins(tasks: NDArray[Any]) -> NDArray[np.bool_]:
    """Return of each episode whether the one before it is at another task, or there is none."""
    begins = np.ones(len(tasks), np.bool_)
    begins[1:] = tasks[1:] != tasks[:-1]
    return begins


def _numbered(tasks: NDArray[Any]) -> NDArray[np.int32]:
    """Return the number of each episode's task, in the order in which they come."""
    return (np.cumsum(_begins(tasks)) - 1).astype(np.int32)
