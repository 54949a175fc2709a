"""The ledger of a run: log, costs and checkpoints of any of TRL's trainers.

In: what a trainer reports while it runs. Out: points of the log with all that had been spent,
checkpoints that are known to be whole, and an end where a limit is reached.
"""

from collections.abc import Callable
from typing import Any

from hopgym_agents.training.budget import Limits, Meter
from hopgym_agents.training.folder import RunFolder

_LEFT_OUT = ("epoch", "num_tokens", "total_flos")


def ledger(folder: RunFolder, meter: Meter, limits: Limits, advance: Callable[[int], None]) -> Any:
    """Return a ``transformers.TrainerCallback`` that keeps the books of a run.

    Args:
        folder: Where the log goes.
        meter: Counts; the trainer adds to it what its batches cost.
        limits: The run ends with the batch that reaches one.
        advance: Told of every step.
    """
    from transformers import TrainerCallback

    class Ledger(TrainerCallback):
        """Writes a point wherever the trainer logs."""

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            advance(1)
            if _agreed(bool(limits.reached(meter.spent)), args.world_size):
                control.should_training_stop = True
            if control.should_training_stop:
                control.should_save = True
            # A mean begun before a checkpoint would be lost with a kill behind it.
            control.should_log = control.should_log or control.should_save

        def on_log(self, args: Any, state: Any, control: Any, **reported: Any) -> None:
            logs = reported["logs"]
            if state.is_world_process_zero and "loss" in logs:
                kept = {key: value for key, value in logs.items() if key not in _LEFT_OUT}
                folder.log({"step": state.global_step, **kept, **meter.spent.to_dict()})

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.is_world_process_zero:
                folder.mark(state.global_step, meter.spent)

    return Ledger()


def _agreed(reached: bool, processes: int) -> bool:
    """Return what the first process says: clocks differ, and all have to end with one batch."""
    if processes < 2:
        return reached
    from accelerate.utils import broadcast_object_list

    said: list[bool] = broadcast_object_list([reached])
    return said[0]
