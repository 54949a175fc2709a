"""Training: methods that turn episodes into a better model, within a budget.

`hopgym_agents.training.loop` runs any method: it checks the configuration, loads the model, and
owns run folder, budget, checkpoints and evaluations. A method is one file in
`hopgym_agents.training.methods`.
"""
