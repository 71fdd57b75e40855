"""Brings a home from its current snapshot to another, by the stages of a plan, and back if one of them fails.

The only place that changes the current snapshot, and the only one that starts, notifies or ends a pod. A change of a
pod's readiness goes the same way, without anybody asking for it. Called by mesh.local.system, which makes the plans,
one at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable

from mesh.errors import RostrumError
from mesh.local.changes import Changes
from mesh.local.envoy import Envoy
from mesh.local.errors import StartupError
from mesh.local.plan import Plan, Stage, Step, plan
from mesh.local.replica import Replica, stop_all
from mesh.local.replica_factory import ReplicaFactory
from mesh.local.snapshot import Snapshot
from mesh.manifests.overlay import Overlay
from mesh.retries import Backoff, Retries, describe_error

log = logging.getLogger(__name__)

BACKOFF = Backoff(1.0, 60.0)
"""Between two tries to notify sidecars, unless something changes before."""
START_SECONDS = 180.0
"""Longest wait for all pods: a 1.1 GB model on a slow disk takes most of it."""


class Reconciler:
    """`changes` is notified whenever a process of a replica of `factory` changes its state."""

    def __init__(
        self,
        first: Snapshot,
        factory: ReplicaFactory,
        changes: Changes,
        keep: Callable[[Overlay], None],
        report: Callable[[str], None],
    ) -> None:
        """`first` has no pods. `keep` stores what was applied, so that the next start has it; it may raise LocalError.

        `report` is called with what is waited for.
        """
        self._current, self._factory, self._changes, self._keep, self._report = first, factory, changes, keep, report
        self._replicas: dict[str, Replica] = {}
        self._observer = asyncio.get_running_loop().create_task(self._observe(), name="readiness")

    @property
    def current(self) -> Snapshot:
        """What is so now."""
        return self._current

    @property
    def replicas(self) -> list[Replica]:
        """The running pods of the current snapshot, by Deployment and replica."""
        pods = sorted(self._current.pods.values(), key=lambda pod: (pod.deployment, pod.replica))
        return [self._replicas[pod.name] for pod in pods]

    async def apply(self, plan: Plan, *, wait: bool = True) -> None:
        """Goes through the stages and returns once the last is over. Raises RostrumError; what was reached then stays.

        `wait` False: it returns once new pods are started.
        """
        for stage in plan.stages:
            await self._run(stage, wait=wait)
            is_last_change = stage.step is Step.UPDATE and stage.snapshot.resources is plan.new.resources
            if is_last_change and plan.new.resources is not plan.old.resources:
                self._keep(plan.new.resources.overlay)

    async def apply_or_go_back(self, plan: Plan) -> None:
        """As `apply`; if it raises, all is again as it was before, as far as that can be had."""
        try:
            await self.apply(plan)
        except RostrumError:
            await self._go_back(plan.old)
            raise

    async def wait_until_ready(self, names: Iterable[str], seconds: float = START_SECONDS) -> None:
        """Returns once these pods are ready. Raises StartupError if one of all is known not to come up, or in time."""
        replicas = [self._replicas[name] for name in names]
        try:
            async with asyncio.timeout(seconds):
                while waiting := [replica for replica in replicas if not replica.ready]:
                    for replica in self._replicas.values():
                        if (error := replica.failed_start()) is not None:
                            raise error
                    self._report("waiting for " + ", ".join(replica.name for replica in waiting))
                    await self._changes.wait()
        except TimeoutError:
            late = next(replica for replica in replicas if not replica.ready)
            raise StartupError(
                f"{late.name} is not ready after {seconds:g} s: {late.message} (see {late.spec.log_file})."
            ) from None

    async def stop(self) -> None:
        """Ends every pod: those of the mesh first, then those that they need. Idempotent."""
        self._observer.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._observer
        replicas, self._replicas = list(self._replicas.values()), {}
        self._current = self._current.without_pods(self._current.pods)
        await stop_all([replica for replica in replicas if replica.sidecar is not None])
        await stop_all([replica for replica in replicas if replica.sidecar is None])

    # ---- one stage ----

    async def _run(self, stage: Stage, *, wait: bool) -> None:
        started = await self._create(stage)
        try:
            notified = self._move_to(stage.snapshot)
        except BaseException:
            for name in stage.started:
                await self._factory.discard(self._replicas.pop(name))
            raise
        for replica in started:
            replica.start()
        await asyncio.sleep(0)  # for their tasks to start the processes, before other work of this one
        await _settle(notified)
        stopped = [self._replicas.pop(name) for name in stage.stopped]
        await stop_all(stopped, drained=True)
        for replica in stopped:
            await self._factory.discard(replica)
        if wait:
            await self.wait_until_ready(stage.started)

    async def _create(self, stage: Stage) -> list[Replica]:
        """The replicas of the pods that a stage starts, not yet started: all of them or none. Raises RostrumError."""
        replicas = await self._factory.create_all(
            [stage.snapshot.pods[name] for name in stage.started], stage.snapshot.resources
        )
        self._replicas.update({replica.name: replica for replica in replicas})
        return replicas

    def _move_to(self, snapshot: Snapshot) -> list[Envoy]:
        """Makes it the current one, and returns the Envoys that were notified. Raises RostrumError.

        Pods may have become ready since it was planned: they are as they are now, in files too.
        """
        seen = snapshot.with_ready({name for name, replica in self._replicas.items() if replica.ready})
        envoys = {name: self._replicas[name].sidecar for name in seen.pods}
        notified = [
            envoy
            for name, files in seen.configuration().items()
            if (envoy := envoys[name]) is not None and envoy.write(files)
        ]
        self._current = seen
        return notified

    async def _go_back(self, old: Snapshot) -> None:
        for stage in plan(self._current, old).stages:
            try:
                await self._run(stage, wait=False)
            except RostrumError as error:
                log.warning("not all is as it was before: %s", error)
        if self._current.resources is not old.resources:
            return
        with contextlib.suppress(RostrumError):
            self._keep(old.resources.overlay)

    async def _observe(self) -> None:
        """Follows the pods: whoever calls them is notified of which are ready."""
        retries = Retries("notifying sidecars of who is ready", BACKOFF)
        while True:
            ready = {name for name, replica in self._replicas.items() if replica.ready}
            try:
                for stage in plan(self._current, self._current.with_ready(ready)).stages:
                    self._move_to(stage.snapshot)
            except Exception as error:  # noqa: BLE001 - an observer that ended would leave them with who is gone
                seconds = retries.note_failure(describe_error(error))
                log.warning("the sidecars are not notified of who is ready: %s", describe_error(error))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._changes.wait(), seconds)
            else:
                retries.note_success()
                await self._changes.wait()


async def _settle(envoys: Iterable[Envoy]) -> None:
    # One that is not ready, such as one that starts again, reads what is there then.
    await asyncio.gather(*(envoy.settle() for envoy in envoys if envoy.process.ready))
