"""The query algebra: what a question asks, as a value that converts to text and back.

``Attribute("job", Follow("mother", Name("Ada Lee")))`` asks for the job of Ada Lee's mother.
`hopgym.worlds.evaluator` computes the answers and proofs of a query over any set of facts.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import ClassVar

from hopgym.errors import DataError


@dataclass(frozen=True, slots=True)
class Query:
    """A node of the algebra; `Query.parse` is the inverse of ``str``."""

    node_types: ClassVar[dict[str, type["Query"]]] = {}
    """All node types by their names."""
    added_hops: ClassVar[int] = 0
    """Hops that this node adds to its longest branch."""

    def __init_subclass__(cls) -> None:
        Query.node_types[cls.__name__] = cls

    def __str__(self) -> str:
        """Return the constructor call as Python source."""
        parts = (str(v) if isinstance(v, Query) else repr(v) for v in self._values())
        return f"{type(self).__name__}({', '.join(parts)})"

    @property
    def parts(self) -> tuple["Query", ...]:
        """The direct operands that are queries, in order."""
        return tuple(v for v in self._values() if isinstance(v, Query))

    @property
    def hops(self) -> int:
        """Relations and attributes on the longest branch; an entry by attribute counts as one."""
        return max((part.hops for part in self.parts), default=0) + self.added_hops

    def _values(self) -> list[object]:
        names: tuple[str, ...] = type(self).__match_args__
        return [getattr(self, name) for name in names]

    def walk(self) -> Iterator["Query"]:
        """Iterate over this node and all nodes below it, in prefix order."""
        yield self
        for part in self.parts:
            yield from part.walk()

    @staticmethod
    def parse(text: str) -> "Query":
        """Return the query that a text represents.

        Raises:
            DataError: When the text is not a query.
        """
        try:
            return _build(ast.parse(text, mode="eval").body)
        except (SyntaxError, ValueError, TypeError, KeyError, RecursionError, MemoryError) as error:
            raise DataError(
                f"expected a query such as Follow('mother', Name('Ada Lee')), got {text!r}"
            ) from error


@dataclass(frozen=True, slots=True)
class Name(Query):
    """The entity with a name."""

    name: str


@dataclass(frozen=True, slots=True)
class Having(Query):
    """The entities with a value of an attribute."""

    added_hops: ClassVar[int] = 1

    attribute: str
    value: str


@dataclass(frozen=True, slots=True)
class Follow(Query):
    """The entities that a relation leads to from any of the operand's entities."""

    added_hops: ClassVar[int] = 1

    relation: str
    of: Query


@dataclass(frozen=True, slots=True)
class Attribute(Query):
    """The values of an attribute of the operand's entities."""

    added_hops: ClassVar[int] = 1

    attribute: str
    of: Query


@dataclass(frozen=True, slots=True)
class Count(Query):
    """The number of entities a relation leads to, for each of the operand's entities.

    Equal numbers count once.
    """

    added_hops: ClassVar[int] = 1

    relation: str
    of: Query


@dataclass(frozen=True, slots=True)
class Intersect(Query):
    """The entities of both operands; a `Having` on the right filters the left ones."""

    left: Query
    right: Query

    @property
    def hops(self) -> int:
        """Hops of the longer branch; a filter adds one, as it reads an attribute of each entity."""
        if isinstance(self.right, Having):
            return self.left.hops + 1
        return max(self.left.hops, self.right.hops)


@dataclass(frozen=True, slots=True)
class Compare(Query):
    """The ``older``, ``younger``, ``larger`` or ``smaller`` of two, or whether they are ``same``.

    ``by`` is an attribute for older, younger and same. For larger and smaller it is a relation
    whose numbers of values are compared.
    """

    added_hops: ClassVar[int] = 1

    op: str
    by: str
    left: Query
    right: Query


@dataclass(frozen=True, slots=True)
class Superlative(Query):
    """The ``oldest`` or ``youngest`` of the operand's entities by an attribute."""

    added_hops: ClassVar[int] = 1

    op: str
    by: str
    of: Query


@dataclass(frozen=True, slots=True)
class Member(Query):
    """Whether an entity is among the entities of ``of``."""

    member: Query
    of: Query


def _build(node: ast.expr) -> Query:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.keywords:
        raise ValueError("not a call")
    node_type = Query.node_types[node.func.id]
    values = [_build(a) if isinstance(a, ast.Call) else ast.literal_eval(a) for a in node.args]
    expected = [str if f.type is str else Query for f in fields(node_type)]
    if len(values) != len(expected) or not all(map(isinstance, values, expected)):
        raise ValueError("wrong arguments")
    return node_type(*values)
