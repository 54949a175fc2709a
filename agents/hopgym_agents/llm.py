"""The former place of the entry point ``llm``, for installations that still point here."""

from hopgym_agents.policy import llm

__all__ = ["llm"]
