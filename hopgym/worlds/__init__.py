"""Generated worlds: the query algebra over their facts, and the people world."""
