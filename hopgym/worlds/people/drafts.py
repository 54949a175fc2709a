"""Drafts: what questions are before they are asked."""

from dataclasses import dataclass

from hopgym.worlds.people.vocabulary import SCHEMA
from hopgym.worlds.queries import Query


@dataclass(frozen=True, slots=True)
class Draft:
    """A query to be asked, and the paths that no other question may lie on."""

    query: Query
    paths: tuple[tuple[str, ...], ...]


def is_countable(relation: str) -> bool:
    """Return whether the number of a relation's values can be anything."""
    return not SCHEMA.single(relation) and not is_ancestral(relation)


def is_ancestral(relation: str) -> bool:
    """Return whether a relation leads to ancestors, of whom everybody knows the same number."""
    return {"mother", "father"}.issuperset(SCHEMA.stated_by(relation))
