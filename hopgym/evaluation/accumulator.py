"""Accumulates what each episode adds to the metrics, in about 60 bytes per episode.

Many episodes add the same values, so equal rows are stored once; only arrays of numbers grow with
the number of episodes.
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
class OrderedRows(Generic[R]):
    """The rows of episodes, sorted by task and within a task by sample."""

    rows: tuple[R, ...]
    """The distinct rows."""
    codes: NDArray[np.int32]
    """``(episodes,)``: the index into `rows` of each episode."""
    tasks: NDArray[np.int32]
    """``(episodes,)``: the number of each episode's task, consecutive from 0."""
    numbers: NDArray[np.uint64]
    """``(episodes,)``: the ``number`` passed to `Accumulator.add`."""

    @property
    def task_count(self) -> int:
        """The number of tasks."""
        return int(self.tasks[-1]) + 1 if len(self.tasks) else 0

    def where(self, condition: Callable[[R], bool]) -> "OrderedRows[R]":
        """Return the episodes whose rows satisfy a condition."""
        return self._select(np.array([condition(row) for row in self.rows], np.bool_)[self.codes])

    def grouped(self, label: Callable[[R], str]) -> "Iterator[tuple[str, OrderedRows[R]]]":
        """Yield each label, in sorted order, with the episodes whose rows have it."""
        labels = np.array([label(row) for row in self.rows], np.object_)
        for name in sorted(set(labels)):
            yield name, self._select((labels == name)[self.codes])

    def firsts(self) -> "OrderedRows[R]":
        """Return the first attempt at each task."""
        return self._select(_task_starts(self.tasks))

    def values(self, value: Callable[[R], float]) -> NDArray[np.float64]:
        """Return a value per episode, computed from its row: ``(episodes,)``."""
        return np.array([value(row) for row in self.rows], np.float64)[self.codes]

    def estimates(
        self,
        ratios: Callable[[R], Mapping[str, Ratio]],
        names: Iterable[str],
        counts: Collection[str] = (),
    ) -> Estimates:
        """Return the estimate of each named metric.

        Args:
            ratios: Returns what a row adds, by metric; a missing name adds nothing.
            names: The metrics to estimate.
            counts: Those of them that are means of counts rather than shares in [0, 1].
        """
        columns = list(names)
        row_ratios = [ratios(row) for row in self.rows]
        sums = _mapped_zeros(self.task_count, 2, len(columns))  # numerators and denominators
        for i, name in enumerate(columns):
            parts = np.array([added.get(name, ABSENT) for added in row_ratios]).reshape(-1, 2)
            for part in (0, 1):
                weights = parts[self.codes, part]
                sums[:, part, i] = np.bincount(self.tasks, weights, self.task_count)
        return estimates_of(sums, columns, counts)

    def _select(self, mask: NDArray[np.bool_]) -> "OrderedRows[R]":
        used, codes = np.unique(self.codes[mask], return_inverse=True)
        rows = tuple(self.rows[code] for code in used)
        tasks = _consecutive(self.tasks[mask])
        return OrderedRows(rows, codes.astype(np.int32), tasks, self.numbers[mask])


class Accumulator(Generic[R]):
    """Accumulates the rows of episodes, added one at a time and in any order."""

    def __init__(self) -> None:
        self._rows: dict[R, int] = {}
        self._codes = array("i")
        self._numbers = array("Q")
        self._indices = array("q")
        self._samples = array("i")
        # Task names lie in one buffer: a list of strings would cost over 50 bytes per episode.
        self._names = bytearray()
        self._name_lengths = array("i")

    def __len__(self) -> int:
        """Return the number of episodes."""
        return len(self._codes)

    def add(self, index: int, sample: int, row: R, *, task: str = "", number: int = 0) -> None:
        """Add an episode.

        Args:
            index: Index of its task.
            sample: Number of the attempt, from 0.
            row: What the episode adds to the metrics.
            task: Name of the task. Tasks are ordered by name, equal names by index.
            number: In [0, 2**64): a value of this episode alone, stored apart from the row because
                it would make all rows distinct.
        """
        name = task.encode("utf-8", "surrogatepass")
        self._indices.append(index)
        self._samples.append(sample)
        self._names += name
        self._name_lengths.append(len(name))
        self._codes.append(self._rows.setdefault(row, len(self._rows)))
        self._numbers.append(number)

    def ordered(self) -> OrderedRows[R]:
        """Return all episodes, sorted by task and sample."""
        indices = np.array(self._indices, np.int64)
        order = np.lexsort((np.array(self._samples, np.int32), indices))
        order = order[np.argsort(self._padded_names()[order], kind="stable")]
        codes = np.array(self._codes, np.int32)
        numbers = np.array(self._numbers, np.uint64)
        tasks = _consecutive(indices[order])
        return OrderedRows(tuple(self._rows), codes[order], tasks, numbers[order])

    def _padded_names(self) -> NDArray[Any]:
        """Return the names as a bytes array; UTF-8 bytes sort like the strings they encode."""
        lengths = np.array(self._name_lengths, np.int64)
        width = max(1, int(lengths.max(initial=0)))
        padded = np.zeros((len(lengths), width), np.uint8)
        padded[np.arange(width) < lengths[:, None]] = np.frombuffer(bytes(self._names), np.uint8)
        return padded.view(f"S{width}").ravel()


def _mapped_zeros(*shape: int) -> NDArray[np.float64]:
    """Return zeros in a memory map of their own.

    The map is returned to the system with the array; malloc would retain the memory of large
    arrays for the process.
    """
    count = math.prod(shape)
    return np.frombuffer(mmap.mmap(-1, 8 * count + 1), np.float64, count).reshape(shape)


def _task_starts(tasks: NDArray[Any]) -> NDArray[np.bool_]:
    """Return a mask of the episodes that are the first of their task."""
    starts = np.ones(len(tasks), np.bool_)
    starts[1:] = tasks[1:] != tasks[:-1]
    return starts


def _consecutive(tasks: NDArray[Any]) -> NDArray[np.int32]:
    """Renumber the tasks from 0 in the order in which they occur."""
    return (np.cumsum(_task_starts(tasks)) - 1).astype(np.int32)
