"""PhantomFacts: a universe of PhantomWiki, as facts that queries are evaluated over.

In: the ground facts of ``facts.pl`` and the articles. Out: `hopgym.worlds.facts.Facts`. What
holds follows from the facts alone, by the rules of PhantomWiki's ``rules_base.pl``; what shows it
is read off the articles' own lines ("The sisters of X are A, B."). A fact that no line states has
evidence that nothing shows.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

from hopgym.benchmarks.file_source import question_search
from hopgym.benchmarks.phantomwiki.articles import PLURALS, Articles
from hopgym.benchmarks.phantomwiki.prolog import REQUIRED, Fact
from hopgym.documents import Document
from hopgym.errors import DataError, did_you_mean
from hopgym.tasks import Evidence
from hopgym.worlds.relations import KIN, UNIONS, Schema

K = TypeVar("K", bound=Hashable)
V = TypeVar("V", bound=Hashable)

_GENDERED = {
    "mother": ("parent", "female"), "father": ("parent", "male"),
    "daughter": ("child", "female"), "son": ("child", "male"),
    "wife": ("spouse", "female"), "husband": ("spouse", "male"),
    "sister": ("sibling", "female"), "brother": ("sibling", "male"),
    "other_parent": ("parent", None), "other_child": ("child", None),
    "other_spouse": ("spouse", None), "other_sibling": ("sibling", None),
}  # fmt: skip
"""Relation to what it is a part of and the gender it is for; no page has a word for the others."""

_UNIONS = {name: (*parts, f"other_{name}") for name, parts in UNIONS.items()} | {
    "sibling": ("sister", "brother", "other_sibling")
}
_RELATIONS = frozenset({*PLURALS, *_UNIONS, *KIN})

_FUNCTIONAL = frozenset({"mother", "father", "wife", "husband"})
_MANY = frozenset({"friend", *_GENDERED}) - _FUNCTIONAL
_ATTRIBUTES = ("dob", "job", "hobby", "gender")
_LISTED_BY_SPOUSE = frozenset({"son", "daughter", "child"})


class PhantomFacts:
    """A universe and its articles; implements `hopgym.worlds.facts.Facts`.

    People of one name are one entity, as in Prolog. An attribute that somebody has several
    values of is a relation here, whose values are entities behind the people.

    Args:
        facts: The facts, in any order, doubled or not.
        documents: The articles.
    """

    def __init__(self, facts: Iterable[Fact], documents: Sequence[Document]) -> None:
        self._values = _by_predicate(facts)
        self._names = list(_people(self._values))
        self._entities = {name: i for i, name in enumerate(self._names)}
        self.people = range(len(self._names))
        """The entities that are people."""
        self._parents = self._related("parent")
        self._children = _inverse(self._parents)
        self._friends = _both_ways(self._related("friend_"))
        self.attributes = {
            name: self._of_people(values)
            for name, values in self._values.items()
            if name in _ATTRIBUTES or self._is_attribute(name, values)
        }
        """Attribute to person to values."""
        self._holders = {name: _inverse(values) for name, values in self.attributes.items()}
        several = {n for n, values in self.attributes.items() if _any_several(values)}
        self._literals = self._add_literals(sorted(several))
        self.relations = frozenset({*_RELATIONS, *several})
        """What questions may follow."""
        self.schema = Schema(_FUNCTIONAL | several, _MANY, _UNIONS, KIN)
        """What relations there are."""
        self._pages: dict[tuple[str, int], Evidence] = {}
        self._articles = Articles(documents, self.attributes)
        self.couples_share_children = all(map(self._shares_children, self._children))
        """Whether nobody has children with one person and others alone or with another."""

    def entity(self, name: str, /) -> int:
        """Return the entity of a name; `DataError` for an unknown one."""
        entity = self._entities.get(name)
        if entity is None:
            hint = did_you_mean(name, self._entities)
            raise DataError(f"expected a person of facts.pl, got {name!r}{hint}")
        return entity

    def name(self, entity: int, /) -> str:
        """Return the name of an entity."""
        return self._names[entity]

    def stated(self, relation: str, entity: int, /) -> Sequence[int]:
        """Return the values of a relation with a word of its own, in the order of the facts."""
        if relation == "friend":
            return self._friends.get(entity, ())
        if relation in self._literals:
            values = self.attributes[relation].get(entity, ())
            return tuple(self._literals[relation][value] for value in values)
        kind, gender = _GENDERED[relation]
        genders = self.attributes.get("gender", {})
        return tuple(
            person
            for person in self._kin(kind, entity)
            if (gender in genders.get(person, ()))
            or (gender is None and not {"female", "male"} & {*genders.get(person, ())})
        )

    def attribute(self, attribute: str, entity: int, /) -> str | None:
        """Return the value of an attribute, or None."""
        values = self.attributes[attribute].get(entity, ())
        return values[0] if values else None

    def having(self, attribute: str, value: str, /) -> Sequence[int]:
        """Return the people that have a value of an attribute, in the order of the facts."""
        return self._holders[attribute].get(value, ())

    def sentence(self, relation: str, entity: int, value: int, /) -> Evidence:
        """Return the evidence that a relation holds: the sentence that lists that value alone."""
        fact = f"{_of(relation, self.name(entity))} is {self.name(value)}"
        own = self.schema.unions.get(relation, (relation,))
        shown_by = self._articles.listing(self.name(entity), own, self.name(value))
        return Evidence(fact, shown_by)

    def page(self, relation: str, entity: int, /) -> Evidence:
        """Return the evidence that a relation leads just where it does: a whole page.

        Where all couples have their children together, those stand on either one's page.
        """
        known = self._pages.get((relation, entity))
        if known is None:
            known = self._pages[relation, entity] = self._page(relation, entity)
        return known

    def attribute_sentence(self, attribute: str, entity: int, /, *, entry: bool) -> Evidence:
        """Return the evidence for an attribute's value; an entry declares a search for it.

        Nothing shows which one of several values is meant.
        """
        value = self.attributes[attribute][entity][0]
        fact = f"{_of(attribute, self.name(entity))} is {value}"
        if attribute in self._literals:
            return Evidence(fact, ())
        shown_by = self._articles.listing(self.name(entity), (attribute,), value)
        return Evidence(fact, shown_by, question_search(value) if entry else None)

    def absence(self, attribute: str, entity: int, /) -> Evidence:
        """Return the evidence that an entity has no value of an attribute: its whole page."""
        shown_by = self._articles.listing_all(self.name(entity), {attribute: ()})
        return Evidence(f"no {attribute} of {self.name(entity)}", shown_by)

    def _page(self, relation: str, entity: int) -> Evidence:
        pages = [entity]
        if self.couples_share_children and relation in _LISTED_BY_SPOUSE:
            pages += self._kin("spouse", entity)
        own = self.schema.unions.get(relation, (relation,))
        values = {part: [*map(self.name, self.stated(part, entity))] for part in own}
        shown_by = (self._articles.listing_all(self.name(page), values) for page in pages)
        fact = f"all of {_of(relation, self.name(entity))}"
        return Evidence(fact, tuple(place for places in shown_by for place in places))

    def _kin(self, kind: str, entity: int) -> tuple[int, ...]:
        parents, children = self._parents, self._children
        if kind == "parent":
            return parents.get(entity, ())
        if kind == "child":
            return children.get(entity, ())
        there, back = (parents, children) if kind == "sibling" else (children, parents)
        reached = _merged(back[person] for person in there.get(entity, ()))
        return tuple(person for person in reached if person != entity)

    def _shares_children(self, entity: int) -> bool:
        spouses, children = self._kin("spouse", entity), set(self._children[entity])
        return not spouses or (len(spouses) == 1 and set(self._children[spouses[0]]) == children)

    def _is_attribute(self, name: str, values: Mapping[str, Sequence[str]]) -> bool:
        known = name in REQUIRED or name in _RELATIONS or name == "type"
        return not known and any(subject in self._entities for subject in values)

    def _of_people(self, values: Mapping[str, tuple[str, ...]]) -> dict[int, tuple[str, ...]]:
        known = self._entities
        return {known[name]: found for name, found in values.items() if name in known}

    def _related(self, predicate: str) -> dict[int, tuple[int, ...]]:
        return {
            self._entities[name]: tuple(self._entities[value] for value in values)
            for name, values in self._values.get(predicate, {}).items()
        }

    def _add_literals(self, attributes: Sequence[str]) -> dict[str, dict[str, int]]:
        literals: dict[str, dict[str, int]] = {}
        for attribute in attributes:
            values = _merged(self.attributes[attribute].values())
            literals[attribute] = {v: len(self._names) + i for i, v in enumerate(values)}
            self._names += values
        return literals


def _by_predicate(facts: Iterable[Fact]) -> dict[str, dict[str, tuple[str, ...]]]:
    """Return predicate to subject to values, each once, in the order of the facts."""
    found: dict[str, dict[str, dict[str, None]]] = {}
    for fact in facts:
        found.setdefault(fact.predicate, {}).setdefault(fact.subject, {})[fact.value] = None
    return {p: {s: tuple(v) for s, v in subjects.items()} for p, subjects in found.items()}


def _people(values: Mapping[str, Mapping[str, Sequence[str]]]) -> dict[str, None]:
    people: dict[str, None] = {}
    people.update((s, None) for s, kinds in values.get("type", {}).items() if "person" in kinds)
    for predicate in REQUIRED:
        for subject, others in values.get(predicate, {}).items():
            people[subject] = None
            if predicate in ("parent", "friend_"):
                people.update(dict.fromkeys(others))
    return people


def _inverse(related: Mapping[K, Sequence[V]]) -> dict[V, tuple[K, ...]]:
    found: dict[V, list[K]] = {}
    for entity, values in related.items():
        for value in values:
            found.setdefault(value, []).append(entity)
    return {value: tuple(entities) for value, entities in found.items()}


def _both_ways(related: Mapping[K, Sequence[K]]) -> dict[K, tuple[K, ...]]:
    back = _inverse(related)
    return {e: _merged((related.get(e, ()), back.get(e, ()))) for e in {**related, **back}}


def _merged(parts: Iterable[Iterable[V]]) -> tuple[V, ...]:
    return tuple(dict.fromkeys(value for part in parts for value in part))


def _any_several(values: Mapping[int, Sequence[str]]) -> bool:
    return any(len(found) > 1 for found in values.values())


def _of(name: str, entity: str) -> str:
    return f"{name.replace('_', ' ')} of {entity}"
