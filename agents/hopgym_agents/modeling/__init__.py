"""Loading of models for training, and saving of the results as models or adapters."""

from hopgym_agents.modeling.precision import PRECISIONS, Precision
from hopgym_agents.modeling.saving import merge_adapter, save_trained
from hopgym_agents.modeling.trainable import Trainable, load_trainable, widen_adapter

__all__ = [
    "PRECISIONS",
    "Precision",
    "Trainable",
    "load_trainable",
    "merge_adapter",
    "save_trained",
    "widen_adapter",
]
