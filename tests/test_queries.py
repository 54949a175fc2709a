"""The query algebra, its evaluator over a hand-written world, and the relations of kin."""

import re
from collections.abc import Sequence
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hopgym.errors import DataError
from hopgym.tasks import Evidence, Hop
from hopgym.worlds.evaluator import Evaluator
from hopgym.worlds.people.vocabulary import SCHEMA
from hopgym.worlds.queries import Follow, Having, Name, Query

_texts = st.text(max_size=12)
_leaves = st.builds(Name, _texts) | st.builds(Having, _texts, _texts)


def _grow(inner: st.SearchStrategy[Query]) -> st.SearchStrategy[Query]:
    kinds = (Query.kinds[name] for name in sorted({*Query.kinds} - {"Name", "Having"}))
    parts = ((kind, [_texts if f.type is str else inner for f in fields(kind)]) for kind in kinds)
    return st.one_of(*(st.builds(kind, *given) for kind, given in parts))


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.recursive(_leaves, _grow, max_leaves=8))
def test_every_query_reads_back(query: Query) -> None:
    again = Query.parse(str(query))
    assert again == query and type(again) is type(query)
    assert str(again) == str(query) and again.hops == query.hops


@settings(derandomize=True, deadline=None)
@given(st.text(alphabet="NameFolw()',\"\\ 1[]{}:.*\n\0", max_size=30))
def test_any_text_is_a_query_or_a_data_error(text: str) -> None:
    try:
        query = Query.parse(text)
    except DataError:
        return
    assert Query.parse(str(query)) == query


BAD = """
Name | Name() | Name('a', 'b') | Name(name='a') | Name(1) | Name(b'a') | Query() | name('a')
Follow('mother', 'Ada') | Follow(Name('a'), Name('b')) | Name('a') + Name('b') | Name('a'
Name('a'); Name('b') | Name(*'a') | Name(f'{1}') | __import__('os') | Name.mro() | x.Name('a')
Having('job', None) | Attribute('job') | Compare('older', 'born', Name('a')) | Member('a', 'b')
"""
DEEP = "Follow('f', " * 5_000 + "Name('a')" + ")" * 5_000
TEXTS = ("", " ", "\0", DEEP, *re.split(r" \| |\n", BAD.strip()))


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_malformed_texts_are_data_errors(text: str) -> None:
    with pytest.raises(DataError, match="expected a query such as"):
        Query.parse(text)


def read(text: str) -> Query:
    """Return a query from its text, in which Cy.mother stands for the mother of the name Cy."""

    def spell(match: re.Match[str]) -> str:
        name, *relations = match[0].split(".")
        opened = "".join(f"Follow('{relation}', " for relation in reversed(relations))
        return f"{opened}Name('{name}')" + ")" * len(relations)

    return Query.parse(re.sub(r"\b[A-Z][a-z]+\b(?!\()[.\w]*", spell, text))


def rows(table: str) -> list[tuple[str, ...]]:
    lines = (row for line in table.splitlines() for row in line.split("#")[0].split(";"))
    return [tuple(cell.strip() for cell in line.split("|")) for line in lines if line.strip()]


# The longest branch counts; a filter reads the attribute one hop behind the candidates.
HOPS = """
Ada | 0 ; Having('job', 'baker') | 1 ; Follow('friend', Having('job', 'baker')) | 2
Attribute('job', Cy.mother.friend) | 3 ; Count('son', Cy.mother) | 2
Intersect(Cy.mother.friend, Ada.son) | 2 ; Intersect(Cy.mother.friend, Having('job', 'baker')) | 3
Compare('older', 'born', Ada, Cy) | 1 ; Compare('larger', 'son', Ada.friend.son, Cy.mother) | 3
Compare('same', 'job', Having('hobby', 'chess'), Cy) | 2
Superlative('oldest', 'born', Cy.mother.son) | 3 ; Member(Ada, Cy.mother.friend) | 2
"""


@pytest.mark.parametrize(("query", "hops"), rows(HOPS))
def test_hops_are_those_of_the_longest_branch(query: str, hops: str) -> None:
    assert read(query).hops == int(hops)


