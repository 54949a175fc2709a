"""Budgets: what a run has spent, and the limits that end it."""

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Annotated, Any

from msgspec import Meta

from hopgym.tasks import TaskSource
from hopgym.trajectory import Trajectory

DEV_SUCCESS = "dev_success"
"""The limit that is reached, not spent."""
_Seconds = Annotated[float, Meta(gt=0)] | None
_Count = Annotated[int, Meta(ge=1)] | None


@dataclass(frozen=True, slots=True)
class Spent:
    """What a run has cost so far. Work that a kill undid and a resume repeated counts once."""

    generated_tokens: int = 0
    """Tokens sampled from a model by the run itself."""
    gradient_tokens: int = 0
    """Tokens with a loss, counted each time they are trained on."""
    environment_steps: int = 0
    """Steps taken by the run itself."""
    distinct_worlds: int = 0
    """Worlds of all tasks that were trained on."""
    cpu_seconds: float = 0.0
    """CPU seconds of all threads of all training processes, without evaluations. For processes
    other than the first, up to their last step."""
    wall_seconds: float = 0.0
    """Wall seconds without evaluations."""
    gpu_seconds: float = 0.0
    """Wall seconds times the number of GPUs held, busy or not."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON, with seconds rounded to milliseconds."""
        return {item.name: round(getattr(self, item.name), 3) for item in fields(self)}


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper bounds on what a run spends. The run ends with the batch that reaches one."""

    generated_tokens: _Count = None
    """Tokens sampled from the model by the run itself."""
    gradient_tokens: _Count = None
    """Tokens in the loss, counted each time they are trained on."""
    environment_steps: _Count = None
    """Environment steps taken by the run itself."""
    distinct_worlds: _Count = None
    """Distinct worlds in the training data."""
    cpu_seconds: _Seconds = None
    """CPU seconds of all processes and threads, without evaluations."""
    wall_seconds: _Seconds = None
    """Wall seconds, without evaluations."""
    gpu_seconds: _Seconds = None
    """Wall seconds times the number of GPUs, busy or not."""
    dev_success: Annotated[float, Meta(gt=0, le=1)] | None = None
    """Success on the held-out tasks in (0, 1], checked at each evaluation."""

    def reached(self, spent: Spent, dev_success: float = 0.0) -> str:
        """Return the name of a limit that has been reached, or an empty string."""
        for item in fields(self):
            limit = getattr(self, item.name)
            if limit is not None and getattr(spent, item.name, dev_success) >= limit:
                return item.name
        return ""

    @property
    def is_set(self) -> bool:
        """Whether there is any limit."""
        return any(getattr(self, item.name) is not None for item in fields(self))


class Meter:
    """Adds up what a run costs, including the time of the current process.

    Args:
        before: What was spent up to the checkpoint that the run resumes from.
        gpus: GPUs held by all training processes together.
    """

    def __init__(self, before: Spent | None = None, gpus: int = 0) -> None:
        self._gpus = gpus
        self._counts: dict[str, float] = {}
        self.start(before or Spent())

    def start(self, before: Spent) -> None:
        """Start the clocks on top of what was spent before."""
        self._counts = {item.name: getattr(before, item.name) for item in fields(before)}
        self.other_cpu = 0.0
        """CPU seconds of the other processes since the start."""
        self._cpu_start = time.process_time()
        self._wall_start = time.monotonic()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the time of a ``with`` block out, such as that of an evaluation."""
        cpu = time.process_time()
        wall = time.monotonic()
        try:
            yield
        finally:
            self._cpu_start += time.process_time() - cpu
            self._wall_start += time.monotonic() - wall

    @property
    def process_cpu(self) -> float:
        """CPU seconds of this process since the start."""
        return time.process_time() - self._cpu_start

    def add(self, **counts: int) -> None:
        """Add counts, by the names of `Spent`."""
        for name, count in counts.items():
            self._counts[name] += count

    @property
    def spent(self) -> Spent:
        """The sums at this moment."""
        sums: dict[str, Any] = dict(self._counts)
        wall = time.monotonic() - self._wall_start
        sums["cpu_seconds"] += round(self.process_cpu + self.other_cpu, 3)
        sums["wall_seconds"] += round(wall, 3)
        sums["gpu_seconds"] += round(self._gpus * wall, 3)
        return Spent(**sums)


def read_spent(value: Mapping[str, Any]) -> Spent:
    """Return the `Spent` that `Spent.to_dict` wrote; other keys are ignored."""
    return Spent(**{item.name: value.get(item.name, 0) for item in fields(Spent)})


def episode_costs(episodes: Iterable[Trajectory]) -> dict[str, int]:
    """Return what episodes cost, by the names of `Spent`."""
    steps = [step for episode in episodes for step in episode.steps if not step.from_prefix]
    tokens = sum(step.completion.generated_tokens for step in steps if step.completion)
    return {"generated_tokens": tokens, "environment_steps": len(steps)}


class WorldCounter:
    """Counts the worlds of the first tasks of a source, which holds those of a world together.

    Args:
        source: The tasks.
        seen: Number of first tasks that have been counted.
        known: Worlds that are counted already.
    """

    def __init__(self, source: TaskSource, seen: int = 0, known: Collection[str] = ()) -> None:
        self._source = source
        self._known = known
        self.seen = seen

    def advance(self, stop: int) -> int:
        """Count the tasks before an index; return the number of worlds that are new."""
        start = max(self.seen - 1, 0)
        ids = [self._source[index].question.id for index in range(start, stop)]
        worlds = [self._source.world_of(task_id) for task_id in ids]
        new = [right for left, right in pairwise(worlds) if left != right]
        if stop > self.seen == 0:
            new.append(worlds[0])
        self.seen = max(self.seen, stop)
        return sum(world not in self._known for world in new)


def last_index(indices: Iterable[int], trainer: Any = None) -> int:
    """Return the largest task index.

    Args:
        indices: Of tasks, at least one.
        trainer: TRL's trainer when each process has tasks of its own; None when all share them.
    """
    last = max(indices)
    if trainer is None or trainer.accelerator.num_processes == 1:
        return last
    import torch

    local = torch.tensor([last], device=trainer.accelerator.device)
    return int(trainer.accelerator.gather(local).max())


class SeenWorlds:
    """Counts the worlds of rows that come in random order.

    Args:
        worlds: The world of each row.
        state: The method's state, whose key ``worlds`` holds a bit per world in hexadecimal.
    """

    def __init__(self, worlds: Sequence[str], state: dict[str, Any]) -> None:
        numbers = {name: number for number, name in enumerate(dict.fromkeys(worlds))}
        self._numbers = [numbers[world] for world in worlds]
        self._state = state
        self._seen = int(state.get("worlds", "0"), 16)

    def add(self, trainer: Any, rows: Iterable[int]) -> int:
        """Count the worlds of some rows over all processes; return how many are new."""
        numbers = [self._numbers[row] for row in rows]
        if trainer.accelerator.num_processes > 1:
            from accelerate.utils import gather_object

            numbers = list(gather_object(numbers))
        before = self._seen.bit_count()
        for number in numbers:
            self._seen |= 1 << number
        self._state["worlds"] = f"{self._seen:x}"
        return self._seen.bit_count() - before
