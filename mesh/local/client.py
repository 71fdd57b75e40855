"""What the `rostrum` command calls: starts the runner of a home and speaks RunnerService over its Unix socket.

Also where the home's ingress is, and a token for it: the owner's own way to the services, as everybody's.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TypeVar

import grpc
from rostrum.local.v1 import runner_pb2, runner_pb2_grpc

from mesh.local.addresses import ingress_of
from mesh.local.errors import LocalError, NotRunningError, StartupError, by_exit_code, disk_errors

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[2]
ANSWER_SECONDS = 5.0
SCALE_SECONDS = 200.0
CHANGE_SECONDS = 30.0
"""Longest wait until every sidecar has taken a change, or the one before it again."""
STOP_SECONDS = 40.0


class LocalRunner:
    """The runner of one home. `environ` is the caller's environment.

    ROSTRUM_MANIFESTS in it names another folder that holds k8s/base and istio/.
    """

    def __init__(self, home: Path, environ: Mapping[str, str]) -> None:
        self.home = home.absolute()
        self._environ = environ
        self._folder: int | None = None

    @property
    def ingress(self) -> str:
        """ "{ip}:{port}" at which the ingress listens, or last did; empty if it was never started."""
        return ingress_of(self.home)

    def token(self) -> str:
        """A short-lived token for calls of the owner's own. Raises LocalError."""
        from mesh.local import tokens  # noqa: PLC0415 - 40 ms that `rostrum status` need not pay

        return tokens.issue(self.home, "operator", tokens.OWN_SECONDS)

    async def status(self) -> runner_pb2.Status | None:
        """Every pod and its state; None if nothing runs here, or nothing that is ready to be asked."""
        try:
            async with self._channel() as channel:
                stub: runner_pb2_grpc.RunnerServiceAsyncStub = runner_pb2_grpc.RunnerServiceStub(channel)
                return await stub.GetStatus(runner_pb2.GetStatusRequest(), timeout=ANSWER_SECONDS)
        except (grpc.aio.AioRpcError, NotRunningError):
            return None

    async def start(self, model: str, report: Callable[[str], None]) -> runner_pb2.Status:
        """Starts all and returns once every pod is ready. Raises LocalError; then, or if cancelled, nothing is left."""
        with disk_errors(self.home):
            (self.home / "logs").mkdir(mode=0o700, parents=True, exist_ok=True)
            log = (self.home / "logs" / "runner.log").open("ab")
        with log:
            child = subprocess.Popen(  # noqa: ASYNC220 - a fork; the runner outlives this process
                [sys.executable, "-m", "mesh.local.runner"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                # gRPC's fork handlers are for children that go on using gRPC; the runner's only exec, and now and then
                # died of them.
                env={**self._environ, "GRPC_ENABLE_FORK_SUPPORT": "0"}, start_new_session=True, cwd=ROOT,
            )  # fmt: skip
        assert child.stdin is not None  # noqa: S101 - both are pipes, as asked for above
        assert child.stdout is not None  # noqa: S101
        order = {
            "home": str(self.home),
            "model": model,
            "manifests": os.path.abspath(self._environ.get("ROSTRUM_MANIFESTS") or ROOT),  # noqa: PTH100, ASYNC240
            "environ": dict(self._environ),
        }
        ready = False
        try:
            child.stdin.write(json.dumps(order).encode() + b"\n")
            child.stdin.close()
            while line := await asyncio.to_thread(child.stdout.readline):
                told = json.loads(line)
                if "error" in told:
                    raise by_exit_code(told["exit_code"])(told["error"])
                if told.get("ready"):
                    ready = True
                    break
                report(told["step"])
            status = await self.status() if ready else None
            if status is None:
                raise StartupError(f"The runner ended by itself: see {self.home / 'logs' / 'runner.log'}.")
            child.stdout.close()
            child.returncode = 0  # it is on its own from here: not to be waited for, nor warned about when collected
            return status
        except BaseException:
            child.terminate()
            await asyncio.to_thread(child.wait)
            child.stdout.close()
            raise

    async def scale(self, deployment: str, replicas: int) -> runner_pb2.Status:
        """Sets the replicas of a Deployment and returns once they are ready or gone. Raises LocalError."""
        request = runner_pb2.ScaleRequest(deployment=deployment, replicas=replicas)
        return await self._asked(lambda stub: stub.Scale(request, timeout=SCALE_SECONDS))

    async def change_resources(self, request: runner_pb2.ChangeResourcesRequest) -> runner_pb2.ChangeResourcesResponse:
        """Brings Istio resources into force, or takes them out; returns once they are. Raises LocalError."""
        return await self._asked(lambda stub: stub.ChangeResources(request, timeout=CHANGE_SECONDS))

    async def resources(self, kind: str) -> runner_pb2.ListResourcesResponse:
        """Istio's resources in force; of all kinds if it is empty. Raises LocalError."""
        request = runner_pb2.ListResourcesRequest(kind=kind)
        return await self._asked(lambda stub: stub.ListResources(request, timeout=ANSWER_SECONDS))

    async def mesh(self) -> runner_pb2.Mesh:
        """What the sidecars' configuration is made from. Raises LocalError."""
        return await self._asked(lambda stub: stub.GetMesh(runner_pb2.GetMeshRequest(), timeout=ANSWER_SECONDS))

    async def _asked(self, ask: Callable[[runner_pb2_grpc.RunnerServiceAsyncStub], Awaitable[T]]) -> T:
        async with self._channel() as channel:
            stub: runner_pb2_grpc.RunnerServiceAsyncStub = runner_pb2_grpc.RunnerServiceStub(channel)
            try:
                return await ask(stub)
            except grpc.aio.AioRpcError as error:
                raise LocalError(error.details() or "The runner did not answer.") from error

    async def stop(self) -> bool:
        """Stops all and returns once it is gone: True, or False if nothing ran. Raises LocalError if it hangs."""
        status = await self.status()
        if status is None:
            return False
        async with self._channel() as channel:
            stub: runner_pb2_grpc.RunnerServiceAsyncStub = runner_pb2_grpc.RunnerServiceStub(channel)
            await stub.Stop(runner_pb2.StopRequest(), timeout=ANSWER_SECONDS)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                while self._is_held():  # noqa: ASYNC110
                    await asyncio.sleep(0.02)  # the end of a process that is no child of ours is no event
        except TimeoutError:
            raise LocalError(f"The runner (pid {status.pid}) does not stop: see {self.home / 'logs'}.") from None
        return True

    def _is_held(self) -> bool:
        """Whether a runner, starting, running or stopping, holds the home's lock."""
        with (self.home / "run" / "lock").open("r+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return True
        return False

    def _channel(self) -> grpc.aio.Channel:
        try:
            if self._folder is None:
                self._folder = os.open(self.home / "run", os.O_PATH)
        except OSError as error:
            raise NotRunningError(f"Rostrum does not run in {self.home}: `rostrum up --detach` starts it.") from error
        # A socket's path has at most 107 bytes; a descriptor of the folder, kept open, keeps any home below that. The
        # pool of its own keeps a failed connection of an earlier channel from answering for this one.
        address = f"unix:/proc/self/fd/{self._folder}/runner.sock"
        return grpc.aio.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)])