# Ada and Bo have Cy and Dee, Cy and Eve have Fay, Gus and Ida have Jo. Dee has no job.
PEOPLE = ("Ada", "Bo", "Cy", "Dee", "Eve", "Fay", "Gus", "Ida", "Jo")
TABLE = """
mother | Cy Ada | Dee Ada | Fay Eve | Jo Ida ; father | Cy Bo | Dee Bo | Fay Cy | Jo Gus
husband | Ada Bo | Eve Cy | Ida Gus ; wife | Bo Ada | Cy Eve | Gus Ida
son | Ada Cy | Bo Cy ; daughter | Ada Dee | Bo Dee | Cy Fay | Eve Fay | Gus Jo | Ida Jo
friend | Cy Gus Jo | Gus Cy | Jo Cy
born | Ada 1920 | Bo 1918 | Cy 1942 | Dee 1945 | Eve 1943 | Fay 1965 | Gus 1930 | Ida 1930 | Jo 1960
job | Ada baker | Bo smith | Cy baker | Eve clerk | Fay smith | Gus clerk | Ida tailor | Jo baker
"""
STATED = {name: {c.split()[0]: c.split()[1:] for c in cells} for name, *cells in rows(TABLE)}


class HandFacts:
    """Facts written by hand; an evidence is named so that proofs can be read."""

    schema = SCHEMA

    def entity(self, name: str, /) -> int:
        if name not in PEOPLE:
            raise DataError(f"expected a name of this world, got {name!r}")
        return PEOPLE.index(name)

    def name(self, entity: int, /) -> str:
        return PEOPLE[entity]

    def stated(self, relation: str, entity: int, /) -> Sequence[int]:
        return [PEOPLE.index(n) for n in STATED[relation].get(PEOPLE[entity], [])]

    def attribute(self, attribute: str, entity: int, /) -> str | None:
        return next(iter(STATED[attribute].get(PEOPLE[entity], [])), None)

    def having(self, attribute: str, value: str, /) -> Sequence[int]:
        return [i for i in range(len(PEOPLE)) if self.attribute(attribute, i) == value]

    def sentence(self, relation: str, entity: int, value: int, /) -> Evidence:
        return Evidence(f"{relation} {PEOPLE[entity]} {PEOPLE[value]}", ((PEOPLE[entity], 0),))

    def page(self, relation: str, entity: int, /) -> Evidence:
        return Evidence(f"{relation} {PEOPLE[entity]} *", ((PEOPLE[entity], None),))

    def attribute_sentence(self, attribute: str, entity: int, /, *, entry: bool) -> Evidence:
        (value,) = STATED[attribute][PEOPLE[entity]]
        call = ("search", value) if entry else None
        return Evidence(f"{attribute} {PEOPLE[entity]} {value}", ((PEOPLE[entity], 1),), call)

    absence = page


find = Evaluator(HandFacts()).find


