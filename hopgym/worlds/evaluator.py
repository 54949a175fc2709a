"""Answers and proofs of queries, by set propagation over a world's facts.

In: a query and `Facts`. Out: the complete answer set and, by the proof rule of worlds, the
alternatives that prove it. The rule: a relation of at most one value needs the sentence that
states it; any other, or one without a value, needs the whole page that lists it; derived
relations unfold into stated ones; siblings may be read off either parent's page; superlatives,
counts and filters need the attribute of every candidate; a membership needs its one sentence when
it holds and the whole page when it does not.
"""

from collections.abc import Iterable, Sequence

from hopgym.errors import DataError
from hopgym.tasks import Hop
from hopgym.worlds.facts import NOTHING_NEEDED, Facts, Found, Proofs, combine, merge_hops
from hopgym.worlds.queries import (
    Attribute,
    Compare,
    Count,
    Follow,
    Having,
    Intersect,
    Member,
    Name,
    Query,
    Superlative,
)
from hopgym.worlds.relations import NEVER_ONESELF

_LATEST = frozenset({"youngest", "younger", "larger"})


class Evaluator:
    """Evaluates queries over one world's facts, remembering where relations lead.

    Args:
        facts: The world.
    """

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self._followed: dict[tuple[str, int], tuple[int, ...]] = {}
        self._proven: dict[tuple[str, int], Proofs] = {}
        self._remembers = 100_000

    def follow(self, relation: str, entity: int) -> tuple[int, ...]:
        """Return what a relation, stated or derived, leads to from an entity; each once."""
        key = (relation, entity)
        found = self._followed.get(key)
        if found is None:
            if len(self._followed) >= self._remembers:
                self._followed.clear()
            found = self._followed[key] = self._follow(relation, entity)
        return found

    def find(self, query: Query) -> Found:
        """Return the complete answers of a query, hop by hop, with its proofs.

        Raises:
            DataError: When the query names what the world does not have, or compares what has
                no unique result.
        """
        match query:
            case Name(name):
                entity = self.facts.entity(name)
                return Found((self.facts.name(entity),), (entity,))
            case Having(attribute, value):
                return self._having(attribute, value)
            case Follow(relation, of):
                return self._follow_all(relation, self.find(of))
            case Attribute(attribute, of):
                return self._attributes(attribute, self.find(of))
            case Count(relation, of):
                return self._count(relation, self.find(of))
            case Intersect(left, Having(attribute, value)):
                return self._filter(attribute, value, self.find(left))
            case Intersect(left, right):
                return self._intersect(self.find(left), self.find(right))
            case Compare(op, by, left, right):
                return self._compare(op, by, self.find(left), self.find(right))
            case Superlative(op, by, of):
                return self._superlative(op, by, self.find(of))
            case Member(member, of):
                return self._member(self.find(member), of)
        raise DataError(f"expected a query, got {query!r}")

    def ends(self, query: Query, known: dict[int, tuple[int, ...]]) -> tuple[int, ...]:
        """Return the entities that a query finds, without hops and proofs.

        Args:
            query: What is asked.
            known: Ends of parts of the same query by the parts' ``id``; it is added to.
        """
        found = known.get(id(query))
        if found is None:
            if isinstance(query, Follow):
                reached = (self.follow(query.relation, e) for e in self.ends(query.of, known))
                found = tuple(dict.fromkeys(v for values in reached for v in values))
            else:
                found = self.find(query).entities
            known[id(query)] = found
        return found

    def _follow(self, relation: str, entity: int) -> tuple[int, ...]:
        schema = self.facts.schema
        if relation in schema.unions:
            parts = (self.facts.stated(part, entity) for part in schema.unions[relation])
            return tuple(dict.fromkeys(value for part in parts for value in part))
        if relation not in schema.paths:
            return tuple(self.facts.stated(relation, entity))
        reached: tuple[int, ...] = (entity,)
        for step in schema.paths[relation]:
            reached = tuple(dict.fromkeys(v for e in reached for v in self.follow(step, e)))
        if relation in NEVER_ONESELF:
            reached = tuple(e for e in reached if e != entity)
        return reached

    def _proofs(self, relation: str, entity: int) -> Proofs:
        """Return what proves that the relation leads from the entity just where it does."""
        key = (relation, entity)
        proofs = self._proven.get(key)
        if proofs is None:
            if len(self._proven) >= self._remembers:
                self._proven.clear()
            proofs = self._proven[key] = self._prove(relation, entity)
        return proofs

    def _prove(self, relation: str, entity: int) -> Proofs:
        schema, facts = self.facts.schema, self.facts
        if relation in schema.paths:
            return self._path_proofs(relation, entity)
        values = self.follow(relation, entity)
        if len(values) == 1 and schema.single(relation):
            return ((facts.sentence(relation, entity, values[0]),),)
        return ((facts.page(relation, entity),),)

    def _path_proofs(self, relation: str, entity: int) -> Proofs:
        steps = self.facts.schema.paths[relation]
        if relation in ("sibling", "brother", "sister"):
            either = self._either_parent(steps[1], entity)
            if either:
                return either
        proofs: Proofs = NOTHING_NEEDED
        reached: tuple[int, ...] = (entity,)
        for step in steps:
            proofs = combine(proofs, *(self._proofs(step, e) for e in reached))
            reached = tuple(dict.fromkeys(v for e in reached for v in self.follow(step, e)))
        return proofs

    def _either_parent(self, children: str, entity: int) -> Proofs:
        """Return proofs through one parent each; none where the parents' children differ."""
        parents = self.follow("parent", entity)
        listed = {frozenset(self.follow(children, parent)) for parent in parents}
        if len(listed) != 1:
            return ()
        ways = (
            combine(((self.facts.sentence("parent", entity, p),),), self._proofs(children, p))
            for p in parents
        )
        return tuple(proof for way in ways for proof in way)

    def _having(self, attribute: str, value: str) -> Found:
        entities = tuple(self.facts.having(attribute, value))
        names = self._names(entities)
        shown = tuple(self.facts.attribute_sentence(attribute, e, entry=True) for e in entities)
        hop = Hop(f"{_words(attribute)} is {value}", names)
        return Found(names, entities, (hop,), (shown,))

    def _follow_all(self, relation: str, base: Found) -> Found:
        reached = (self.follow(relation, e) for e in base.entities)
        entities = tuple(dict.fromkeys(v for values in reached for v in values))
        proofs = combine(base.proofs, *(self._proofs(relation, e) for e in base.entities))
        names = self._names(entities)
        hop = Hop(f"{_words(relation)} of {', '.join(base.values)}", names)
        return Found(names, entities, (*base.hops, hop), proofs)

    def _count(self, relation: str, base: Found) -> Found:
        counts = (str(len(self.follow(relation, e))) for e in base.entities)
        proofs = combine(base.proofs, *(self._proofs(relation, e) for e in base.entities))
        hops = (*base.hops, self._counted(relation, base.entities, base.values))
        return Found(tuple(dict.fromkeys(counts)), (), hops, proofs)

    def _counted(self, relation: str, entities: Iterable[int], names: Sequence[str]) -> Hop:
        """Return the hop to all that is counted; the numbers themselves stand on no page."""
        reached = dict.fromkeys(v for e in entities for v in self.follow(relation, e))
        return Hop(f"all {_words(relation)} of {', '.join(names)}", self._names(reached))

    def _attributes(self, attribute: str, base: Found) -> Found:
        values = (self.facts.attribute(attribute, e) for e in base.entities)
        answers = tuple(dict.fromkeys(v for v in values if v is not None))
        hop = Hop(f"{_words(attribute)} of {', '.join(base.values)}", answers)
        proofs = combine(base.proofs, self._attribute_proofs(attribute, base.entities))
        return Found(answers, (), (*base.hops, hop), proofs)

    def _attribute_proofs(self, attribute: str, entities: Iterable[int]) -> Proofs:
        facts = self.facts
        shown = (
            facts.absence(attribute, e)
            if facts.attribute(attribute, e) is None
            else facts.attribute_sentence(attribute, e, entry=False)
            for e in entities
        )
        return (tuple(shown),)

    def _filter(self, attribute: str, value: str, base: Found) -> Found:
        kept = tuple(e for e in base.entities if self.facts.attribute(attribute, e) == value)
        names = self._names(kept)
        hop = Hop(f"{_words(attribute)} is {value}", names)
        proofs = combine(base.proofs, self._attribute_proofs(attribute, base.entities))
        return Found(names, kept, (*base.hops, hop), proofs)

    def _intersect(self, left: Found, right: Found) -> Found:
        entities = tuple(e for e in left.entities if e in right.entities)
        hops = merge_hops(left.hops, right.hops)
        return Found(self._names(entities), entities, hops, combine(left.proofs, right.proofs))

    def _compare(self, op: str, by: str, left: Found, right: Found) -> Found:
        both = (_only(left, op), _only(right, op))
        hops = merge_hops(left.hops, right.hops)
        if op in ("larger", "smaller"):
            sizes = [len(self.follow(by, e)) for e in both]
            proofs = combine(left.proofs, right.proofs, *(self._proofs(by, e) for e in both))
            hop = self._counted(by, both, left.values + right.values)
            chosen = both[_best(sizes, op)]
            return Found((self.facts.name(chosen),), (chosen,), (*hops, hop), proofs)
        values, value_proofs = self._compared(by, both)
        proofs = combine(left.proofs, right.proofs, value_proofs)
        hop = Hop(f"{_words(by)} of {', '.join(left.values + right.values)}", values)
        if op == "same":
            answer = "yes" if values[0] == values[1] else "no"
            return Found((answer,), (), (*hops, hop), proofs)
        chosen = both[_best(values, op)]
        return Found((self.facts.name(chosen),), (chosen,), (*hops, hop), proofs)

    def _compared(self, by: str, entities: Sequence[int]) -> tuple[tuple[str, ...], Proofs]:
        schema = self.facts.schema
        if schema.direct(by):
            names = tuple(self.facts.name(_first(self.follow(by, e), by)) for e in entities)
            return names, combine(*(self._proofs(by, e) for e in entities))
        values = tuple(self.facts.attribute(by, e) for e in entities)
        if None in values:
            raise DataError(f"expected a {_words(by)} of each entity compared, got {values!r}")
        return tuple(v for v in values if v is not None), self._attribute_proofs(by, entities)

    def _superlative(self, op: str, by: str, base: Found) -> Found:
        values, shown = self._compared(by, base.entities)
        hop = Hop(f"{_words(by)} of {', '.join(base.values)}", values)
        chosen = base.entities[_best(values, op)]
        name = self.facts.name(chosen)
        return Found((name,), (chosen,), (*base.hops, hop), combine(base.proofs, shown))

    def _member(self, member: Found, of: Query) -> Found:
        if not isinstance(of, Follow) or not self.facts.schema.direct(of.relation):
            raise DataError(f"expected a membership in a relation that pages state, got {of}")
        base = self.find(of.of)
        subject, entity = _only(base, "member"), _only(member, "member")
        holds = entity in self.follow(of.relation, subject)
        fact = (
            self.facts.sentence(of.relation, subject, entity)
            if holds
            else self.facts.page(of.relation, subject)
        )
        hop = Hop(f"{_words(of.relation)} of {base.values[0]}", member.values if holds else ())
        hops = (*merge_hops(member.hops, base.hops), hop)
        proofs = combine(member.proofs, base.proofs, ((fact,),))
        return Found(("yes" if holds else "no",), (), hops, proofs)

    def _names(self, entities: Iterable[int]) -> tuple[str, ...]:
        return tuple(map(self.facts.name, entities))


def _best(values: Sequence[int] | Sequence[str], op: str) -> int:
    """Return the position of the one value that is the most extreme, latest or earliest."""
    ordered = sorted(values)
    ends = ordered[-2:] if op in _LATEST else ordered[:2]
    if len(ends) < 2 or ends[0] == ends[1]:
        raise DataError(f"expected several values with one {op} among them, got {values!r}")
    return list(values).index(ends[-1] if op in _LATEST else ends[0])


def _only(found: Found, what: str) -> int:
    return _first(found.entities, what) if len(found.entities) == 1 else _first((), what)


def _first(entities: Sequence[int], what: str) -> int:
    if not entities:
        raise DataError(f"expected exactly one entity for {_words(what)}")
    return entities[0]


def _words(name: str) -> str:
    return name.replace("_", " ")
