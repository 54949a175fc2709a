"""Training: from runs of episodes to a better model, within a budget, whatever kills it between.

In: a `hopgym_agents.training.config.TrainConfig`. Out: a folder with the trained model and its
card, and what every step of the way cost. Each method is a module with a function of its own;
configuration, budget, checkpoints, checks and card are the same for all of them.
"""
