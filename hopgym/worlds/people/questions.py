"""The questions of one world, made in slot order as they are asked for.

In: a world and what to ask. Out: `Question`s with answers, hops and proofs. Kind, hops and a
count's target are drawn first, from equal shares; a cell that gives nothing is drawn again among
the rest. No question repeats another, and none lies on the path of another.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np

from hopgym.errors import WorldError
from hopgym.oracle import count_steps, plans_by_cost
from hopgym.scoring import AnswerKind
from hopgym.tasks import Question, Task
from hopgym.tools import Toolbox, ToolSettings
from hopgym.tools.results import Composer, Result
from hopgym.verdicts import Knowledge
from hopgym.worlds.people.drafts import Draft
from hopgym.worlds.people.forms import Forms
from hopgym.worlds.people.grammar import Grammar
from hopgym.worlds.people.settings import FEWEST_HOPS, QuestionSettings
from hopgym.worlds.people.vocabulary import SCHEMA
from hopgym.worlds.people.walks import Walker
from hopgym.worlds.people.world import World
from hopgym.worlds.queries import Attribute, Compare, Count, Follow, Intersect, Member, Query
from hopgym.worlds.randomness import Dice

UNKNOWN = (
    *("unknown", "unanswerable", "none", "no answer", "no one", "nobody", "nothing", "n/a"),
    *("not known", "not available", "not given", "not stated", "not specified", "no such person"),
    *("cannot be answered", "cannot be determined", "can't be determined", "undetermined"),
    *("there is none", "there is no answer", "no information", "i don't know", "i do not know"),
)
"""What counts as the answer to a question that has none."""

_TRIES = 12
_PLAN_ERROR = 2
"""Steps by which a plan can miss what is played out; near the bound it is played out."""

_MOST_COUNTED = 5
"""Highest count asked for, whatever the number of answers allowed."""

_LAST_MISS = 2
"""A cell that gave nothing for so many questions is not drawn any more."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What a question is drawn to be."""

    kind: str
    hops: int
    target: int = 0
    """The count asked for."""


class _SureSearches(Toolbox):
    """The tools over a world, where a declared search shows its fact without an index.

    The real search shows that and perhaps a sentence more: one page alone holds what is searched.
    """

    def __init__(self, task: Task) -> None:
        super().__init__(task.corpus, ToolSettings())
        facts = (fact for proof in task.question.proofs for fact in proof)
        self._facts = {fact.call: fact for fact in facts if fact.call}

    def search(self, query: str, page: int, rng: np.random.Generator | None = None) -> Result:
        document, index = self._facts["search", query].shown_by[0]
        assert index is not None, "an entry by attribute is shown by a sentence"
        composer = Composer()
        composer.heading("", self.corpus.title_of(document))
        composer.sentence(self.corpus.document(document), index)
        return composer.result()


_Tree = dict[str, dict[int, list[Cell]]]
"""Cells by kind and hops."""


