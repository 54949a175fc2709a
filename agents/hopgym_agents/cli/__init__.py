"""The verbs that the learning side adds to the command line."""
