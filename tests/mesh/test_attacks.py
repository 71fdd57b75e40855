"""Tricks with paths, headers and framing, at the ingress and between sidecars: none gains a right, none forges a name.

An attack is sent byte by byte where a client library would not. What counts is what the apps saw: never a path that its
caller has no right to, and never a caller's name that is not its own.
"""

from __future__ import annotations

import itertools
import ssl
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
from google.rpc import code_pb2, status_pb2

from tests.mesh.rostrum import NAMESPACE, PORTS, Rights, rostrum, shipped
from tests.support import mesh_calls as calls
from tests.support.edges import Edge
from tests.support.mesh import RunningMesh
from tests.support.mesh_apps import Answer, FailedError, Seen
from tests.support.mesh_tokens import Tokens

DEBATES = "/rostrum.debate.v1.DebateService"
CANCEL, GET, TURNS = f"{DEBATES}/CancelDebate", f"{DEBATES}/GetDebate", f"{DEBATES}/ListTurns"
FORGED = f"By=spiffe://cluster.local/ns/{NAMESPACE}/sa/moderator;URI=spiffe://cluster.local/ns/{NAMESPACE}/sa/moderator"
GRPC = (("content-type", "application/grpc"), ("te", "trailers"))
MESSAGE = b"\x00\x00\x00\x00\x00"
"""An empty message in gRPC's frame."""


@dataclass(frozen=True)
class Target:
    """The mesh as it is shipped, under attack."""

    mesh: RunningMesh
    tokens: Tokens

    @property
    def ingress(self) -> tuple[str, int]:
        """The ingress."""
        return self.mesh.pod("ingress").ip, 8080

    def sidecar(self, callee: str) -> tuple[str, int]:
        """A sidecar's own port."""
        return self.mesh.pod(callee).ip, PORTS[callee]

    def context(self, account: str, alpn: Sequence[str] = ("http/1.1",)) -> ssl.SSLContext:
        """An account's own TLS."""
        return calls.tls_context(self.mesh.authority, self.mesh.identity(account), alpn)


@pytest.fixture(scope="module")
def running_target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    with rostrum(shipped(), tmp_path_factory.mktemp("tokens")) as (mesh, tokens):
        yield Target(mesh, tokens)


@pytest.fixture
def target(running_target: Target) -> Target:
    """The target, whose apps have seen nothing."""
    running_target.mesh.script.clear()
    return running_target


def harmless(target: Target, caller: str, brings: str = "no token") -> list[Seen]:
    """What the apps saw, after a look that it is nothing that the caller has no right to, by its own name alone."""
    rights = Rights(shipped())
    name = f"URI=spiffe://cluster.local/ns/{NAMESPACE}/sa/{caller}"
    for seen in target.mesh.script.seen:
        callee, path = seen.pod.rpartition("-")[0], seen.path.partition("?")[0]
        edges: list[Edge] = [edge for edge in rights.edges if edge.target == path]
        assert edges, f"{seen.path} is no path of any edge, and reached {callee}"
        assert rights.allow(caller, callee, path, edges[0].verb, brings), seen
        certificates = seen.all("x-forwarded-client-cert")
        assert [name in certificate.split(";") for certificate in certificates] == [True], certificates
        assert "," not in certificates[0], "one element: nothing was put before it"
    return list(target.mesh.script.seen)


# ---- paths ----


def disguised(path: str) -> list[str]:
    """Ways to write a path that a proxy and an app may read differently."""
    service, _, method = path[1:].rpartition("/")
    return [
        f"//{service}/{method}",
        f"/{service}//{method}",
        f"/{service}/{method}/",
        f"/{service}/{method}.",
        f"/{service}/./{method}",
        f"/x/../{service}/{method}",
        f"/{service}/x/../{method}",
        f"/{service}/ListTurns/../{method}",
        f"/{service}/%2e/{method}",
        f"/x/%2e%2e/{service}/{method}",
        f"/{service}/ListTurns/%2e%2e/{method}",
        f"/{service}/%2E%2E/{service}/{method}",
        f"/{service}%2f{method}",
        f"/{service}%5c{method}",
        f"/{service}\\{method}",
        f"/{service}/ListTurns/..\\{method}",
        f"/{service};x=1/{method}",
        f"/{service}/{method};x=1",
        f"/{service}/ListTurns;/../{method}",
        f"/{service}/ListTurns?/../{method}",
        f"/{service}/ListTurns#/../{method}",
        f"/{service}/{method}%00",
        f"/{service}/{method}%20",
        f"/{service.upper()}/{method}",
        f"/{service}/{method.upper()}",
        f"/{service}/{method.lower()}",
        f"/{service}/%43{method[1:]}",
        f"http://moderator/{service}/{method}",
        f"http://moderator:50051//{service}/{method}",
        f"/{service}/ListTurns\t/{method}",
        f"/{service}/{method}\x80",
    ]


