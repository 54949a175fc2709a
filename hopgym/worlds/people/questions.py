"""Generates the questions of one world, in order.

Kind, hops and the target of a count are sampled first, each uniformly; if they lead to no question,
they are sampled again among the remaining combinations. No question repeats another one or lies on
the path of another one.
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
from hopgym.worlds.people.drafts import Draft, Drafter
from hopgym.worlds.people.grammar import Grammar
from hopgym.worlds.people.settings import FEWEST_HOPS, QuestionSettings
from hopgym.worlds.people.vocabulary import SCHEMA
from hopgym.worlds.people.walks import WalkSampler
from hopgym.worlds.people.world import PeopleWorld
from hopgym.worlds.queries import Attribute, Compare, Count, Follow, Intersect, Member, Query
from hopgym.worlds.randomness import BufferedRandom

UNKNOWN = (
    *("unknown", "unanswerable", "none", "no answer", "no one", "nobody", "nothing", "n/a"),
    *("not known", "not available", "not given", "not stated", "not specified", "no such person"),
    *("cannot be answered", "cannot be determined", "can't be determined", "undetermined"),
    *("there is none", "there is no answer", "no information", "i don't know", "i do not know"),
)
"""Accepted answers to a question that has none."""

_TRIES = 12
_PLAN_ERROR = 2
"""Steps by which a plan may differ from the played episode; near the bound the latter decides."""

_MAX_COUNT = 5
"""Largest count asked for, even if more answers are allowed."""

_MAX_FAILURES = 2
"""A specification that failed for this number of questions is not sampled any more."""


@dataclass(frozen=True, slots=True)
class QuestionSpec:
    """The properties that are sampled before a question."""

    kind: str
    hops: int
    target: int = 0
    """The answer of a count."""


class _DeclaredSearches(Toolbox):
    """The tools over a world, with declared searches that show their facts without an index.

    The real search shows the same sentence and perhaps one more: only one page matches.
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


_Tree = dict[str, dict[int, list[QuestionSpec]]]
"""Specifications by kind and hops."""


