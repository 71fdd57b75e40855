"""A real proxy, HTTP and SOCKS 5, that leads every name to where a test says: to servers of its own on loopback.

What it was asked for is kept, so that a test can tell what came by it and what did not. In threads of its own, on
loopback only.
"""

from __future__ import annotations

import select
import socket
import socketserver
import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

CHUNK_BYTES = 65_536


class ScriptedProxy:
    """The proxy, from `with` to the end of it. `ways`: where "{host}:{port}" is."""

    def __init__(self, ways: Mapping[str, tuple[str, int]]) -> None:
        self.ways = dict(ways)
        self.asked: list[str] = []
        """Each "{host}:{port}" that it was asked for, in order."""
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self

    @property
    def address(self) -> str:
        """Its "{ip}:{port}"."""
        host, port = self._server.server_address[:2]
        return f"{host!s}:{port}"

    def __enter__(self) -> ScriptedProxy:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(socketserver.ThreadingTCPServer):
    proxy: ScriptedProxy
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Says nothing of a client or server that left."""


class _Handler(socketserver.StreamRequestHandler):
    server: _Server
    rbufsize = 0  # what follows the head is read from the connection itself

    def handle(self) -> None:
        first = self.rfile.read(1)
        if first == b"\x05":
            self._serve_socks()
        elif first:
            self._serve_http(first)

    def _serve_http(self, first: bytes) -> None:
        method, target, version = (first + self.rfile.readline()).decode().split()
        headers = []
        while (line := self.rfile.readline()).strip():
            headers.append(line)
        if method == "CONNECT":
            with self._open(target) as upstream:
                self.wfile.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                self._pump(upstream)
            return
        parts = urlsplit(target)
        with self._open(f"{parts.hostname}:{parts.port or 80}") as upstream:
            path = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
            upstream.sendall(f"{method} {path} {version}\r\n".encode() + b"".join(headers) + b"\r\n")
            self._pump(upstream)

    def _serve_socks(self) -> None:
        self.rfile.read(self.rfile.read(1)[0])  # the ways to log in that it knows: none is needed
        self.wfile.write(b"\x05\x00")
        _, _, _, kind = self.rfile.read(4)
        is_name = kind == 3  # else an IPv4 address
        host = self.rfile.read(self.rfile.read(1)[0]).decode() if is_name else socket.inet_ntoa(self.rfile.read(4))
        port = int.from_bytes(self.rfile.read(2))
        with self._open(f"{host}:{port}") as upstream:
            self.wfile.write(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
            self._pump(upstream)

    def _open(self, target: str) -> socket.socket:
        self.server.proxy.asked.append(target)
        return socket.create_connection(self.server.proxy.ways[target])

    def _pump(self, upstream: socket.socket) -> None:
        """Carries bytes both ways until one side ends."""
        pairs = {self.connection: upstream, upstream: self.connection}
        while True:
            for source in select.select(list(pairs), [], [])[0]:
                data = source.recv(CHUNK_BYTES)
                if not data:
                    return
                pairs[source].sendall(data)
