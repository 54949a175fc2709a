"""The query algebra: what a question asks, as a value that can be written and read back.

``Attribute("job", Follow("mother", Name("Ada Lee")))`` asks for the job of Ada Lee's mother.
`hopgym.worlds.evaluator` gives a query's answers and proofs over any set of facts.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import ClassVar

from hopgym.errors import DataError


@dataclass(frozen=True, slots=True)
class Query:
    """A node of the algebra; ``str(query)`` reads back through `Query.parse`."""

    kinds: ClassVar[dict[str, type["Query"]]] = {}
    own_hops: ClassVar[int] = 0
    """What this node adds to a branch: one for a relation, an attribute, or an entry by one."""

    def __init_subclass__(cls) -> None:
        Query.kinds[cls.__name__] = cls

    def __str__(self) -> str:
        """Return the constructor call, strings in JSON-like quotes."""
        parts = (str(v) if isinstance(v, Query) else repr(v) for v in self._values())
        return f"{type(self).__name__}({', '.join(parts)})"

    @property
    def parts(self) -> tuple["Query", ...]:
        """The queries that this one is made of, in order."""
        return tuple(v for v in self._values() if isinstance(v, Query))

    @property
    def hops(self) -> int:
        """Relations and attributes on the longest branch; an entry by attribute counts one."""
        return max((part.hops for part in self.parts), default=0) + self.own_hops

    def _values(self) -> list[object]:
        names: tuple[str, ...] = type(self).__match_args__
        return [getattr(self, name) for name in names]

    def walk(self) -> Iterator["Query"]:
        """Iterate over this query and all it is made of, outermost first."""
        yield self
        for part in self.parts:
            yield from part.walk()

    @staticmethod
    def parse(text: str) -> "Query":
        """Return the query that a text writes.

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
    """The entity of a name."""

    name: str


@dataclass(frozen=True, slots=True)
class Having(Query):
    """The entities that have a value of an attribute."""

    own_hops: ClassVar[int] = 1

    attribute: str
    value: str


@dataclass(frozen=True, slots=True)
class Follow(Query):
    """What a relation leads to from each of some entities."""

    own_hops: ClassVar[int] = 1

    relation: str
    of: Query


@dataclass(frozen=True, slots=True)
class Attribute(Query):
    """The values of an attribute of some entities."""

    own_hops: ClassVar[int] = 1

    attribute: str
    of: Query


@dataclass(frozen=True, slots=True)
class Count(Query):
    """How many entities a relation leads to from each of some; numbers that differ, each once."""

    own_hops: ClassVar[int] = 1

    relation: str
    of: Query


@dataclass(frozen=True, slots=True)
class Intersect(Query):
    """The entities that are in both; a `Having` on the right filters the left."""

    left: Query
    right: Query

    @property
    def hops(self) -> int:
        """A filter reads an attribute of every candidate, one hop behind them."""
        if isinstance(self.right, Having):
            return self.left.hops + 1
        return max(self.left.hops, self.right.hops)


@dataclass(frozen=True, slots=True)
class Compare(Query):
    """Which of two is ``older``, ``younger``, ``larger`` or ``smaller``, or whether ``same``.

    ``by`` is an attribute for older, younger and same, and for larger and smaller a relation,
    whose number of values is compared.
    """

    own_hops: ClassVar[int] = 1

    op: str
    by: str
    left: Query
    right: Query


@dataclass(frozen=True, slots=True)
class Superlative(Query):
    """Which of some entities is the ``oldest`` or ``youngest`` by an attribute."""

    own_hops: ClassVar[int] = 1

    op: str
    by: str
    of: Query


@dataclass(frozen=True, slots=True)
class Member(Query):
    """Whether an entity is among others."""

    member: Query
    of: Query


def _build(node: ast.expr) -> Query:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.keywords:
        raise ValueError("not a call")
    kind = Query.kinds[node.func.id]
    values = [_build(a) if isinstance(a, ast.Call) else ast.literal_eval(a) for a in node.args]
    wanted = [str if f.type is str else Query for f in fields(kind)]
    if len(values) != len(wanted) or not all(map(isinstance, values, wanted)):
        raise ValueError("wrong arguments")
    return kind(*values)
