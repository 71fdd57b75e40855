"""A server for TLS on loopback that stands for a hosted one, with the certificates of an authority of its own."""

from __future__ import annotations

import ssl
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mesh.local.certificates import Authority
from mesh.testing.openai_server import ScriptedServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOST = "models.example.com"


@contextmanager
def hosted(folder: Path) -> Iterator[tuple[ScriptedServer, tuple[str, int]]]:
    """Yields a server that is certified for HOST and localhost, and where it is; `folder`/root.pem signed for it."""
    authority = Authority.open(folder)
    identity = authority.issue_kafka("hosted", dns=[HOST, "localhost"])
    chain = folder / "server.pem"
    chain.write_bytes(identity.key_pem + identity.chain_pem)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain)
    with ScriptedServer(tls=context) as server:
        host, port = server.url.removeprefix("https://").split(":")
        yield server, (host, int(port))
