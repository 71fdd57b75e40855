"""Calls into a mesh of tests: a TLS client with any certificate or none, HTTP/1.1 byte by byte, and gRPC.

What came of a call is one Outcome, the same for all of them. Nothing here trusts a sidecar to say who it is: that is
what sidecars check of each other.
"""

from __future__ import annotations

import json
import socket
import ssl
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from mesh.local.certificates import Authority, Identity
from tests.support.mesh import DNS_NAME

SECONDS = 10.0


@dataclass(frozen=True)
class Outcome:
    """What came of a call. No connection or no answer: `status` is 0 and `why` says what happened."""

    status: int
    body: bytes = b""
    headers: Sequence[tuple[str, str]] = ()
    why: str = ""

    def all(self, name: str) -> list[str]:
        """Every value of a header of the answer."""
        return [value for key, value in self.headers if key == name]

    @property
    def json_body(self) -> Any:
        """The JSON of the body."""
        return json.loads(self.body)

    @property
    def grpc_status(self) -> int | None:
        """grpc-status in the head of the answer, where it is that of an error without messages."""
        return int(found[0]) if (found := self.all("grpc-status")) else None


def tls_context(authority: Authority, identity: Identity | None, alpn: Sequence[str] = ("http/1.1",)) -> ssl.SSLContext:
    """A client that trusts the authority's sidecars, with that certificate if any."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.load_verify_locations(cadata=authority.root_pem.decode())
    if alpn:
        context.set_alpn_protocols(list(alpn))
    if identity is not None:
        with tempfile.TemporaryDirectory() as folder:
            both = Path(folder) / "both.pem"
            both.write_bytes(identity.key_pem + identity.chain_pem)
            context.load_cert_chain(both)
    return context


def connected(place: tuple[str, int] | str, context: ssl.SSLContext | None = None) -> socket.socket:
    """A connection to an address or a Unix socket. Raises OSError, of which ssl.SSLError is one."""
    family = socket.AF_UNIX if isinstance(place, str) else socket.AF_INET
    plain = socket.socket(family, socket.SOCK_STREAM)
    plain.settimeout(SECONDS)
    try:
        plain.connect(place)
        return plain if context is None else context.wrap_socket(plain)
    except BaseException:
        plain.close()
        raise


def exchanged(place: tuple[str, int] | str, sent: bytes, context: ssl.SSLContext | None = None) -> bytes:
    """All that is answered to these bytes until the other side closes, or half a second passes in silence.

    Raises OSError.
    """
    with connected(place, context) as connection:
        connection.sendall(sent)
        connection.settimeout(0.5)
        found = b""
        try:
            while more := connection.recv(65536):
                found += more
        except TimeoutError:
            pass
        return found


def unanswered(place: tuple[str, int] | str, sent: bytes, context: ssl.SSLContext | None = None) -> bool:
    """Whether a connection there is closed, or stays silent, without one byte of an answer."""
    try:
        return exchanged(place, sent, context) == b""
    except OSError:
        return True


def request(
    place: tuple[str, int] | str,
    method: str,
    path: str,
    *,
    host: str = "any",
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
    context: ssl.SSLContext | None = None,
) -> Outcome:
    """One HTTP/1.1 request with just these headers, on a connection of its own."""
    lines = [f"{method} {path} HTTP/1.1", f"host: {host}", f"content-length: {len(body)}", "connection: close"]
    lines += [f"{name}: {value}" for name, value in headers]
    return raw(place, "\r\n".join([*lines, "", ""]).encode("latin-1") + body, context, method)


def raw(
    place: tuple[str, int] | str, sent: bytes, context: ssl.SSLContext | None = None, method: str = "GET"
) -> Outcome:
    """The answer to these very bytes."""
    try:
        with connected(place, context) as connection:
            connection.sendall(sent)
            return _answer(connection, method)
    except (OSError, ValueError) as error:
        return Outcome(0, why=f"{type(error).__name__}: {error}")


def _answer(connection: socket.socket, method: str) -> Outcome:
    with connection.makefile("rb") as stream:
        first = stream.readline()
        if not first.startswith(b"HTTP/1."):
            return Outcome(0, why=f"no HTTP: {first[:40]!r}")
        headers = []
        while line := stream.readline().strip():
            name, _, value = line.decode("latin-1").partition(":")
            headers.append((name.lower(), value.strip()))
        outcome = Outcome(int(first.split()[1]), b"", headers)
        if method == "HEAD" or outcome.status in {204, 304}:
            return outcome
        if outcome.all("transfer-encoding"):
            body = b""
            while size := int(stream.readline().split(b";")[0], 16):
                body += stream.read(size)
                stream.readline()
        else:
            length = outcome.all("content-length")
            body = stream.read(int(length[0])) if length else stream.read()
        return Outcome(outcome.status, body, headers)


def channel(ip: str, port: int, authority: Authority, identity: Identity | None) -> grpc.Channel:
    """A gRPC channel to a sidecar's port, by mutual TLS; the caller closes it."""
    key, chain = (None, None) if identity is None else (identity.key_pem, identity.chain_pem)
    credentials = grpc.ssl_channel_credentials(authority.root_pem, key, chain)
    options = [("grpc.ssl_target_name_override", DNS_NAME), ("grpc.use_local_subchannel_pool", 1)]
    return grpc.secure_channel(f"{ip}:{port}", credentials, options)


def plain_channel(target: str, authority: str = "") -> grpc.Channel:
    """A gRPC channel without TLS: to the ingress ("ip:port"), or a pod's own outbound socket ("unix:...")."""
    options: list[tuple[str, Any]] = [("grpc.use_local_subchannel_pool", 1)]
    return grpc.insecure_channel(target, [*options, ("grpc.default_authority", authority)] if authority else options)


@dataclass(frozen=True)
class RpcOutcome:
    """What came of an RPC."""

    code: grpc.StatusCode
    details: str = ""
    messages: Sequence[bytes] = ()
    metadata: Sequence[tuple[str, str]] = ()
    """Of the answer, initial and trailing."""


def rpc(channel: grpc.Channel, path: str, message: bytes = b"", metadata: Iterable[tuple[str, str]] = ()) -> RpcOutcome:
    """Calls any RPC with one message."""
    method: Any = channel.stream_stream(path)
    call = method(iter([message]), metadata=tuple(metadata), timeout=SECONDS)
    try:
        messages = list(call)
    except grpc.RpcError as error:
        failed: Any = error
        return RpcOutcome(failed.code(), failed.details() or "", (), _metadata(call))
    return RpcOutcome(grpc.StatusCode.OK, "", messages, _metadata(call))


def _metadata(call: Any) -> list[tuple[str, str]]:
    return [(entry.key, entry.value) for part in (call.initial_metadata(), call.trailing_metadata()) for entry in part]
