"""`PeopleSource`: questions over generated worlds of fictional people, as a `TaskSource`."""

import hashlib
import math
from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from typing import Any

import msgspec
import numpy as np

from hopgym.errors import ArgumentError, require
from hopgym.tasks import Question, Task, TaskSource
from hopgym.worlds.people.name_pools import load_name_pool
from hopgym.worlds.people.population import populate
from hopgym.worlds.people.questions import QuestionGenerator
from hopgym.worlds.people.settings import SPLITS, QuestionSettings, WorldSettings
from hopgym.worlds.people.universe import Universe
from hopgym.worlds.people.vocabulary import ATTRIBUTES, vocabulary
from hopgym.worlds.people.world import PeopleWorld
from hopgym.worlds.queries import Attribute, Compare, Count, Follow, Intersect, Name, Query

_CACHED_WORLDS = 2
_MAX_TASKS = 2**62
_VERSION = 0
"""Version of the generator, part of every seed and fingerprint."""
_WORLD_NAMES = tuple(field.name for field in fields(WorldSettings))
_QUESTION_NAMES = tuple(field.name for field in fields(QuestionSettings))
_MIN_STEPS = 2
"""Steps of the shortest episode in which the oracle proves an answer: one search and the answer."""
_GUESS_ENTITIES = 2_000
"""Entities whose values a guess counts."""


class _WorldTasks:
    """A world with the tasks that were generated for it so far."""

    def __init__(self, world: PeopleWorld, generator: QuestionGenerator) -> None:
        self.world = world
        self._generator = generator
        self._tasks: list[Task] = []

    def task(self, slot: int) -> Task:
        while len(self._tasks) <= slot:
            self._tasks.append(Task(self._generator.generate(), self.world.corpus))
        return self._tasks[slot]