CASES = """
# A functional relation with a value: its sentence. Many-valued, or without a value: the page.
Cy.mother | Ada | mother Cy Ada ; Ada.mother | | mother Ada * ; Cy.friend | Gus Jo | friend Cy *
Jo.friend | Cy | friend Jo *
# Unions: a spouse is one at most, parents are two, children any number.
Cy.spouse | Eve | spouse Cy Eve ; Dee.spouse | | spouse Dee * ; Cy.parent | Ada Bo | parent Cy *
Ada.child | Cy Dee | child Ada *
# An entity is reached once: both children of Ada have the same mother.
Ada.child.mother | Ada | child Ada *, mother Cy Ada, mother Dee Ada
# Siblings: either parent's page, and who the parent is; without parents, that there are none.
Cy.sibling | Dee | parent Cy Ada, child Ada * | parent Cy Bo, child Bo *
Dee.sister | | parent Dee Ada, daughter Ada * | parent Dee Bo, daughter Bo *
Ada.brother | | parent Ada *
# Derived kin unfold: the parents, then each one's mother; Eve's page says that she has none.
Fay.grandmother | Ada | parent Fay *, mother Eve *, mother Cy Ada
Eve.mother_in_law | Ada | spouse Eve Cy, mother Cy Ada
Ada.daughter_in_law | Eve | child Ada *, wife Cy Eve, wife Dee *
Dee.male_cousin | | parent Dee *, parent Ada *, parent Bo *
# A count of none is 0, and needs the page like any other; siblings of nobody are none, too.
Count('son', Dee) | 0 | son Dee * ; Count('brother', Ada) | 0 | parent Ada *
Count('child', Cy.mother) | 2 | mother Cy Ada, child Ada *
Count('child', Cy.friend) | 1 0 | friend Cy *, child Gus *, child Jo *
# Attributes of each; Dee has no job, which her whole page shows.
Attribute('job', Ada.child) | baker | child Ada *, job Cy baker, job Dee *
Having('job', 'smith') | Bo Fay | job Bo smith, job Fay smith
# Filters, superlatives and comparisons read the attribute of every candidate.
Intersect(Cy.friend, Having('job', 'baker')) | Jo | friend Cy *, job Gus clerk, job Jo baker
Intersect(Ada.child, Having('job', 'smith')) | | child Ada *, job Cy baker, job Dee *
Intersect(Ada.child, Jo.friend) | Cy | child Ada *, friend Jo *
Superlative('youngest', 'born', Ada.child) | Dee | child Ada *, born Cy 1942, born Dee 1945
Compare('older', 'born', Cy, Cy.wife) | Cy | wife Cy Eve, born Cy 1942, born Eve 1943
Compare('larger', 'child', Gus, Ada) | Ada | child Gus *, child Ada *
Compare('smaller', 'friend', Cy, Ada) | Ada | friend Cy *, friend Ada *
Compare('same', 'job', Cy, Gus) | no | job Cy baker, job Gus clerk
Compare('same', 'mother', Cy, Dee) | yes | mother Cy Ada, mother Dee Ada
# A membership that holds needs its one sentence, a denied one the whole page.
Member(Jo, Cy.friend) | yes | friend Cy Jo ; Member(Ada, Cy.friend) | no | friend Cy *
Member(Dee.mother, Eve.husband.parent) | yes | mother Dee Ada, husband Eve Cy, parent Cy Ada
"""


@pytest.mark.parametrize("row", rows(CASES), ids=lambda row: row[0])
def test_answers_and_proofs(row: tuple[str, ...]) -> None:
    query, values, *proofs = row
    found = find(read(query))
    assert found.values == tuple(values.split())
    named = [", ".join(fact.fact for fact in proof) for proof in found.proofs]
    assert sorted(named) == sorted(proofs)


def test_an_entry_declares_its_search_and_nothing_else_does() -> None:
    proofs = find(read("Attribute('born', Having('job', 'tailor'))")).proofs
    assert [[fact.call for fact in proof] for proof in proofs] == [[("search", "tailor"), None]]


def test_hops_hold_the_answers_on_the_way() -> None:
    chain = (Hop("father of Fay", ("Cy",)), Hop("friend of Cy", ("Gus", "Jo")))
    assert find(read("Fay.father.friend")).hops == chain
    compared = find(read("Compare('older', 'born', Cy.wife, Dee.mother)"))
    assert [hop.answers for hop in compared.hops] == [("Eve", "Ada"), ("1943", "1920")]


NO_RESULT = """
# Ties (Jo's parents were both born in 1930), one candidate, nobody, two on one side.
Superlative('oldest', 'born', Jo.parent) ; Compare('older', 'born', Gus, Ida)
Compare('larger', 'child', Gus, Ida) ; Compare('smaller', 'child', Ida, Gus)
Superlative('oldest', 'born', Gus.child) ; Superlative('oldest', 'born', Fay.child)
Compare('older', 'born', Ada.child, Ada)
# Dee has no job, no page states a mother of Ada, or siblings.
Compare('same', 'job', Ada, Dee) ; Compare('same', 'mother', Ada, Cy) ; Member(Dee, Cy.sibling)
Member(Ada, Ada) ; Member(Ada, Ada.child.friend) ; Zed
"""


@pytest.mark.parametrize("row", rows(NO_RESULT), ids=lambda row: row[0])
def test_what_has_no_unique_result_is_a_data_error(row: tuple[str]) -> None:
    query = read(row[0])
    with pytest.raises(DataError):
        find(query)


def test_more_than_eight_proofs_are_none() -> None:
    # Either parent's page for Cy, either for Dee: four proofs.
    assert len(find(read("Ada.child.sibling")).proofs) == 4
    # Twice over: for each of the two Ada, Bo or both, which makes nine sets of evidence.
    both = read("Intersect(Ada.child.sibling, Bo.child.sibling)")
    assert find(both).values == ("Dee", "Cy") and find(both).proofs == ()
    assert find(Follow("friend", both)).proofs == ()


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
