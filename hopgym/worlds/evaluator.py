"""Computes the answers and proofs of queries by set propagation over a world's facts.

The proof rule of worlds:

* a relation with at most one value needs the sentence that states it; any other relation, and one
  without a value, needs the whole page that lists it;
* a derived relation needs the proofs of the stated relations that define it; the page of either
  parent proves siblings;
* superlatives, counts and filters need the attribute of every candidate;
* a membership needs its one sentence if it holds, and otherwise the whole page.
"""

from collections.abc import Iterable, Sequence

from hopgym.errors import DataError
from hopgym.tasks import Hop
from hopgym.worlds.facts import NOTHING_NEEDED, Facts, Proofs, QueryResult, combine, merge_hops
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
from hopgym.worlds.relations import IRREFLEXIVE

_LATEST = frozenset({"youngest", "younger", "larger"})
_CACHE_SIZE = 100_000


class Evaluator:
    """Evaluates queries over one world's facts, with a cache of followed relations.

    Args:
        facts: The facts of the world.
    """

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self._value_cache: dict[tuple[str, int], tuple[int, ...]] = {}
        self._proof_cache: dict[tuple[str, int], Proofs] = {}

    def follow(self, relation: str, entity: int) -> tuple[int, ...]:
        """Return the values of a relation, stated or derived, of an entity; each once."""
        key = (relation, entity)
        values = self._value_cache.get(key)
        if values is None:
            if len(self._value_cache) >= _CACHE_SIZE:
                self._value_cache.clear()
            values = self._value_cache[key] = self._follow(relation, entity)
        return values

    def evaluate(self, query: Query) -> QueryResult:
        """Return all answers of a query with its hops and proofs.

        Raises:
            DataError: When the query names something that the world does not have, or a
                comparison has no unique result.
        """
        match query:
            case Name(name):
                entity = self.facts.entity(name)
                return QueryResult((self.facts.name(entity),), (entity,))
            case Having(attribute, value):
                return self._having(attribute, value)
            case Follow(relation, of):
                return self._follow_all(relation, self.evaluate(of))
            case Attribute(attribute, of):
                return self._attributes(attribute, self.evaluate(of))
            case Count(relation, of):
                return self._count(relation, self.evaluate(of))
            case Intersect(left, Having(attribute, value)):
                return self._filter(attribute, value, self.evaluate(left))
            case Intersect(left, right):
                return self._intersect(self.evaluate(left), self.evaluate(right))
            case Compare(op, by, left, right):
                return self._compare(op, by, self.evaluate(left), self.evaluate(right))
            case Superlative(op, by, of):
                return self._superlative(op, by, self.evaluate(of))
            case Member(member, of):
                return self._member(self.evaluate(member), of)
        raise DataError(f"expected a query, got {query!r}")

    def entities(self, query: Query, cache: dict[int, tuple[int, ...]]) -> tuple[int, ...]:
        """Return the entities of a query's result, without hops and proofs.

        Args:
            query: The query, or a part of one.
            cache: Entities by the ``id`` of parts of the same query; new ones are added.
        """
        result = cache.get(id(query))
        if result is None:
            if isinstance(query, Follow):
                reached = (self.follow(query.relation, e) for e in self.entities(query.of, cache))
                result = tuple(dict.fromkeys(v for values in reached for v in values))
            else:
                result = self.evaluate(query).entities
            cache[id(query)] = result
        return result

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
        if relation in IRREFLEXIVE:
            reached = tuple(e for e in reached if e != entity)
        return reached

    def _proofs(self, relation: str, entity: int) -> Proofs:
        """Return the proofs that a relation of an entity has its values and no others."""
        key = (relation, entity)
        proofs = self._proof_cache.get(key)
        if proofs is None:
            if len(self._proof_cache) >= _CACHE_SIZE:
                self._proof_cache.clear()
            proofs = self._proof_cache[key] = self._prove(relation, entity)
        return proofs

    def _prove(self, relation: str, entity: int) -> Proofs:
        schema = self.facts.schema
        if relation in schema.paths:
            return self._path_proofs(relation, entity)
        values = self.follow(relation, entity)
        if len(values) == 1 and schema.single(relation):
            return ((self.facts.sentence(relation, entity, values[0]),),)
        return ((self.facts.page(relation, entity),),)

    def _path_proofs(self, relation: str, entity: int) -> Proofs:
        steps = self.facts.schema.paths[relation]
        if relation in ("sibling", "brother", "sister"):
            proofs_by_parent = self._either_parent(steps[1], entity)
            if proofs_by_parent:
                return proofs_by_parent
        proofs: Proofs = NOTHING_NEEDED
        reached: tuple[int, ...] = (entity,)
        for step in steps:
            proofs = combine(proofs, *(self._proofs(step, e) for e in reached))
            reached = tuple(dict.fromkeys(v for e in reached for v in self.follow(step, e)))
        return proofs

    def _either_parent(self, children: str, entity: int) -> Proofs:
        """Return proofs through one parent each; empty if the parents' children differ."""
        parents = self.follow("parent", entity)
        # With half-siblings, one parent's page does not list all of them.
        child_sets = {frozenset(self.follow(children, parent)) for parent in parents}
        if len(child_sets) != 1:
            return ()
        by_parent = (
            combine(((self.facts.sentence("parent", entity, p),),), self._proofs(children, p))
            for p in parents
        )
        return tuple(proof for proofs in by_parent for proof in proofs)

    def _having(self, attribute: str, value: str) -> QueryResult:
        entities = tuple(self.facts.having(attribute, value))
        names = self._names(entities)
        proof = tuple(self.facts.attribute_sentence(attribute, e, entry=True) for e in entities)
        hop = Hop(f"{_readable(attribute)} is {value}", names)
        return QueryResult(names, entities, (hop,), (proof,))

    def _follow_all(self, relation: str, base: QueryResult) -> QueryResult:
        reached = (self.follow(relation, e) for e in base.entities)
        entities = tuple(dict.fromkeys(v for values in reached for v in values))
        proofs = combine(base.proofs, *(self._proofs(relation, e) for e in base.entities))
        names = self._names(entities)
        hop = Hop(f"{_readable(relation)} of {', '.join(base.values)}", names)
        return QueryResult(names, entities, (*base.hops, hop), proofs)

    def _count(self, relation: str, base: QueryResult) -> QueryResult:
        counts = (str(len(self.follow(relation, e))) for e in base.entities)
        proofs = combine(base.proofs, *(self._proofs(relation, e) for e in base.entities))
        hops = (*base.hops, self._counted(relation, base.entities, base.values))
        return QueryResult(tuple(dict.fromkeys(counts)), (), hops, proofs)

    def _counted(self, relation: str, entities: Iterable[int], names: Sequence[str]) -> Hop:
        """Return the hop to all counted entities: no page states the numbers themselves."""
        reached = dict.fromkeys(v for e in entities for v in self.follow(relation, e))
        return Hop(f"all {_readable(relation)} of {', '.join(names)}", self._names(reached))

    def _attributes(self, attribute: str, base: QueryResult) -> QueryResult:
        values = (self.facts.attribute(attribute, e) for e in base.entities)
        answers = tuple(dict.fromkeys(v for v in values if v is not None))
        hop = Hop(f"{_readable(attribute)} of {', '.join(base.values)}", answers)
        proofs = combine(base.proofs, self._attribute_proofs(attribute, base.entities))
        return QueryResult(answers, (), (*base.hops, hop), proofs)

    def _attribute_proofs(self, attribute: str, entities: Iterable[int]) -> Proofs:
        facts = self.facts
        proof = (
            facts.absence(attribute, e)
            if facts.attribute(attribute, e) is None
            else facts.attribute_sentence(attribute, e, entry=False)
            for e in entities
        )
        return (tuple(proof),)

    def _filter(self, attribute: str, value: str, base: QueryResult) -> QueryResult:
        matching = tuple(e for e in base.entities if self.facts.attribute(attribute, e) == value)
        names = self._names(matching)
        hop = Hop(f"{_readable(attribute)} is {value}", names)
        proofs = combine(base.proofs, self._attribute_proofs(attribute, base.entities))
        return QueryResult(names, matching, (*base.hops, hop), proofs)

    def _intersect(self, left: QueryResult, right: QueryResult) -> QueryResult:
        entities = tuple(e for e in left.entities if e in right.entities)
        hops = merge_hops(left.hops, right.hops)
        return QueryResult(
            self._names(entities), entities, hops, combine(left.proofs, right.proofs)
        )

    def _compare(self, op: str, by: str, left: QueryResult, right: QueryResult) -> QueryResult:
        both = (_only(left, op), _only(right, op))
        hops = merge_hops(left.hops, right.hops)
        if op in ("larger", "smaller"):
            sizes = [len(self.follow(by, e)) for e in both]
            proofs = combine(left.proofs, right.proofs, *(self._proofs(by, e) for e in both))
            hop = self._counted(by, both, left.values + right.values)
            chosen = both[_best(sizes, op)]
            return QueryResult((self.facts.name(chosen),), (chosen,), (*hops, hop), proofs)
        values, value_proofs = self._compared(by, both)
        proofs = combine(left.proofs, right.proofs, value_proofs)
        hop = Hop(f"{_readable(by)} of {', '.join(left.values + right.values)}", values)
        if op == "same":
            answer = "yes" if values[0] == values[1] else "no"
            return QueryResult((answer,), (), (*hops, hop), proofs)
        chosen = both[_best(values, op)]
        return QueryResult((self.facts.name(chosen),), (chosen,), (*hops, hop), proofs)

    def _compared(self, by: str, entities: Sequence[int]) -> tuple[tuple[str, ...], Proofs]:
        schema = self.facts.schema
        if schema.direct(by):
            names = tuple(self.facts.name(_first(self.follow(by, e), by)) for e in entities)
            return names, combine(*(self._proofs(by, e) for e in entities))
        values = tuple(self.facts.attribute(by, e) for e in entities)
        if None in values:
            raise DataError(f"expected a {_readable(by)} of each entity compared, got {values!r}")
        return tuple(v for v in values if v is not None), self._attribute_proofs(by, entities)

    def _superlative(self, op: str, by: str, base: QueryResult) -> QueryResult:
        values, value_proofs = self._compared(by, base.entities)
        hop = Hop(f"{_readable(by)} of {', '.join(base.values)}", values)
        chosen = base.entities[_best(values, op)]
        name = self.facts.name(chosen)
        return QueryResult(
            (name,), (chosen,), (*base.hops, hop), combine(base.proofs, value_proofs)
        )

    def _member(self, member: QueryResult, of: Query) -> QueryResult:
        if not isinstance(of, Follow) or not self.facts.schema.direct(of.relation):
            raise DataError(f"expected a membership in a relation that pages state, got {of}")
        base = self.evaluate(of.of)
        subject = _only(base, "member")
        entity = _only(member, "member")
        holds = entity in self.follow(of.relation, subject)
        fact = (
            self.facts.sentence(of.relation, subject, entity)
            if holds
            else self.facts.page(of.relation, subject)
        )
        hop = Hop(f"{_readable(of.relation)} of {base.values[0]}", member.values if holds else ())
        hops = (*merge_hops(member.hops, base.hops), hop)
        proofs = combine(member.proofs, base.proofs, ((fact,),))
        return QueryResult(("yes" if holds else "no",), (), hops, proofs)

    def _names(self, entities: Iterable[int]) -> tuple[str, ...]:
        return tuple(map(self.facts.name, entities))


def _best(values: Sequence[int] | Sequence[str], op: str) -> int:
    """Return the position of the unique largest or smallest value, as ``op`` requires."""
    ordered = sorted(values)
    ends = ordered[-2:] if op in _LATEST else ordered[:2]
    if len(ends) < 2 or ends[0] == ends[1]:
        raise DataError(f"expected several values with one {op} among them, got {values!r}")
    return list(values).index(ends[-1] if op in _LATEST else ends[0])


def _only(result: QueryResult, what: str) -> int:
    return _first(result.entities, what) if len(result.entities) == 1 else _first((), what)


def _first(entities: Sequence[int], what: str) -> int:
    if not entities:
        raise DataError(f"expected exactly one entity for {_readable(what)}")
    return entities[0]


def _readable(name: str) -> str:
    return name.replace("_", " ")
