"""The one channel factory. Services dial "moderator:50051" and know nothing else.

On a cluster that name is resolved by DNS and Istio's iptables lead the call to the sidecar. On a laptop SIDECAR_FOLDER
names the folder of the pod's sockets: calls go to the sidecar's own, `out/50051.sock`, with the name as authority, and
the sidecar does the rest. `through_ingress` is the way of who is no pod: by the ingress gateway, with a token.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import grpc
import grpc.aio

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_SERVICE_CONFIG = json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})
_OPTIONS = (
    # http_proxy of the environment is for other machines; all that is dialled here is on this one, or inside.
    ("grpc.enable_http_proxy", 0),
    ("grpc.service_config", _SERVICE_CONFIG),
    # A restarted pod is dialled again within a second or two, not within gRPC's default of up to 2 minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)


class Channels:
    """Opens channels to services by name."""

    def __init__(self, sidecar_folder: str = "") -> None:
        """`sidecar_folder` empty: names are resolved by DNS."""
        self._folder = sidecar_folder

    def open(self, address: str) -> grpc.aio.Channel:
        """Returns a channel to "{service}:{port}". The caller closes it."""
        # Not at the top: whoever comes by the ingress has no trace, and need not pay a third of its start for it.
        from opentelemetry.instrumentation.grpc import aio_client_interceptors  # noqa: PLC0415

        traced = aio_client_interceptors()  # type: ignore[no-untyped-call]
        return _channel(self.target(address), address, *traced)

    def target(self, address: str) -> str:
        """Returns gRPC's target for "{service}:{port}"."""
        service, _, port = address.rpartition(":")
        return f"unix:{self._socket(port)}" if self._folder and _is_service(service) else f"dns:///{address}"

    def http_socket(self, url: str) -> str | None:
        """Returns the path of the socket at which an http URL is to be dialled; None: as the URL says."""
        parts = urlsplit(url)
        return self._socket(parts.port or 80) if self._folder and _is_service(parts.hostname or "") else None

    def _socket(self, port: object) -> str:
        return f"{self._folder}/out/{port}.sock"


def through_ingress(ingress: str, service: str, token: Callable[[], str]) -> grpc.aio.Channel:
    """Returns a channel to a service by the ingress at "{ip}:{port}"; each call carries what `token` returns then."""
    return _channel(f"dns:///{ingress}", service, _AuthorizedUnary(token), _AuthorizedStream(token))


def _channel(target: str, authority: str, *interceptors: grpc.aio.ClientInterceptor) -> grpc.aio.Channel:
    options = [*_OPTIONS, ("grpc.default_authority", authority)]
    return grpc.aio.insecure_channel(target, options=options, interceptors=[*interceptors, _Cancelling()])


def _is_service(host: str) -> bool:
    """Whether a host is a service's short name; an IP address or a name with dots is none of the mesh."""
    return bool(host) and "." not in host and ":" not in host and host != "localhost"


def _authorized(details: Any, token: str) -> Any:
    metadata = grpc.aio.Metadata(*(details.metadata or ()), ("authorization", f"Bearer {token}"))
    return details._replace(metadata=metadata)


class _AuthorizedUnary(grpc.aio.UnaryUnaryClientInterceptor):
    def __init__(self, token: Callable[[], str]) -> None:
        self._token = token

    async def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await continuation(_authorized(client_call_details, self._token()), request)


class _AuthorizedStream(grpc.aio.UnaryStreamClientInterceptor):
    def __init__(self, token: Callable[[], str]) -> None:
        self._token = token

    async def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return await continuation(_authorized(client_call_details, self._token()), request)


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
