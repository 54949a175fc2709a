"""The pages of a world, rendered on demand.

Each sentence states one fact, and each page lists the relations of its entity in full. The layout
of a page, which sentence states which fact, is computed without rendering its text.
"""

import tomllib
from functools import lru_cache
from importlib.resources import files

import numpy as np

from hopgym.documents import Document
from hopgym.worlds.people.universe import Universe
from hopgym.worlds.people.vocabulary import PAGE_ORDER, PERSON

STYLES = ("prose", "brief")

Fact = tuple[str, int | str]
"""A relation or attribute and its value: the number of an entity, or a literal."""

_CACHED_PAGES = 4_096
_CACHED_LAYOUTS = 65_536
_PRONOUNS = {True: ("She", "Her"), False: ("He", "His")}
_VOWELS = frozenset("aeiou")


@lru_cache(maxsize=1)
def phrasings() -> dict[str, tuple[tuple[str, ...], bool]]:
    """Return for each fact its templates in prose, and whether they may start with a pronoun."""
    text = files("hopgym").joinpath("data", "prose.toml").read_text(encoding="utf-8")
    tables = tomllib.loads(text)
    return {
        name: (tuple(templates), table == "pronoun")
        for table, facts in tables.items()
        for name, templates in facts.items()
    }


class PeoplePages:
    """The pages of one world; implements `hopgym.documents.Pages`.

    Args:
        universe: The entities and their facts.
        stated: Relations and attributes that pages state.
        style: ``prose`` (varied phrasings and order) or ``brief`` (``key: value`` in fixed order).
        rng: Source of a seed for each page.
    """

    def __init__(
        self, universe: Universe, stated: frozenset[str], style: str, rng: np.random.Generator
    ) -> None:
        self._universe = universe
        self._stated = stated
        self._seeds: list[int] = rng.integers(2**63, size=len(universe)).tolist()
        self._prose = style == "prose"
        self._layouts: dict[int, dict[Fact, int]] = {}
        self._pages: dict[int, Document] = {}

    def __len__(self) -> int:
        return len(self._universe)

    def __getitem__(self, entity: int, /) -> Document:
        if not 0 <= entity < len(self._universe):
            raise IndexError(f"page must be in [0, {len(self._universe)}), got {entity}")
        page = self._pages.get(entity)
        if page is None:
            if len(self._pages) >= _CACHED_PAGES:
                self._pages.clear()
            page = self._pages[entity] = self._render(entity)
        return page

    def title(self, entity: int, /) -> str:
        """Return the name of the entity at a position."""
        return self._universe.name(entity)

    def position(self, document_id: str, /) -> int:
        """Return the entity with a page id; `KeyError` for an unknown one."""
        return self._universe.entity_of(document_id)

    def layout(self, entity: int) -> dict[Fact, int]:
        """Return each fact of a page with the 0-based index of its sentence."""
        layout = self._layouts.get(entity)
        if layout is None:
            if len(self._layouts) >= _CACHED_LAYOUTS:
                self._layouts.clear()
            layout = self._layouts[entity] = self._lay_out(entity)
        return layout

    def _lay_out(self, entity: int) -> dict[Fact, int]:
        universe = self._universe
        facts = [
            (name, value)
            for name in PAGE_ORDER[universe.kind(entity)]
            if name in self._stated
            for value in universe.values(name, entity)
        ]
        if self._prose and len(facts) > 1:
            order = self._rng(entity).permutation(len(facts)).tolist()
            facts = [facts[i] for i in order]
        return {fact: index for index, fact in enumerate(facts)}

    def _render(self, entity: int) -> Document:
        facts = list(self.layout(entity))
        sentences = self._prose_of(entity, facts) if self._prose else map(self._brief, facts)
        universe = self._universe
        return Document(universe.document_id(entity), universe.name(entity), tuple(sentences))

    def _brief(self, fact: Fact) -> str:
        name, value = fact
        return f"{name.replace('_', ' ')}: {self._text(value)}."

    def _prose_of(self, entity: int, facts: list[Fact]) -> list[str]:
        universe = self._universe
        # `_lay_out` uses a generator with the same seed, so that it needs no text.
        rng = self._rng(entity)
        rng.permutation(len(facts))
        picks = rng.random((len(facts), 2)).tolist()
        name = universe.name(entity)
        of_name = f"{name}'s"
        person = universe.kind(entity) == PERSON
        sentences = []
        named_before = True
        templates_of = phrasings()
        for (key, value), (pick, chance) in zip(facts, picks, strict=True):
            templates, pronoun_allowed = templates_of[key]
            template = templates[int(pick * len(templates))]
            who = name
            whose = of_name
            if person and pronoun_allowed and not named_before and chance < 0.5:
                who, whose = _PRONOUNS[universe.is_female(entity)]
                template = template if template.startswith("{who") else templates[0]
            text = self._text(value)
            sentences.append(
                template.format(who=who, whose=whose, value=text, a_value=with_article(text))
            )
            # A pronoun is unambiguous only after a sentence that names no other person.
            named_before = isinstance(value, int) and universe.kind(value) == PERSON
        return sentences

    def _text(self, value: int | str) -> str:
        return value if isinstance(value, str) else self._universe.name(value)

    def _rng(self, entity: int) -> np.random.Generator:
        return np.random.default_rng(self._seeds[entity])


def with_article(noun: str) -> str:
    """Return a noun after ``a`` or ``an``."""
    return f"{'an' if noun[:1].lower() in _VOWELS else 'a'} {noun}"
