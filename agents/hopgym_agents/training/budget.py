"""Budgets: what a run has spent, and when that is enough.

In: what each batch costs, and limits. Out: the sums so far, over all sessions of a run.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Annotated, Any

from msgspec import Meta

DEV_SUCCESS = "dev_success"
"""The limit that is no cost."""
_Limit = Annotated[float, Meta(gt=0)] | None
_Count = Annotated[int, Meta(ge=1)] | None


@dataclass(frozen=True, slots=True)
class Spent:
    """What a run has cost so far. Work that a kill undid and that was done again counts once."""

    generated_tokens: int = 0
    """Sampled from a model by the run itself."""
    gradient_tokens: int = 0
    """Tokens that a loss was put on, each time that it was."""
    environment_steps: int = 0
    """Taken by the run itself."""
    distinct_worlds: int = 0
    """Behind all that was learnt from."""
    cpu_seconds: float = 0.0
    """Of all processes that train together and of all their threads, without those of
    evaluations; what other processes than the first took behind its last step is not in it."""
    wall_seconds: float = 0.0
    """Without those of evaluations."""
    gpu_seconds: float = 0.0
    """Wall seconds times the GPUs that are held meanwhile, busy or not."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON, seconds to the millisecond."""
        return {each.name: round(getattr(self, each.name), 3) for each in fields(self)}


@dataclass(frozen=True, slots=True)
class Limits:
    """Most of each that a run may spend; it ends with the batch that gets there."""

    generated_tokens: _Count = None
    """Tokens sampled from the model by the run itself."""
    gradient_tokens: _Count = None
    """Tokens in the loss, counted each time they are trained on."""
    environment_steps: _Count = None
    """Environment steps taken by the run itself."""
    distinct_worlds: _Count = None
    """Distinct worlds in the training data."""
    cpu_seconds: _Limit = None
    """CPU seconds of all processes and threads, without evaluations."""
    wall_seconds: _Limit = None
    """Wall seconds, without evaluations."""
    gpu_seconds: _Limit = None
    """Wall seconds times the number of GPUs, busy or not."""
    dev_success: Annotated[float, Meta(gt=0, le=1)] | None = None
    """Not spent, but reached: success on the held-out tasks, as soon as an evaluation shows it."""

    def reached(self, spent: Spent, dev_success: float = 0.0) -> str:
        """Return the name of a limit that has been reached; empty where none has."""
        for each in fields(self):
            limit = getattr(self, each.name)
            if limit is not None and getattr(spent, each.name, dev_success) >= limit:
                return each.name
        return ""

    @property
    def given(self) -> bool:
        """Whether there is any."""
        return any(getattr(self, each.name) is not None for each in fields(self))


class Meter:
    """Adds up what a run costs, seconds of its sessions among it.

    Args:
        before: What earlier sessions had spent when they wrote the checkpoint that is gone on from.
        gpus: How many the processes that train together hold.
    """

    def __init__(self, before: Spent | None = None, gpus: int = 0) -> None:
        self._gpus = gpus
        self._counts: dict[str, float] = {}
        self.start(before or Spent())

    def start(self, before: Spent) -> None:
        """Begin a session behind what was spent before it."""
        self._counts = {each.name: getattr(before, each.name) for each in fields(before)}
        self.others = 0.0
        """CPU seconds of the other processes of this session."""
        self._cpu, self._wall = time.process_time(), time.monotonic()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the seconds of an evaluation out."""
        cpu, wall = time.process_time(), time.monotonic()
        try:
            yield
        finally:
            self._cpu += time.process_time() - cpu
            self._wall += time.monotonic() - wall

    @property
    def own_cpu(self) -> float:
        """CPU seconds of this process in this session."""
        return time.process_time() - self._cpu

    def add(self, **counts: int) -> None:
        """Count something that was spent, by the names of `Spent`."""
        for name, count in counts.items():
            self._counts[name] += count

    @property
    def spent(self) -> Spent:
        """The sums at this moment."""
        found: dict[str, Any] = dict(self._counts)
        found["cpu_seconds"] += round(self.own_cpu + self.others, 3)
        wall = time.monotonic() - self._wall
        found["wall_seconds"] += round(wall, 3)
        found["gpu_seconds"] += round(self._gpus * wall, 3)
        return Spent(**found)


def read_spent(value: Mapping[str, Any]) -> Spent:
    """Return what `Spent.to_dict` wrote, other keys left out."""
    return Spent(**{each.name: value.get(each.name, 0) for each in fields(Spent)})