@pytest.mark.parametrize("number", range(len(disguised(CANCEL))))
def test_no_disguise_of_a_path_opens_it(target: Target, number: int) -> None:
    """An agent may list turns and nothing else: however it writes the path of CancelDebate, and a viewer at the ingress
    likewise, no app sees a path that it has no right to; and the other way round what they may is not mistaken."""
    path = disguised(CANCEL)[number]
    for verb in ("POST", "GET"):
        calls.request(
            target.sidecar("moderator"), verb, path, headers=GRPC, body=MESSAGE, context=target.context("team-a")
        )
    harmless(target, "team-a")
    target.mesh.script.clear()
    headers = [*target.tokens.headers("viewer"), *GRPC]
    calls.request(target.ingress, "POST", path, host="moderator", headers=headers, body=MESSAGE)
    calls.request(target.ingress, "POST", path, host="moderator", headers=target.tokens.headers("viewer"), body=b"{}")
    harmless(target, "ingress", "viewer")


@pytest.mark.parametrize("path", ["/v1/debates/7:cancel", "/v1/debates", "/v1/agents/team-a:ask"])
def test_no_disguise_of_a_rest_path_opens_it(target: Target, path: str) -> None:
    """A viewer's POST of what only an operator may, written in every way, never reaches an app as that RPC."""
    ways = [
        path,
        f"/{path}",
        f"{path}/",
        f"/x/..{path}",
        f"/x/%2e%2e{path}",
        path.replace(":", "%3a"),
        path.replace("/v1/", "/v1//"),
        path.replace("/v1/", "/V1/"),
        f"{path};x",
        f"{path}?x=1",
        f"{path}#x",
        f"{path}%00",
        path.replace("7", "7/turns"),
        f"/v1/debates/7/turns/..{path[11:]}",
        f"/v1/debates/7/turns/%2e%2e{path[11:]}",
    ]
    override = (("x-http-method-override", "POST"), ("x-method-override", "POST"))
    for way, (verb, more) in itertools.product(ways, (("POST", ()), ("GET", override), ("PUT", ()), ("PATCH", ()))):
        headers = [*target.tokens.headers("viewer"), ("content-type", "application/json"), *more]
        calls.request(
            target.ingress, verb, way, host="localhost", headers=headers, body=b'{"topic":"x","question":"x"}'
        )
    for seen in harmless(target, "ingress", "viewer"):
        assert not seen.path.endswith(("/CancelDebate", "/CreateDebate", "/Ask"))


# ---- names ----


def test_a_forged_certificate_header_is_replaced(target: Target) -> None:
    """x-forwarded-client-cert of the caller's own making never reaches an app: at the ingress, between sidecars, and
    from an app by its own sidecar, the app sees the one true caller."""
    forged = (("x-forwarded-client-cert", FORGED), ("X-Forwarded-Client-Cert", FORGED))
    headers = [*target.tokens.headers("viewer"), *GRPC, *forged]
    calls.request(target.ingress, "POST", GET, host="moderator", headers=headers, body=MESSAGE)
    assert len(harmless(target, "ingress", "viewer")) == 1
    target.mesh.script.clear()
    # The agent's app by its own sidecar.
    outcome = calls.request(
        target.mesh.pod("team-a").outbound(50051), "POST", TURNS, host="moderator", headers=[*GRPC, *forged],
        body=MESSAGE,
    )  # fmt: skip
    assert outcome.status == 200
    assert len(harmless(target, "team-a")) == 1


def test_a_sidecar_of_the_mesh_may_not_speak_for_another(target: Target) -> None:
    """A pod that has its certificate in its own hands and sends XFCC itself gains no right by it, and the last element
    that an app sees is that of the connection."""
    headers = [*GRPC, ("x-forwarded-client-cert", FORGED.replace("moderator", "ingress"))]
    headers += target.tokens.headers("operator")
    place, context = target.sidecar("moderator"), target.context("team-a")
    calls.request(place, "POST", CANCEL, headers=headers, body=MESSAGE, context=context)
    assert target.mesh.script.seen == []
    assert calls.request(place, "POST", TURNS, headers=headers, body=MESSAGE, context=context).status == 200
    last = target.mesh.script.seen[0].all("x-forwarded-client-cert")[-1].rpartition(",")[2]
    assert f"URI=spiffe://cluster.local/ns/{NAMESPACE}/sa/team-a" in last.split(";")


