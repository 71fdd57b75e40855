"""The supervising process of one home: holds its lock, starts its system, answers RunnerService, and ends all of it.

`python -m mesh.local.runner` is started by `mesh.local.client` with a JSON object on its standard input (home, model,
manifests, the caller's variables). It prints progress as JSON lines on standard output, the last one {"ready": true}
or {"error": ..., "exit_code": ...}, and closes it. HOME/run/lock is held for its whole life: whoever holds the lock is
the runner, so a stale file never stands for one. Its children die with it by PR_SET_PDEATHSIG.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
from rostrum.local.v1 import runner_pb2, runner_pb2_grpc

from mesh.local.addresses import REPLICAS
from mesh.local.errors import AlreadyRunningError, LocalError, ManifestError, disk_errors
from mesh.local.messages import changes_of, resources_of
from mesh.local.system import Home, System, open_system


class Runner(runner_pb2_grpc.RunnerServiceServicer):
    """Answers for one system."""

    def __init__(self, system: System) -> None:
        self._system = system
        self.stopping = asyncio.Event()

    def _status(self) -> runner_pb2.Status:
        status = self._system.status()
        status.pid = os.getpid()
        return status

    async def GetStatus(self, request: Any, context: Any) -> runner_pb2.Status:  # noqa: N802, D102 - the contract's name
        return self._status()

    async def Stop(self, request: Any, context: Any) -> runner_pb2.StopResponse:  # noqa: N802, D102
        self.stopping.set()
        return runner_pb2.StopResponse()

    async def Scale(self, request: runner_pb2.ScaleRequest, context: Any) -> runner_pb2.Status:  # noqa: N802, D102
        deployment = self._system.deployment(request.deployment)
        if deployment is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"There is no Deployment {request.deployment!r} here.")
            raise AssertionError
        if not 0 <= request.replicas <= REPLICAS:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"replicas must be from 0 to {REPLICAS}.")
        try:
            await self._system.scale(deployment, request.replicas)
        except LocalError as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        return self._status()

    async def ChangeResources(  # noqa: N802, D102
        self, request: runner_pb2.ChangeResourcesRequest, context: Any
    ) -> runner_pb2.ChangeResourcesResponse:
        began = time.monotonic()
        try:
            changes = await self._system.change(request)
        except ManifestError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except LocalError as error:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"{error} Nothing was changed.")
        milliseconds = round((time.monotonic() - began) * 1000)
        return runner_pb2.ChangeResourcesResponse(changes=changes_of(changes), in_force_milliseconds=milliseconds)

    async def ListResources(  # noqa: N802, D102
        self, request: runner_pb2.ListResourcesRequest, context: Any
    ) -> runner_pb2.ListResourcesResponse:
        try:
            found = self._system.list_resources(request.kind)
        except ManifestError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        return runner_pb2.ListResourcesResponse(resources=resources_of(found))

    async def GetMesh(self, request: Any, context: Any) -> runner_pb2.Mesh:  # noqa: N802, D102
        return self._system.mesh()


def report(step: str, **more: object) -> None:
    """Prints one line of progress; a caller that is gone is no reason to stop."""
    with suppress(OSError, ValueError):
        sys.stdout.write(json.dumps({"step": step, **more}) + "\n")
        sys.stdout.flush()


def take_lock(home: Path) -> int:
    """Makes the home's folders and holds its lock. Raises AlreadyRunningError."""
    with disk_errors(home):
        for name in ("run", "logs", "stores"):
            (home / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        (home / "run").chmod(0o700)
        lock = os.open(home / "run" / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise AlreadyRunningError(f"Rostrum runs already in {home}: `rostrum down` stops it.") from error
    return lock


async def _main(order: dict[str, Any]) -> None:
    home = Path(order["home"])
    take_lock(home)
    socket = home / "run" / "runner.sock"
    socket.unlink(missing_ok=True)
    system = open_system(Home(home, order["model"], order["environ"]), Path(order["manifests"]), report)
    runner = Runner(system)
    server = grpc.aio.server()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, runner.stopping.set)
    starting = asyncio.ensure_future(system.start())
    asked = asyncio.ensure_future(runner.stopping.wait())
    try:
        await asyncio.wait({starting, asked}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            runner_pb2_grpc.add_RunnerServiceServicer_to_server(runner, server)
            # A socket's path has at most 107 bytes; the folder's own descriptor keeps any home below that.
            folder = os.open(home / "run", os.O_PATH)
            server.add_insecure_port(f"unix:/proc/self/fd/{folder}/runner.sock")
            await server.start()
            report("ready", ready=True)
            with open(os.devnull, "w") as nothing:  # noqa: PTH123, ASYNC230
                os.dup2(nothing.fileno(), 1)
            await asked
    finally:
        starting.cancel()
        with suppress(asyncio.CancelledError, LocalError):
            await starting
        await system.stop()
        await server.stop(1.0)
        socket.unlink(missing_ok=True)


def main() -> int:
    """Reads the order from standard input and runs until asked to stop."""
    try:
        asyncio.run(_main(json.loads(sys.stdin.readline())))
    except LocalError as error:
        report("failed", error=str(error), exit_code=error.exit_code)
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
