"""The accumulator against sums in plain Python, which estimated a run's figures before."""

import random
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest

from hopgym.evaluation.accumulator import Accumulator
from hopgym.evaluation.bootstrap import Estimates, Ratio, estimate_all

NAMES = ("right", "share", "never")


@dataclass(frozen=True)
class Row:
    kind: str
    ratios: tuple[tuple[str, Ratio], ...]

    def by_name(self) -> Mapping[str, Ratio]:
        return dict(self.ratios)


Episode = tuple[str, int, int, Row]


def episodes(count: int) -> list[Episode]:
    """Some episodes in no order: task, its index, sample and row, thirds among the numbers."""
    rng = random.Random(count)
    found = []
    for index in range(count):
        kind = rng.choice("abc")
        for sample in range(rng.randint(1, 4)):
            right = ("right", (float(rng.random() < 0.4), 1.0))
            share = ("share", (rng.randint(0, 3) / 3, float(rng.randint(0, 2))))
            row = Row(kind, (right, share) if rng.random() < 0.9 else (right,))
            found.append((f"task {rng.choice('äb😀')}{index}", index, sample, row))
    tasks = {index: task for task, index, _, _ in found}
    found = [(tasks[index], index, sample, row) for _, index, sample, row in found]
    rng.shuffle(found)
    return found


def plainly(some: list[Episode]) -> Estimates:
    return estimate_all([each[0] for each in some], [each[3].by_name() for each in some], NAMES)


@pytest.fixture(scope="module")
def some() -> list[Episode]:
    return episodes(300)


def entered(some: list[Episode], *, named: bool = True) -> Accumulator[Row]:
    accumulator = Accumulator[Row]()
    for number, (task, index, sample, row) in enumerate(some):
        accumulator.add(index, sample, row, task=task if named else "", number=number)
    return accumulator


def test_figures_are_the_same_to_the_last_bit(some: list[Episode]) -> None:
    by_name = sorted(some, key=lambda each: (each[0], each[2]))
    found = entered(some).ordered()
    assert found.estimates(Row.by_name, NAMES) == plainly(by_name)
    by_kind = dict(found.grouped(lambda row: row.kind))
    assert list(by_kind) == ["a", "b", "c"]
    for kind, part in by_kind.items():
        wanted = plainly([each for each in by_name if each[3].kind == kind])
        assert part.estimates(Row.by_name, NAMES) == wanted
        assert part.estimates(Row.by_name, NAMES) == found.where(
            lambda row, kind=kind: row.kind == kind
        ).estimates(Row.by_name, NAMES)


def test_without_names_tasks_are_ordered_by_index(some: list[Episode]) -> None:
    found = entered(some, named=False).ordered()
    by_index = sorted(some, key=lambda each: each[1:3])
    assert found.estimates(Row.by_name, NAMES) == plainly(by_index)
    assert [some[int(number)] for number in found.numbers] == by_index


def test_firsts_and_values(some: list[Episode]) -> None:
    accumulator = entered(some)
    found = accumulator.ordered()
    assert len(accumulator) == len(some) and found.task_count == 300
    firsts = found.firsts()
    by_name = sorted((each for each in some if each[2] == 0), key=lambda each: each[0])
    assert [some[int(number)] for number in firsts.numbers] == by_name
    assert list(firsts.tasks) == list(range(300))
    right = firsts.values(lambda row: row.by_name()["right"][0])
    assert list(right) == [each[3].by_name()["right"][0] for each in by_name]


def test_an_empty_ledger() -> None:
    found = Accumulator[Row]().ordered()
    assert found.task_count == 0 and not list(found.grouped(lambda row: row.kind))
    assert found.estimates(Row.by_name, NAMES) == dict.fromkeys(NAMES)
    assert found.firsts().values(lambda row: 1.0).dtype == np.float64
