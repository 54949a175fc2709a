"""The training methods by name."""

from collections.abc import Callable, Mapping

from hopgym_agents.training.config import TrainConfig
from hopgym_agents.training.loop import Prepared
from hopgym_agents.training.methods import expert_iteration, sft, stepwise, trajectory

METHODS: Mapping[str, Callable[[TrainConfig], Prepared]] = {
    "sft": sft.prepare,
    "filtered": expert_iteration.prepare,
    "stepwise": stepwise.prepare,
    "trajectory": trajectory.prepare,
    "one_turn": trajectory.prepare_one_turn,
}
"""The methods by name: what checks all that can be checked before training."""
