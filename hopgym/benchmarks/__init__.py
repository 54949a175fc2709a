"""Real benchmarks and a user's own files: records in, tasks out, scored as their scripts score."""
