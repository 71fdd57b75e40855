"""Plans that are applied to pods and Envoys that only remember what was done to them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mesh.local.changes import Changes
from mesh.local.declared import DeclaredResources
from mesh.local.envoy import Envoy
from mesh.local.errors import ConfigurationRefusedError, LocalError
from mesh.local.plan import plan
from mesh.local.pods import Pod, PodSpec
from mesh.local.reconciler import Reconciler
from mesh.local.replica import Replica
from mesh.local.replica_factory import ReplicaFactory
from mesh.local.snapshot import PodStatus, Snapshot
from mesh.manifests.overlay import Overlay
from tests.support.waiting import until
from tests.unit.mesh.local.snapshots import CLOSED, declare, pod, snapshot


@dataclass
class Log:
    """What was done, in its order, and who is to refuse."""

    done: list[str] = field(default_factory=list)
    refusing: set[str] = field(default_factory=set)
    kept: list[Overlay] = field(default_factory=list)
    full: bool = False

    def keep(self, overlay: Overlay) -> None:
        if self.full:
            raise LocalError("no room")
        self.kept.append(overlay)


class FakePod(Pod):
    def start(self) -> None:
        asyncio.get_running_loop().call_soon(partial(self._set, ready=True, message=""))

    async def stop(self) -> None:
        self._set(ready=False, message="stopped")

    def fail(self) -> None:
        self._set(ready=False, message="its readiness probe fails")


class FakeFolder:
    def close(self) -> None:
        pass


class FakeEnvoy(Envoy):
    def __init__(self, spec: PodSpec, log: Log, changes: Changes) -> None:
        self.process, self.log, self.given = FakePod(spec, changes.notify), log, dict[str, str]()
        self.refusal, self.folder = "", FakeFolder()  # type: ignore[assignment]

    def write(self, files: Mapping[str, str]) -> bool:
        changed, self.given = dict(files) != self.given, dict(files)
        if changed and self.process.ready:
            self.log.done.append(f"notify {self.process.spec.name}")
        return changed

    async def settle(self, seconds: float = 0) -> None:
        if self.process.spec.name in self.log.refusing:
            raise ConfigurationRefusedError(f"{self.process.spec.name} refuses it.")

    async def drain(self) -> None:
        self.log.done.append(f"drain {self.process.spec.name}")

    def lacks(self) -> str:
        return ""


class FakeFactory(ReplicaFactory):
    def __init__(self, log: Log, changes: Changes) -> None:
        self.log, self.pods_changes = log, changes
        self.made: dict[str, Replica] = {}

    async def create_all(self, pods: Iterable[PodStatus], resources: DeclaredResources) -> list[Replica]:
        return [self._make(status) for status in pods]

    def _make(self, status: PodStatus) -> Replica:
        spec = PodSpec(status.deployment, status.replica, status.ip, status.ports, (), {}, Path(), Path("x.log"))
        app, envoy = FakePod(spec, self.pods_changes.notify), FakeEnvoy(spec, self.log, self.pods_changes)
        self.log.done.append(f"create {status.name}")
        self.made[status.name] = Replica(spec, app, envoy)
        return self.made[status.name]

    async def discard(self, replica: Replica) -> None:
        self.log.done.append(f"discard {replica.name}")


@dataclass
class Running:
    log: Log
    factory: FakeFactory
    reconciler: Reconciler

    @property
    def now(self) -> Snapshot:
        return self.reconciler.current

    def files(self) -> dict[str, dict[str, str]]:
        return {replica.name: self.envoy(replica.name).given for replica in self.reconciler.replicas}

    def envoy(self, name: str) -> FakeEnvoy:
        sidecar: Any = self.factory.made[name].sidecar
        assert isinstance(sidecar, FakeEnvoy)
        return sidecar


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    """Two callees and a caller, all ready."""
    log, changes = Log(), Changes()
    factory = FakeFactory(log, changes)
    reconciler = Reconciler(Snapshot(declare(), b"root"), factory, changes, log.keep, lambda _: None)
    pods = [replace(status, is_ready=False) for status in (pod("callee"), pod("callee", 1), pod("caller"))]
    await reconciler.apply(plan(reconciler.current, reconciler.current.with_pods(pods)))
    await until("all seen ready", lambda: all(status.is_ready for status in reconciler.current.pods.values()))
    log.done.clear()
    yield Running(log, factory, reconciler)
    await reconciler.stop()


async def test_what_was_planned_is_so(running: Running) -> None:
    """Every Envoy has the files of the current snapshot, which is the planned one."""
    assert running.now == snapshot(pod("callee"), pod("callee", 1), pod("caller"))
    assert running.files() == {name: dict(files) for name, files in running.now.configuration().items()}


async def test_processes_are_made_before_a_start_goes_on(running: Running) -> None:
    """What takes longest to start is asked for first, and is then not held up by what is prepared for the next ones."""
    new = running.now.with_pods([replace(pod("callee", 2), is_ready=False)])
    await running.reconciler.apply(plan(running.now, new), wait=False)
    assert running.factory.made["callee-2"].ready


async def test_callers_are_notified_of_readiness(running: Running) -> None:
    """Nobody asks for it: a pod that is no longer ready is taken from its callers' endpoints, and comes back."""
    app = running.factory.made["callee-1"].app
    assert isinstance(app, FakePod)
    app.fail()
    await until("it was seen", lambda: not running.now.pods["callee-1"].is_ready)
    assert "notify caller-0" in running.log.done
    assert "127.1.1.11" not in "".join(running.envoy("caller-0").given.values())
    app.start()
    await until("it was seen", lambda: running.now.pods["callee-1"].is_ready)
    assert "127.1.1.11" in "".join(running.envoy("caller-0").given.values())


async def test_a_pod_ends_after_its_callers_know(running: Running) -> None:
    """Notified, drained, ended, and nothing of it left."""
    await running.reconciler.apply(plan(running.now, running.now.without_pods(["callee-1"])))
    done = running.log.done
    assert done.index("notify caller-0") < done.index("drain callee-1") < done.index("discard callee-1")
    assert set(running.now.pods) == {"callee-0", "caller-0"}


async def test_what_one_envoy_refuses_is_taken_back_from_all(running: Running) -> None:
    """The files, the snapshot and what is kept are again as they were; the refusal is raised."""
    before, files = running.now, running.files()
    running.log.refusing.add("callee-1")
    changed = replace(before, resources=declare(CLOSED))
    with pytest.raises(ConfigurationRefusedError, match="callee-1 refuses it"):
        await running.reconciler.apply_or_go_back(plan(before, changed))
    assert running.now == before
    assert running.files() == files
    assert running.log.kept[-1:] in ([], [before.resources.overlay])


async def test_a_change_that_cannot_be_kept_is_taken_back(running: Running) -> None:
    """What the next start would not have is not active now."""
    before, running.log.full = running.now, True
    with pytest.raises(LocalError, match="no room"):
        await running.reconciler.apply_or_go_back(plan(before, replace(before, resources=declare(CLOSED))))
    assert running.now == before


async def test_pods_that_were_added_end_when_the_change_is_taken_back(running: Running) -> None:
    """They leave nothing, whatever the Envoys say on the way back."""
    before = running.now
    running.log.refusing.add("callee-0")
    more = replace(before.with_pods([pod("callee", 2, is_ready=False)]), resources=declare(CLOSED))
    with pytest.raises(ConfigurationRefusedError):
        await running.reconciler.apply_or_go_back(plan(before, more))
    assert running.log.done[-1] == "discard callee-2"
    assert running.now == before
