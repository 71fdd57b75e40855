"""The moderator's schema, step by step."""
