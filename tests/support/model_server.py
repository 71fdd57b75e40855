"""A model's server for tests that start Rostrum with one, which is asked for a token before anything is started."""

from __future__ import annotations

from functools import cache

from mesh.testing.openai_server import ScriptedServer


@cache
def model_url() -> str:
    """Returns what OPENAI_BASE_URL is for it; it is one for all tests of a process, and ends with that."""
    server = ScriptedServer()
    server.start()
    return f"{server.url}/v1"
