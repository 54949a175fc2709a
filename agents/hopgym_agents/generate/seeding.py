"""Seeding: one seed for each request, where an engine takes seeds and not generators."""

import numpy as np

from hopgym_agents.generate import Request, Sampling


def seed_of(sampling: Sampling, request: Request) -> int:
    """Return a seed in [0, 2**31) that depends on (seed, request's key) alone."""
    sequence = np.random.SeedSequence(sampling.seed, spawn_key=request.key)
    return int(sequence.generate_state(1)[0]) & 0x7FFF_FFFF
