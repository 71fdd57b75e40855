"""The supervising process of one home: holds its lock, answers RunnerService, and ends all that it started.

`python -m mesh.local.runner HOME` is started by mesh.local.client. It serves its socket at once, closes its standard
output to say so, and does nothing until Start says what to run: by the call, so that no secret is in the list of
processes. A start that fails ends it; so does a start that nobody asks for. Who asked may go: what it started goes on.
Its children die with it by PR_SET_PDEATHSIG. Progress, answers and errors have one form each, that of the contract.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import grpc
from rostrum.local.v1 import runner_pb2, runner_pb2_grpc

from mesh.errors import InvalidArgumentError, RostrumError, UnknownAgentError
from mesh.local import lock
from mesh.local.addresses import REPLICAS
from mesh.local.errors import AlreadyRunningError, LocalError, NotChangedError, NotRunningError, disk_errors
from mesh.local.messages import changes_of, resources_of
from mesh.local.processes import allow_open_files
from mesh.local.system import Home, System, open_system
from mesh.manifests.errors import ManifestError
from mesh.rpc.interceptors.errors import answering
from mesh.rpc.interceptors.wrapping import WrappingInterceptor

T = TypeVar("T")
Open = Callable[[Home, Path, Callable[[str], None]], System]

log = logging.getLogger(__name__)

ORDER_SECONDS = 30.0
"""Longest wait for Start: who spawned this process calls it at once, and is gone if it does not."""
GRACE_SECONDS = 1.0
"""For calls under way when it ends, such as the Start that failed."""


class Runner(runner_pb2_grpc.RunnerServiceServicer):
    """Answers for one home. `open_home` reads what a home is to run, as mesh.local.system does."""

    def __init__(self, home: Path, open_home: Open = open_system) -> None:
        self._home, self._open = home, open_home
        self._system: System | None = None
        """Set while all of it runs."""
        self._starting: asyncio.Task[None] | None = None
        self._changes: set[asyncio.Task[Any]] = set()
        self._ordered = asyncio.Event()
        self._stopping = asyncio.Event()

    # ---- its own life ----

    def ask_to_stop(self) -> None:
        """Makes `run` return. Idempotent."""
        self._stopping.set()

    async def run(self, order_seconds: float = ORDER_SECONDS) -> None:
        """Returns once it is to end: it was asked to, its start failed, or nobody has asked for one."""
        stopping = asyncio.ensure_future(self._stopping.wait())
        ordered = asyncio.ensure_future(self._ordered.wait())
        try:
            await asyncio.wait({stopping, ordered}, timeout=order_seconds, return_when=asyncio.FIRST_COMPLETED)
            if self._ordered.is_set():
                await stopping
        finally:
            stopping.cancel()
            ordered.cancel()
            await self._stop()

    async def _stop(self) -> None:
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait({self._starting})
        if self._system is not None:
            await self._system.stop()

    async def _start(self, request: runner_pb2.StartRequest, report: Callable[[str], None]) -> None:
        """Returns once all is ready. Raises RostrumError if it does not come up; then nothing of it is left."""
        home = Home(self._home, request.model, dict(request.environment))
        system = self._open(home, Path(request.manifests), report)
        try:
            await system.start()
        except BaseException:
            await system.stop()
            raise
        self._system = system

    # ---- the contract ----

    async def Start(  # noqa: N802, D102 - the contract's name
        self, request: runner_pb2.StartRequest, context: Any
    ) -> AsyncIterator[runner_pb2.StartProgress]:
        if self._starting is not None or request.pid != os.getpid():
            raise AlreadyRunningError(f"Rostrum runs already in {self._home}: `rostrum down` stops it.")
        steps: asyncio.Queue[str | None] = asyncio.Queue()
        self._starting = asyncio.ensure_future(self._start(request, steps.put_nowait))
        self._starting.add_done_callback(lambda task: self._end_start(task, steps))
        self._ordered.set()
        while (step := await steps.get()) is not None:
            yield runner_pb2.StartProgress(step=step)
        if self._starting.cancelled():
            raise NotRunningError(f"Rostrum was stopped in {self._home} while it was starting.")
        await self._starting
        yield runner_pb2.StartProgress(status=self._status())

    def _end_start(self, task: asyncio.Task[None], steps: asyncio.Queue[str | None]) -> None:
        steps.put_nowait(None)
        if task.cancelled():
            self._stopping.set()
        elif (error := task.exception()) is not None:
            log.error("the start failed: %s", error)  # for its log: who asked may be gone
            self._stopping.set()

    async def GetStatus(self, request: Any, context: Any) -> runner_pb2.Status:  # noqa: N802, D102
        return self._status()

    async def Stop(self, request: Any, context: Any) -> runner_pb2.StopResponse:  # noqa: N802, D102
        self._stopping.set()
        return runner_pb2.StopResponse()

    async def Scale(self, request: runner_pb2.ScaleRequest, context: Any) -> runner_pb2.Status:  # noqa: N802, D102
        system = self._running()
        deployment = system.deployment(request.deployment)
        if deployment is None:
            raise UnknownAgentError(f"There is no Deployment {request.deployment!r} here.", agent=request.deployment)
        if not 0 <= request.replicas <= REPLICAS:
            message = f"replicas must be from 0 to {REPLICAS}."
            raise InvalidArgumentError(message, field="replicas", value=str(request.replicas), limit=str(REPLICAS))
        await self._finish(system.scale(deployment, request.replicas))
        return self._status()

    async def ChangeResources(  # noqa: N802, D102
        self, request: runner_pb2.ChangeResourcesRequest, context: Any
    ) -> runner_pb2.ChangeResourcesResponse:
        began = time.monotonic()
        try:
            changes = await self._finish(self._running().change(request))
        except (ManifestError, NotRunningError):
            raise
        except RostrumError as error:
            raise NotChangedError(f"{error} Nothing was changed.", cause=error.reason) from error
        milliseconds = round((time.monotonic() - began) * 1000)
        return runner_pb2.ChangeResourcesResponse(changes=changes_of(changes), in_force_milliseconds=milliseconds)

    async def ListResources(  # noqa: N802, D102
        self, request: runner_pb2.ListResourcesRequest, context: Any
    ) -> runner_pb2.ListResourcesResponse:
        found = self._running().list_resources(request.kind)
        return runner_pb2.ListResourcesResponse(resources=resources_of(found))

    async def GetMesh(self, request: Any, context: Any) -> runner_pb2.Mesh:  # noqa: N802, D102
        return self._running().mesh()

    def _running(self) -> System:
        if self._system is None:
            raise NotRunningError(f"Rostrum is still starting in {self._home}: try again in a moment.")
        return self._system

    def _status(self) -> runner_pb2.Status:
        status = self._running().status()
        status.pid = os.getpid()
        return status

    async def _finish(self, change: Awaitable[T]) -> T:
        """Waits for a change that goes on to its end, or back to its beginning, even if the caller is gone."""
        task = asyncio.ensure_future(change)
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)
        return await asyncio.shield(task)


def server_of(runner: Runner) -> grpc.aio.Server:
    """A server that answers RunnerService, with our errors; it listens nowhere yet."""
    server = grpc.aio.server(interceptors=[WrappingInterceptor(answering)])
    runner_pb2_grpc.add_RunnerServiceServicer_to_server(runner, server)
    return server


async def serve(home: Path) -> None:
    """Holds the home until its runner is to end. Raises LocalError."""
    lock.take(home)
    runner = Runner(home)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, runner.ask_to_stop)
    socket = home / "run" / "runner.sock"
    with disk_errors(home):
        socket.unlink(missing_ok=True)
        # A socket's path has at most 107 bytes; the folder's own descriptor keeps any home below that.
        folder = os.open(home / "run", os.O_PATH)
    server = server_of(runner)
    server.add_insecure_port(f"unix:/proc/self/fd/{folder}/runner.sock")
    await server.start()
    with open(os.devnull, "w") as nothing:  # noqa: PTH123, ASYNC230
        os.dup2(nothing.fileno(), sys.stdout.fileno())  # whoever spawned it reads the end of its output, and calls
    try:
        await runner.run()
    finally:
        await server.stop(GRACE_SECONDS)
        socket.unlink(missing_ok=True)


def main() -> int:
    """Runs the home that is the one argument; returns the exit code, which only its log's reader looks at."""
    allow_open_files()
    os.umask(0o077)  # nobody else may read a store or a log, or write beside them, whoever started this process
    try:
        asyncio.run(serve(Path(sys.argv[1])))
    except LocalError as error:
        log.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
