"""Policies that need no model: baselines, the oracle, and scripted texts.

All of them are stateless: they only read the prefix, so that equal prefixes give equal actions.
"""

from hopgym.policies.base import PrefixPolicy, budget_ends, write_call
from hopgym.policies.constant import ConstantPolicy, ScriptedPolicy
from hopgym.policies.privileged import ExhaustivePolicy, GuessPolicy, OraclePolicy
from hopgym.policies.scripted import FirstPagePolicy, GreedySearchPolicy, RandomPolicy

__all__ = [
    "ConstantPolicy",
    "ExhaustivePolicy",
    "FirstPagePolicy",
    "GreedySearchPolicy",
    "GuessPolicy",
    "OraclePolicy",
    "PrefixPolicy",
    "RandomPolicy",
    "ScriptedPolicy",
    "budget_ends",
    "write_call",
]
