"""Writes queries as English questions.

Each construct has several phrasings, of which one is chosen at random; number, gender and articles
agree with the answers.
"""

from collections.abc import Callable, Mapping

from hopgym.errors import DataError
from hopgym.worlds.people.pages import with_article
from hopgym.worlds.people.vocabulary import EMPLOYER, LEADS, PERSON, SCHEMA, TOWN
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
from hopgym.worlds.randomness import BufferedRandom

_HOLDS: Mapping[str, tuple[str, ...]] = {
    "job": ("{work} as {a_value}", "{has} the job of {a_value}"),
    "hobby": ("{enjoy} {value}", "{has} {value} as a hobby"),
    "birth_date": ("{was} born on {value}", "{has} {value} as the date of birth"),
}
"""Predicates of entities with a value, also for entries: the person who works as ..."""

_OWNED: Mapping[str, str] = {
    "job": "whose job is {value}",
    "hobby": "whose hobby is {value}",
    "birth_date": "whose birth date is {value}",
}

_ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "birth_date": (
        "What {is} the {birth date} of {np}?",
        "On which {date} {was} {np} born?",
        "When {was} {np} born?",
    ),
    "job": (
        "What {is} the {job} of {np}?",
        "What {does} {np} do for a living?",
        "What {does} {np} work as?",
    ),
    "hobby": (
        "What {is} the {hobby} of {np}?",
        "What {does} {np} enjoy as {a_hobby}?",
        "Which {hobby} {does} {np} have?",
    ),
    "region": (
        "What {is} the {region} of {np}?",
        "In which {region} {does} {np} lie?",
        "Which {region} {does} {np} belong to?",
    ),
    "founding_year": (
        "What {is} the {founding year} of {np}?",
        "In which {year} {was} {np} founded?",
        "When {was} {np} founded?",
    ),
    "river": (
        "What {is} the {river} of {np}?",
        "On which {river} {does} {np} stand?",
        "Which {river} {flow} through {np}?",
    ),
    "trade": (
        "What {is} the {trade} of {np}?",
        "In which {trade} {is} {np}?",
        "Which {trade} {does} {np} follow?",
    ),
}

_ENTITIES: Mapping[str, tuple[str, ...]] = {
    PERSON: ("Who {is} {np}?", "Name {np}.", "Which {person} {is} {np}?", "Tell me who {np} {is}."),
    TOWN: ("What {is} {np}?", "Name {np}.", "Which {town} {is} {np}?", "Tell me what {np} {is}."),
    EMPLOYER: (
        "What {is} {np}?",
        "Name {np}.",
        "Which {company} {is} {np}?",
        "Tell me what {np} {is}.",
    ),
}

_COUNTS = (
    "How many {things} does {np} have?",
    "What is the number of {things} of {np}?",
    "Count the {things} of {np}.",
    "How many {things} are listed for {np}?",
)

_COMPARISONS: Mapping[str, tuple[str, ...]] = {
    "older": ("Who is older, {a} or {b}?", "Who was born earlier, {a} or {b}?"),
    "younger": ("Who is younger, {a} or {b}?", "Who was born later, {a} or {b}?"),
    "larger": ("Who has more {things}, {a} or {b}?", "Does {a} or {b} have more {things}?"),
    "smaller": ("Who has fewer {things}, {a} or {b}?", "Does {a} or {b} have fewer {things}?"),
    "same": (
        "Is the {thing} of {a} the same as that of {b}?",
        "Is the {thing} of {a} also that of {b}?",
    ),
}
_COMPARISONS_OF_NAMES: Mapping[str, tuple[str, ...]] = {
    "older": ("Of {a} and {b}, who is the older one?",),
    "younger": ("Of {a} and {b}, who is the younger one?",),
    "larger": ("Of {a} and {b}, who has the larger number of {things}?",),
    "smaller": ("Of {a} and {b}, who has the smaller number of {things}?",),
    "same": ("Do {a} and {b} have the same {thing}?", "Do {a} and {b} share one {thing}?"),
}
"""Further phrasings if the first of both is a bare name: after a phrase, ``and`` is ambiguous."""

_SUPERLATIVES = (
    "Who is the {op} {np}?",
    "Name the {op} {np}.",
    "Which person is the {op} {np}?",
)

_MEMBERS = (
    "Is {member} {a_thing} of {np}?",
    "Is it true that {member} is {a_thing} of {np}?",
    "Would it be right to call {member} {a_thing} of {np}?",
)

_BOTH = (
    "Who {is} both {one} and {other}?",
    "Which {person} {is} {one} and also {other}?",
    "Name the {person} who {is} {one} as well as {other}.",
)

_AMONG = (
    "Which of the {things} of {np} {holds}?",
    "Of the {things} of {np}, who {holds}?",
    "Who among the {things} of {np} {holds}?",
)

_VERBS = (
    ("has", "have"),
    ("is", "are"),
    ("was", "were"),
    ("does", "do"),
    ("work", "works", "work"),
    ("enjoy", "enjoys", "enjoy"),
    ("flow", "flows", "flow"),
)
"""Placeholder (omitted if it equals the singular), singular, plural."""

_IRREGULAR = {"person": "people", "child": "children", "wife": "wives"}


