"""Derived family relations: what each is made of.

The definitions are those of PhantomWiki's ``rules_base.pl`` and ``rules_derived.pl`` (Gong et al.
2025, arXiv 2502.20377), written as paths over the relations that pages state. A derived relation
is either a union of stated ones or a path, followed step by step; both are data.
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

NEVER_ONESELF = frozenset({*SIBLINGS, *(name for name in KIN if "cousin" in name)})
"""Relations that nobody has to themselves, although the path would lead back."""


@dataclass(frozen=True, slots=True)
class Schema:
    """Which relations there are and how those not stated come from those that are.

    Args:
        functional: Stated relations of at most one value.
        many: Stated relations of any number of values.
        unions: Relation to the stated ones it is the union of; pages list all of them together.
        paths: Relation to the relations followed one after the other.
    """

    functional: frozenset[str]
    many: frozenset[str]
    unions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    paths: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def direct(self, relation: str) -> bool:
        """Return whether pages state the relation, by itself or as a union."""
        return relation in self.functional or relation in self.many or relation in self.unions

    def stated_by(self, relation: str) -> tuple[str, ...]:
        """Return the stated relations that a relation unfolds into, each once."""
        if relation in self.functional or relation in self.many:
            return (relation,)
        steps = self.unions.get(relation) or self.paths[relation]
        return tuple(dict.fromkeys(s for step in steps for s in self.stated_by(step)))

    def single(self, relation: str) -> bool:
        """Return whether the relation never has more than one value."""
        if relation in self.paths:
            return all(self.single(step) for step in self.paths[relation])
        return relation in self.functional or relation == "spouse"
