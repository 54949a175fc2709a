"""The fictional people world: people, their families and friends, towns and employers."""
