"""The derived relations of kin are those that PhantomWiki's rules define."""

import re

import numpy as np
import pytest

from hopgym.worlds.evaluator import Evaluator
from hopgym.worlds.people.vocabulary import SCHEMA

# PhantomWiki's rules_base.pl and rules_derived.pl (MIT), as read. Of two names for one rule the
# first asks for a woman and the second for a man in the place of Y.
RULES = """
sibling: parent X A, parent Y A, X!=Y; sister/brother: sibling X Y; mother/father: parent X Y;
child: parent Y X; daughter/son: child X Y; married: parent A X, parent A Y, X!=Y; wife/husband:
married X Y; niece/nephew: sibling X A, child A Y; aunt/uncle: parent X A, sibling A Y; grandparent:
parent X A, parent A Y; grandmother/grandfather: grandparent X Y; grandchild: grandparent Y X;
granddaughter/grandson: grandchild X Y; great_grandparent: grandparent X A, parent A Y;
great_aunt/great_uncle: grandparent X A, sibling A Y; great_grandmother/great_grandfather:
great_grandparent X Y; great_grandchild: great_grandparent Y X; great_granddaughter/great_grandson:
great_grandchild X Y; second_aunt/second_uncle: great_grandparent X A, sibling A Y; cousin: parent X
A, parent Y B, sibling A B, X!=Y; female_cousin/male_cousin: cousin X Y;
female_second_cousin/male_second_cousin: parent X A, parent Y B, cousin A B, X!=Y;
female_first_cousin_once_removed/male_first_cousin_once_removed: cousin X A, child A Y, X!=Y;
mother_in_law/father_in_law: married X A, parent A Y; sister_in_law/brother_in_law: married X A,
sibling A Y; daughter_in_law/son_in_law: child X A, married A Y;
"""
Pairs = set[tuple[int, int]]


def pairs_by_the_rules(parent: Pairs, women: set[int]) -> dict[str, Pairs]:
    """Return the pairs of each relation, found by trying all that the rules allow."""
    known = {"parent": parent}
    for names, body in re.findall(r"([\w/]+):\s(.+?);", RULES, re.DOTALL):
        tried: list[dict[str, int]] = [{}]
        for relation, one, two in re.findall(r"(\w+)\s(\w)\s(\w)", body):
            facts = [{one: a, two: b} for a, b in known[relation]]
            tried = [old | new for old in tried for new in facts if new | old == old | new]
        found = {(t["X"], t["Y"]) for t in tried if "!=" not in body or t["X"] != t["Y"]}
        if "/" in names:
            woman, names = names.split("/")
            known[woman] = {(x, y) for x, y in found if y in women}
            found -= known[woman]
        known[names] = found
    return known


class RandomFamily:
    """Parents drawn among all who are older, so that kin marry and half-siblings are born."""

    schema = SCHEMA

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        parent: Pairs = set()
        for child in range(8, 40):
            if rng.random() < 0.8:
                mother, father = rng.integers(max(0, child // 2 - 6), child // 2, size=2).tolist()
                parent |= {(child, 2 * mother), (child, 2 * father + 1)}
        self.pairs = pairs_by_the_rules(parent, set(range(0, 40, 2)))

    def stated(self, relation: str, entity: int, /) -> list[int]:
        return sorted(y for x, y in self.pairs[relation] if x == entity)


@pytest.mark.parametrize("seed", range(3))
def test_kin_are_those_of_the_rules(seed: int) -> None:
    family = RandomFamily(seed)
    evaluator = Evaluator(family)  # type: ignore[arg-type]  # following asks for no more
    names = sorted({*family.pairs} - {"married"})
    assert len(names) == 44
    for name in names:
        assert len(family.pairs[name]) > 2, f"{name} is not put to the test"
        reached = [(x, y) for x in range(40) for y in evaluator.follow(name, x)]
        assert len(reached) == len(set(reached)) and set(reached) == family.pairs[name], name
