"""One replica of a workload: its app, and the sidecar before it. The ingress has no app, Kafka no sidecar.

Owns the order of the two: both start at once, the replica is ready when both are, and at the end the sidecar notifies
its callers first, the app ends its calls, and the sidecar goes last. Made by the runner, which decides what there is.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from rostrum.local.v1 import runner_pb2

from mesh.local.envoy import Envoy
from mesh.local.errors import StartupError
from mesh.local.pods import Pod, PodSpec, failed_start


@dataclass(frozen=True)
class Replica:
    """At least one of `app` and `sidecar` is set. `spec` is the pod's."""

    spec: PodSpec
    app: Pod | None = None
    sidecar: Envoy | None = None

    @property
    def name(self) -> str:
        """ "{deployment}-{replica}"."""
        return self.spec.name

    @property
    def processes(self) -> list[Pod]:
        """App, then sidecar, as far as it has them."""
        return [*([self.app] if self.app else []), *([self.sidecar.process] if self.sidecar else [])]

    @property
    def ready(self) -> bool:
        """Whether it can be called."""
        return all(process.ready for process in self.processes)

    @property
    def message(self) -> str:
        """Why it is not ready, or what else is to be known of it; empty if nothing is."""
        return next((process.message for process in self.processes if process.message), "")

    def start(self) -> None:
        """Starts both; returns at once."""
        for process in self.processes:
            process.start()

    async def stop(self, *, drained: bool = False) -> None:
        """Ends both and returns once they are gone. `drained`: others go on, and none of their calls may fail."""
        if self.sidecar is not None and drained:
            await self.sidecar.drain()
        for process in self.processes:
            await process.stop()
        if self.sidecar is not None:
            self.sidecar.folder.close()

    def failed_start(self) -> StartupError | None:
        """Why it will not come up."""
        if self.sidecar is not None and (why := self.sidecar.refusal or self.sidecar.lacks()):
            return StartupError(why)
        return next((error for process in self.processes if (error := failed_start(process)) is not None), None)

    def row(self) -> runner_pb2.Pod:
        """Its state now."""
        spec, main = self.spec, self.processes[0]
        row = runner_pb2.Pod(
            name=spec.name, deployment=spec.deployment, replica=spec.replica, pid=main.mark.pid if main.mark else 0,
            addresses=[f"{spec.ip}:{port}" for port in spec.ports], ready=self.ready, restarts=main.restarts,
            log_file=str(spec.log_file), message=self.message,
        )  # fmt: skip
        if main.mark is not None:
            row.start_time.FromMilliseconds(int(main.start_time * 1000))
        if self.sidecar is not None:
            process = self.sidecar.process
            row.sidecar.pid = process.mark.pid if process.mark else 0
            row.sidecar.ready, row.sidecar.restarts = process.ready, process.restarts
            row.sidecar.log_file = str(process.spec.log_file)
            row.sidecar.folder = str(self.sidecar.folder.path)
        return row


async def stop_all(replicas: list[Replica], *, drained: bool = False) -> None:
    """Ends them at the same time."""
    await asyncio.gather(*(replica.stop(drained=drained) for replica in replicas))
