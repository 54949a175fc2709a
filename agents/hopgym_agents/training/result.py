"""What a run is and what came of it, for people and for files.

In: a configuration, a model, rows. Out: all that is known before training, memory among it, and
the result after it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from hopgym_agents.generate.loading import weights_digest
from hopgym_agents.modeling import Trainable
from hopgym_agents.training.budget import Spent, read_spent
from hopgym_agents.training.config import TrainConfig
from hopgym_agents.training.environments import acting_options
from hopgym_agents.training.rows import Row, shown
from hopgym_agents.training.run_folder import RunFolder

_SERVING = ("base_url", "api_key_env", "concurrency", "timeout", "retries", "device")
"""Options of a judge that do not decide what it says."""
_ADAM_BYTES = 8
_KEPT_PER_LAYER = 16
"""Numbers kept for the backward pass, in units of tokens times hidden size: about what attention
and MLP of a layer keep; a single one where layers are computed again."""


@dataclass(frozen=True, slots=True)
class Data:
    """What is learnt from."""

    told: str
    """In words, for the card."""
    env_id: str
    env_kwargs: Mapping[str, Any]
    source: str
    """Fingerprint of the tasks."""
    digest: str = ""
    """Of the rows made of a file, where one is learnt from."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """What there is of it, by name."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What a run would do."""

    identity: Mapping[str, Any]
    """What decides the run beside its limits: another one may not go on in its folder."""
    method: str
    data: Data
    config: TrainConfig
    parameters: int
    trained_parameters: int
    steps: int
    """Of the optimiser, unless a limit is reached before; 0 where only a limit ends them."""
    memory_bytes: int
    """About what weights, gradients, optimiser and the longest batch take together."""
    sample: str
    """A row's text, what is learnt of it between ``[[`` and ``]]``."""

    @classmethod
    def of(
        cls,
        method: str,
        config: TrainConfig,
        trainable: Trainable,
        rows: Sequence[Row],
        data: Data,
        steps: int,
        at_once: int,
    ) -> "Checked":
        """Return what is known before training.

        Args:
            method: Its name.
            config: The options, those of the method filled in.
            trainable: The model.
            rows: Such as are learnt, at least one; the first is shown, the longest is reckoned
                with.
            data: What is learnt from.
            steps: As `Checked.steps`.
            at_once: Rows in memory at a time.
        """
        sizes = [(w.numel(), w.requires_grad) for w in trainable.model.parameters()]
        return cls(
            identity=_identity(method, config, trainable, data),
            method=method,
            data=data,
            config=config,
            parameters=sum(size for size, _ in sizes),
            trained_parameters=sum(size for size, trained in sizes if trained),
            steps=steps,
            memory_bytes=_memory(trainable, rows, at_once),
            sample=shown(rows[0], trainable.tokenizer),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Trained:
    """What came of a run."""

    model: str
    """Folder of the model or adapter."""
    steps: int
    spent: Spent
    ended_by: str
    """The limit that was reached; ``steps`` where none was."""
    followed: str
    """What tells how the training went: ``reward`` where there is one, whose loss is near 0 all
    the time, else ``loss``."""
    first: float | None
    """That at the first point of the log, a mean over the steps up to there; None where no step
    was taken."""
    last: float | None
    """The same at the last one."""
    dev_before: float | None = None
    """Success on the held-out tasks before the first step, where they were played."""
    dev_after: float | None = None
    """The same behind the last one."""

    @classmethod
    def of(cls, folder: RunFolder, spent: Spent, ended_by: str, steps: int) -> "Trained":
        """Return the result of a run that has just ended."""
        points = folder.points()
        followed = "reward" if any("reward" in each for each in points) else "loss"
        seen = [each[followed] for each in points if followed in each]
        first, last = (seen[0], seen[-1]) if seen else (None, None)
        dev = [each["dev"]["success"] for each in points if "dev" in each]
        before, after = (dev[0], dev[-1]) if dev else (None, None)
        model = str(folder.model)
        return cls(model, steps, spent, ended_by, followed, first, last, before, after)

    @property
    def course(self) -> str:
        """How the training went, in words."""
        if self.first is None or self.last is None:
            return "no step was taken"
        return f"{self.followed} {self.first:.3f} to {self.last:.3f}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON."""
        return asdict(self) | {"spent": self.spent.to_dict()}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "Trained":
        """Return what `to_dict` wrote."""
        return cls(**{**value, "spent": read_spent(value["spent"])})


def play_options(config: TrainConfig, folder: str) -> dict[str, Any]:
    """Return the options of the policy ``llm`` with which what was trained is played."""
    options: dict[str, Any] = {"generator": "local", "model": folder}
    if config.precision.kind != "full":
        options |= {"model": config.model, "adapter": folder}
    if config.precision.kind == "qlora":
        options["load_in_4bit"] = True
    return options | acting_options(asdict(config))


def _identity(
    method: str, config: TrainConfig, trainable: Trainable, data: Data
) -> Mapping[str, Any]:
    kept = {
        name: value
        for name, value in asdict(config).items()
        if name not in ("run", "model", "out", "limits", "play")
    }
    play = asdict(config.play)
    # Where a judge is served, how often it is asked at a time and by which key, changes nothing.
    play["judge"] = {name: value for name, value in play["judge"].items() if name not in _SERVING}
    digests = {"source": data.source, "rows": data.digest, "model": weights_digest(trainable.model)}
    return {"method": method, **digests, **kept, "play": play}


def _memory(trainable: Trainable, rows: Sequence[Row], at_once: int) -> int:
    """Return about how many bytes training takes; frozen weights in 4 bits as they are stored."""
    weights = list(trainable.model.parameters())
    held = sum(weight.numel() * weight.element_size() for weight in weights)
    trained = sum(weight.numel() for weight in weights if weight.requires_grad)
    config = trainable.model.config
    tokens = at_once * max(len(row.input_ids) for row in rows)
    again = trainable.precision.gradient_checkpointing
    layers = config.num_hidden_layers * (1 if again else _KEPT_PER_LAYER)
    per_token = layers * config.hidden_size + 2 * config.vocab_size
    return int(held + trained * (4 + _ADAM_BYTES) + tokens * per_token * 4)
