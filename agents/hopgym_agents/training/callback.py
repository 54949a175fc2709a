"""The ledger of a run: log, costs, checkpoints and evaluations, for any of TRL's trainers.

In: what a trainer reports while it runs. Out: points of the log with all that had been spent,
checkpoints that are known to be whole, and an end where a limit is reached.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from hopgym_agents.training.budget import Limits, Meter
from hopgym_agents.training.diagnosis import Counts, Diagnosis, figures
from hopgym_agents.training.heldout import HeldOut
from hopgym_agents.training.run_folder import RunFolder, is_leader

_T = TypeVar("_T")
_KEPT: Mapping[str, str] = {
    "loss": "loss",
    "learning_rate": "learning_rate",
    "grad_norm": "grad_norm",
    "mean_token_accuracy": "mean_token_accuracy",
    "reward": "reward",
    "reward_std": "reward_std",
    "entropy": "entropy",
    "kl": "kl",
    "frac_reward_zero_std": "zero_variance",
}
"""What of TRL's log goes into ours, and under which name."""


@dataclass(slots=True)
class Books:
    """What is known of a run while it goes on."""

    folder: RunFolder
    limits: Limits
    meter: Meter = field(default_factory=Meter)
    diagnosis: Diagnosis = field(default_factory=Diagnosis)
    state: dict[str, Any] = field(default_factory=dict)
    """Where the method is; written into every checkpoint."""
    held_out: HeldOut | None = None
    every: int = 0
    """Tokens between two evaluations."""
    boundary: bool = False
    """Whether what comes next is long, and a checkpoint is wanted before it."""
    dev_success: float = 0.0
    evaluated: int = -1
    """At how many tokens the last evaluation was; -1 for none."""

    @property
    def tokens(self) -> int:
        """What evaluations and the learning curve count by."""
        spent = self.meter.spent
        return spent.generated_tokens or spent.gradient_tokens

    @property
    def reached(self) -> str:
        """The limit that has been reached, if any."""
        return self.limits.reached(self.meter.spent, self.dev_success)

    def evaluate(self, step: int, last: bool = False) -> None:
        """Play the held-out tasks where that is due, and add a point to the log."""
        if self.held_out is None or self.tokens == self.evaluated:
            return
        if not last and 0 <= self.evaluated // self.every == self.tokens // self.every:
            return
        self.evaluated = self.tokens
        if is_leader():
            with self.meter.paused():
                found = self.held_out.evaluate()
            self.dev_success = found["success"]
            self.folder.log({"step": step, "dev": found, **self.meter.spent.to_dict()})


def ledger(books: Books, advance: Callable[[int], None]) -> Any:
    """Return a ``transformers.TrainerCallback`` that keeps the books of a run.

    Args:
        books: The trainer adds to their meter and diagnosis what its batches cost and show. The
            run ends with the batch that reaches a limit.
        advance: Told of every step.
    """
    from transformers import TrainerCallback

    class Ledger(TrainerCallback):
        """Writes a point wherever the trainer logs."""

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            advance(1)
            own = books.meter.own_cpu
            books.meter.others = sum(_gathered(own, args.world_size)) - own
            books.evaluate(state.global_step)
            if agreed(bool(books.reached), args.world_size):
                control.should_training_stop = True
            if control.should_training_stop or books.boundary:
                control.should_save, books.boundary = True, False
            # A mean begun before a checkpoint would be lost with a kill behind it.
            control.should_log = control.should_log or control.should_save

        def on_log(self, args: Any, state: Any, control: Any, **reported: Any) -> None:
            logs = reported["logs"]
            if "loss" not in logs:
                return
            seen = sum(_gathered(books.diagnosis.taken(), args.world_size), Counts())
            if state.is_world_process_zero:
                kept = {ours: logs[theirs] for theirs, ours in _KEPT.items() if theirs in logs}
                told = {**kept, **figures(seen)}
                books.folder.log({"step": state.global_step, **told, **books.meter.spent.to_dict()})

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.is_world_process_zero:
                limits = asdict(books.limits)
                books.folder.mark(state.global_step, books.meter.spent, books.state, limits)

    return Ledger()


def _gathered(own: _T, processes: int) -> list[_T]:
    """Return what each process has."""
    if processes < 2:
        return [own]
    from accelerate.utils import gather_object

    found: list[_T] = gather_object([own])
    return found


def agreed(reached: bool, processes: int) -> bool:
    """Return what the first process says: clocks differ, and all have to end with one batch."""
    if processes < 2:
        return reached
    from accelerate.utils import broadcast_object_list

    said: list[bool] = broadcast_object_list([reached])
    return said[0]
