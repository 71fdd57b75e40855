"""grpc.health.v1 with a Watch that yields, as all our handlers do: the library's own writes to its context instead,
which neither OpenTelemetry's interceptor nor ours can wrap.

Owns the statuses and their watchers; `mesh.rpc.server` decides what they are.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

SERVICE_NAME = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
LIVE = "live"
"""Not a service: for liveness probes, NOT_SERVING only where a restart helps, so not while the broker is away."""
WHY_KEY = "rostrum-not-serving-bin"
"""Trailing metadata of a Check that is answered with NOT_SERVING: why, in UTF-8, at most MAX_WHY_BYTES."""
MAX_WHY_BYTES = 1_000


class Health(health_pb2_grpc.HealthServicer):
    """Health overall (the empty name) and for each service. Used on one event loop."""

    def __init__(self) -> None:
        self._statuses: dict[str, Any] = {LIVE: SERVING}
        self._why = ""
        self._changed = asyncio.Event()
        self._closing = False

    def set(self, services: Iterable[str], *, serving: bool, live: bool, why: str = "") -> None:
        """Sets the status of these services and notifies their watchers if it is new. Nothing after `close`.

        `why`: what is wrong, for people, if something is.
        """
        if self._closing:
            return
        self._why = why
        statuses = dict.fromkeys(services, SERVING if serving else NOT_SERVING)
        statuses[LIVE] = SERVING if live else NOT_SERVING
        if statuses != self._statuses:
            self._statuses = statuses
            self._tell()

    def close(self) -> None:
        """Says NOT_SERVING for all, for good, and ends the watches."""
        self.set([name for name in self._statuses if name != LIVE], serving=False, live=True, why="it is stopping")
        self._closing = True
        self._tell()

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Any) -> health_pb2.HealthCheckResponse:  # noqa: N802
        """Returns the status now, and in WHY_KEY why it is not SERVING; NOT_FOUND for a service that is not here."""
        status = self._statuses.get(request.service)
        if status is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no service {request.service[:80]!r} here")
        if status != SERVING and self._why:
            context.set_trailing_metadata(((WHY_KEY, self._why.encode()[:MAX_WHY_BYTES]),))
        return health_pb2.HealthCheckResponse(status=status)

    async def Watch(  # noqa: N802
        self, request: health_pb2.HealthCheckRequest, _context: Any
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """Yields the status now and at each change; SERVICE_UNKNOWN for a service that is not here."""
        last: Any = None
        while True:
            changed = self._changed
            status = self._statuses.get(request.service, health_pb2.HealthCheckResponse.SERVICE_UNKNOWN)
            if status != last:
                yield health_pb2.HealthCheckResponse(status=status)
                last = status
                continue  # it may have changed while this one was written
            if self._closing:
                return
            await changed.wait()

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()
