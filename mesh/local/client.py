"""What the `rostrum` command calls: starts the runner of a home and speaks RunnerService over its Unix socket.

Every failure is the RostrumError that the runner sent. Also where the home's ingress is, and a token for it: the
owner's own way to the services, as everybody's.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import grpc
from rostrum.local.v1 import runner_pb2, runner_pb2_grpc

from mesh.errors import DeadlineError, RostrumError
from mesh.local import caller, lock
from mesh.local.addresses import ingress_of
from mesh.local.causes import read_cause
from mesh.local.errors import (
    AlreadyRunningError,
    LocalError,
    NotRunningError,
    OtherVersionError,
    StartupError,
    disk_errors,
)
from mesh.local.folders import absolute_path
from mesh.local.starter import forget_starter, killed_starter, note_starter
from mesh.rpc.status import UnreachableError, from_rpc_error, has_reason

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[2]
_OWN_MODEL = re.compile(r"name:\s*[\"']?MODEL\b(?!_)")
"""In a manifest: a variable of that name."""
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
        self._log_start = 0
        """Where the log of the runner that was spawned begins."""

    @property
    def ingress(self) -> str:
        """ "{ip}:{port}" at which the ingress listens, or last did; empty if it was never started."""
        return ingress_of(self.home)

    def token(self) -> str:
        """A short-lived token for calls of the owner's own. Raises LocalError."""
        from mesh.local import tokens  # noqa: PLC0415 - 40 ms that `rostrum status` need not pay

        return tokens.issue(self.home, "operator", tokens.OWN_SECONDS)

    def named_models(self) -> Sequence[str]:
        """The models that manifests name for single Deployments, beside the home's. Raises ManifestError."""
        base = self._manifests / "k8s" / "base"
        texts = (file.read_text("utf-8", errors="replace") for file in sorted(base.rglob("*.yaml")))
        if not any(_OWN_MODEL.search(text) for text in texts):
            return ()
        from mesh.local import manifests, models  # noqa: PLC0415 - half a second that most starts need not pay

        named = {models.model_of(deployment, "") for deployment in manifests.read(base).deployments.values()}
        return sorted(named - {""})

    @property
    def _manifests(self) -> Path:
        return absolute_path(self._environ.get("ROSTRUM_MANIFESTS") or str(ROOT))

    # ---- start and stop ----

    def demand_folders(self) -> None:
        """Raises LocalError if the caller names a folder that cannot be used; looks at names alone."""
        caller.demand_usable(self.home, self._environ)
        _ = self._variables

    async def start(self, model: str, report: Callable[[str], None]) -> runner_pb2.Status:
        """Starts all; returns once every pod is ready. Raises RostrumError; then, or if cancelled, nothing is left."""
        self.demand_folders()
        lock.prepare(self.home)
        child = self._spawn()
        assert child.stdout is not None  # noqa: S101 - a pipe, as asked for
        try:
            await asyncio.to_thread(child.stdout.read)  # its end: the runner serves, or has ended
            if lock.holder_of(self.home) == child.pid:
                note_starter(self.home)
            status = await self._ask_to_start(child.pid, model, report)
            child.returncode = 0  # it is on its own from here: not to be waited for, nor warned about when collected
            return status
        except BaseException:
            child.terminate()
            await asyncio.to_thread(child.wait)
            raise
        finally:
            child.stdout.close()

    @cached_property
    def _variables(self) -> Mapping[str, str]:
        """The caller's variables as the runner gets them. Raises LocalError."""
        return caller.variables_of(self._environ)

    def _spawn(self) -> subprocess.Popen[bytes]:
        with disk_errors(self.home):
            log = (self.home / "logs" / "runner.log").open("ab")
        with log:
            self._log_start = log.tell()
            return subprocess.Popen(  # a fork; the runner outlives this process
                [sys.executable, "-P", "-m", "mesh.local.runner", str(self.home)],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log,
                # gRPC's fork handlers are for children that go on using gRPC; the runner's only exec, and now and then
                # died of them.
                env={
                    **{os.fsencode(name): os.fsencode(value) for name, value in self._environ.items()},
                    **{name.encode(): value.encode() for name, value in self._variables.items()},
                    b"GRPC_ENABLE_FORK_SUPPORT": b"0", b"PYTHONUTF8": b"1",
                },
                start_new_session=True, cwd=self.home / "run",
            )  # fmt: skip

    async def _ask_to_start(self, pid: int, model: str, report: Callable[[str], None]) -> runner_pb2.Status:
        manifests = self._variables.get("ROSTRUM_MANIFESTS") or str(ROOT)
        request = runner_pb2.StartRequest(pid=pid, model=model, environment=self._variables, manifests=manifests)
        try:
            async with self._channel() as channel:
                stub: runner_pb2_grpc.RunnerServiceAsyncStub = runner_pb2_grpc.RunnerServiceStub(channel)
                async for progress in stub.Start(request):
                    if progress.HasField("status"):
                        return progress.status
                    report(progress.step)
        except grpc.aio.AioRpcError as error:
            failure = self._explain(error)
            if not isinstance(failure, UnreachableError):
                raise failure from error
        if lock.is_held(self.home):  # by another runner, which does not answer yet: ours has ended
            raise AlreadyRunningError(f"Rostrum runs already in {self.home}: `rostrum down` stops it.")
        log = self.home / "logs" / "runner.log"
        raise StartupError(f"The runner ended by itself: {read_cause(log, self._log_start).rstrip('.')} (see {log}).")

    async def stop(self) -> bool:
        """Stops all, or what is being started, and returns once it is gone: True, or False if nothing ran.

        Raises RostrumError if it hangs.
        """
        until = time.monotonic() + ANSWER_SECONDS
        while True:
            try:
                await self._ask(lambda stub: stub.Stop(runner_pb2.StopRequest(), timeout=ANSWER_SECONDS))
                break
            except (NotRunningError, UnreachableError, DeadlineError):
                if not self.is_held:
                    return False
                if time.monotonic() > until:
                    raise LocalError(
                        f"The runner of {self.home}, process {lock.holder_of(self.home)}, does not answer: kill it with"
                        f" `kill -9 {lock.holder_of(self.home)}`, and all that it started ends with it."
                    ) from None
                await asyncio.sleep(0.1)  # it does not serve yet, or any more, which is no event of ours
        try:
            async with asyncio.timeout(STOP_SECONDS):
                while lock.is_held(self.home):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)  # the end of a process that is no child of ours is no event
        except TimeoutError:
            raise LocalError(f"The runner of {self.home} does not stop: see {self.home / 'logs'}.") from None
        return True

    # ---- what runs ----

    @property
    def is_held(self) -> bool:
        """Whether anything runs here, starts or stops, or hangs."""
        return lock.is_held(self.home)

    @property
    def killed_starter(self) -> int:
        """The process of the command that was to stop what runs here, if it was killed instead; else 0."""
        return killed_starter(self.home) if self.is_held else 0

    def leave_running(self) -> None:
        """Says that what this command started goes on when it ends. Raises LocalError."""
        forget_starter(self.home)

    async def status(self) -> runner_pb2.Status | None:
        """Every pod and its state; None if nothing runs here, or nothing that is ready to be asked."""
        try:
            return await self._ask(lambda stub: stub.GetStatus(runner_pb2.GetStatusRequest(), timeout=ANSWER_SECONDS))
        except RostrumError:
            return None

    async def scale(self, deployment: str, replicas: int) -> runner_pb2.Status:
        """Sets the replicas of a Deployment and returns once they are ready or gone. Raises RostrumError."""
        request = runner_pb2.ScaleRequest(deployment=deployment, replicas=replicas)
        return await self._ask(lambda stub: stub.Scale(request, timeout=SCALE_SECONDS))

    async def change_resources(self, request: runner_pb2.ChangeResourcesRequest) -> runner_pb2.ChangeResourcesResponse:
        """Makes Istio resources active, or takes them out; returns once they are. Raises RostrumError."""
        return await self._ask(lambda stub: stub.ChangeResources(request, timeout=CHANGE_SECONDS))

    async def resources(self, kind: str) -> runner_pb2.ListResourcesResponse:
        """Istio's resources that are active; of all kinds if it is empty. Raises RostrumError."""
        request = runner_pb2.ListResourcesRequest(kind=kind)
        return await self._ask(lambda stub: stub.ListResources(request, timeout=ANSWER_SECONDS))

    async def mesh(self) -> runner_pb2.Mesh:
        """What the sidecars' configuration is made from. Raises RostrumError."""
        return await self._ask(lambda stub: stub.GetMesh(runner_pb2.GetMeshRequest(), timeout=ANSWER_SECONDS))

    # ---- the socket ----

    async def _ask(self, call: Callable[[runner_pb2_grpc.RunnerServiceAsyncStub], Awaitable[T]]) -> T:
        async with self._channel() as channel:
            stub: runner_pb2_grpc.RunnerServiceAsyncStub = runner_pb2_grpc.RunnerServiceStub(channel)
            try:
                return await call(stub)
            except grpc.aio.AioRpcError as error:
                raise self._explain(error) from error

    def _explain(self, error: grpc.aio.AioRpcError) -> RostrumError:
        """The error that was sent; what has no reason of ours was sent by a runner of before there were any."""
        found = from_rpc_error(error)
        here = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED)
        if has_reason(error) or error.code() in here:
            return found
        return OtherVersionError(
            f"The runner of {self.home} is of another version of Rostrum, and refuses this: {error.details()} "
            "Stop it with `rostrum down` and start it again."
        )

    def _channel(self) -> grpc.aio.Channel:
        try:
            if self._folder is None:
                self._folder = os.open(self.home / "run", os.O_PATH)
        except OSError as error:
            raise NotRunningError(f"Rostrum does not run in {self.home}: `rostrum up --detach` starts it.") from error
        # A socket's path has at most 107 bytes; a descriptor of the folder, kept open, keeps any home below that. The
        # pool of its own keeps a failed connection of an earlier channel from answering for this one.
        address = f"unix:/proc/self/fd/{self._folder}/runner.sock"
        return grpc.aio.insecure_channel(
            address, [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
        )
