"""Apps for a mesh of tests: they answer whatever comes, by gRPC, HTTP or TCP, and remember all of it.

An app stands behind its sidecar, at the Unix socket of its pod. What it remembers is the proof of what a sidecar let
through: which path, and which headers. Made by tests.support.mesh.
"""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent import futures
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

import grpc
from grpc_status import rpc_status


@dataclass(frozen=True)
class Seen:
    """A request as an app got it. `headers` in order, names in small letters; of TCP, only the bytes in `body`."""

    pod: str
    port: int
    path: str
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""

    def all(self, name: str) -> list[str]:
        """Every value of a header."""
        return [value for key, value in self.headers if key == name]


Answer = Callable[[bytes], Sequence[bytes]]
"""Messages that an RPC answers a request with, or raises FailedError."""


class FailedError(Exception):
    """What an RPC fails with: a google.rpc.Status."""

    def __init__(self, status: Any) -> None:
        super().__init__(status.message)
        self.status = status


@dataclass
class Script:
    """What all apps of one mesh answer with, and what they have seen. Used from many threads."""

    answers: dict[str, Answer] = field(default_factory=dict)
    """By the path of an RPC; any other answers with one empty message, which is valid for every type."""
    statuses: dict[str, int] = field(default_factory=dict)
    """HTTP status by pod; 200 for others."""
    seen: list[Seen] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def saw(self, seen: Seen) -> None:
        """Remembers it."""
        with self._lock:
            self.seen.append(seen)

    def probed(self, probe: str) -> list[Seen]:
        """The requests that came with this x-probe header."""
        with self._lock:
            return [seen for seen in self.seen if probe in seen.all("x-probe")]

    def clear(self) -> None:
        """Forgets all."""
        with self._lock:
            self.seen.clear()


class App:
    """A running app. `stop` ends it."""

    def __init__(self, stop: Callable[[], object]) -> None:
        self.stop = stop


def grpc_app(script: Script, pod: str, port: int, socket: str) -> App:
    """Answers every RPC."""
    handlers: list[grpc.GenericRpcHandler] = [_AnyMethod(script, pod, port)]
    server = grpc.server(futures.ThreadPoolExecutor(8, f"app-{pod}"), handlers=handlers)
    server.add_insecure_port(f"unix:{socket}")
    server.start()
    return App(lambda: server.stop(None).wait())


class _AnyMethod(grpc.GenericRpcHandler):
    def __init__(self, script: Script, pod: str, port: int) -> None:
        self._script, self._pod, self._port = script, pod, port

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        path = details.method
        headers = [(key, _text(value)) for key, value in details.invocation_metadata or ()]
        self._script.saw(Seen(self._pod, self._port, path, headers))

        def answer(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
            request = next(requests, b"")
            try:
                yield from self._script.answers.get(path, _empty)(request)
            except FailedError as error:
                context.abort_with_status(rpc_status.to_status(error.status))

        return grpc.stream_stream_rpc_method_handler(answer)


def _empty(_: bytes) -> Sequence[bytes]:
    return [b""]


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")


class _UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A caller that hangs up is no fault of the app's."""


def http_app(script: Script, pod: str, port: int, socket: str) -> App:
    """Answers every request with what it was, as JSON: pod, method, path, headers."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def parse_request(self) -> bool:
            if not super().parse_request():
                return False
            setattr(self, f"do_{self.command}", self._answer)
            return True

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = [(key.lower(), value) for key, value in self.headers.items()]
            script.saw(Seen(pod, port, self.path, headers, body))
            content = {"pod": pod, "method": self.command, "path": self.path, "headers": headers}
            answer = b"" if self.command == "HEAD" else json.dumps(content).encode()
            self.send_response(script.statuses.get(pod, 200))
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *args: Any) -> None:
            """The test says what matters."""

    return _served(_UnixServer(socket, Handler))


def tcp_app(script: Script, pod: str, port: int, socket: str) -> App:
    """Sends back whatever comes, with "echo " before it."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            while found := self.request.recv(65536):
                script.saw(Seen(pod, port, "", (), found))
                self.request.sendall(b"echo " + found)

    return _served(_UnixServer(socket, Handler))


def _served(server: _UnixServer) -> App:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return App(stop)


APPS: Mapping[str, Callable[[Script, str, int, str], App]] = {"grpc": grpc_app, "http": http_app, "tcp": tcp_app}
