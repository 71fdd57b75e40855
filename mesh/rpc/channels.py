"""The one channel factory. Services dial "moderator:50051" and know nothing else.

On a cluster that name is resolved by DNS. On a laptop ROSTRUM_HOSTS_FILE names a file in the form of /etc/hosts that
gives each service one or more loopback addresses; calls go round them.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import grpc
import grpc.aio
from opentelemetry.instrumentation.grpc import aio_client_interceptors

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_SERVICE_CONFIG = json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})
_OPTIONS = (
    ("grpc.service_config", _SERVICE_CONFIG),
    # A restarted pod is dialled again within a second or two, not within gRPC's default of up to 2 minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)


class Channels:
    """Opens channels to services by name."""

    def __init__(self, hosts_file: str = "") -> None:
        """`hosts_file` empty: names are resolved by DNS."""
        self._hosts_file = hosts_file

    def open(self, address: str) -> grpc.aio.Channel:
        """Returns a channel to "{service}:{port}". The caller closes it."""
        interceptors = [*aio_client_interceptors(), _Cancelling()]  # type: ignore[no-untyped-call]
        return grpc.aio.insecure_channel(self.target(address), options=_OPTIONS, interceptors=interceptors)

    def target(self, address: str) -> str:
        """Returns gRPC's target for "{service}:{port}"."""
        if not self._hosts_file:
            return f"dns:///{address}"
        service, _, port = address.rpartition(":")
        ips = self._ips(service)
        return "ipv4:" + ",".join(f"{ip}:{port}" for ip in ips) if ips else f"dns:///{address}"

    def url(self, url: str) -> str:
        """Returns an HTTP URL with its host as it can be dialled from here: the service's first address."""
        parts = urlsplit(url)
        ips = self._ips(parts.hostname or "") if self._hosts_file else []
        return parts._replace(netloc=f"{ips[0]}:{parts.port or 80}").geturl() if ips else url

    def _ips(self, service: str) -> list[str]:
        lines = (line.split("#")[0].split() for line in Path(self._hosts_file).read_text("utf-8").splitlines())
        return [words[0] for words in lines if service in words[1:]]


class _Cancelling(grpc.aio.UnaryUnaryClientInterceptor):
    """Cancels a call at the server when its awaiting task is cancelled; OpenTelemetry's interceptors let it go on."""

    async def intercept_unary_unary(
        self,
        continuation: Callable[[grpc.aio.ClientCallDetails, Any], Awaitable[Any]],
        client_call_details: grpc.aio.ClientCallDetails,
        request: Any,
    ) -> Any:
        """Waits for the call's end."""
        call = await continuation(client_call_details, request)
        try:
            await call.code()
        except asyncio.CancelledError:
            call.cancel()
            raise
        return call
