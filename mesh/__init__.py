"""How agents are connected: RPC, bus, stores, models, telemetry and the local runner. Never imports services."""