ENVOY_HEADERS = {
    "x-envoy-original-path": CANCEL,
    "x-envoy-original-method": "POST",
    "x-envoy-decorator-operation": "x",
    "x-envoy-internal": "true",
    "x-envoy-external-address": "10.0.0.1",
    "x-envoy-force-trace": "true",
    "x-envoy-ip-tags": "trusted",
    "x-envoy-upstream-rq-timeout-ms": "1",
    "x-envoy-upstream-rq-per-try-timeout-ms": "1",
    "x-envoy-max-retries": "99",
    "x-envoy-retry-on": "5xx",
    "x-envoy-retry-grpc-on": "internal",
    "x-envoy-upstream-alt-stat-name": "x",
    "x-envoy-hedge-on-per-try-timeout": "true",
    "x-envoy-peer-metadata": "eA==",
    "x-envoy-fault-abort-request": "503",
    "x-envoy-fault-abort-grpc-request": "14",
    "x-envoy-fault-delay-request": "9000",
    "x-original-url": CANCEL,
    "x-rewrite-url": CANCEL,
    "x-http-method-override": "DELETE",
    "x-forwarded-for": "127.0.0.1",
    "x-forwarded-proto": "https",
    "x-forwarded-host": "moderator",
}


@pytest.mark.parametrize("name", ENVOY_HEADERS)
def test_control_headers_from_outside_control_nothing(target: Target, name: str) -> None:
    """A viewer's call with a header that Envoy or an app may obey is the call without it: answered once, as asked, and
    forbidden where it was."""
    header = (name, ENVOY_HEADERS[name])
    headers = [*target.tokens.headers("viewer"), *GRPC, header]
    outcome = calls.request(target.ingress, "POST", GET, host="moderator", headers=headers, body=MESSAGE)
    assert (outcome.status, outcome.grpc_status) == (200, None)
    assert [(seen.pod, seen.path) for seen in harmless(target, "ingress", "viewer")] == [("moderator-0", GET)]
    target.mesh.script.clear()
    calls.request(target.ingress, "POST", CANCEL, host="moderator", headers=headers, body=MESSAGE)
    assert target.mesh.script.seen == []


def test_timeouts_and_retries_of_others_are_not_obeyed(target: Target) -> None:
    """A caller from outside sets no timeout, no retries and no trace: a slow answer comes, an INTERNAL error is not
    tried again, UNAVAILABLE as often as the manifests say; and nothing of the kind reaches the app."""
    sent = {name: value for name, value in ENVOY_HEADERS.items() if name.startswith("x-envoy-")}
    headers = [*target.tokens.headers("viewer"), *GRPC, *sent.items()]
    answers = target.mesh.script.answers

    def slowly(_: bytes) -> Sequence[bytes]:
        threading.Event().wait(0.1)  # far above the millisecond that the caller allows
        return [b""]

    def fails(code: int) -> Answer:
        def answer(_: bytes) -> Sequence[bytes]:
            raise FailedError(status_pb2.Status(code=code, message="no"))

        return answer

    try:
        for answer, status, tries in (
            (slowly, None, 1),
            (fails(code_pb2.INTERNAL), code_pb2.INTERNAL, 1),
            (fails(code_pb2.UNAVAILABLE), code_pb2.UNAVAILABLE, 3),
        ):
            target.mesh.script.clear()
            answers[GET] = answer
            outcome = calls.request(target.ingress, "POST", GET, host="moderator", headers=headers, body=MESSAGE)
            assert (outcome.status, outcome.grpc_status) == (200, status)
            assert len(target.mesh.script.seen) == tries
            for name in ("x-envoy-internal", "x-envoy-upstream-rq-timeout-ms", "x-envoy-retry-on"):
                assert target.mesh.script.seen[0].all(name) == [], name
    finally:
        answers.clear()


# ---- framing ----


