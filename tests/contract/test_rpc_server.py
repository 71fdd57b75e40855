"""What every server offers beside its services: reflection, health that says the truth, traced calls, names."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import grpc.aio
import pytest
from google.protobuf import descriptor_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from rostrum.agent.v1 import agent_service_pb2, agent_service_pb2_grpc

from mesh.local.probing import ask_grpc
from mesh.rpc.channels import Channels, through_ingress
from mesh.rpc.server import Server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

AGENT_SERVICE = agent_service_pb2.DESCRIPTOR.services_by_name["AgentService"].full_name
REFLECTIONS = ("grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection")
EMPTY_SETTINGS = b"\0\0\0\4\0\0\0\0\0"
"""The frame that an HTTP/2 server begins with (RFC 9113, 6.5)."""
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class _Agent(agent_service_pb2_grpc.AgentServiceServicer):
    Ask: Any
    ListUtterances: Any
    WatchFloor: Any
    WatchFloorByHttp: Any

    async def GetAgent(self, request: agent_service_pb2.GetAgentRequest, _context: Any) -> agent_service_pb2.Agent:  # noqa: N802
        span = trace.get_current_span().get_span_context()
        return agent_service_pb2.Agent(name=request.name, description=trace.format_trace_id(span.trace_id))


class _Usable:
    def __init__(self) -> None:
        self.answer = True
        self.broken = False

    async def __call__(self) -> str:
        if self.broken:
            raise RuntimeError("broken")
        return "" if self.answer else "the disk is full"


@pytest.fixture
def check() -> _Usable:
    return _Usable()


@pytest.fixture
async def channel(check: _Usable) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to a server whose store is as `check` says."""
    server = Server("127.0.0.1:0")
    agent_service_pb2_grpc.add_AgentServiceServicer_to_server(_Agent(), server.grpc)
    await server.start([AGENT_SERVICE], {"store": check})
    channel = Channels().open(f"127.0.0.1:{server.port}")
    yield channel
    await channel.close(None)
    await server.stop(0)


async def test_reflection_lists_the_services(channel: grpc.aio.Channel) -> None:
    """`grpcurl list` shows the service, health and reflection itself, in both versions."""
    listed = [await _reflect(channel, version, list_services="") for version in ("v1", "v1alpha")]
    services = {service.name for service in listed[0].list_services_response.service}
    assert services == {AGENT_SERVICE, "grpc.health.v1.Health", *REFLECTIONS}
    assert listed[0] == listed[1]


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
@pytest.mark.parametrize("symbol", [AGENT_SERVICE, "grpc.health.v1.Health", *REFLECTIONS])
async def test_reflection_describes_every_service(channel: grpc.aio.Channel, version: str, symbol: str) -> None:
    """Each one that is listed has its file, reflection's own included; what is not there is NOT_FOUND."""
    response = await _reflect(channel, version, file_containing_symbol=symbol)
    file = descriptor_pb2.FileDescriptorProto.FromString(response.file_descriptor_response.file_descriptor_proto[0])
    assert symbol in {f"{file.package}.{service.name}" for service in file.service}
    unknown = await _reflect(channel, version, file_containing_symbol="rostrum.none.v1.None")
    assert unknown.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


async def _reflect(channel: grpc.aio.Channel, version: str, **asked: Any) -> reflection_pb2.ServerReflectionResponse:
    """The answer to one request, whose messages are the same in both versions."""
    method: Any = channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    response: reflection_pb2.ServerReflectionResponse = await anext(
        aiter(method(iter([reflection_pb2.ServerReflectionRequest(**asked)])))
    )
    response.ClearField("original_request")
    return response


@pytest.mark.parametrize("broken", [False, True], ids=["says no", "raises"])
@pytest.mark.parametrize("service", ["", AGENT_SERVICE, "grpc.health.v1.Health"], ids=["overall", "service", "health"])
async def test_health_follows_the_checks(
    channel: grpc.aio.Channel,
    check: _Usable,
    service: str,
    broken: bool,  # noqa: FBT001
) -> None:
    """Watch says SERVING, NOT_SERVING when a check fails, and SERVING again; Check agrees each time."""
    stub: Any = health_pb2_grpc.HealthStub(channel)
    request = health_pb2.HealthCheckRequest(service=service)
    watch = stub.Watch(request, timeout=20)
    seen = []
    for fails in (True, False, None):
        seen.append(((await watch.read()).status, (await stub.Check(request)).status))
        if fails is not None:
            check.answer, check.broken = not fails or broken, fails and broken
    watch.cancel()
    assert seen == [(SERVING, SERVING), (NOT_SERVING, NOT_SERVING), (SERVING, SERVING)]


