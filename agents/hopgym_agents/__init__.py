"""Agents for hopgym: prompts, generation, step-wise reinforcement learning and studies."""
