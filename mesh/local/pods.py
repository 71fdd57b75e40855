"""One pod: a process that is started, probed, started again with back-off, and stopped; its output goes to its log.

A pod's task is the only one that starts or ends its process. Restarts wait 0.1 s, then twice as long each time up to
10 s; a pod that was ready for 30 s starts from 0.1 again.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mesh.local import probing
from mesh.local.errors import StartupError, disk_errors
from mesh.local.folders import PodFolder
from mesh.local.probing import Probe
from mesh.local.processes import Mark, die_with_parent

STARTING_POLL_INTERVAL_SECONDS = 0.05
"""Time between two polls of a pod that is not ready yet; kubelet's second would be most of the start-up here."""

FIRST_BACK_OFF_SECONDS = 0.1
LAST_BACK_OFF_SECONDS = 10.0
STABLE_SECONDS = 30.0


@dataclass(frozen=True)
class PodSpec:
    """What a process is. It is ready once `ready_check` says so; without one, once its first port accepts connections.

    `folder` set: a sidecar stands before it, so it listens at the folder's sockets in the place of its ports.
    """

    deployment: str
    replica: int
    ip: str
    ports: Sequence[int]
    command: Sequence[str]
    env: Mapping[str, str]
    working_folder: Path
    log_file: Path
    readiness: Probe | None = None
    liveness: Probe | None = None
    startup: Probe | None = None
    grace_seconds: float = 10.0
    folder: PodFolder | None = None
    ready_check: Callable[[], Awaitable[bool]] | None = None
    """Asked until it says yes once, in the place of a readiness probe."""

    def endpoint(self, port: int) -> str:
        """Where the process listens in the place of this port, as mesh.local.probing takes it."""
        return f"{self.ip}:{port}" if self.folder is None else f"unix:{self.folder.app_socket(port)}"

    @property
    def inherited(self) -> tuple[int, ...]:
        """The file descriptors that the process gets."""
        return () if self.folder is None else (self.folder.descriptor,)

    @property
    def name(self) -> str:
        """The pod's name, "{deployment}-{replica}"."""
        return f"{self.deployment}-{self.replica}"


