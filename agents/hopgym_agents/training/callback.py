"""The trainer callback of a run: log, costs, checkpoints, evaluations, and the end at a limit."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from hopgym_agents.training.budget import Limits, Meter
from hopgym_agents.training.diagnosis import Counts, Diagnosis, diagnosis_figures
from hopgym_agents.training.environments import HeldOutTasks
from hopgym_agents.training.run_folder import RunFolder, is_leader

_T = TypeVar("_T")
_LOGGED: Mapping[str, str] = {
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
"""Fields of TRL's log that enter the run's log, and their names there."""


@dataclass(slots=True)
class RunState:
    """The changing state of a run."""

    folder: RunFolder
    limits: Limits
    meter: Meter = field(default_factory=Meter)
    diagnosis: Diagnosis = field(default_factory=Diagnosis)
    method: dict[str, Any] = field(default_factory=dict)
    """Where the method is, as plain JSON; written into every checkpoint."""
    held_out: HeldOutTasks | None = None
    evaluation_interval: int = 0
    """Tokens between two evaluations."""
    checkpoint_due: bool = False
    """Whether a long phase comes next, before which a checkpoint is wanted."""
    dev_success: float = 0.0
    """Success at the last evaluation, in [0, 1]."""
    evaluated_at: int = -1
    """Tokens at the last evaluation; -1 for none."""

    @property
    def tokens(self) -> int:
        """The tokens that evaluations and learning curves count by."""
        spent = self.meter.spent
        return spent.generated_tokens or spent.gradient_tokens

    @property
    def limit_reached(self) -> str:
        """The limit that has been reached, or an empty string."""
        return self.limits.reached(self.meter.spent, self.dev_success)

    def restore_evaluation(self, points: Sequence[Mapping[str, Any]]) -> None:
        """Restore the last evaluation from the points of the log."""
        for point in points:
            if "dev" in point:
                self.evaluated_at = point["generated_tokens"] or point["gradient_tokens"]
                self.dev_success = point["dev"]["success"]

    def evaluate(self, step: int, last: bool = False) -> None:
        """Play the held-out tasks if an evaluation is due, and log the result."""
        if self.held_out is None or self.tokens == self.evaluated_at:
            return
        interval = self.evaluation_interval
        same_interval = 0 <= self.evaluated_at // interval == self.tokens // interval
        if same_interval and not last:
            return
        self.evaluated_at = self.tokens
        if is_leader():
            with self.meter.paused():
                result = self.held_out.evaluate()
            self.dev_success = result["success"]
            self.folder.log({"step": step, "dev": result, **self.meter.spent.to_dict()})


def make_callback(run_state: RunState, advance: Callable[[int], None]) -> Any:
    """Return a ``transformers.TrainerCallback`` that maintains the state of a run.

    Args:
        run_state: Of the run. The trainer adds to its meter and diagnosis. Training ends with the
            batch that reaches a limit.
        advance: Called with 1 after every step.
    """
    from transformers import TrainerCallback

    class RunCallback(TrainerCallback):
        """Logs whenever the trainer logs."""

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            advance(1)
            local_cpu = run_state.meter.process_cpu
            run_state.meter.other_cpu = sum(_gather(local_cpu, args.world_size)) - local_cpu
            run_state.evaluate(state.global_step)
            if leader_decides(bool(run_state.limit_reached), args.world_size):
                control.should_training_stop = True
            if control.should_training_stop or run_state.checkpoint_due:
                control.should_save = True
                run_state.checkpoint_due = False
            # A running mean that a checkpoint splits would be lost by a kill after it.
            control.should_log = control.should_log or control.should_save

        def on_log(self, args: Any, state: Any, control: Any, **reported: Any) -> None:
            logs = reported["logs"]
            if "loss" not in logs:
                return
            counts = sum(_gather(run_state.diagnosis.reset(), args.world_size), Counts())
            if state.is_world_process_zero:
                figures = {ours: logs[theirs] for theirs, ours in _LOGGED.items() if theirs in logs}
                figures |= diagnosis_figures(counts)
                spent = run_state.meter.spent.to_dict()
                run_state.folder.log({"step": state.global_step, **figures, **spent})

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.is_world_process_zero:
                run_state.folder.complete_checkpoint(
                    state.global_step, run_state.meter.spent, run_state.method, run_state.limits
                )

    return RunCallback()


def _gather(value: _T, processes: int) -> list[_T]:
    """Return the value of each process."""
    if processes < 2:
        return [value]
    from accelerate.utils import gather_object

    values: list[_T] = gather_object([value])
    return values


def leader_decides(value: bool, processes: int) -> bool:
    """Return the first process's value: clocks differ, and all must end with the same batch."""
    if processes < 2:
        return value
    from accelerate.utils import broadcast_object_list

    values: list[bool] = broadcast_object_list([value])
    return values[0]
