"""Which requests go by a proxy of the environment, by our client and by Ollama's."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from contextlib import aclosing
from typing import TYPE_CHECKING

import httpx2
import pytest

from mesh.llm.faults import LostConnectionError
from mesh.llm.http_client import open_client
from mesh.llm.ollama_client import OllamaClient
from mesh.testing.openai_server import ScriptedServer
from mesh.testing.proxy import ScriptedProxy
from tests.support.hosted import HOST, hosted
from tests.support.requires import require_module

if TYPE_CHECKING:
    from collections.abc import Callable
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


async def test_ollama_is_called_by_the_proxy_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ollama's client goes to this machine directly, and to others by the proxy unless NO_PROXY names them."""
    with ScriptedServer() as server:
        async with aclosing(OllamaClient(server.url)) as client:
            assert (await client.list())["models"]
        monkeypatch.setenv("HTTP_PROXY", server.url)
        monkeypatch.setenv("http_proxy", server.url)
        server.paths["http://models.example.com:11434/api/ps"] = {"models": [], "by": "proxy"}
        async with aclosing(OllamaClient("http://models.example.com:11434")) as client:
            assert (await client.ps())["by"] == "proxy"
        monkeypatch.setenv("NO_PROXY", "models.invalid")
        async with aclosing(OllamaClient("http://models.invalid:11434", connect_seconds=5)) as client:
            with pytest.raises(LostConnectionError):
                await client.ps()


@pytest.mark.parametrize("opener", [open_client, OllamaClient])
@pytest.mark.parametrize("kind", ["http", "socks5", "socks5h", "socks"])
async def test_a_hosted_server_by_a_proxy(
    kind: str, opener: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TLS goes through the proxy whole, its host's name is the proxy's to find, and who signed it is the bundle's."""
    with hosted(tmp_path) as (_, address), ScriptedProxy({f"{HOST}:443": address}) as proxy:
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("all_proxy", f"{kind}://{proxy.address}")
        client = opener(f"https://{HOST}", ca_bundle=str(tmp_path / "root.pem"))
        if isinstance(client, OllamaClient):
            assert (await client.list())["models"]
        else:
            assert isinstance(client, httpx2.AsyncClient)
            assert (await client.get(f"https://{HOST}/v1/models")).is_success
        await client.aclose()
        assert proxy.asked == [f"{HOST}:443"]


async def test_the_bundle_is_for_this_machine_too(tmp_path: Path) -> None:
    """A server of this machine that speaks TLS is held to the bundle as any other, and is called straight."""
    with hosted(tmp_path) as (_, (_, port)):
        async with aclosing(OllamaClient(f"https://localhost:{port}", ca_bundle=str(tmp_path / "root.pem"))) as client:
            assert (await client.list())["models"]
        async with aclosing(OllamaClient(f"https://localhost:{port}")) as client:
            with pytest.raises(LostConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
                await client.list()


async def test_ollama_behind_a_unix_socket(tmp_path: Path) -> None:
    """A socket is dialled in the place of the URL's host, whatever proxies there are."""
    path = str(tmp_path / "ollama")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 14\r\nConnection: close\r\n\r\n{"models": []}')
        writer.close()
        await writer.wait_closed()

    async with (
        await asyncio.start_unix_server(answer, path),
        aclosing(OllamaClient("http://models.example.com:11434", socket=path)) as client,
    ):
        assert await client.list() == {"models": []}


async def test_socks_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A SOCKS proxy can be used; a kind that nobody knows is refused by its name."""
    require_module("socksio")
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    monkeypatch.setenv("HTTPS_PROXY", "socks5h://127.0.0.1:9")
    await open_client("https://models.example.com/v1").aclose()
    await OllamaClient("https://models.example.com").aclose()
    monkeypatch.setenv("HTTPS_PROXY", "gopher://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "gopher://127.0.0.1:9")
    with pytest.raises(ValueError, match="gopher"):
        open_client("https://models.example.com/v1")
    with pytest.raises(ValueError, match="gopher"):
        OllamaClient("https://models.example.com")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("ALL_PROXY", value) for value in ("socks://127.0.0.1:9", "socks5h://127.0.0.1:9", "gopher://127.0.0.1:9")),
        *(("http_proxy", value) for value in ("://", "not a proxy", "http://[::1")),
        *(("NO_PROXY", "[::1"), ("OLLAMA_HOST", "box:none"), ("SSL_CERT_FILE", "/nowhere.pem")),
    ],
)
def test_nothing_is_read_at_an_import(name: str, value: str) -> None:
    """What cannot be used is refused where it is needed, by name: neither our import nor Ollama's package fails."""
    program = "import mesh.llm.ollama_client, mesh.llm.openai, os; print(os.environ[%r])" % name  # noqa: UP031
    environ = {**os.environ, name: value}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stdout, done.stderr) == (f"{value}\n", "")


def test_missing_certificates_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle that is not there is refused in words, whichever variable names it."""
    with pytest.raises(ValueError, match="REQUESTS_CA_BUNDLE"):
        open_client("https://models.example.com/v1", ca_bundle=str(tmp_path / "none.pem"))
    with pytest.raises(ValueError, match="REQUESTS_CA_BUNDLE"):
        OllamaClient("https://models.example.com", ca_bundle=str(tmp_path / "none.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    with pytest.raises(ValueError, match="SSL_CERT_FILE"):
        open_client("https://models.example.com/v1")
    with pytest.raises(ValueError, match="SSL_CERT_FILE"):
        OllamaClient("https://models.example.com")


@pytest.mark.parametrize("opener", [open_client, OllamaClient])
def test_address_that_is_none(opener: Callable[[str], object]) -> None:
    """A URL that no client can read is refused in words."""
    with pytest.raises(ValueError, match="no URL"):
        opener("http://[::1/v1")
