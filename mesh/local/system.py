"""All of one home, as the runner's calls see it: started, scaled, changed, looked at, and ended.

Owns which snapshot is asked for, and the order in which Kafka and the pods start; nothing starts if a manifest is
wrong. What that means for each pod is mesh.local.plan's, doing it mesh.local.reconciler's. Called by mesh.local.runner.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from rostrum.local.v1 import runner_pb2

from mesh.cache import NoCacheError, cache_folder
from mesh.clock import SystemClock
from mesh.errors import RostrumError
from mesh.local import broker, declared, folders, models, tokens
from mesh.local.addresses import Addresses
from mesh.local.applied import AppliedFile
from mesh.local.changes import Changes
from mesh.local.declared import ManifestFolder
from mesh.local.environment import Environment
from mesh.local.errors import DiskFullError, LocalError, StartupError
from mesh.local.identities import Identities, open_authority
from mesh.local.kafka import Kafka
from mesh.local.key_sets import KeySets, check_addresses, list_addresses
from mesh.local.messages import key_sets_of
from mesh.local.placement import Placement
from mesh.local.plan import Plan, plan
from mesh.local.reconciler import Reconciler
from mesh.local.replica_factory import ReplicaFactory
from mesh.local.snapshot import Snapshot
from mesh.manifests.kubernetes import Workload
from mesh.manifests.overlay import ActiveResource, Change, Overlay

log = logging.getLogger(__name__)

MIN_FREE_BYTES = 1024 * 1024
"""With less than this left, a start that failed did so for want of room, whatever part said so first."""


@dataclass(frozen=True)
class Home:
    """What is asked to run: where, with which model, and the variables of who asks."""

    folder: Path
    model: str
    caller: Mapping[str, str]

    @property
    def cache(self) -> Path:
        """Where models and jars are kept. Raises LocalError."""
        try:
            return cache_folder(self.caller)
        except NoCacheError as error:
            raise LocalError(str(error)) from error


def open_system(home: Home, root: Path, report: Callable[[str], None]) -> System:
    """Reads and checks everything, and starts nothing. `root` holds k8s/base and istio/. Raises RostrumError."""
    key_sets = KeySets({tokens.JWKS_URI: tokens.key_set(home.folder)})
    folder = ManifestFolder(root, key_sets.known, SystemClock())
    applied = AppliedFile(home.folder)
    authority = open_authority(home.folder / "ca")
    resources = folder.read(applied.read())
    addresses, identities, changes = Addresses(home.folder), Identities(authority), Changes()
    for name in resources.manifests.deployments:
        addresses.pod(name, 0)
    kafka = Kafka(home.folder, addresses.broker, folder.base, identities, home.caller)
    environment = Environment(folder.base, home.folder, home.model, home.caller)
    factory = ReplicaFactory(home.folder, environment, kafka, identities, changes)
    reconciler = Reconciler(Snapshot(resources, authority.root_pem), factory, changes, applied.keep, report)
    placement = Placement(home.folder, addresses, kafka.users, home.caller.get("ROSTRUM_PORT", ""))
    return System(
        home, folder=folder, placement=placement, kafka=kafka, identities=identities, key_sets=key_sets,
        reconciler=reconciler, report=report,
    )  # fmt: skip


class System:
    """One change at a time; `open_system` makes it."""

    def __init__(
        self,
        home: Home,
        *,
        folder: ManifestFolder,
        placement: Placement,
        kafka: Kafka,
        identities: Identities,
        key_sets: KeySets,
        reconciler: Reconciler,
        report: Callable[[str], None],
    ) -> None:
        self._home, self._folder, self._placement, self._kafka = home, folder, placement, kafka
        self._identities, self._reconciler, self._report = identities, reconciler, report
        self._key_sets = key_sets
        self._changing = asyncio.Lock()
        self._refreshing: asyncio.Task[None] | None = None

    # ---- start and end ----

    async def start(self) -> None:
        """Starts everything and returns once every pod is ready. Raises RostrumError; the caller then stops."""
        try:
            async with self._changing:
                await self._start()
        except StartupError as error:
            free = shutil.disk_usage(self._home.folder).free
            if free >= MIN_FREE_BYTES:
                raise
            raise DiskFullError(
                f"The disk of {self._home.folder} is full: free some space there and run it again."
            ) from error

    async def _start(self) -> None:
        folders.remove_all(self._home.folder)
        resources = self._reconciler.current.resources
        if await self._key_sets.add(list_addresses(resources.mesh)):
            resources = self._folder.read(resources.overlay)
        pods = [
            pod
            for deployment in resources.manifests.deployments.values()
            if self._is_run(deployment)
            for pod in self._placement.place(resources, deployment, _first_replicas(deployment))
        ]
        # All that is to be refused is refused here.
        self._plan(replace(self._reconciler.current.with_pods(pods), resources=resources))
        nodes = [self._kafka.pod] if self._kafka.is_ours else []
        if nodes:
            await self._kafka.open(self._home.cache, self._report)
            await self._kafka.prepare()
            # The broker first: all others wait for it. They load their code meanwhile.
            await self._reconciler.apply(self._plan(self._reconciler.current.with_pods(nodes)), wait=False)
        current = replace(self._reconciler.current.with_pods(pods), resources=resources)
        await self._reconciler.apply(self._plan(current), wait=False)
        await asyncio.to_thread(broker.load_client)
        await self._reconciler.wait_until_ready([node.name for node in nodes], broker.START_SECONDS)
        await self._kafka.declare(self._report)
        await self._reconciler.wait_until_ready(self._reconciler.current.pods)
        self._refreshing = asyncio.ensure_future(self._key_sets.run(self._obey_new_keys))

    async def stop(self) -> None:
        """Stops the pods, then the broker. Idempotent."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.wait({self._refreshing})
        await self._reconciler.stop()
        await self._identities.stop()
        self._placement.close()

    # ---- changes ----

    async def scale(self, deployment: Workload, replicas: int) -> None:
        """Sets the replicas and returns once they are ready or gone. Raises RostrumError."""
        async with self._changing:
            current = self._reconciler.current
            pods = self._placement.place(current.resources, deployment, replicas)
            old = {pod.name: pod for pod in current.pods_of(deployment.name)}
            gone = old.keys() - {pod.name for pod in pods}
            new = current.without_pods(gone).with_pods(pod for pod in pods if pod.name not in old)
            await self._reconciler.apply(self._plan(new))

    async def change(self, request: runner_pb2.ChangeResourcesRequest) -> list[Change]:
        """Makes Istio resources active or takes them out, in every sidecar or in none. Raises RostrumError.

        Deployments among them run before anything is sent their way, and end after nothing is any more.
        """
        async with self._changing:
            overlay, changes = self._folder.change(self._reconciler.current.resources.overlay, request)
            planned = self._plan_change(overlay)
            if not request.dry_run:
                try:
                    if await self._key_sets.add(list_addresses(planned.new.resources.mesh)):
                        planned = self._plan_change(overlay)
                    await self._reconciler.apply_or_go_back(planned)
                finally:
                    self._key_sets.keep(list_addresses(self._reconciler.current.resources.mesh))
            return changes

    async def _obey_new_keys(self) -> None:
        """Gives the sidecars the keys that issuers have now."""
        async with self._changing:
            current = self._reconciler.current
            try:
                resources = self._folder.read(current.resources.overlay)
                await self._reconciler.apply_or_go_back(plan(current, replace(current, resources=resources)))
            except RostrumError as error:  # such as an Envoy that refuses: the old keys stay, and the next fetch tells
                log.warning("new keys of an issuer are not obeyed: %s", error)

    def _plan(self, new: Snapshot) -> Plan:
        return plan(self._reconciler.current, new)

    def _plan_change(self, overlay: Overlay) -> Plan:
        current, resources = self._reconciler.current, self._folder.read(overlay)
        check_addresses(resources.mesh, self._key_sets.known)
        before, after = current.resources.manifests.deployments, resources.manifests.deployments
        gone = [pod.name for pod in current.pods.values() if pod.has_sidecar and pod.deployment not in after]
        added = [after[name] for name in after.keys() - before.keys()]
        if not added:
            return plan(current, replace(current.without_pods(gone), resources=resources))
        first = self._folder.read(current.resources.overlay.with_deployments_of(overlay))
        pods = [pod for deployment in added for pod in self._placement.place(first, deployment, deployment.replicas)]
        grown = plan(current, replace(current.with_pods(pods), resources=first))
        return grown.then(plan(grown.new, replace(grown.new.without_pods(gone), resources=resources)))

    # ---- what there is ----

    def deployment(self, name: str) -> Workload | None:
        """The Deployment of that name, if it runs here."""
        found = self._reconciler.current.resources.manifests.deployments.get(name)
        return found if found is not None and self._is_run(found) else None

    def _is_run(self, deployment: Workload) -> bool:
        if deployment.name != models.SERVER:
            return True
        deployments = self._reconciler.current.resources.manifests.deployments
        return bool(models.embedded_model(deployments.values(), self._home.model))

    def list_resources(self, kind: str) -> list[ActiveResource]:
        """Istio's resources that are active; of one kind, or of all if it is empty. Raises ManifestError."""
        return self._folder.list_resources(self._reconciler.current.resources.overlay, kind)

    def mesh(self) -> runner_pb2.Mesh:
        """What the sidecars' configuration is made from, now."""
        current = self._reconciler.current
        texts = self._folder.texts(current.resources.overlay)
        return runner_pb2.Mesh(
            files=[runner_pb2.ManifestFile(name=name, text=text) for name, text in texts.items()],
            namespace=declared.NAMESPACE,
            jwks=self._key_sets.known,
            workloads=[
                runner_pb2.Workload(namespace=key[0], name=key[1], ips=ips)
                for key, ips in sorted(current.endpoints.items()) if ips
            ],
        )  # fmt: skip

    def status(self) -> runner_pb2.Status:
        """The state of every pod now, by deployment and replica."""
        replicas = self._reconciler.replicas
        deployments = self._reconciler.current.resources.manifests.deployments
        pods = [replica.row() for replica in replicas]
        for pod in pods:
            if pod.deployment in deployments:
                pod.component = deployments[pod.deployment].component
        return runner_pb2.Status(
            home=str(self._home.folder), model=self._home.model, pods=pods,
            ready=all(replica.ready for replica in replicas), ingress=self._placement.ingress,
            key_sets=key_sets_of(self._key_sets.fetched),
        )  # fmt: skip


def _first_replicas(deployment: Workload) -> int:
    return 1 if deployment.is_gateway else deployment.replicas