class QuestionMaker:
    """Makes the questions of one world, one after the other.

    Args:
        world: What is asked about.
        settings: What to ask.
        id_prefix: What question ids begin with; the slot number follows.
        rng: What decides.
    """

    def __init__(
        self, world: World, settings: QuestionSettings, id_prefix: str, rng: np.random.Generator
    ) -> None:
        self._world, self._settings, self._id_prefix = world, settings, id_prefix
        self._dice = Dice(rng)
        walker = Walker(world, self._dice, settings.max_oracle_steps)
        self._forms = Forms(world, walker, self._dice, settings.max_answers)
        self._misses: dict[Cell, int] = dict.fromkeys(_cells(settings), 0)
        self._tree = _tree_of(self._misses)
        self._asked: set[tuple[str, ...]] = set()
        self._on_the_way: set[tuple[str, ...]] = set()
        self._identities: set[tuple[str, ...]] = set()
        self._made = 0
        self._exhausted = False

    def next(self) -> Question:
        """Return the next question.

        Raises:
            WorldError: When the world holds no further question of the kinds and hops wanted.
        """
        left = self._tree
        while left and not self._exhausted:
            cell = self._draw(left)
            question = self._from_cell(cell)
            if question is not None:
                self._misses[cell] = 0
                self._made += 1
                return question
            left = self._without(cell, left)
        # What a slot holds must not depend on how often it was asked for.
        self._exhausted = True
        raise WorldError(self._shortage())

    def _shortage(self) -> str:
        settings, size = self._settings, self._world.universe.size
        asked = f"kinds={settings.kinds}, hops={settings.hops}"
        if not self._made:
            followed = (*self._world.vocabulary.followed, *self._world.vocabulary.attributes)
            return (
                f"kinds, hops, relations and size must allow a question, but {asked}, relations="
                f"{followed} and size={size} gave none; widen one of them"
            )
        return (
            f"questions_per_world must be at most {self._made} here, got "
            f"{settings.questions_per_world}: this world of size={size} holds no further question "
            f"of {asked}; take fewer questions, a larger size, or more kinds"
        )

    def _draw(self, tree: _Tree) -> Cell:
        """Return a cell, drawn by kind, then hops, then target, each from equal shares."""
        by_hops = tree[self._dice.pick(list(tree))]
        return self._dice.pick(by_hops[self._dice.pick(list(by_hops))])

    def _without(self, missed: Cell, tree: _Tree) -> _Tree:
        """Return what is left to draw from for this question; a cell that misses on is dropped."""
        self._misses[missed] += 1
        if self._misses[missed] >= _LAST_MISS:
            self._tree = _tree_of(cell for cell, n in self._misses.items() if n < _LAST_MISS)
        cells = (cell for by_hops in tree.values() for some in by_hops.values() for cell in some)
        return _tree_of(cell for cell in cells if cell != missed)

    def _from_cell(self, cell: Cell) -> Question | None:
        draw = self._forms.draw[cell.kind]
        for _ in range(_TRIES):
            draft = draw(cell.hops, cell.target)
            if draft is None or not self._is_new(draft):
                continue
            written = str(draft.query)
            asked = identity(draft.query, written)
            if asked in self._identities:
                continue
            question = self._ask(cell, draft.query, written)
            if question is not None:
                self._identities.add(asked)
                self._remember(draft)
                return question
        return None

    def _is_new(self, draft: Draft) -> bool:
        for path in draft.paths:
            if path in self._asked or path in self._on_the_way:
                return False
            if any(path[:length] in self._asked for length in range(1, len(path))):
                return False
        return True

    def _remember(self, draft: Draft) -> None:
        for path in draft.paths:
            self._asked.add(path)
            self._on_the_way.update(path[:length] for length in range(1, len(path)))

    def _ask(self, cell: Cell, query: Query, written: str) -> Question | None:
        """Return the question, or None where the tools cannot prove it within the bounds."""
        found = self._world.evaluator.find(query)
        provable = all(fact.shown_by for proof in found.proofs for fact in proof)
        if not found.proofs or not provable:
            return None
        known = {id(query): found.entities}
        grammar = Grammar(self._dice, cache(lambda part: self._is_several(part, known)))
        unanswerable = cell.kind == "unanswerable"
        question = Question(
            id=f"{self._id_prefix}{self._made}",
            text=grammar.question(query),
            answers=UNKNOWN if unanswerable else found.values,
            answer_kind="text" if unanswerable else answer_kind(query),
            hops=found.hops,
            kind=cell.kind,
            proofs=found.proofs,
            source="people",
            metadata={"query": written},
        )
        return question if self._is_short(Task(question, self._world.corpus)) else None

    def _is_short(self, task: Task) -> bool:
        """Return whether the oracle needs at most ``max_oracle_steps``."""
        most = self._settings.max_oracle_steps
        # No plan takes more calls than its proof has evidence.
        if min(map(len, task.question.proofs)) + 1 + _PLAN_ERROR <= most:
            return True
        plans = plans_by_cost(Knowledge(task))
        planned = len(plans[0]) + 1 if plans else 1
        if abs(planned - most) > _PLAN_ERROR:
            return planned < most
        return count_steps(task, _SureSearches(task)) <= most

    def _is_several(self, query: Query, known: dict[int, tuple[int, ...]]) -> bool:
        if not isinstance(query, Follow | Intersect):
            return False
        found = self._world.evaluator.ends(query, known)
        if found or not isinstance(query, Follow) or is_single(query):
            return len(found) > 1
        # Nobody is asked for in either number, so that the number does not tell; parents always
        # come in twos and are never asked for in the singular.
        return query.relation.endswith("parent") or self._dice.unit() < 0.5


def identity(query: Query, written: str) -> tuple[str, ...]:
    """Return what two queries have in common that ask the same in other words."""
    if isinstance(query, Compare):
        family = "same" if query.op == "same" else ""
        return (family, query.by, *sorted(map(str, query.parts)))
    return (written,)


def is_single(query: Query) -> bool:
    """Return whether a query can lead to one entity at most, whatever the world."""
    return all(
        SCHEMA.single(part.relation)
        if isinstance(part, Follow)
        else not isinstance(part, Intersect)
        for part in query.walk()
    )


def answer_kind(query: Query) -> AnswerKind:
    """Return how the answer to a query is to be scored."""
    match query:
        case Count():
            return "number"
        case Attribute("founding_year", of) if is_single(of):
            return "number"
        case Member() | Compare("same", _, _, _):
            return "yesno"
        case Follow() | Attribute() | Intersect():
            return "text" if is_single(query) else "set"
    return "text"


def _tree_of(cells: Iterable[Cell]) -> _Tree:
    tree: _Tree = {}
    for cell in cells:
        tree.setdefault(cell.kind, {}).setdefault(cell.hops, []).append(cell)
    return tree


def _cells(settings: QuestionSettings) -> list[Cell]:
    fewest, most = settings.hops
    counts = range(min(settings.max_answers, _MOST_COUNTED) + 1)
    return [
        Cell(kind, hops, target)
        for kind in settings.kinds
        for hops in range(max(fewest, FEWEST_HOPS.get(kind, 1)), most + 1)
        for target in (counts if kind == "count" else (0,))
    ]