class Pod:
    """A running PodSpec. `changed` is called after each change of state, in the loop."""

    def __init__(self, spec: PodSpec, changed: Callable[[], None] = lambda: None) -> None:
        self.spec = spec
        self.ready = False
        self.was_ready = False
        self.restarts = 0
        self.start_time = 0.0
        self.message = "not started"
        self.mark: Mark | None = None
        self._changed = changed
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Starts the pod's task; returns at once."""
        self._task = asyncio.get_running_loop().create_task(self._keep_running())

    async def stop(self) -> None:
        """Ends the process: SIGTERM, after the grace period SIGKILL. Returns once it is gone."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
        await self._end()

    def last_log_line(self) -> str:
        """The last line of its log, at most 300 characters; empty if there is none."""
        with suppress(OSError):
            lines = self.spec.log_file.read_bytes()[-4000:].decode(errors="replace").strip().splitlines()
            return lines[-1][:300] if lines else ""
        return ""

    def _set(self, *, ready: bool, message: str) -> None:
        if (ready, message) != (self.ready, self.message):
            self.ready, self.message = ready, message
            self.was_ready = self.was_ready or ready
            self._changed()

    async def _keep_running(self) -> None:
        back_off = FIRST_BACK_OFF_SECONDS
        while True:
            process = await self._launch()
            began = time.monotonic()
            probing = asyncio.ensure_future(self._probe_until_unwell())
            waiting = asyncio.ensure_future(process.wait())
            try:
                await asyncio.wait({probing, waiting}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                probing.cancel()
                waiting.cancel()
            why = f"ended with {process.returncode}" if process.returncode is not None else "failed its liveness probe"
            self._set(ready=False, message=f"{why}; starting again")
            await self._end()
            back_off = FIRST_BACK_OFF_SECONDS if time.monotonic() - began > STABLE_SECONDS else back_off
            await asyncio.sleep(back_off)
            back_off = min(back_off * 2, LAST_BACK_OFF_SECONDS)
            self.restarts += 1

    async def _launch(self) -> asyncio.subprocess.Process:
        with disk_errors(self.spec.log_file.parent), self.spec.log_file.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.spec.command,
                env=dict(self.spec.env),
                cwd=self.spec.working_folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=self.spec.inherited,
                preexec_fn=die_with_parent(os.getpid()),  # a runner that is killed leaves nothing behind
            )
        self.mark = Mark.of(self._process.pid)
        self.start_time = time.time()
        self._set(ready=False, message="starting")
        self._changed()
        return self._process

    async def _end(self) -> None:
        process, self._process, self.mark = self._process, None, None
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.terminate()
            try:
                await asyncio.wait_for(process.wait(), self.spec.grace_seconds)
            except TimeoutError:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        self._set(ready=False, message=self.message if self.message.endswith("again") else "stopped")
        self._changed()

    async def _probe_until_unwell(self) -> None:
        """Keeps `ready` true to the readiness probe; returns once liveness failed too often."""
        while not await self._is_well(self.spec.readiness):  # noqa: ASYNC110
            await asyncio.sleep(STARTING_POLL_INTERVAL_SECONDS)  # another process's readiness is no event of ours
        self._set(ready=True, message="")
        async with asyncio.TaskGroup() as group:
            readiness = group.create_task(self._watch_readiness())
            await self._watch_liveness()
            readiness.cancel()

    async def _watch_readiness(self) -> None:
        probe, failures = self.spec.readiness, 0
        while probe is not None:
            await asyncio.sleep(probe.period_seconds)
            failures = 0 if await self._is_well(probe) else failures + 1
            if failures == 0 or failures >= probe.failure_threshold:
                self._set(ready=failures == 0, message="" if failures == 0 else "its readiness probe fails")

    async def _watch_liveness(self) -> None:
        probe, failures = self.spec.liveness, 0
        if probe is None:
            await asyncio.Event().wait()
        while probe is not None:
            await asyncio.sleep(probe.period_seconds)
            failures = 0 if await self._is_well(probe) else failures + 1
            if failures >= probe.failure_threshold and self._process is not None:
                with suppress(ProcessLookupError):
                    self._process.terminate()
                return

    async def _is_well(self, probe: Probe | None) -> bool:
        if probe is None:
            if self.spec.ready_check is not None:
                return await self.spec.ready_check()
            return not self.spec.ports or await probing.accepts(self.spec.endpoint(self.spec.ports[0]))
        try:
            async with asyncio.timeout(probe.timeout_seconds):
                return await self._ask(probe)
        except (OSError, TimeoutError):
            return False

    def _ask(self, probe: Probe) -> Awaitable[bool]:
        if probe.grpc_port is not None:
            return probing.grpc_serving(self.spec.endpoint(probe.grpc_port), probe.grpc_service)
        if probe.http_port is not None:
            return probing.http_ok(self.spec.endpoint(probe.http_port), probe.http_path)
        if probe.check is not None:
            return probe.check()
        return self._command_ok(probe.command)

    async def _command_ok(self, command: Sequence[str]) -> bool:
        child = await asyncio.create_subprocess_exec(
            *command,
            env=dict(self.spec.env),
            cwd=self.spec.working_folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            pass_fds=self.spec.inherited,
        )
        try:
            return await child.wait() == 0
        finally:
            if child.returncode is None:
                child.kill()


def failed_start(pod: Pod) -> StartupError | None:
    """Why this pod will not come up, once it ended three times without having been ready."""
    if pod.was_ready or pod.restarts < 3:
        return None
    return StartupError(f"{pod.spec.name} does not come up: {pod.last_log_line()} (see {pod.spec.log_file}).")
