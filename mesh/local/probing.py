"""The questions of kubelet's probes, put to an app straight at the endpoint where it listens: they pass no sidecar.

An endpoint is "{ip}:{port}" or "unix:{path}". Every question is answered with what is wrong, empty if nothing is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
from grpc_health.v1 import health_pb2

from mesh.rpc import health

if TYPE_CHECKING:
    from mesh.manifests import pods

CONNECT_SECONDS = 1.0
NO_ANSWER = "it does not answer"


@dataclass(frozen=True)
class Probe:
    """How to ask a container whether it is well: exactly one of grpc_port, http_port, command, check is set."""

    grpc_port: int | None = None
    grpc_service: str = ""
    http_port: int | None = None
    http_path: str = "/"
    command: tuple[str, ...] = ()
    check: Callable[[], Awaitable[str]] | None = None
    """A question of the runner's own, which no manifest has: what is wrong, empty if nothing is."""
    period_seconds: float = 10.0
    timeout_seconds: float = 1.0
    failure_threshold: int = 3
    initial_delay_seconds: float = 0.0


def probe_of(declared: pods.Probe | None, ports: Mapping[str, int]) -> Probe | None:
    """The probe that a container declares; `ports` are its own, by name."""
    if declared is None:
        return None
    grpc_probe, http = declared.grpc, declared.http_get
    return Probe(
        grpc_port=None if grpc_probe is None else grpc_probe.port,
        grpc_service="" if grpc_probe is None else grpc_probe.service,
        http_port=None if http is None else ports[http.port] if isinstance(http.port, str) else http.port,
        http_path="/" if http is None else http.path,
        command=() if declared.exec is None else declared.exec.command,
        period_seconds=float(declared.period_seconds),
        timeout_seconds=float(declared.timeout_seconds),
        failure_threshold=declared.failure_threshold,
        initial_delay_seconds=float(declared.initial_delay_seconds),
    )


async def accepts(endpoint: str) -> bool:
    """Whether something accepts a connection there now."""
    try:
        _, writer = await asyncio.wait_for(_open(endpoint), CONNECT_SECONDS)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


async def ask_grpc(endpoint: str, service: str) -> str:
    """Asks gRPC's health check; a service of ours that is NOT_SERVING says why."""
    if not await accepts(endpoint):
        return NO_ANSWER
    # The pool of its own keeps a failed connection of an earlier channel from answering for this one.
    async with grpc.aio.insecure_channel(
        endpoint, [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
    ) as channel:
        try:
            check: Any = channel.unary_unary(
                "/grpc.health.v1.Health/Check",
                request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
                response_deserializer=health_pb2.HealthCheckResponse.FromString,
            )
            call = check(health_pb2.HealthCheckRequest(service=service))
            answer = await call
            if answer.status == health_pb2.HealthCheckResponse.SERVING:
                return ""
            why = dict(await call.trailing_metadata() or ()).get(health.WHY_KEY, b"")
        except grpc.aio.AioRpcError as error:
            return f"its health check fails with {error.code().name}"
        return bytes(why).decode(errors="ignore") or health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)


async def ask_http(endpoint: str, path: str) -> str:
    """Asks by a GET, for a status of 200 to 399. Raises OSError if nothing listens."""
    reader, writer = await _open(endpoint)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n".encode())
        words = (await reader.readline()).split()
        if len(words) > 1 and words[1][:1] in {b"2", b"3"}:
            return ""
        return f"GET {path} is answered with {words[1].decode(errors='replace')}" if len(words) > 1 else NO_ANSWER
    finally:
        writer.close()


async def _open(endpoint: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if endpoint.startswith("unix:"):
        return await asyncio.open_unix_connection(endpoint.removeprefix("unix:"))
    host, _, port = endpoint.rpartition(":")
    return await asyncio.open_connection(host, int(port))
