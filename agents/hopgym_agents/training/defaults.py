"""Defaults of the TRL settings, learning rate included; a run overrides them with ``trl.NAME``."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

IMITATION: Mapping[str, Any] = MappingProxyType(
    {
        "learning_rate": 2e-5,
        # A cut row would lose the actions at its end.
        "max_length": None,
    }
)
"""Of methods that train with TRL's SFTTrainer; 2e-5 is TRL's own learning rate."""

GRPO: Mapping[str, Any] = MappingProxyType(
    {
        "learning_rate": 1e-5,
        "num_generations": 8,
        # Rewards of 0 and 1 divided by their deviation would weight nearly solved groups more.
        "scale_rewards": "none",
        "beta": 0.0,
    }
)
"""Of methods that train with TRL's GRPOTrainer."""