def smuggled(first: str, second: str) -> dict[str, bytes]:
    """Requests in HTTP/1.1 that one reader may take for two, or for another one."""
    inner = f"POST {second} HTTP/1.1\r\nhost: moderator\r\ncontent-type: application/grpc\r\ncontent-length: 0\r\n\r\n"
    head = f"POST {first} HTTP/1.1\r\nhost: moderator\r\ncontent-type: application/grpc\r\n{{token}}"
    return {
        "length and chunks": f"{head}content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{inner}".encode(),
        "two lengths": f"{head}content-length: 0\r\ncontent-length: {len(inner)}\r\n\r\n{inner}".encode(),
        "a length with a sign": f"{head}content-length: +0\r\n\r\n{inner}".encode(),
        "chunks in disguise": f"{head}transfer-encoding: xchunked\r\ncontent-length: 0\r\n\r\n{inner}".encode(),
        "a folded header": f"{head}x-a: b\r\n transfer-encoding: chunked\r\n\r\n0\r\n\r\n{inner}".encode(),
        "two hosts": f"{head}host: team-a\r\ncontent-length: 0\r\n\r\n".encode(),
        "a space before the colon": f"{head}content-length : 0\r\n\r\n{inner}".encode(),
        "a bare line feed": f"{head}x-a: b\nx-forwarded-client-cert: {FORGED}\r\ncontent-length: 0\r\n\r\n".encode(),
        "a nul": f"{head}x-a: b\0c\r\ncontent-length: 0\r\n\r\n".encode(),
        "an old version": f"{head}content-length: 0\r\n\r\n".replace("HTTP/1.1", "HTTP/0.9").encode(),
        "no host": f"{head}content-length: 0\r\n\r\n".replace("host: moderator\r\n", "").encode(),
        "an upgrade": f"{head}connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAARAAAAA"
        f"\r\ncontent-length: 0\r\n\r\n{inner}".encode(),
        "a connection header that hides": f"{head}connection: x-forwarded-client-cert, authorization\r\n"
        f"content-length: 0\r\n\r\n".encode(),
        "CONNECT": f"CONNECT moderator:50051 HTTP/1.1\r\nhost: moderator:50051\r\n{{token}}\r\n{inner}".encode(),
        "a tunnel": f"{head}connection: upgrade\r\nupgrade: websocket\r\n\r\n{inner}".encode(),
    }


@pytest.mark.parametrize("trick", smuggled("", ""))
def test_no_request_hides_in_another(target: Target, trick: str) -> None:
    """What an agent, or a viewer at the ingress, may call carries nothing that it may not: the inner request is refused
    too, or never read."""
    sent = smuggled(TURNS, CANCEL)[trick]
    calls.unanswered(target.sidecar("moderator"), sent.replace(b"{token}", b""), target.context("team-a"))
    harmless(target, "team-a")
    target.mesh.script.clear()
    token = target.tokens.headers("viewer")[0][1]
    calls.unanswered(target.ingress, sent.replace(b"{token}", f"authorization: {token}\r\n".encode()))
    harmless(target, "ingress", "viewer")


def test_two_tokens_are_not_better_than_one(target: Target) -> None:
    """A viewer's and a forged operator's token side by side, in any order, open nothing that the viewer's does not."""
    viewer, forged = target.tokens.headers("viewer")[0], target.tokens.headers("forged")[0]
    none = target.tokens.headers("alg none")[0]
    for tokens in ((viewer, forged), (forged, viewer), (viewer, none), (none, viewer)):
        calls.request(target.ingress, "POST", CANCEL, host="moderator", headers=[*GRPC, *tokens], body=MESSAGE)
        joined = (("authorization", f"{tokens[0][1]}, {tokens[1][1]}"),)
        calls.request(target.ingress, "POST", CANCEL, host="moderator", headers=[*GRPC, *joined], body=MESSAGE)
    assert target.mesh.script.seen == []


@pytest.mark.parametrize("bytes_", [70_000, 1_000_000])
def test_oversized_headers_are_refused(target: Target, bytes_: int) -> None:
    """431 or a closed connection, at the ingress and at a sidecar; the next call is served."""
    big = ("x-big", "x" * bytes_)
    headers = [*target.tokens.headers("viewer"), *GRPC]
    outcome = calls.request(target.ingress, "POST", GET, host="moderator", headers=[*headers, big], body=MESSAGE)
    assert outcome.status in {0, 431}
    place, context = target.sidecar("moderator"), target.context("team-a")
    outcome = calls.request(place, "POST", TURNS, headers=[*GRPC, big], body=MESSAGE, context=context)
    assert outcome.status in {0, 431}
    many = [(f"x-{number}", "x") for number in range(1000)]
    assert calls.request(place, "POST", TURNS, headers=[*GRPC, *many], context=context).status in {0, 431}
    assert target.mesh.script.seen == []
    assert calls.request(target.ingress, "POST", GET, host="moderator", headers=headers, body=MESSAGE).status == 200
    assert calls.request(place, "POST", TURNS, headers=GRPC, body=MESSAGE, context=context).status == 200


