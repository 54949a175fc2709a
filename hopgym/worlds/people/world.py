"""A world of people with its pages, as facts that queries are evaluated over."""

from collections.abc import Sequence

import numpy as np

from hopgym.documents import Corpus
from hopgym.tasks import Evidence
from hopgym.worlds.evaluator import Evaluator
from hopgym.worlds.people.pages import PeoplePages
from hopgym.worlds.people.population import NOBODY
from hopgym.worlds.people.universe import Universe
from hopgym.worlds.people.vocabulary import Vocabulary
from hopgym.worlds.relations import Schema

_STATED_BY_OTHER = {
    "parent": ("son", "daughter"),
    "child": ("mother", "father"),
    "spouse": ("husband", "wife"),
    "friend": ("friend",),
    "home_town": ("resident",),
    "resident": ("home_town",),
    "employer": ("employee",),
    "employee": ("employer",),
    "founder": ("company",),
    "company": ("founder",),
}
"""Relation to the relations whose sentence on the other entity's page states it too."""

_LISTED_BY_SPOUSE = frozenset({"son", "daughter", "child"})


class PeopleWorld:
    """A universe and its pages; implements `hopgym.worlds.facts.Facts`.

    Args:
        universe: The entities and their facts.
        vocabulary: The relations and attributes of pages and questions.
        style: Page style, ``prose`` or ``brief``.
        rng: Source of the variation between pages.
    """

    def __init__(
        self, universe: Universe, vocabulary: Vocabulary, style: str, rng: np.random.Generator
    ) -> None:
        self.universe = universe
        self.vocabulary = vocabulary
        self.pages = PeoplePages(universe, vocabulary.stated, style, rng)
        self.corpus = Corpus(self.pages, "world")
        self.evaluator = Evaluator(self)

    @property
    def schema(self) -> Schema:
        """The relations of the world, stated and derived."""
        return self.vocabulary.schema

    def entity(self, name: str, /) -> int:
        """Return the entity with a name; `DataError` for an unknown one."""
        return self.universe.entity(name)

    def name(self, entity: int, /) -> str:
        """Return the name of an entity."""
        return self.universe.name(entity)

    def stated(self, relation: str, entity: int, /) -> Sequence[int]:
        """Return the values of a stated relation, in the order of the page."""
        return self.universe.related(relation, entity)

    def attribute(self, attribute: str, entity: int, /) -> str | None:
        """Return the value of an attribute, or None if it does not apply."""
        return self.universe.literal(attribute, entity)

    def having(self, attribute: str, value: str, /) -> Sequence[int]:
        """Return the people with a value of an attribute, in order."""
        return self.universe.having(attribute, value)

    def sentence(self, relation: str, entity: int, value: int, /) -> Evidence:
        """Return the evidence that a relation holds: any sentence that states it by itself."""
        relations = self.schema.unions.get(relation, (relation,))
        inverses = _STATED_BY_OTHER.get(relation, ())
        shown_by = [
            *self._stating(relations, entity, value),
            *self._stating(inverses, value, entity),
        ]
        fact = f"{_of(relation, self.name(entity))} is {self.name(value)}"
        return Evidence(fact, tuple(shown_by))

    def page(self, relation: str, entity: int, /) -> Evidence:
        """Return the evidence for all values of a relation: a whole page.

        Couples have their children together, so the page of either spouse lists them.
        """
        pages = [entity]
        spouse = self._spouse(entity) if relation in _LISTED_BY_SPOUSE else NOBODY
        if spouse != NOBODY and {"husband", "wife"} <= self.vocabulary.stated:
            pages.append(spouse)
        shown_by = tuple(
            (self.universe.document_id(page), None) for page in pages if self.pages.layout(page)
        )
        return Evidence(f"all of {_of(relation, self.name(entity))}", shown_by)

    def attribute_sentence(self, attribute: str, entity: int, /, *, entry: bool) -> Evidence:
        """Return the evidence for an attribute's value; for an ``entry`` with its search."""
        value = self.universe.values(attribute, entity)[0]
        shown_by = tuple(self._stating((attribute,), entity, value))
        fact = f"{_of(attribute, self.name(entity))} is {value}"
        return Evidence(fact, shown_by, ("search", str(value)) if entry else None)

    def absence(self, attribute: str, entity: int, /) -> Evidence:
        """Return the evidence that an entity has no value of an attribute: its whole page."""
        return Evidence(
            f"no {attribute} of {self.name(entity)}",
            ((self.universe.document_id(entity), None),),
        )

    def _stating(
        self, names: Sequence[str], entity: int, value: int | str
    ) -> list[tuple[str, int | None]]:
        if not self.vocabulary.stated.intersection(names):
            return []
        layout = self.pages.layout(entity)
        document = self.universe.document_id(entity)
        indexes = (layout.get((name, value)) for name in names)
        return [(document, index) for index in indexes if index is not None]

    def _spouse(self, entity: int) -> int:
        spouses = self.universe.people.spouse
        return spouses[entity] if entity < len(spouses) else NOBODY


def _of(name: str, entity: str) -> str:
    return f"{name.replace('_', ' ')} of {entity}"
