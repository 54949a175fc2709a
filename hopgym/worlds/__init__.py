"""Generated worlds: the query algebra over their facts, and one package for each kind of world."""
