"""PeopleSource: endless questions over fictional people, as a `TaskSource`."""

import hashlib
import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

import msgspec
import numpy as np

from hopgym.errors import ArgumentError, require
from hopgym.tasks import Task, TaskSource
from hopgym.worlds.people.guess import guess
from hopgym.worlds.people.population import populate
from hopgym.worlds.people.questions import QuestionMaker
from hopgym.worlds.people.settings import SPLITS, QuestionSettings, WorldSettings
from hopgym.worlds.people.universe import Universe
from hopgym.worlds.people.vocabulary import vocabulary
from hopgym.worlds.people.words import load_words
from hopgym.worlds.people.world import World

_KEPT_WORLDS = 2
_MOST_TASKS = 2**62
_VERSION = 0
"""Of what worlds and questions follow from a seed; goes into every seed and fingerprint."""


_WORLD_NAMES = tuple(field.name for field in fields(WorldSettings))
_QUESTION_NAMES = tuple(field.name for field in fields(QuestionSettings))
_FEWEST_STEPS = 2
"""Steps of the shortest episode with an oracle's answer: one search and the answer."""


class _Universe:
    """A world with the questions made of it so far."""

    def __init__(self, world: World, maker: QuestionMaker) -> None:
        self.world = world
        self._maker = maker
        self._tasks: list[Task] = []

    def task(self, slot: int) -> Task:
        while len(self._tasks) <= slot:
            self._tasks.append(Task(self._maker.next(), self.world.corpus))
        return self._tasks[slot]


class PeopleSource(TaskSource):
    """Questions over generated universes of people; index i is slot i % Q of world i // Q.

    A world's questions are made in slot order when first asked for, and the two worlds used last
    are kept. Everything follows from the arguments and the index.

    Args:
        world_settings: Which universes.
        question_settings: What is asked of them.
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
        require(tasks <= _MOST_TASKS, "worlds", f"at most {_MOST_TASKS} questions in all", tasks)
        self._universes: OrderedDict[int, _Universe] = OrderedDict()

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
        if max_steps < _FEWEST_STEPS:
            return dict(arguments)
        settings = cls.from_arguments(**arguments).question_settings
        return {**arguments, "max_oracle_steps": min(settings.max_oracle_steps, max_steps)}

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by arguments: worlds are made again where they are needed."""
        return type(self), (self.world_settings, self.question_settings)

    def __deepcopy__(self, memo: dict[int, Any]) -> "PeopleSource":
        """Return the source itself: what it gives depends on its arguments alone."""
        return self

    def __len__(self) -> int:
        """Return ``worlds * questions_per_world``."""
        return self.world_settings.worlds * self.question_settings.questions_per_world

    def __getitem__(self, index: int, /) -> Task:
        """Return the task at an index in [0, len); `WorldError` where its world is too small."""
        per_world = self.question_settings.questions_per_world
        world, slot = divmod(self.check_index(index), per_world)
        return self._universe(world).task(slot)

    def index_of(self, task_id: str) -> int:
        """Return the index of a task id of this split and seed.

        Raises:
            ArgumentError: When the id is not one of this source's.
        """
        per_world = self.question_settings.questions_per_world
        _, world, slot = [*str(task_id).split("/"), "", ""][:3]
        if world.isdecimal() and slot.isdecimal() and int(slot) < per_world:
            index = int(world) * per_world + int(slot)
            if index < len(self) and task_id == f"{self._id_prefix(int(world))}{int(slot)}":
                return index
        example = f"{self._id_prefix(0)}0"
        raise ArgumentError(f"task_id must be of the form {example!r} here, got {task_id!r}")

    @property
    def fingerprint(self) -> str:
        """Hex digest of the arguments and the version of what follows from them."""
        settings = [_VERSION, asdict(self.world_settings), asdict(self.question_settings)]
        return hashlib.sha256(msgspec.json.encode(settings)).hexdigest()

    def world(self, number: int) -> World:
        """Return a universe by its number in [0, worlds); `IndexError` outside of it."""
        if not 0 <= number < self.world_settings.worlds:
            raise IndexError(f"world must be in [0, {self.world_settings.worlds}), got {number}")
        return self._universe(number).world

    def guess(self, task: Task) -> str:
        """Return the best answer to be had without reading.

        It knows the question, the last relation, the answer kind and which values the world
        has: the most frequent ones; the first of two names; or yes.
        """
        world, _ = divmod(
            self.index_of(task.question.id), self.question_settings.questions_per_world
        )
        return guess(self.world(world), task.question, self.question_settings.max_answers)

    def world_of(self, task_id: str) -> str:
        """Return the part of a task id that names its universe, such as ``train-0/12``."""
        world, _, slot = task_id.rpartition("/")
        return world if slot.isdigit() else task_id

    def split_arguments(self, split: str) -> dict[str, Any] | None:
        """Return the argument that selects a split; no two splits share a universe."""
        require(split in SPLITS, "split", f"one of {', '.join(SPLITS)}", split)
        return {"split": split}

    def sized_arguments(self, questions: int, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return arguments for ``questions`` tasks in one universe, or in ``worlds`` if given."""
        worlds = arguments.get("worlds")
        per_world = arguments.get("questions_per_world")
        if per_world is None:
            per_world = math.ceil(questions / (worlds or 1))
        if worlds is None:
            worlds = math.ceil(questions / per_world)
        return {**arguments, "worlds": worlds, "questions_per_world": per_world}

    def _id_prefix(self, world: int) -> str:
        return f"{self.world_settings.split}-{self.world_settings.world_seed}/{world}/"

    def _universe(self, number: int) -> _Universe:
        universe = self._universes.get(number)
        if universe is None:
            universe = self._make(number)
            self._universes[number] = universe
            if len(self._universes) > _KEPT_WORLDS:
                self._universes.popitem(last=False)
        self._universes.move_to_end(number)
        return universe

    def _make(self, number: int) -> _Universe:
        settings = self.world_settings
        seed = (_VERSION, settings.world_seed, SPLITS.index(settings.split), number)
        for_people, for_pages, for_questions = (
            np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(3)
        )
        words = load_words(settings.name_pool)
        people = populate(
            settings.size, settings.distractors, words, settings.names_split, for_people
        )
        universe = Universe(people, words)
        asked = vocabulary(settings.relations)
        world = World(universe, asked, settings.page_style, for_pages)
        maker = QuestionMaker(world, self.question_settings, self._id_prefix(number), for_questions)
        return _Universe(world, maker)
