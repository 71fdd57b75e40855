"""OpenTelemetry in every process: set-up, names, and log lines that carry the trace. See `setup`, `names`, `logs`."""
