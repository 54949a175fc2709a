"""The query algebra, its evaluator over a hand-written world, and the relations of kin."""

import re
from collections.abc import Sequence
from dataclasses import fields
from itertools import permutations

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
    kinds = (Query.node_types[name] for name in sorted({*Query.node_types} - {"Name", "Having"}))
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


find = Evaluator(HandFacts()).evaluate


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
    # Twice over: what reads both parents for one of them holds what reads one, and is no proof.
    both = read("Intersect(Ada.child.sibling, Bo.child.sibling)")
    assert find(both).values == ("Dee", "Cy") and len(find(both).proofs) == 4
    # Two ways for Fay make eight, two more for Jo sixteen.
    assert len(find(read("Intersect(Ada.child.sibling, Fay.sibling)")).proofs) == 8
    four = read("Intersect(Ada.child.sibling, Intersect(Fay.sibling, Jo.sibling))")
    assert find(four).proofs == ()
    assert find(Follow("friend", four)).proofs == ()


def test_no_proof_holds_another() -> None:
    for query in ("Ada.child.sibling", "Intersect(Ada.child.sibling, Bo.child.sibling)"):
        proofs = [frozenset(proof) for proof in find(read(query)).proofs]
        assert not any(one <= other for one, other in permutations(proofs, 2))
