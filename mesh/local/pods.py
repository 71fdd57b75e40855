"""One pod: a process that is started, probed, started again with back-off, and stopped; its output goes to its log.

A pod's task is the only one that starts or ends its process. Restarts wait 0.1 s, then twice as long each time up to
30 s, as kubelet's do up to 5 minutes; a pod that ran for 30 s starts from 0.1 again. One that crashes at each start is
not ready, and its message says how it ended, how often in a row, and when it is started next.
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

from mesh.errors import RostrumError
from mesh.local import probing
from mesh.local.causes import read_cause
from mesh.local.errors import StartupError, disk_errors
from mesh.local.folders import PodFolder
from mesh.local.probing import Probe
from mesh.local.processes import Mark, die_with_parent
from mesh.retries import Backoff, Retries, describe_error

STARTING_POLL_INTERVAL_SECONDS = 0.05
"""Time between two polls of a pod that is not ready yet; kubelet's second would be most of the start-up here."""

BACKOFF = Backoff(0.1, 30.0)
"""Between the end of a process and its next start; below what who follows a debate waits for a moderator."""
STABLE_SECONDS = 30.0


_NOT_YET = "it is not ready yet"
_OF_A_START = {_NOT_YET, probing.NO_ANSWER}
"""What every start goes through: no news."""


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
    advice: str = ""
    """What to do if it does not come up, beside reading its log."""

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
        self._crashes = Retries(f"pod {spec.name}", BACKOFF, quiet_failures=0)
        self._log_start = 0
        """Where the log of the process begins."""
        self.why = ""
        """How it ended last, or why it could not be started."""

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
        self._set(ready=False, message="stopped")

    def _set(self, *, ready: bool, message: str) -> None:
        if (ready, message) != (self.ready, self.message):
            self.ready, self.message = ready, message
            self.was_ready = self.was_ready or ready
            self._changed()

    async def _keep_running(self) -> None:
        while True:
            began = time.monotonic()
            self.why = why = await self._run_once()
            await self._end()
            if time.monotonic() - began > STABLE_SECONDS:
                self._crashes.note_success()
            seconds = self._crashes.note_failure(why)
            times = f", {self._crashes.in_a_row} times in a row" if self._crashes.in_a_row > 1 else ""
            self._set(ready=False, message=f"{why}{times}; starting again in {seconds:.1f} s")
            await asyncio.sleep(seconds)
            self.restarts += 1

    async def _run_once(self) -> str:
        """Starts the process and returns when it has ended or is unwell: why."""
        try:
            process = await self._launch()
        except (RostrumError, OSError) as error:
            return f"cannot be started: {describe_error(error)}"
        unwell = asyncio.ensure_future(self._probe_until_unwell())
        ended = asyncio.ensure_future(process.wait())
        try:
            await asyncio.wait({unwell, ended}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            unwell.cancel()
            ended.cancel()
        if process.returncode is None:
            return f"failed its liveness probe: {unwell.result()}" if unwell.done() else "failed its liveness probe"
        return self._describe_end(process.returncode)

    def _describe_end(self, code: int) -> str:
        if code < 0:
            with suppress(ValueError):
                return f"was ended by {signal.Signals(-code).name}"
        line = read_cause(self.spec.log_file, self._log_start) if code else ""
        return f"ended with {code}{': ' if line else ''}{line}"

    async def _launch(self) -> asyncio.subprocess.Process:
        with disk_errors(self.spec.log_file.parent):
            log = self.spec.log_file.open("ab")
        with log:
            self._log_start = log.tell()
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
        self._changed()

    async def _probe_until_unwell(self) -> str:
        """Keeps `ready` true to the readiness probe; returns once liveness failed too often: why."""
        while trouble := await self._find_trouble(self.spec.readiness):
            if trouble not in _OF_A_START:
                self._set(ready=False, message=f"starting: {trouble}")
            await asyncio.sleep(STARTING_POLL_INTERVAL_SECONDS)  # another process's readiness is no event of ours
        self._set(ready=True, message="")
        async with asyncio.TaskGroup() as group:
            readiness = group.create_task(self._watch_readiness())
            why = await self._watch_liveness()
            readiness.cancel()
        return why

    async def _watch_readiness(self) -> None:
        probe, failures = self.spec.readiness, 0
        while probe is not None:
            await asyncio.sleep(probe.period_seconds)
            trouble = await self._find_trouble(probe)
            failures = failures + 1 if trouble else 0
            if failures == 0 or failures >= probe.failure_threshold:
                self._set(ready=failures == 0, message=trouble)

    async def _watch_liveness(self) -> str:
        probe, failures = self.spec.liveness, 0
        if probe is None:
            await asyncio.Event().wait()
        while probe is not None:
            await asyncio.sleep(probe.period_seconds)
            trouble = await self._find_trouble(probe)
            failures = failures + 1 if trouble else 0
            if failures >= probe.failure_threshold and self._process is not None:
                with suppress(ProcessLookupError):
                    self._process.terminate()
                return trouble
        return ""

    async def _find_trouble(self, probe: Probe | None) -> str:
        """Returns what is wrong, for people; empty if the pod is well."""
        if probe is None:
            if self.spec.ready_check is not None:
                return "" if await self.spec.ready_check() else _NOT_YET
            ports = self.spec.ports
            return "" if not ports or await probing.accepts(self.spec.endpoint(ports[0])) else probing.NO_ANSWER
        try:
            async with asyncio.timeout(probe.timeout_seconds):
                return await self._ask(probe)
        except TimeoutError:
            return f"it does not answer its probe in {probe.timeout_seconds:g} s"
        except OSError:
            return probing.NO_ANSWER

    def _ask(self, probe: Probe) -> Awaitable[str]:
        if probe.grpc_port is not None:
            return probing.ask_grpc(self.spec.endpoint(probe.grpc_port), probe.grpc_service)
        if probe.http_port is not None:
            return probing.ask_http(self.spec.endpoint(probe.http_port), probe.http_path)
        if probe.check is not None:
            return probe.check()
        return self._ask_command(probe.command)

    async def _ask_command(self, command: Sequence[str]) -> str:
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
            code = await child.wait()
            return f"its probe `{command[0]}` ends with {code}" if code else ""
        finally:
            if child.returncode is None:
                child.kill()


def failed_start(pod: Pod) -> StartupError | None:
    """Why this pod will not come up, once it ended three times without having been ready."""
    if pod.was_ready or pod.restarts < 3:
        return None
    cause = pod.why.partition(": ")[2] if pod.why.startswith("ended with") else ""
    why = (cause or f"it {pod.why}").rstrip(".")
    advice = f": {pod.spec.advice}" if pod.spec.advice else ""
    return StartupError(f"{pod.spec.name} does not come up: {why} (see {pod.spec.log_file}){advice}.")
