"""The promises, counted: the whole system under SIGKILL, pause, delay, duplicates and poison."""
