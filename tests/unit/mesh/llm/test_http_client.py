"""Which requests go by a proxy of the environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mesh.llm.http_client import open_client
from mesh.testing.openai_server import ScriptedServer
from tests.support.requires import require_module

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def dead_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)


async def test_this_machine_is_called_directly() -> None:
    """A proxy never gets what goes to a loopback address."""
    with ScriptedServer() as server:
        async with open_client(server.url) as client:
            assert (await client.get(f"{server.url}/health")).is_success


async def test_other_machines_are_called_by_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes elsewhere goes by HTTP_PROXY, which gets the whole URL, unless NO_PROXY names the host."""
    with ScriptedServer() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("http_proxy", proxy.url)
        proxy.paths["http://models.example.com/v1/models"] = {"by": "proxy"}
        async with open_client("http://models.example.com/v1") as client:
            assert (await client.get("http://models.example.com/v1/models")).json() == {"by": "proxy"}


async def test_socks_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A SOCKS proxy can be used; a kind that nobody knows is refused by its name."""
    require_module("socksio")
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    monkeypatch.setenv("HTTPS_PROXY", "socks5h://127.0.0.1:9")
    await open_client("https://models.example.com/v1").aclose()
    monkeypatch.setenv("HTTPS_PROXY", "gopher://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "gopher://127.0.0.1:9")
    with pytest.raises(ValueError, match="gopher"):
        open_client("https://models.example.com/v1")


def test_missing_certificates_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle that is not there is refused in words, whichever variable names it."""
    with pytest.raises(ValueError, match="REQUESTS_CA_BUNDLE"):
        open_client("https://models.example.com/v1", ca_bundle=str(tmp_path / "none.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    with pytest.raises(ValueError, match="SSL_CERT_FILE"):
        open_client("https://models.example.com/v1")