class Grammar:
    """Writes questions.

    Args:
        random: Chooses the phrasings.
        is_plural: Whether the phrase for a query is plural, as it leads to several entities.
    """

    def __init__(self, random: BufferedRandom, is_plural: Callable[[Query], bool]) -> None:
        self._random = random
        self._is_plural = is_plural

    def question(self, query: Query) -> str:
        """Return a question that asks for the result of a query.

        Raises:
            DataError: When the query has a form that is not asked.
        """
        match query:
            case Attribute(attribute, of):
                return self._fill(_ATTRIBUTES[attribute], self._is_plural(of), np=self.phrase(of))
            case Count(relation, of):
                things = plural(noun(relation))
                return self._fill(_COUNTS, False, np=self.phrase(of), things=things)
            case Compare(op, by, a, b):
                thing = noun(by)
                things = plural(thing)
                a, b = (b, a) if isinstance(b, Name) else (a, b)
                both = {"a": self.phrase(a), "b": self.phrase(b)}
                further = _COMPARISONS_OF_NAMES[op] if isinstance(a, Name) else ()
                templates = (*_COMPARISONS[op], *further)
                return self._fill(templates, False, **both, thing=thing, things=things)
            case Superlative(op, _, Follow(relation, of)):
                np = f"{noun(relation)} of {self.phrase(of)}"
                return self._fill(_SUPERLATIVES, False, op=op, np=np)
            case Member(member, Follow(relation, of)):
                thing = self._a_thing(relation, False)
                np = self.phrase(of)
                return self._fill(_MEMBERS, False, member=self.phrase(member), a_thing=thing, np=np)
            case Intersect(Follow(one, a), Follow(other, b)):
                several = self._is_plural(query)
                left = f"{self._a_thing(one, several)} of {self.phrase(a)}"
                right = f"{self._a_thing(other, several)} of {self.phrase(b)}"
                return self._fill(_BOTH, several, one=left, other=right)
            case Intersect(Follow(relation, of), Having(attribute, value)):
                several = self._is_plural(query)
                things = plural(noun(relation))
                holds = self._fill(_HOLDS[attribute], several, **_value(value))
                return self._fill(_AMONG, several, things=things, np=self.phrase(of), holds=holds)
            case Having():
                return self._fill(_ENTITIES[PERSON][:2], False, np=self.phrase(query))
            case Follow():
                templates = _ENTITIES[kind_of(query)]
                return self._fill(templates, self._is_plural(query), np=self.phrase(query))
        raise DataError(f"expected a query that can be asked, got {query}")

    def phrase(self, query: Query) -> str:
        """Return a noun phrase for the entities of a query.

        Raises:
            DataError: When the query has a form without a phrase.
        """
        match query:
            case Name(name):
                return name
            case Having(attribute, value):
                templates = (*_HOLDS[attribute], _OWNED[attribute])
                condition = self._fill(templates, self._is_plural(query), **_value(value))
                who = "" if condition.startswith("whose") else "who "
                return f"the {_FORMS[self._is_plural(query)][PERSON]} {who}{condition}"
            case Follow(relation, of):
                owned = self._owned(relation, self._is_plural(query))
                if isinstance(of, Name) and self._random.random() < 0.5:
                    return f"{of.name}'s {owned}"
                return f"the {owned} of {self.phrase(of)}"
        raise DataError(f"expected a query that a phrase can name, got {query}")

    def _owned(self, relation: str, several: bool) -> str:
        return plural(noun(relation)) if several else noun(relation)

    def _a_thing(self, relation: str, several: bool) -> str:
        thing = noun(relation)
        if several:
            return plural(thing)
        return f"the {thing}" if SCHEMA.single(relation) else with_article(thing)

    def _fill(self, templates: tuple[str, ...], several: bool, **values: str) -> str:
        return self._random.choice(templates).format_map(_FORMS[several] | values)


def noun(name: str) -> str:
    """Return the noun of a relation or attribute: ``great_aunt`` becomes ``great-aunt``."""
    hyphened = name.replace("great_", "great-").replace("_in_law", "-in-law")
    return hyphened.replace("_", " ")


def plural(thing: str) -> str:
    """Return the plural of a noun: ``sons-in-law``, ``cousins once removed``, ``children``."""
    for tail in ("-in-law", " once removed"):
        if thing.endswith(tail):
            return plural(thing.removesuffix(tail)) + tail
    for singular, irregular_plural in _IRREGULAR.items():
        if thing.endswith(singular):
            return thing.removesuffix(singular) + irregular_plural
    return thing.removesuffix("y") + "ies" if thing.endswith(("by", "ny")) else f"{thing}s"


def kind_of(query: Query) -> str:
    """Return the kind of the entities of a query: person, town or employer."""
    if isinstance(query, Follow):
        return LEADS[query.relation][1]
    return kind_of(query.left) if isinstance(query, Intersect) else PERSON


def _value(value: str) -> dict[str, str]:
    return {"value": value, "a_value": with_article(value)}


def _forms(several: bool) -> dict[str, str]:
    verbs = {forms[0]: forms[-1] if several else forms[-2] for forms in _VERBS}
    nouns = (PERSON, TOWN, "company", "date", "year", *map(noun, _ATTRIBUTES))
    verbs["a_hobby"] = "hobbies" if several else "a hobby"
    return verbs | {thing: plural(thing) if several else thing for thing in nouns}


_FORMS: Mapping[bool, dict[str, str]] = {several: _forms(several) for several in (False, True)}
