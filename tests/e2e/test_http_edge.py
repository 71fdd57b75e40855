"""The ingress as users of curl, browsers and grpcurl meet it: a row a request, sent to the running system.

What the ingress does for whichever service is in tests/mesh; here the services really answer.
"""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.support.grpcurl import grpcurl

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.support.system import System

pytestmark = pytest.mark.timeout(120)

JSON = {"content-type": "application/json"}
SILENCE_SECONDS = 15.0
"""The shortest patience of common proxies."""


@pytest.fixture(scope="module")
def token(system: System) -> str:
    return system.rostrum("token", "--ttl", "1h").stdout.strip()


@pytest.fixture(scope="module")
def ended(system: System) -> str:
    return system.wait_for_end(system.create("The edge is tried", rounds=1)).name


def _bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


@contextmanager
def ask(
    system: System, token: str, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> Iterator[http.client.HTTPResponse]:
    """Yields the answer to a request with a token, before it is read."""
    connection = http.client.HTTPConnection(system.runner.ingress, timeout=30)
    try:
        connection.request(method, path, body or None, {**_bearer(token), **(headers or {})})
        yield connection.getresponse()
    finally:
        connection.close()


ROWS: list[tuple[str, str, bytes, Mapping[str, str], int, str]] = [
    ("POST", "/v1/debates", b'{"rounds": 1, "budget": 500}', JSON, 400, "debate.rounds"),
    ("POST", "/v1/debates", b'{"topic": "x", "budget": 500}', JSON, 400, "token_budget"),
    ("POST", "/v1/debates", b'{"topic": "x", "seats": [{"agnet": "a"}]}', JSON, 400, "debate.seats[0].agnet"),
    ("POST", "/v1/debates", b'{"topic": ""}', JSON, 400, "topic"),
    ("POST", "/v1/debates", b"", JSON, 400, "topic"),
    ("POST", "/v1/debates", b'\xef\xbb\xbf{"topic": "x"}', JSON, 400, "byte order mark"),
    ("POST", "/v1/debates", b'{"topic": "x"}', {**JSON, "content-encoding": "gzip"}, 415, "gzip"),
    ("POST", "/v1/debates", b'{"topic": "x"}', {"content-type": "text/plain"}, 415, "text/plain"),
    ("POST", "/v1/debates", b'{"topic": "' + b"x" * 2**21 + b'"}', JSON, 413, "1 MiB"),
    ("POST", "/v1/agents/team-a:ask", b'{"questoin": "Who?"}', JSON, 400, "questoin"),
    ("POST", "/v1/debates/0000000000000000:cancel", b'{"why": "x"}', JSON, 400, "why"),
    ("GET", "/v1/debates/0000000000000000", b"", {}, 404, "0000000000000000"),
    ("GET", "/v1/debates/0000000000000000:watch", b"", {}, 404, "0000000000000000"),
    ("GET", "/v1/agents/team-a:watchFloor?debate=x", b"", {}, 400, "debate"),
    ("GET", "/v1/agents/team-z", b"", {}, 404, "/v1/agents/team-z"),
    ("GET", "/v1/debates/", b"", {}, 404, "there is /v1/debates"),
    ("DELETE", "/v1/debates/0000000000000000", b"", {}, 405, "GET"),
    ("GET", "/v1/debates", b"", {"connection": "upgrade", "upgrade": "websocket"}, 400, "websocket"),
    ("GET", "/v1/debates", b"", {"authorization": "Bearer no.such.token"}, 401, "Jwt"),
    ("GET", "/v1/debates", b"", {"authorization": ""}, 403, "token"),
]


@pytest.mark.parametrize(
    ("method", "path", "body", "headers", "status", "word"), ROWS, ids=[f"{row[4]} {row[5]}" for row in ROWS]
)
def test_a_wrong_request_is_answered(
    system: System,
    token: str,
    method: str,
    path: str,
    body: bytes,
    headers: Mapping[str, str],
    status: int,
    word: str,
) -> None:
    """Whoever refuses it, the ingress or the service: google.rpc.Status as JSON that says what is wrong."""
    with ask(system, token, method, path, body, headers) as answer:
        said = json.loads(answer.read())
        assert (answer.status, answer.getheader("content-type")) == (status, "application/json"), said
    assert said.keys() <= {"code", "message", "details"}
    assert said["code"]
    assert word in said["message"]


def test_a_debate_is_resumed_by_the_last_id(system: System, token: str, ended: str) -> None:
    """Each event's id is its number; with Last-Event-ID come those after it, and after the last one 204."""
    with ask(system, token, "GET", f"/v1/{ended}:watch") as answer:
        whole = answer.read().decode()
        assert answer.getheader("content-type") == "text/event-stream"
        assert "no-cache" in str(answer.getheader("cache-control"))
        assert answer.getheader("x-accel-buffering") == "no"
    assert whole.startswith("retry: 2000\n\n")
    numbers = re.findall(r"^id: (\d+)\ndata: \{\"number\":\1,", whole, re.MULTILINE)
    assert numbers == [str(number) for number in range(1, len(numbers) + 1)]
    with ask(system, token, "GET", f"/v1/{ended}:watch", headers={"Last-Event-ID": "3"}) as answer:
        assert re.findall(r"^id: (\d+)$", answer.read().decode(), re.MULTILINE) == numbers[3:]
    connection = http.client.HTTPConnection(system.runner.ingress, timeout=30)
    for _ in range(2):  # on one connection: nothing of the first answer is left in it
        connection.request("GET", f"/v1/{ended}:watch", None, {**_bearer(token), "Last-Event-ID": numbers[-1]})
        answer = connection.getresponse()
        assert (answer.status, answer.read(), answer.getheader("content-type")) == (204, b"", None)
    connection.close()
    for last_id, word in (("x", "Last-Event-ID"), ("999", "999")):
        with ask(system, token, "GET", f"/v1/{ended}:watch", headers={"Last-Event-ID": last_id}) as answer:
            assert answer.status == 400
            assert word in json.loads(answer.read())["message"]


@pytest.mark.parametrize("service", ["moderator", "team-a"])
def test_a_quiet_stream_says_that_it_lives(system: System, token: str, service: str) -> None:
    """A comment comes within 15 seconds of silence, of a debate in which nobody speaks and of a floor that is not."""
    name = system.create("Nothing happens", rounds=1, agents=["sleepy", "team-b"])
    floor = f"/v1/agents/team-a:watchFloor?debate={name}"
    with ask(system, token, "GET", f"/v1/{name}:watch" if service == "moderator" else floor) as answer:
        silent_since = time.monotonic()
        while not (line := answer.readline()).startswith(b":"):
            if line.strip():
                silent_since = time.monotonic()
        assert time.monotonic() - silent_since < SILENCE_SECONDS
        silent_since = time.monotonic()
        while not answer.readline().startswith(b":"):
            assert time.monotonic() - silent_since < SILENCE_SECONDS
    system.rostrum("cancel", name.removeprefix("debates/"))


@pytest.mark.parametrize("authority", ["localhost", "127.0.0.1", "mybox", "mybox:8080", "rostrum.example", "moderator"])
def test_any_host_name_is_the_moderators(system: System, token: str, authority: str) -> None:
    """Health by gRPC to a name that is no agent's is the moderator's, overall and of its service."""
    options = [("grpc.default_authority", authority), ("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(system.runner.ingress, options) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        for service in ("", "rostrum.debate.v1.DebateService", "grpc.health.v1.Health"):
            request = health_pb2.HealthCheckRequest(service=service)
            checked = stub.Check(request, metadata=[("authorization", f"Bearer {token}")], timeout=20)
            assert checked.status == health_pb2.HealthCheckResponse.SERVING


def test_grpcurl_describes_both_reflections(system: System, token: str) -> None:
    """grpcurl, which asks by v1 first, lists and describes what is served."""
    for arguments, word in (
        (["list"], "grpc.reflection.v1.ServerReflection"),
        (["describe", "grpc.reflection.v1.ServerReflection"], "rpc ServerReflectionInfo"),
        (["describe", "rostrum.debate.v1.DebateService"], "rpc WatchDebateByHttp"),
    ):
        assert word in _grpcurl(system, token, *arguments)


def _grpcurl(system: System, token: str, *arguments: str) -> str:
    command = [str(grpcurl()), "-plaintext", "-H", f"Authorization: Bearer {token}", system.runner.ingress, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
