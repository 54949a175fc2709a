"""Models to train: from a folder or the Hub into memory, and from there into folders again.

In: a model's name and in which numbers it is to be trained. Out: the model and its tokenizer,
checked for what training needs; afterwards a model or an adapter that all else here loads.
"""

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