def test_http_1_at_a_grpc_port_has_no_other_rights(target: Target) -> None:
    """HTTP/1.1, also without gRPC's content type, meets the same policies."""
    place, context = target.sidecar("moderator"), target.context("team-a")
    for headers in (GRPC, (), (("content-type", "application/json"),)):
        for verb in ("GET", "POST", "PUT", "HEAD", "OPTIONS", "TRACE"):
            outcome = calls.request(place, verb, CANCEL, headers=headers, body=MESSAGE, context=context)
            assert outcome.status in {200, 400, 403}, outcome
            assert outcome.status != 200 or outcome.grpc_status == 7, outcome
    assert target.mesh.script.seen == []


def _hpack(name: str, value: str) -> bytes:
    """A header as a literal without indexing (RFC 7541 6.2.2)."""
    return b"\x00" + b"".join(_length(text) + text.encode("latin-1") for text in (name, value))


def _length(text: str) -> bytes:
    """An integer with a prefix of seven bits (RFC 7541 5.1)."""
    left, found = len(text) - 127, bytearray()
    if left < 0:
        return bytes([len(text)])
    while left >= 128:
        found.append(left % 128 + 128)
        left //= 128
    return b"\x7f" + bytes([*found, left])


def _http2(headers: Sequence[tuple[str, str]]) -> bytes:
    """A whole HTTP/2 connection with one request (RFC 9113)."""
    block = b"".join(_hpack(name, value) for name, value in headers)
    frame = len(block).to_bytes(3, "big") + b"\x01\x05" + (1).to_bytes(4, "big") + block  # HEADERS, END_STREAM|HEADERS
    return b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00" + frame


PSEUDO = ((":method", "POST"), (":scheme", "https"), (":path", TURNS), (":authority", "moderator"))
HTTP2 = {
    "as it should be": [*PSEUDO, *GRPC],
    "two authorities": [*PSEUDO, (":authority", "team-a"), *GRPC],
    "two paths": [*PSEUDO, (":path", CANCEL), *GRPC],
    "another path first": [(":path", CANCEL), *PSEUDO, *GRPC],
    "two methods": [*PSEUDO, (":method", "GET"), *GRPC],
    "an authority and another host": [*PSEUDO, ("host", "team-a"), *GRPC],
    "a pseudo-header at the end": [*PSEUDO, *GRPC, (":path", CANCEL)],
    "capitals": [*PSEUDO, *GRPC, ("X-Forwarded-Client-Cert", FORGED)],
    "a line end in a value": [*PSEUDO, *GRPC, ("x-a", "b\r\nx-c: d")],
    "a line end in the path": [(":method", "POST"), (":scheme", "https"), (":path", f"{TURNS}\r\nx: y"), *GRPC],
    "no path": [(":method", "POST"), (":scheme", "https"), (":authority", "moderator"), *GRPC],
    "an empty path": [(":method", "POST"), (":scheme", "https"), (":path", ""), *GRPC],
    "transfer-encoding": [*PSEUDO, *GRPC, ("transfer-encoding", "chunked")],
    "a length that is not": [*PSEUDO, *GRPC, ("content-length", "100")],
    "CONNECT with a path": [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), *PSEUDO[2:]],
}


@pytest.mark.parametrize("trick", HTTP2)
def test_http_2_that_says_two_things(target: Target, trick: str) -> None:
    """What an HTTP/2 request says twice, or may not say, is refused or has the rights of what reaches the app."""
    sent = _http2(HTTP2[trick])
    calls.unanswered(target.sidecar("moderator"), sent, target.context("team-a", ("istio", "h2")))
    seen = harmless(target, "team-a")
    assert len(seen) == 1 if trick == "as it should be" else len(seen) <= 1
    target.mesh.script.clear()
    calls.unanswered(target.ingress, _http2([*HTTP2[trick], *target.tokens.headers("viewer")]))
    seen = harmless(target, "ingress", "viewer")
    assert len(seen) == 1 if trick == "as it should be" else len(seen) <= 1
    target.mesh.script.clear()
    calls.unanswered(target.ingress, _http2(HTTP2[trick]))
    assert target.mesh.script.seen == [], "without a token nothing passes at all"
