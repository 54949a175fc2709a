"""Kinds, hops and the targets of counts are drawn from equal shares."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from hopgym.worlds.people.settings import KINDS, QuestionSettings, WorldSettings
from hopgym.worlds.people.source import PeopleSource


def assert_fair(counts: Counter[Any], cells: Sequence[Any]) -> None:
    wanted = sum(counts[cell] for cell in cells) / len(cells)
    shares = {cell: counts[cell] for cell in cells}
    assert all(abs(n - wanted) < 4 * wanted**0.5 for n in shares.values()), (wanted, shares)


@pytest.mark.parametrize("fewest", [1, 2])
def test_kinds_hops_and_targets_have_equal_shares(fewest: int) -> None:
    kinds, hops, counts = Counter[str](), Counter[tuple[str, int]](), Counter[str]()
    asked = QuestionSettings(kinds=KINDS, hops=(fewest, 4))
    source = PeopleSource(WorldSettings(size=100), asked)
    for question in (source[i].question for i in range(5_000)):
        kinds[question.kind] += 1
        hops[question.kind, len(question.hops)] += 1
        counts.update(question.answers if question.kind == "count" else ())
    for kind in KINDS:
        # Several side by side are compared, so they lie one hop off: no superlative is nearer.
        nearest = 2 if kind == "superlative" else fewest
        assert_fair(hops, [(kind, number) for number in range(nearest, 5)])
    assert_fair(counts, ["0", "1", "2", "3"])
    assert_fair(kinds, KINDS)
