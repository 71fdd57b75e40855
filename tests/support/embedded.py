"""The embedded servers, run for tests as the runner runs them: the real ones, each at a loopback port of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx2
import pytest

from mesh.llm.embedded import catalogue, weights
from mesh.llm.select import ModelServers
from tests.support.requires import missing, require_module

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def served(module: str, **environ: str) -> Iterator[str]:
    """Runs an embedded server until its /health answers, and ends it with SIGTERM, which must do."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    process = subprocess.Popen([sys.executable, "-m", module], env={**os.environ, **environ, "LISTEN_ADDRESS": address})
    try:
        until = time.monotonic() + 60
        while True:
            try:
                httpx2.get(f"http://{address}/health", trust_env=False).raise_for_status()
                break
            except httpx2.HTTPError:
                assert process.poll() is None, "the server ended"
                assert time.monotonic() < until, "the server did not become healthy"
                time.sleep(0.05)  # between two looks at the condition
        yield f"http://{address}/v1"
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


@pytest.fixture(scope="module")
def tiny_model() -> Iterator[ModelServers]:
    """Where the smallest real model is served."""
    require_module("xllamacpp")
    try:
        weights.fetch(catalogue.WEIGHTS["tiny"], weights.cache_folder(os.environ))
    except weights.WeightsError as error:
        missing(str(error))
    with served("mesh.llm.embedded.server", MODEL="embedded:tiny") as url:
        yield ModelServers(embedded_url=url)
