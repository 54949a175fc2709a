"""A universe of PhantomWiki as facts that queries are evaluated over.

The facts of ``facts.pl`` alone decide what holds, by the rules of PhantomWiki's ``rules_base.pl``.
The lines of the articles decide what shows it; a fact that no line states has evidence without a
place.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

from hopgym.benchmarks.file_source import question_search
from hopgym.benchmarks.phantomwiki.articles import PLURALS, Articles
from hopgym.benchmarks.phantomwiki.prolog import REQUIRED, PrologFact
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
"""The general relation and the gender of each relation. Pages have no noun for relations whose
gender is None."""

_UNIONS = {name: (*parts, f"other_{name}") for name, parts in UNIONS.items()} | {
    "sibling": ("sister", "brother", "other_sibling")
}
_RELATIONS = frozenset({*PLURALS, *_UNIONS, *KIN})

_FUNCTIONAL = frozenset({"mother", "father", "wife", "husband"})
_SEVERAL = frozenset({"friend", *_GENDERED}) - _FUNCTIONAL
_ATTRIBUTES = ("dob", "job", "hobby", "gender")
_LISTED_BY_SPOUSE = frozenset({"son", "daughter", "child"})


class PhantomFacts:
    """A universe and its articles; implements `hopgym.worlds.facts.Facts`.

    People with the same name are one entity, as in Prolog. An attribute of which somebody has
    several values is a relation here, and its values are entities numbered after the people.

    Args:
        facts: The facts, in any order; repeated facts are allowed.
        documents: The articles.
    """

    def __init__(self, facts: Iterable[PrologFact], documents: Sequence[Document]) -> None:
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
        """Values by attribute and person."""
        self._holders = {name: _inverse(values) for name, values in self.attributes.items()}
        several = {n for n, values in self.attributes.items() if _any_several(values)}
        self._literals = self._add_literals(sorted(several))
        self.relations = frozenset({*_RELATIONS, *several})
        """The relations that questions may follow."""
        self.schema = Schema(_FUNCTIONAL | several, _SEVERAL, _UNIONS, KIN)
        """The kinds of relations."""
        self._pages: dict[tuple[str, int], Evidence] = {}
        self._articles = Articles(documents, self.attributes)
        self.couples_share_children = all(map(self._shares_children, self._children))
        """Whether two people with a common child always have all their children in common."""

    def entity(self, name: str, /) -> int:
        """Return the entity with a name; `DataError` if it is unknown."""
        entity = self._entities.get(name)
        if entity is None:
            hint = did_you_mean(name, self._entities)
            raise DataError(f"expected a person of facts.pl, got {name!r}{hint}")
        return entity

    def name(self, entity: int, /) -> str:
        """Return the name of an entity."""
        return self._names[entity]

    def stated(self, relation: str, entity: int, /) -> Sequence[int]:
        """Return the values of a relation that is not a union, in the order of the facts."""
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
        """Return the people with a value of an attribute, in the order of the facts."""
        return self._holders[attribute].get(value, ())

    def sentence(self, relation: str, entity: int, value: int, /) -> Evidence:
        """Return the evidence that a relation holds: the sentence that lists only that value."""
        fact = f"{_of(relation, self.name(entity))} is {self.name(value)}"
        predicates = self.schema.unions.get(relation, (relation,))
        shown_by = self._articles.listing(self.name(entity), predicates, self.name(value))
        return Evidence(fact, shown_by)

    def page(self, relation: str, entity: int, /) -> Evidence:
        """Return the evidence for all values of a relation: a full page.

        If all couples share their children, the page of either parent shows them.
        """
        evidence = self._pages.get((relation, entity))
        if evidence is None:
            evidence = self._pages[relation, entity] = self._page(relation, entity)
        return evidence

    def attribute_sentence(self, attribute: str, entity: int, /, *, entry: bool) -> Evidence:
        """Return the evidence for the value of an attribute.

        No place shows which of several values is meant.

        Args:
            attribute: The attribute.
            entity: The person.
            entry: Whether the value is the start of a question, so that a search for it counts.
        """
        value = self.attributes[attribute][entity][0]
        fact = f"{_of(attribute, self.name(entity))} is {value}"
        if attribute in self._literals:
            return Evidence(fact, ())
        shown_by = self._articles.listing(self.name(entity), (attribute,), value)
        return Evidence(fact, shown_by, question_search(value) if entry else None)

    def absence(self, attribute: str, entity: int, /) -> Evidence:
        """Return the evidence that an entity has no value of an attribute: its full page."""
        shown_by = self._articles.listing_all(self.name(entity), {attribute: ()})
        return Evidence(f"no {attribute} of {self.name(entity)}", shown_by)

    def _page(self, relation: str, entity: int) -> Evidence:
        pages = [entity]
        if self.couples_share_children and relation in _LISTED_BY_SPOUSE:
            pages += self._kin("spouse", entity)
        predicates = self.schema.unions.get(relation, (relation,))
        values = {part: [*map(self.name, self.stated(part, entity))] for part in predicates}
        shown_by = (self._articles.listing_all(self.name(page), values) for page in pages)
        fact = f"all of {_of(relation, self.name(entity))}"
        return Evidence(fact, tuple(place for places in shown_by for place in places))

    def _kin(self, kind: str, entity: int) -> tuple[int, ...]:
        if kind == "parent":
            return self._parents.get(entity, ())
        if kind == "child":
            return self._children.get(entity, ())
        # Siblings are the children of one's parents, spouses the parents of one's children.
        forth = self._parents if kind == "sibling" else self._children
        back = self._children if kind == "sibling" else self._parents
        reached = _merged(back[person] for person in forth.get(entity, ()))
        return tuple(person for person in reached if person != entity)

    def _shares_children(self, entity: int) -> bool:
        spouses = self._kin("spouse", entity)
        children = set(self._children[entity])
        return not spouses or (len(spouses) == 1 and set(self._children[spouses[0]]) == children)

    def _is_attribute(self, name: str, values: Mapping[str, Sequence[str]]) -> bool:
        is_known = name in REQUIRED or name in _RELATIONS or name == "type"
        return not is_known and any(subject in self._entities for subject in values)

    def _of_people(self, values: Mapping[str, tuple[str, ...]]) -> dict[int, tuple[str, ...]]:
        return {
            self._entities[name]: person_values
            for name, person_values in values.items()
            if name in self._entities
        }

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


def _by_predicate(facts: Iterable[PrologFact]) -> dict[str, dict[str, tuple[str, ...]]]:
    """Return the values by predicate and subject, each once, in the order of the facts."""
    values: dict[str, dict[str, dict[str, None]]] = {}
    for fact in facts:
        values.setdefault(fact.predicate, {}).setdefault(fact.subject, {})[fact.value] = None
    return {p: {s: tuple(v) for s, v in subjects.items()} for p, subjects in values.items()}


def _people(values: Mapping[str, Mapping[str, Sequence[str]]]) -> dict[str, None]:
    people: dict[str, None] = {}
    people.update((s, None) for s, kinds in values.get("type", {}).items() if "person" in kinds)
    for predicate in REQUIRED:
        for subject, objects in values.get(predicate, {}).items():
            people[subject] = None
            if predicate in ("parent", "friend_"):
                people.update(dict.fromkeys(objects))
    return people


def _inverse(related: Mapping[K, Sequence[V]]) -> dict[V, tuple[K, ...]]:
    inverse: dict[V, list[K]] = {}
    for entity, values in related.items():
        for value in values:
            inverse.setdefault(value, []).append(entity)
    return {value: tuple(entities) for value, entities in inverse.items()}


def _both_ways(related: Mapping[K, Sequence[K]]) -> dict[K, tuple[K, ...]]:
    back = _inverse(related)
    return {e: _merged((related.get(e, ()), back.get(e, ()))) for e in {**related, **back}}


def _merged(parts: Iterable[Iterable[V]]) -> tuple[V, ...]:
    return tuple(dict.fromkeys(value for part in parts for value in part))


def _any_several(values: Mapping[int, Sequence[str]]) -> bool:
    return any(len(person_values) > 1 for person_values in values.values())


def _of(name: str, entity: str) -> str:
    return f"{name.replace('_', ' ')} of {entity}"
