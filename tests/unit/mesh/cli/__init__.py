"""The `rostrum` command against in-process services: words, JSON, exit codes."""