class PeopleSource(TaskSource):
    """Questions over generated worlds; index i is question i % Q of world i // Q.

    Q is ``questions_per_world``. The questions of a world are generated in order on demand, and
    the two worlds used last are cached. Everything follows from the arguments and the index.

    Args:
        world_settings: Size, number, facts and page style of the worlds.
        question_settings: Number, kinds and bounds of the questions.
    """

    name = "people"
    evidence_source = "exact"
    partial_credit = False
    notes = (
        'If there is no answer, answer "unknown". Pages list the relations of their subject in '
        "full, and couples have their children together."
    )

    answer_notes = 'If there is no answer, answer "unknown".'

    def __init__(
        self,
        world_settings: WorldSettings | None = None,
        question_settings: QuestionSettings | None = None,
    ) -> None:
        self.world_settings = world_settings or WorldSettings()
        self.question_settings = question_settings or QuestionSettings()
        tasks = self.world_settings.worlds * self.question_settings.questions_per_world
        require(tasks <= _MAX_TASKS, "worlds", f"at most {_MAX_TASKS} questions in all", tasks)
        self._worlds: OrderedDict[int, _WorldTasks] = OrderedDict()

    @classmethod
    def argument_names(cls) -> tuple[str, ...]:
        """Return the fields of `WorldSettings`, then those of `QuestionSettings`."""
        return _WORLD_NAMES + _QUESTION_NAMES

    @classmethod
    def from_arguments(cls, **arguments: Any) -> "PeopleSource":
        """Return the source with these fields of `WorldSettings` and `QuestionSettings`."""
        for_world = {name: value for name, value in arguments.items() if name in _WORLD_NAMES}
        for_questions = {name: value for name, value in arguments.items() if name not in for_world}
        return cls(WorldSettings(**for_world), QuestionSettings(**for_questions))

    @classmethod
    def arguments_within(cls, max_steps: int, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return the arguments with ``max_oracle_steps`` at most the step budget."""
        if max_steps < _MIN_STEPS:
            return dict(arguments)
        settings = cls.from_arguments(**arguments).question_settings
        return {**arguments, "max_oracle_steps": min(settings.max_oracle_steps, max_steps)}

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the arguments only; worlds are generated again after unpickling."""
        return type(self), (self.world_settings, self.question_settings)

    def __deepcopy__(self, memo: dict[int, Any]) -> "PeopleSource":
        """Return the source itself, because its tasks depend on its arguments only."""
        return self

    def __len__(self) -> int:
        """Return ``worlds * questions_per_world``."""
        return self.world_settings.worlds * self.question_settings.questions_per_world

    def __getitem__(self, index: int, /) -> Task:
        """Return the task at an index in [0, len); `WorldError` if its world is too small."""
        per_world = self.question_settings.questions_per_world
        number, slot = divmod(self.check_index(index), per_world)
        return self._world_tasks(number).task(slot)

    def index_of(self, task_id: str) -> int:
        """Return the index of a task id of this split and seed.

        Raises:
            ArgumentError: When the source has no task with this id.
        """
        per_world = self.question_settings.questions_per_world
        _, number, slot = [*str(task_id).split("/"), "", ""][:3]
        if number.isdecimal() and slot.isdecimal() and int(slot) < per_world:
            index = int(number) * per_world + int(slot)
            if index < len(self) and task_id == f"{self._id_prefix(int(number))}{int(slot)}":
                return index
        example = f"{self._id_prefix(0)}0"
        raise ArgumentError(f"task_id must be of the form {example!r} here, got {task_id!r}")

    @property
    def fingerprint(self) -> str:
        """Hex digest of the arguments and the version of the generator."""
        settings = [_VERSION, asdict(self.world_settings), asdict(self.question_settings)]
        return hashlib.sha256(msgspec.json.encode(settings)).hexdigest()

    def world(self, number: int) -> PeopleWorld:
        """Return a world by its number in [0, worlds); `IndexError` outside."""
        if not 0 <= number < self.world_settings.worlds:
            raise IndexError(f"world must be in [0, {self.world_settings.worlds}), got {number}")
        return self._world_tasks(number).world

    def guess(self, task: Task) -> str:
        """Return the best answer that needs no reading.

        A guess uses the question's last relation, its answer kind and the values in the world:
        the most frequent values, ``max_answers`` of them for a set; the most frequent count; the
        first name of a comparison; or ``yes``. Unanswerable questions are guessed like the rest.
        """
        per_world = self.question_settings.questions_per_world
        world = self.world(self.index_of(task.question.id) // per_world)
        return _guess(world, task.question, self.question_settings.max_answers)

    def world_of(self, task_id: str) -> str:
        """Return the part of a task id that names its world, such as ``train-0/12``."""
        world, _, slot = task_id.rpartition("/")
        return world if slot.isdigit() else task_id

    def split_arguments(self, split: str) -> dict[str, Any] | None:
        """Return the argument that selects a split; no two splits share a world."""
        require(split in SPLITS, "split", f"one of {', '.join(SPLITS)}", split)
        return {"split": split}

    def sized_arguments(self, questions: int, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return arguments for ``questions`` tasks in one world, or in ``worlds`` if given."""
        worlds = arguments.get("worlds")
        per_world = arguments.get("questions_per_world")
        if per_world is None:
            per_world = math.ceil(questions / (worlds or 1))
        if worlds is None:
            worlds = math.ceil(questions / per_world)
        return {**arguments, "worlds": worlds, "questions_per_world": per_world}

    def _id_prefix(self, number: int) -> str:
        return f"{self.world_settings.split}-{self.world_settings.world_seed}/{number}/"

    def _world_tasks(self, number: int) -> _WorldTasks:
        tasks = self._worlds.get(number)
        if tasks is None:
            tasks = self._generate(number)
            self._worlds[number] = tasks
            if len(self._worlds) > _CACHED_WORLDS:
                self._worlds.popitem(last=False)
        self._worlds.move_to_end(number)
        return tasks

    def _generate(self, number: int) -> _WorldTasks:
        settings = self.world_settings
        seed = (_VERSION, settings.world_seed, SPLITS.index(settings.split), number)
        # Separate generators: other question settings must not change the people or the pages.
        for_people, for_pages, for_questions = (
            np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(3)
        )
        pool = load_name_pool(settings.name_pool)
        people = populate(
            settings.size, settings.distractors, pool, settings.names_split, for_people
        )
        world = PeopleWorld(
            Universe(people, pool), vocabulary(settings.relations), settings.page_style, for_pages
        )
        prefix = self._id_prefix(number)
        generator = QuestionGenerator(world, self.question_settings, prefix, for_questions)
        return _WorldTasks(world, generator)


def _guess(world: PeopleWorld, question: Question, max_answers: int) -> str:
    query = Query.parse(question.metadata["query"])
    if question.answer_kind == "yesno":
        return "yes"
    count = max_answers if question.answer_kind == "set" else 1
    match query:
        case Compare(_, _, left, right):
            names = [part.name for part in (left, right) if isinstance(part, Name)]
            return names[0] if names else _most_frequent(_values_of_relation(world, left), 1)
        case Count(relation, _):
            follow = world.evaluator.follow
            return _most_frequent((str(len(follow(relation, p))) for p in _people(world)), 1)
        case Attribute(attribute, _):
            return _most_frequent(_values_of_attribute(world, attribute), count)
    return _most_frequent(_values_of_relation(world, query), count)


def _values_of_relation(world: PeopleWorld, query: Query) -> Iterable[str]:
    """Return the names that the last relation of a query leads to from any entity."""
    while isinstance(query, Intersect):
        query = query.left
    relations = [part.relation for part in query.walk() if isinstance(part, Follow)]
    if not relations:
        return map(world.name, _people(world))
    starts = range(min(len(world.universe), _GUESS_ENTITIES))
    follow = world.evaluator.follow
    return (world.name(v) for start in starts for v in follow(relations[0], start))


def _values_of_attribute(world: PeopleWorld, attribute: str) -> Iterable[str]:
    holders = range(min(len(world.universe), _GUESS_ENTITIES))
    if world.universe.kind(0) != ATTRIBUTES[attribute]:
        holders = range(len(world.universe.people.names), len(world.universe))
    values = (world.attribute(attribute, e) for e in holders)
    return (value for value in values if value is not None)


def _people(world: PeopleWorld) -> range:
    return range(min(world.universe.size, _GUESS_ENTITIES))


def _most_frequent(values: Iterable[str], count: int) -> str:
    # Counter orders equal counts by first occurrence, so the result is deterministic.
    return "; ".join(value for value, _ in Counter(values).most_common(count)) or "unknown"
