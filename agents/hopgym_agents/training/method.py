"""Training methods: the interface they share, and how one is found by name.

A method is a subclass of `hopgym_agents.training.imitation.ImitationMethod` or
`hopgym_agents.training.grpo.GRPOMethod` in a file of its own. The loop
(`hopgym_agents.training.loop`) checks the configuration, loads the model, and owns folder, budget,
checkpoints and evaluations; the method turns row numbers into what is trained on.
"""

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import replace
from enum import StrEnum
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, ClassVar

from hopgym.errors import ArgumentError, did_you_mean, require
from hopgym.plugins import load_object, source_digest
from hopgym_agents.training.budget import Spent
from hopgym_agents.training.setup import TrainingData, TrainingRun, TrainingSetup

if TYPE_CHECKING:
    from hopgym_agents.training.config import TrainConfig
    from hopgym_agents.training.rows import TrainingRow

METHODS: Mapping[str, str] = {
    "sft": "hopgym_agents.training.methods.sft:SFT",
    "expert_iteration": "hopgym_agents.training.methods.expert_iteration:ExpertIteration",
    "stepwise": "hopgym_agents.training.methods.stepwise:StepWise",
    "trajectory": "hopgym_agents.training.methods.trajectory:TrajectoryRL",
    "one_turn": "hopgym_agents.training.methods.trajectory:OneTurn",
}
"""The methods of this package by name."""
ENTRY_POINTS = "hopgym.methods"
"""Entry-point group through which other packages add methods."""


class RunUse(StrEnum):
    """Whether a method learns from a recorded run (``--run``)."""

    NEVER = "never"
    OPTIONAL = "optional"
    REQUIRED = "required"


class Method(ABC):
    """A training method; one object per run.

    Args:
        run: The run that has started.
    """

    name: ClassVar[str] = ""
    """Name in messages and model cards; by default ``module:Name``, as it is typed."""
    reward: ClassVar[str]
    """Default reward, a name in `hopgym_agents.training.rewards.REWARD_NAMES`."""
    filter: ClassVar[str] = "none"
    """Default filter of episodes."""
    run_use: ClassVar[RunUse] = RunUse.NEVER
    plays: ClassVar[bool] = True
    """Whether the method plays an environment itself."""
    trl_defaults: ClassVar[Mapping[str, Any]] = {}
    """Values that replace TRL's defaults, beside those of base classes."""
    env_kwargs: ClassVar[Mapping[str, Any]] = {}
    """Environment arguments that the method requires."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "name" not in cls.__dict__:
            cls.name = f"{cls.__module__}:{cls.__qualname__}"

    def __init__(self, run: TrainingRun) -> None:
        self.run = run

    @classmethod
    def identity(cls) -> str:
        """Return what identifies the method in a run folder."""
        target = f"{cls.__module__}:{cls.__qualname__}"
        if METHODS.get(cls.name) == target:
            return cls.name
        return f"{target} {source_digest(sys.modules.get(cls.__module__))}".strip()

    @classmethod
    def all_trl_defaults(cls) -> dict[str, Any]:
        """Return the values that replace TRL's defaults, those of base classes first."""
        defaults: dict[str, Any] = {}
        for base in reversed(cls.__mro__):
            defaults |= base.__dict__.get("trl_defaults", {})
        return defaults

    @classmethod
    def resolve(cls, config: "TrainConfig") -> "TrainConfig":
        """Return a configuration with the method's defaults filled in.

        Raises:
            ArgumentError: On options the method cannot use.
        """
        if cls.run_use is RunUse.NEVER:
            expected = f"left out for {cls.name}, which plays itself"
            require(not config.run, "run", expected, config.run)
            require(config.filter in ("", "none"), "filter", expected, config.filter)
        elif cls.run_use is RunUse.REQUIRED:
            require(bool(config.run), "run", "given (--run FILE): what to learn from", config.run)
        kwargs = {**cls.env_kwargs, **config.play.kwargs}
        for name, value in cls.env_kwargs.items():
            fits = kwargs[name] == value
            require(fits, f"play.kwargs.{name}", f"{value} or left out", kwargs[name])
        return replace(
            config,
            play=replace(config.play, kwargs=kwargs),
            reward=config.reward or {cls.reward: 1.0},
            filter=config.filter or cls.filter,
        )

    @classmethod
    def trl_fixed(cls, config: "TrainConfig") -> Mapping[str, Any]:
        """Return the TRL settings that follow from the configuration and cannot be given.

        Raises:
            ArgumentError: When settings do not fit each other.
        """
        return {}

    @classmethod
    @abstractmethod
    def trl_config(cls) -> Any:
        """Return TRL's class of arguments."""

    @classmethod
    @abstractmethod
    def data(cls, setup: TrainingSetup) -> TrainingData:
        """Return what the run learns from.

        Raises:
            HopgymError: When the data cannot be used.
        """

    @classmethod
    def rows_per_sample(cls, arguments: Any) -> int:
        """Return how many rows of a batch one row of the data becomes."""
        return 1

    @classmethod
    def spent_before(cls, setup: TrainingSetup) -> Spent:
        """Return what counts as spent before the first step."""
        return Spent()

    @abstractmethod
    def rollouts(self, trainer: Any, rows: list[int]) -> Any:
        """Return what is trained on at some rows of the data.

        Args:
            trainer: TRL's trainer, with ``accelerator`` and ``state``.
            rows: Row numbers from 0, each as often as it is to be sampled.
        """

    @abstractmethod
    def make_trainer(self) -> Any:
        """Return TRL's trainer, which calls `rollouts`."""


