"""The relations and attributes of the people world, and the selection of them in a world.

The argument ``relations`` selects a `Vocabulary`: what pages state and what questions follow.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hopgym.errors import ArgumentError, did_you_mean
from hopgym.worlds.relations import KIN, SIBLINGS, UNIONS, Schema

PERSON = "person"
TOWN = "town"
EMPLOYER = "employer"

FUNCTIONAL = ("mother", "father", "husband", "wife", "home_town", "employer", "town", "founder")
MULTI_VALUED = ("son", "daughter", "friend", "resident", "employee", "company")
INVERSES = ("resident", "employee", "company")
"""Relations of towns, employers and founders that pages state only if they are selected."""

ATTRIBUTES: Mapping[str, str] = {
    "birth_date": PERSON,
    "job": PERSON,
    "hobby": PERSON,
    "region": TOWN,
    "founding_year": TOWN,
    "river": TOWN,
    "trade": EMPLOYER,
}
"""Attribute that questions ask for to the kind of entity that has it."""

LEADS: Mapping[str, tuple[str, str]] = {
    **dict.fromkeys((*UNIONS, *SIBLINGS, *KIN), (PERSON, PERSON)),
    **dict.fromkeys(("mother", "father", "husband", "wife", "son", "daughter"), (PERSON, PERSON)),
    "friend": (PERSON, PERSON),
    "home_town": (PERSON, TOWN),
    "employer": (PERSON, EMPLOYER),
    "company": (PERSON, EMPLOYER),
    "resident": (TOWN, PERSON),
    "town": (EMPLOYER, TOWN),
    "founder": (EMPLOYER, PERSON),
    "employee": (EMPLOYER, PERSON),
}
"""Relation to (kind of entity that it starts from, kind of entity that it leads to)."""

PAGE_ORDER: Mapping[str, tuple[str, ...]] = {
    PERSON: (
        *("gender", "birth_date", "job", "hobby", "home_town", "employer", "mother", "father"),
        *("husband", "wife", "son", "daughter", "friend", "company"),
    ),
    TOWN: ("region", "founding_year", "river", "resident"),
    EMPLOYER: ("town", "trade", "founder", "employee"),
}
"""The facts of a page in the order of the brief style."""

_DIRECT = (
    *("mother", "father", "parent", "son", "daughter", "child", "husband", "wife", "friend"),
    *("home_town", "employer", "town", "founder"),
)
_STATED_ONLY = ("gender",)
_KNOWN = (*LEADS, *ATTRIBUTES, *_STATED_ONLY)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The relations and attributes of one world."""

    stated: frozenset[str]
    """Relations and attributes that pages state."""
    followed: tuple[str, ...]
    """Relations that questions follow."""
    attributes: tuple[str, ...]
    """Attributes that questions ask for."""
    schema: Schema

    def followed_from(self, kind: str) -> tuple[str, ...]:
        """Return the relations that questions follow from a kind of entity."""
        return tuple(name for name in self.followed if LEADS[name][0] == kind)

    def attributes_of(self, kind: str) -> tuple[str, ...]:
        """Return the attributes that questions ask for about a kind of entity."""
        return tuple(name for name in self.attributes if ATTRIBUTES[name] == kind)


SCHEMA = Schema(frozenset(FUNCTIONAL), frozenset(MULTI_VALUED), UNIONS, {**SIBLINGS, **KIN})


def vocabulary(relations: str | Iterable[str]) -> Vocabulary:
    """Return the vocabulary of a ``relations`` argument.

    Args:
        relations: ``direct``; ``all``, which adds the derived family relations and the inverses;
            or names of relations and attributes, to which pages and questions are restricted.

    Raises:
        ArgumentError: For any other value, or an unknown name.
    """
    if relations == "direct":
        names: tuple[str, ...] = (*_DIRECT, *ATTRIBUTES, *_STATED_ONLY)
    elif relations == "all":
        names = tuple(name for name in _KNOWN if name != "spouse")
    else:
        names = canonical(relations)
    followed = tuple(name for name in names if name in LEADS)
    stated = {name for relation in followed for name in SCHEMA.stated_by(relation)}
    stated.update(name for name in names if name not in LEADS)
    attributes = tuple(name for name in names if name in ATTRIBUTES)
    return Vocabulary(frozenset(stated), followed, attributes, SCHEMA)


def canonical(relations: str | Iterable[str]) -> tuple[str, ...]:
    """Return names of relations and attributes in a fixed order, each once.

    Raises:
        ArgumentError: For no names, or an unknown one.
    """
    names = relations
    if isinstance(names, str) or not isinstance(names, Iterable) or not (names := tuple(names)):
        raise ArgumentError(
            f"relations must be 'direct', 'all' or a tuple of names, got {relations!r}"
        )
    for name in names:
        if name not in _KNOWN:
            hint = did_you_mean(str(name), _KNOWN)
            known = ", ".join(_KNOWN)
            raise ArgumentError(f"relations must be among {known}, got {name!r}{hint}")
    return tuple(name for name in _KNOWN if name in names)
