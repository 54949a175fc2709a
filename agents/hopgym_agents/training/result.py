"""What a training run would do, and what it did: for people, files and the model card."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hopgym_agents.generate.loading import weights_digest
from hopgym_agents.modeling.trainable import Trainable
from hopgym_agents.training.budget import Spent, read_spent
from hopgym_agents.training.config import TrainConfig
from hopgym_agents.training.environments import acting_options
from hopgym_agents.training.method import Method
from hopgym_agents.training.rows import TrainingRow, marked_text
from hopgym_agents.training.run_folder import RunFolder
from hopgym_agents.training.setup import TrainingData

_SERVING_OPTIONS = ("base_url", "api_key_env", "concurrency", "timeout", "retries", "device")
"""Options of a judge that do not change its judgements."""
_ADAM_BYTES = 8
_ACTIVATIONS_PER_LAYER = 16
"""Numbers a layer stores for the backward pass, in units of tokens times hidden size; one with
gradient checkpointing."""


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """What a run would do."""

    identity: Mapping[str, Any]
    """Everything that decides the run except its limits. A folder belongs to one identity."""
    method: str
    data: TrainingData
    config: TrainConfig
    parameters: int
    trained_parameters: int
    steps: int
    """Optimizer steps unless a limit is reached earlier; 0 when only a limit ends the run."""
    memory_bytes: int
    """Estimate for weights, gradients, optimizer state and the longest batch together."""
    sample: str
    """Text of a row, with ``[[`` and ``]]`` around what is trained on."""

    @classmethod
    def of(
        cls,
        method: type[Method],
        config: TrainConfig,
        trainable: Trainable,
        data: TrainingData,
        steps: int,
        rows_at_once: int,
    ) -> "TrainingPlan":
        """Return the plan of a run.

        Args:
            method: The method.
            config: The resolved configuration.
            trainable: The model.
            data: What the run learns from.
            steps: As in `TrainingPlan.steps`.
            rows_at_once: Rows in memory at a time.
        """
        sizes = [(w.numel(), w.requires_grad) for w in trainable.model.parameters()]
        return cls(
            identity=_identity(method.identity(), config, trainable, data),
            method=method.name,
            data=data,
            config=config,
            parameters=sum(size for size, _ in sizes),
            trained_parameters=sum(size for size, trained in sizes if trained),
            steps=steps,
            memory_bytes=_memory_estimate(trainable, data.examples, rows_at_once),
            sample=marked_text(data.examples[0], trainable.tokenizer),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {
            "identity": dict(self.identity),
            "method": self.method,
            "data": self.data.to_dict(),
            "config": asdict(self.config),
            "parameters": self.parameters,
            "trained_parameters": self.trained_parameters,
            "steps": self.steps,
            "memory_bytes": self.memory_bytes,
            "sample": self.sample,
        }


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What a run produced."""

    model: str
    """Folder of the model or adapter."""
    steps: int
    spent: Spent
    ended_by: str
    """The limit that was reached, or ``steps``."""
    tracked: str
    """The figure that shows the course of training: ``reward`` if there is one, else ``loss``."""
    first: float | None
    """Its value at the first point of the log, a mean over the steps so far, if any."""
    last: float | None
    """Its value at the last point of the log."""
    dev_before: float | None = None
    """Success on the held-out tasks before the first step, if evaluated."""
    dev_after: float | None = None
    """Success on the held-out tasks after the last step, if evaluated."""

    @classmethod
    def of(cls, folder: RunFolder, spent: Spent, ended_by: str, steps: int) -> "TrainResult":
        """Return the result of a run that has just ended."""
        points = folder.points()
        tracked = "reward" if any("reward" in point for point in points) else "loss"
        values = [point[tracked] for point in points if tracked in point]
        dev = [point["dev"]["success"] for point in points if "dev" in point]
        return cls(
            model=str(folder.model),
            steps=steps,
            spent=spent,
            ended_by=ended_by,
            tracked=tracked,
            first=values[0] if values else None,
            last=values[-1] if values else None,
            dev_before=dev[0] if dev else None,
            dev_after=dev[-1] if dev else None,
        )

    @property
    def course(self) -> str:
        """The course of training in words."""
        if self.first is None or self.last is None:
            return "no step was taken"
        return f"{self.tracked} {self.first:.3f} to {self.last:.3f}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON."""
        return asdict(self) | {"spent": self.spent.to_dict()}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "TrainResult":
        """Return the result that `to_dict` wrote."""
        return cls(**{**value, "spent": read_spent(value["spent"])})


def policy_options(config: TrainConfig, folder: str) -> dict[str, Any]:
    """Return the options of the policy ``llm`` that play a trained model.

    Args:
        config: Configuration of the run.
        folder: Of the trained model or adapter.
    """
    options: dict[str, Any] = {"generator": "local", "model": folder}
    if config.precision.kind != "full":
        options |= {"model": config.model, "adapter": folder}
    if config.precision.kind == "qlora":
        options["load_in_4bit"] = True
    return options | acting_options(asdict(config))


def _identity(
    method: str, config: TrainConfig, trainable: Trainable, data: TrainingData
) -> Mapping[str, Any]:
    settings = {
        name: value
        for name, value in asdict(config).items()
        if name not in ("run", "model", "out", "limits", "play")
    }
    play = asdict(config.play)
    play["judge"] = {
        name: value for name, value in play["judge"].items() if name not in _SERVING_OPTIONS
    }
    digests = {"source": data.source, "rows": data.digest, "model": weights_digest(trainable.model)}
    return {"method": method, **digests, **settings, "play": play}


def _memory_estimate(trainable: Trainable, rows: Sequence[TrainingRow], rows_at_once: int) -> int:
    """Return an estimate in bytes; frozen 4-bit weights count as stored."""
    weights = list(trainable.model.parameters())
    stored = sum(weight.numel() * weight.element_size() for weight in weights)
    trained = sum(weight.numel() for weight in weights if weight.requires_grad)
    config = trainable.model.config
    tokens = rows_at_once * max(len(row.input_ids) for row in rows)
    recompute = trainable.precision.gradient_checkpointing
    layers = config.num_hidden_layers * (1 if recompute else _ACTIVATIONS_PER_LAYER)
    per_token = layers * config.hidden_size + 2 * config.vocab_size
    return int(stored + trained * (4 + _ADAM_BYTES) + tokens * per_token * 4)