def method_named(name: str) -> type[Method]:
    """Return a method by its name, the name of an entry point, or ``module:Name``.

    Raises:
        ArgumentError: When there is none, it cannot be imported, or it lacks a part of a method.
    """
    points = {point.name: point.value for point in entry_points(group=ENTRY_POINTS)}
    targets = points | dict(METHODS)
    target = name if ":" in name else targets.get(name, "").partition(" ")[0]
    if not target:
        raise ArgumentError(
            f"method must be one of {', '.join(targets)}, or module:Name, got {name!r}"
            f"{did_you_mean(name, targets)}"
        )
    _, method = load_object(target, "method", "class")
    if not (isinstance(method, type) and issubclass(method, Method)):
        raise ArgumentError(f"method must name a subclass of Method, got {name!r}")
    missing = sorted(getattr(method, "__abstractmethods__", ()))
    missing += [] if hasattr(method, "reward") else ["reward"]
    if missing:
        raise ArgumentError(f"method must define {', '.join(missing)}, got {name!r} without")
    return method


def seed_at(trainer: Any, seed: int) -> int:
    """Return the seed of what a process samples at the current step.

    Args:
        trainer: TRL's trainer.
        seed: Of the run.
    """
    accelerator = trainer.accelerator
    steps = int(trainer.state.global_step) * accelerator.num_processes
    return int(seed * 1_000_003 + steps + accelerator.process_index)


def sum_over_processes(trainer: Any, counts: Mapping[str, int]) -> dict[str, int]:
    """Return counts summed over all training processes."""
    accelerator = trainer.accelerator
    if accelerator.num_processes == 1:
        return dict(counts)
    import torch

    local = torch.tensor(list(counts.values()), device=accelerator.device)
    return dict(zip(counts, accelerator.reduce(local, "sum").tolist(), strict=True))


def most_tokens(setup: TrainingSetup) -> int:
    """Return the longest a row may be: TRL's max_length, or the model's number of positions."""
    config = setup.trainable.model.config
    positions = int(getattr(config, "max_position_embeddings", 2**31))
    return min(positions, getattr(setup.arguments, "max_length", None) or positions)


def fitting_rows(setup: TrainingSetup, rows: "Iterable[TrainingRow]") -> "list[TrainingRow]":
    """Return the rows that are not longer than `most_tokens`."""
    longest = most_tokens(setup)
    return [row for row in rows if len(row.input_ids) <= longest]
