"""The Gymnasium environment: one question at a time, in text."""

from hopgym.env.env import ACTION_CHARS, HopEnv, Snapshot

__all__ = ["ACTION_CHARS", "HopEnv", "Snapshot"]
