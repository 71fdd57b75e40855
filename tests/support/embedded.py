"""The embedded servers, run for tests as the runner runs them: the real ones, each at a loopback port of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx2
import pytest

from mesh.llm.embedded import catalogue, weights
from mesh.llm.select import ModelServers
from tests.support.requires import missing, require_module
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def served(module: str, **environ: str) -> Iterator[str]:
    """Runs an embedded server until its /health answers, and ends it with SIGTERM, which must do."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    process = subprocess.Popen([sys.executable, "-m", module], env={**os.environ, **environ, "LISTEN_ADDRESS": address})
    try:

        def is_healthy() -> bool:
            assert process.poll() is None, "the server ended"
            try:
                return httpx2.get(f"http://{address}/health", trust_env=False).is_success
            except httpx2.HTTPError:
                return False

        wait_until("the server's health", is_healthy, seconds=120)
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