@pytest.mark.parametrize("vital", [False, True], ids=["broker away", "reader hangs"])
async def test_liveness_fails_only_where_a_restart_helps(vital: bool) -> None:  # noqa: FBT001
    """`live` stays SERVING while a check fails that waits for others, and falls with a vital one; Check says why."""
    check = _Usable()
    server = Server("127.0.0.1:0")
    await server.start([], {} if vital else {"broker": check}, {"reader": check} if vital else {})
    channel = Channels().open(f"127.0.0.1:{server.port}")
    stub: Any = health_pb2_grpc.HealthStub(channel)
    try:
        watch = stub.Watch(health_pb2.HealthCheckRequest(service=""), timeout=20)
        assert (await watch.read()).status == SERVING
        check.answer = False
        assert (await watch.read()).status == NOT_SERVING
        live = (await stub.Check(health_pb2.HealthCheckRequest(service="live"))).status
        assert live == (NOT_SERVING if vital else SERVING)
        name = "reader" if vital else "broker"
        assert await ask_grpc(f"127.0.0.1:{server.port}", "") == f"{name}: the disk is full"
        assert await ask_grpc(f"127.0.0.1:{server.port}", "live") == (f"{name}: the disk is full" if vital else "")
        watch.cancel()
    finally:
        await channel.close(None)
        await server.stop(0)


async def test_health_of_an_unknown_service_is_not_found(channel: grpc.aio.Channel) -> None:
    """Check of a service that is not here fails with NOT_FOUND."""
    stub: Any = health_pb2_grpc.HealthStub(channel)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.Check(health_pb2.HealthCheckRequest(service="rostrum.none.v1.None"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_call_carries_its_trace(channel: grpc.aio.Channel) -> None:
    """The handler runs in the trace of its caller: client and server interceptors of OpenTelemetry are at work."""
    tracer = TracerProvider().get_tracer("test")
    with tracer.start_as_current_span("caller") as span:
        stub: Any = agent_service_pb2_grpc.AgentServiceStub(channel)
        agent = await stub.GetAgent(agent_service_pb2.GetAgentRequest(name="agents/a"))
        assert agent.description == trace.format_trace_id(span.get_span_context().trace_id)


async def test_a_taken_address_is_an_error_at_start() -> None:
    """A second server at the same address does not start."""
    first = Server("127.0.0.1:0")
    await first.start([], {})
    try:
        with pytest.raises(RuntimeError):
            await Server(f"127.0.0.1:{first.port}").start([], {})
    finally:
        await first.stop(0)


def test_on_a_cluster_names_are_resolved_by_dns() -> None:
    """Without a sidecar's folder gRPC dials the name, and HTTP clients their URL."""
    assert Channels().target("moderator:50051") == "dns:///moderator:50051"
    assert Channels().http_socket("http://model:8080/v1") is None


def test_beside_a_sidecar_services_are_dialled_at_its_sockets() -> None:
    """Services' names lead to the sidecar's socket of their port; what is no service of the mesh is left as it is."""
    channels = Channels("/run/pod")
    assert channels.target("moderator:50051") == "unix:/run/pod/out/50051.sock"
    assert channels.http_socket("http://model:8080/v1") == "/run/pod/out/8080.sock"
    assert channels.target("127.0.0.1:50051") == "dns:///127.0.0.1:50051"
    for url in ("http://127.0.0.1:11434/v1", "https://api.openai.com/v1", "http://localhost:8000/v1"):
        assert channels.http_socket(url) is None


async def _said(listening: socket.socket, channel: grpc.aio.Channel, *words: bytes) -> None:
    """Makes a call and returns once its server has read all the words; gRPC compresses no header's value."""
    said = b""
    call: Any = agent_service_pb2_grpc.AgentServiceStub(channel)
    answer = asyncio.ensure_future(call.GetAgent(agent_service_pb2.GetAgentRequest()))
    loop = asyncio.get_running_loop()
    listening.setblocking(False)
    try:
        async with asyncio.timeout(20):
            connection, _ = await loop.sock_accept(listening)
            with connection:
                await loop.sock_sendall(connection, EMPTY_SETTINGS)
                while not all(word in said for word in words):
                    said += await loop.sock_recv(connection, 65_536)
    finally:
        answer.cancel()
        await channel.close(None)


async def test_the_sidecar_hears_the_service_by_its_name(tmp_path: Path) -> None:
    """A call by the sidecar's socket has the dialled name as its authority: the sidecar routes by it."""
    (tmp_path / "out").mkdir()

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{tmp_path}/out/50051.sock")
        listening.listen()
        await _said(listening, Channels(str(tmp_path)).open("team-a:50051"), b"team-a:50051")


async def test_by_the_ingress_a_call_names_its_service_and_has_a_token() -> None:
    """The authority is the service's name, and the token is that of the time of the call."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        ingress = f"127.0.0.1:{listening.getsockname()[1]}"
        channel = through_ingress(ingress, "team-a", lambda: "token-of-now")
        await _said(listening, channel, b"team-a", b"Bearer token-of-now")


async def test_no_proxy_gets_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """http_proxy of the environment, which gRPC heeds by itself, changes nothing: the ingress is on this machine."""
    for name in ("grpc_proxy", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        ingress = f"127.0.0.1:{listening.getsockname()[1]}"
        await _said(listening, through_ingress(ingress, "team-a", lambda: "token"), b"team-a")
