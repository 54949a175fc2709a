"""The interface between a world and the evaluator: its facts, and where its pages state them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, product, zip_longest
from typing import Protocol

from hopgym.tasks import MAX_PROOFS, Evidence, Hop
from hopgym.worlds.relations import Schema

Proofs = tuple[tuple[Evidence, ...], ...]
"""Alternatives, each a tuple of evidence that is needed together; empty if there are over 8."""

NOTHING_NEEDED: Proofs = ((),)


class Facts(Protocol):
    """The facts of a world, and the evidence on its pages for them; entities are numbers."""

    @property
    def schema(self) -> Schema:
        """The relations of the world."""

    def entity(self, name: str, /) -> int:
        """Return the entity with a name; `DataError` for an unknown one."""

    def name(self, entity: int, /) -> str:
        """Return the name of an entity."""

    def stated(self, relation: str, entity: int, /) -> Sequence[int]:
        """Return the values of a stated relation, in the order of the page."""

    def attribute(self, attribute: str, entity: int, /) -> str | None:
        """Return the value of an attribute, or None if the entity has none."""

    def having(self, attribute: str, value: str, /) -> Sequence[int]:
        """Return the entities with a value of an attribute, in order."""

    def sentence(self, relation: str, entity: int, value: int, /) -> Evidence:
        """Return the evidence that a stated relation holds between two entities."""

    def page(self, relation: str, entity: int, /) -> Evidence:
        """Return the evidence for the complete list of values of a stated relation."""

    def attribute_sentence(self, attribute: str, entity: int, /, *, entry: bool) -> Evidence:
        """Return the evidence for an attribute's value.

        Args:
            attribute: Its name.
            entity: An entity that has it.
            entry: Whether a question starts from the value, so that the evidence declares the
                search that finds it.
        """

    def absence(self, attribute: str, entity: int, /) -> Evidence:
        """Return the evidence that an entity has no value of an attribute."""


@dataclass(frozen=True, slots=True)
class QueryResult:
    """The answers of a query with their proofs."""

    values: tuple[str, ...]
    """All answers: names of entities, or literal values."""
    entities: tuple[int, ...] = ()
    """The entities that the values name; empty for literal values."""
    hops: tuple[Hop, ...] = ()
    proofs: Proofs = NOTHING_NEEDED
    """1 to 8 alternatives; empty if there are more."""


def combine(*parts: Proofs) -> Proofs:
    """Return the alternatives that prove all parts, each evidence once; empty if over 8."""
    if all(len(part) == 1 for part in parts):
        # Most parts have one proof; joining all at once keeps thousands of them in linear time.
        return (tuple(dict.fromkeys(chain.from_iterable(part[0] for part in parts))),)
    combined = parts[0]
    for part in parts[1:]:
        joined = (tuple(dict.fromkeys((*a, *b))) for a, b in product(combined, part))
        combined = _minimal(joined)
        if len(combined) > MAX_PROOFS:
            return ()
    return combined


def _minimal(proofs: Iterable[tuple[Evidence, ...]]) -> Proofs:
    """Return the proofs that contain no other proof, each once, in their order."""
    sets = {frozenset(proof): proof for proof in reversed(tuple(proofs))}
    minimal = [proof for facts, proof in sets.items() if not any(other < facts for other in sets)]
    return tuple(reversed(minimal))


def merge_hops(left: Sequence[Hop], right: Sequence[Hop]) -> tuple[Hop, ...]:
    """Return the hops of two parallel branches, merged pairwise; as long as the longer branch."""
    merged = []
    for a, b in zip_longest(left, right):
        pair = [hop for hop in (a, b) if hop is not None]
        answers = tuple(dict.fromkeys(answer for hop in pair for answer in hop.answers))
        merged.append(Hop("; ".join(hop.text for hop in pair), answers))
    return tuple(merged)
