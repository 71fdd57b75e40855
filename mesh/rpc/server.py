"""The gRPC server of every service: interceptors in order, reflection, and health that says the truth.

Health is SERVING, overall and for each service, only while no check finds anything wrong (the store, the broker, the
consumer), and `live` only while those find nothing whose trouble a restart would mend. Watch sends each change, and an
answer of Check that is NOT_SERVING says why. Until `start` has run the checks once, it is NOT_SERVING.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import grpc
import grpc.aio
from grpc_health.v1 import health_pb2_grpc
from opentelemetry.instrumentation.grpc import aio_server_interceptor, filters

from mesh.retries import describe_error
from mesh.rpc import health, reflection
from mesh.rpc.interceptors.deadlines import bounded
from mesh.rpc.interceptors.errors import answering
from mesh.rpc.interceptors.limits import limited
from mesh.rpc.interceptors.logging_context import named
from mesh.rpc.interceptors.malformed import malformed_interceptor
from mesh.rpc.interceptors.wrapping import WrappingInterceptor

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    Check = Callable[[], Awaitable[str]]
    """Returns what is wrong, for people; empty if nothing is."""

log = logging.getLogger(__name__)

CHECK_SECONDS = 1.0
"""Between runs of the checks; readiness probes need not see a change sooner."""
FAILED_CHECK_SECONDS = 0.1
"""The same while one fails, so that a service serves as soon as it can."""
CHECK_TIMEOUT_SECONDS = 2.0
"""A check that hangs counts as failed."""
MAX_CALLS = 1_000
"""Calls and streams under way at once in one process."""
MAX_MESSAGE_BYTES = 1 << 20
"""Largest request: far above any valid one, far below what would hurt."""


class Server:
    """A grpc.aio server with what every service needs. Made on the loop that runs it."""

    def __init__(self, address: str, *, max_calls: int = MAX_CALLS) -> None:
        """`address`: "{ip}:{port}", or "unix:{path}" behind a sidecar on a laptop."""
        self._address = address
        self._server = grpc.aio.server(
            interceptors=[
                # Probes each second would drown the traces of calls.
                aio_server_interceptor(filter_=filters.negate(filters.health_check())),  # type: ignore[no-untyped-call]
                WrappingInterceptor(named, answering, limited(max_calls), of_unary_calls=[bounded]),
                malformed_interceptor(MAX_MESSAGE_BYTES),
            ],
            # Above our own limit gRPC still reads a while, so that our error can say what is wrong.
            options=(("grpc.max_receive_message_length", 4 * MAX_MESSAGE_BYTES), ("grpc.so_reuseport", 0)),
        )
        self._health = health.Health()
        self._names: list[str] = []
        self._checks: Mapping[str, Check] = {}
        self._vital: frozenset[str] = frozenset()
        self._watching: asyncio.Task[None] | None = None
        self._troubles: dict[str, str] = {}
        self.port = 0
        """The port it listens on, once started; 1 if that is a Unix socket."""

    @property
    def grpc(self) -> grpc.aio.Server:
        """The server that servicers are added to."""
        return self._server

    async def start(
        self, services: Sequence[str], checks: Mapping[str, Check], vital: Mapping[str, Check] | None = None
    ) -> None:
        """Serves. `services`: full names of those that were added. `vital`: checks that `live` depends on, too.

        Raises RuntimeError if the address is taken.
        """
        self._names = [*services]
        self._checks = {**checks, **(vital or {})}
        self._vital = frozenset(vital or ())
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.add_reflection((*self._names, health.SERVICE_NAME), self._server)
        self.port = self._server.add_insecure_port(self._address)
        await self._check()
        await self._server.start()
        self._watching = asyncio.get_running_loop().create_task(self._check_until_stopped(), name="health")

    async def stop(self, grace_seconds: float) -> None:
        """Says NOT_SERVING, lets calls under way end within the grace, then cancels them."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        self._health.close()
        await self._server.stop(grace_seconds)

    async def _check_until_stopped(self) -> None:
        while True:
            await asyncio.sleep(CHECK_SECONDS if not self._troubles else FAILED_CHECK_SECONDS)
            await self._check()

    async def _check(self) -> None:
        answers = await asyncio.gather(*(_find_trouble(check) for check in self._checks.values()))
        troubles = {name: trouble for name, trouble in zip(self._checks, answers, strict=True) if trouble}
        why = "; ".join(f"{name}: {trouble}" for name, trouble in troubles.items())
        if troubles and troubles.keys() != self._troubles.keys():
            log.warning("not serving: %s", why)
        elif self._troubles and not troubles:
            log.info("serving again")
        self._troubles = troubles
        live = self._vital.isdisjoint(troubles)
        names = ("", *self._names, health.SERVICE_NAME, *reflection.SERVICE_NAMES)
        self._health.set(names, serving=not troubles, live=live, why=why)


async def _find_trouble(check: Check) -> str:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
            return await check()
    except TimeoutError:
        return f"no answer in {CHECK_TIMEOUT_SECONDS:g} s"
    except Exception as error:  # noqa: BLE001 - a check that fails in any way says that it cannot be used
        return describe_error(error)
