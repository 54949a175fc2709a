"""LLM judges, the store of their judgements, and the audit against exact verdicts."""