class QuestionGenerator:
    """Generates the questions of one world.

    Args:
        world: The world that is asked about.
        settings: Kinds and bounds of the questions.
        id_prefix: Start of the question ids; the number of the question follows.
        rng: Source of all choices.
    """

    def __init__(
        self,
        world: PeopleWorld,
        settings: QuestionSettings,
        id_prefix: str,
        rng: np.random.Generator,
    ) -> None:
        self._world = world
        self._settings = settings
        self._id_prefix = id_prefix
        self._random = BufferedRandom(rng)
        walks = WalkSampler(world, self._random, settings.max_oracle_steps)
        self._drafter = Drafter(world, walks, self._random, settings.max_answers)
        self._failures: dict[QuestionSpec, int] = dict.fromkeys(_all_specs(settings), 0)
        self._tree = _tree_of(self._failures)
        self._used_paths: set[tuple[str, ...]] = set()
        self._used_prefixes: set[tuple[str, ...]] = set()
        self._identities: set[tuple[str, ...]] = set()
        self._count = 0
        self._exhausted = False

    def generate(self) -> Question:
        """Return the next question.

        Raises:
            WorldError: When the world has no further question of these kinds and hops.
        """
        tree = self._tree
        while tree and not self._exhausted:
            spec = self._sample(tree)
            question = self._from_spec(spec)
            if question is not None:
                self._failures[spec] = 0
                self._count += 1
                return question
            tree = self._without(spec, tree)
        # Fails from now on: a question must not depend on how often it was requested.
        self._exhausted = True
        raise WorldError(self._shortage())

    def _shortage(self) -> str:
        settings = self._settings
        size = self._world.universe.size
        bounds = f"kinds={settings.kinds}, hops={settings.hops}"
        if not self._count:
            followed = (*self._world.vocabulary.followed, *self._world.vocabulary.attributes)
            return (
                f"kinds, hops, relations and size must allow a question, but {bounds}, relations="
                f"{followed} and size={size} gave none; widen one of them"
            )
        return (
            f"questions_per_world must be at most {self._count} here, got "
            f"{settings.questions_per_world}: this world of size={size} holds no further question "
            f"of {bounds}; take fewer questions, a larger size, or more kinds"
        )

    def _sample(self, tree: _Tree) -> QuestionSpec:
        """Sample a kind, then hops, then a target, each uniformly."""
        by_hops = tree[self._random.choice(list(tree))]
        return self._random.choice(by_hops[self._random.choice(list(by_hops))])

    def _without(self, failed: QuestionSpec, tree: _Tree) -> _Tree:
        """Return the tree without a specification, dropping it for later questions if it recurs."""
        self._failures[failed] += 1
        if self._failures[failed] >= _MAX_FAILURES:
            self._tree = _tree_of(s for s, n in self._failures.items() if n < _MAX_FAILURES)
        specs = (
            s for by_hops in tree.values() for same_hops in by_hops.values() for s in same_hops
        )
        return _tree_of(spec for spec in specs if spec != failed)

    def _from_spec(self, spec: QuestionSpec) -> Question | None:
        create_draft = self._drafter.by_kind[spec.kind]
        for _ in range(_TRIES):
            draft = create_draft(spec.hops, spec.target)
            if draft is None or not self._is_new(draft):
                continue
            query_text = str(draft.query)
            key = identity(draft.query, query_text)
            if key in self._identities:
                continue
            question = self._question(spec, draft.query, query_text)
            if question is not None:
                self._identities.add(key)
                self._remember(draft)
                return question
        return None

    def _is_new(self, draft: Draft) -> bool:
        for path in draft.paths:
            if path in self._used_paths or path in self._used_prefixes:
                return False
            # A question further along a used path would contain the answer to another question.
            if any(path[:length] in self._used_paths for length in range(1, len(path))):
                return False
        return True

    def _remember(self, draft: Draft) -> None:
        for path in draft.paths:
            self._used_paths.add(path)
            self._used_prefixes.update(path[:length] for length in range(1, len(path)))

    def _question(self, spec: QuestionSpec, query: Query, query_text: str) -> Question | None:
        """Return the question, or None if the tools cannot prove it within the bounds."""
        result = self._world.evaluator.evaluate(query)
        provable = all(fact.shown_by for proof in result.proofs for fact in proof)
        if not result.proofs or not provable:
            return None
        entities = {id(query): result.entities}
        grammar = Grammar(self._random, cache(lambda part: self._is_plural(part, entities)))
        unanswerable = spec.kind == "unanswerable"
        question = Question(
            id=f"{self._id_prefix}{self._count}",
            text=grammar.question(query),
            answers=UNKNOWN if unanswerable else result.values,
            answer_kind="text" if unanswerable else answer_kind(query),
            hops=result.hops,
            kind=spec.kind,
            proofs=result.proofs,
            source="people",
            metadata={"query": query_text},
        )
        return question if self._is_short(Task(question, self._world.corpus)) else None

    def _is_short(self, task: Task) -> bool:
        """Return whether the oracle needs at most ``max_oracle_steps``."""
        max_steps = self._settings.max_oracle_steps
        # A plan has at most one call for each evidence of its proof.
        if min(map(len, task.question.proofs)) + 1 + _PLAN_ERROR <= max_steps:
            return True
        plans = plans_by_cost(Knowledge(task))
        planned = len(plans[0]) + 1 if plans else 1
        if abs(planned - max_steps) > _PLAN_ERROR:
            return planned < max_steps
        return count_steps(task, _DeclaredSearches(task)) <= max_steps

    def _is_plural(self, query: Query, entities: dict[int, tuple[int, ...]]) -> bool:
        if not isinstance(query, Follow | Intersect):
            return False
        ends = self._world.evaluator.entities(query, entities)
        if ends or not isinstance(query, Follow) or is_single(query):
            return len(ends) > 1
        # An empty set is asked for in either number, so that the number reveals nothing; parents
        # always are two and are never asked for in the singular.
        return query.relation.endswith("parent") or self._random.random() < 0.5


def identity(query: Query, query_text: str) -> tuple[str, ...]:
    """Return a key that is equal for queries that ask the same thing in different forms."""
    if isinstance(query, Compare):
        family = "same" if query.op == "same" else ""
        return (family, query.by, *sorted(map(str, query.parts)))
    return (query_text,)


def is_single(query: Query) -> bool:
    """Return whether a query leads to at most one entity in every world."""
    return all(
        SCHEMA.single(part.relation)
        if isinstance(part, Follow)
        else not isinstance(part, Intersect)
        for part in query.walk()
    )


def answer_kind(query: Query) -> AnswerKind:
    """Return the kind of answer that a query has, which decides how it is scored."""
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


def _tree_of(specs: Iterable[QuestionSpec]) -> _Tree:
    tree: _Tree = {}
    for spec in specs:
        tree.setdefault(spec.kind, {}).setdefault(spec.hops, []).append(spec)
    return tree


def _all_specs(settings: QuestionSettings) -> list[QuestionSpec]:
    fewest, most = settings.hops
    counts = range(min(settings.max_answers, _MAX_COUNT) + 1)
    return [
        QuestionSpec(kind, hops, target)
        for kind in settings.kinds
        for hops in range(max(fewest, FEWEST_HOPS.get(kind, 1)), most + 1)
        for target in (counts if kind == "count" else (0,))
    ]
