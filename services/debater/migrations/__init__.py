"""The debater's schema, step by step."""
