"""What an evaluator needs of a world: its facts, and where its pages state them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, product, zip_longest
from typing import Protocol

from hopgym.tasks import MAX_PROOFS, Evidence, Hop
from hopgym.worlds.relations import Schema

Proofs = tuple[tuple[Evidence, ...], ...]
"""Alternatives, each a tuple of evidence all of which is needed; none when over 8."""

NOTHING_NEEDED: Proofs = ((),)


class Facts(Protocol):
    """What a world knows and where its pages state it; entities are numbers."""

    @property
    def schema(self) -> Schema:
        """What relations there are."""

    def entity(self, name: str, /) -> int:
        """Return the entity of a name; `DataError` for an unknown one."""

    def name(self, entity: int, /) -> str:
        """Return the name of an entity."""

    def stated(self, relation: str, entity: int, /) -> Sequence[int]:
        """Return the values of a stated relation, in page order."""

    def attribute(self, attribute: str, entity: int, /) -> str | None:
        """Return the value of an attribute, or None."""

    def having(self, attribute: str, value: str, /) -> Sequence[int]:
        """Return the entities that have a value of an attribute, in order."""

    def sentence(self, relation: str, entity: int, value: int, /) -> Evidence:
        """Return the evidence that a relation pages state holds between two entities."""

    def page(self, relation: str, entity: int, /) -> Evidence:
        """Return the evidence that a relation pages state has its values and no others."""

    def attribute_sentence(self, attribute: str, entity: int, /, *, entry: bool) -> Evidence:
        """Return the evidence for an attribute's value; an entry's declares its search."""

    def absence(self, attribute: str, entity: int, /) -> Evidence:
        """Return the evidence that an entity has no value of an attribute."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a query leads to."""

    values: tuple[str, ...]
    """The complete answers: names of entities, or literal values."""
    entities: tuple[int, ...] = ()
    """The entities that the values name; empty for literal values."""
    hops: tuple[Hop, ...] = ()
    proofs: Proofs = NOTHING_NEEDED
    """1 to 8 alternatives; empty when there are more."""


def combine(*parts: Proofs) -> Proofs:
    """Return the alternatives that prove all parts, each evidence once; none when over 8."""
    if all(len(part) == 1 for part in parts):
        # Most parts have one way; joined at once, thousands of them take linear time.
        return (tuple(dict.fromkeys(chain.from_iterable(part[0] for part in parts))),)
    combined = parts[0]
    for part in parts[1:]:
        joined = (tuple(dict.fromkeys((*a, *b))) for a, b in product(combined, part))
        combined = _least(joined)
        if len(combined) > MAX_PROOFS:
            return ()
    return combined


def _least(proofs: Iterable[tuple[Evidence, ...]]) -> Proofs:
    """Return the proofs that hold no other one, each once, in their order."""
    sets = {frozenset(proof): proof for proof in reversed(tuple(proofs))}
    least = [proof for held, proof in sets.items() if not any(other < held for other in sets)]
    return tuple(reversed(least))


def merge_hops(left: Sequence[Hop], right: Sequence[Hop]) -> tuple[Hop, ...]:
    """Return the hops of two branches side by side, as many as the longer one has."""
    merged = []
    for a, b in zip_longest(left, right):
        pair = [hop for hop in (a, b) if hop is not None]
        answers = tuple(dict.fromkeys(answer for hop in pair for answer in hop.answers))
        merged.append(Hop("; ".join(hop.text for hop in pair), answers))
    return tuple(merged)
