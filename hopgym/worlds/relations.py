"""Derived family relations, defined by the relations that pages state.

A derived relation is either a union of stated relations or a path of relations followed one after
the other. The definitions are those of PhantomWiki's ``rules_base.pl`` and ``rules_derived.pl``
(Gong et al. 2025, arXiv 2502.20377).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

UNIONS: Mapping[str, tuple[str, ...]] = {
    "parent": ("mother", "father"),
    "child": ("son", "daughter"),
    "spouse": ("husband", "wife"),
}

SIBLINGS: Mapping[str, tuple[str, ...]] = {
    "sibling": ("parent", "child"),
    "brother": ("parent", "son"),
    "sister": ("parent", "daughter"),
}

KIN: Mapping[str, tuple[str, ...]] = {
    "grandparent": ("parent", "parent"),
    "grandmother": ("parent", "mother"),
    "grandfather": ("parent", "father"),
    "grandchild": ("child", "child"),
    "granddaughter": ("child", "daughter"),
    "grandson": ("child", "son"),
    "aunt": ("parent", "sister"),
    "uncle": ("parent", "brother"),
    "niece": ("sibling", "daughter"),
    "nephew": ("sibling", "son"),
    "mother_in_law": ("spouse", "mother"),
    "father_in_law": ("spouse", "father"),
    "sister_in_law": ("spouse", "sister"),
    "brother_in_law": ("spouse", "brother"),
    "daughter_in_law": ("child", "wife"),
    "son_in_law": ("child", "husband"),
    "great_grandparent": ("grandparent", "parent"),
    "great_grandmother": ("grandparent", "mother"),
    "great_grandfather": ("grandparent", "father"),
    "great_grandchild": ("grandchild", "child"),
    "great_granddaughter": ("grandchild", "daughter"),
    "great_grandson": ("grandchild", "son"),
    "great_aunt": ("grandparent", "sister"),
    "great_uncle": ("grandparent", "brother"),
    "cousin": ("parent", "sibling", "child"),
    "female_cousin": ("parent", "sibling", "daughter"),
    "male_cousin": ("parent", "sibling", "son"),
    "female_first_cousin_once_removed": ("cousin", "daughter"),
    "male_first_cousin_once_removed": ("cousin", "son"),
    "second_aunt": ("great_grandparent", "sister"),
    "second_uncle": ("great_grandparent", "brother"),
    "female_second_cousin": ("parent", "cousin", "daughter"),
    "male_second_cousin": ("parent", "cousin", "son"),
}

IRREFLEXIVE = frozenset({*SIBLINGS, *(name for name in KIN if "cousin" in name)})
"""Relations that nobody has to themselves, although their paths lead back to the start."""


@dataclass(frozen=True, slots=True)
class Schema:
    """The relations of a world, and how the derived ones follow from those that pages state.

    Args:
        functional: Stated relations with at most one value.
        multi_valued: Stated relations with any number of values.
        unions: Relation to the stated relations it unites; pages list the values of all of them.
        paths: Relation to the relations that are followed one after the other.
    """

    functional: frozenset[str]
    multi_valued: frozenset[str]
    unions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    paths: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def _is_stated(self, relation: str) -> bool:
        return relation in self.functional or relation in self.multi_valued

    def direct(self, relation: str) -> bool:
        """Return whether pages state the relation, as itself or as a union."""
        return (
            relation in self.functional or relation in self.multi_valued or relation in self.unions
        )

    def stated_by(self, relation: str) -> tuple[str, ...]:
        """Return the stated relations that define a relation, each once."""
        if self._is_stated(relation):
            return (relation,)
        steps = self.unions.get(relation) or self.paths[relation]
        return tuple(dict.fromkeys(s for step in steps for s in self.stated_by(step)))

    def single(self, relation: str) -> bool:
        """Return whether the relation has at most one value in every world."""
        if relation in self.paths:
            return all(self.single(step) for step in self.paths[relation])
        return relation in self.functional or relation == "spouse"
