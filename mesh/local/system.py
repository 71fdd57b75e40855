"""All of one home: Kafka, every pod with its sidecar, and the ingress; started, scaled, kept in step, and ended.

Owns what there is (the Deployments of k8s/base) and the order in which it starts; nothing starts if a manifest is
wrong. Whenever a pod is ready or no longer, the sidecars of the others are told. Called by mesh.local.runner, which
answers the command.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import sys
from collections.abc import Callable, Container, Iterable, Mapping
from pathlib import Path

from rostrum.local.v1 import runner_pb2

from mesh.local import broker, manifests, replica, sidecars, tokens
from mesh.local.addresses import REPLICAS, Addresses, IngressPort, check_free, ingress_of
from mesh.local.applied import Applied
from mesh.local.environment import Environment
from mesh.local.envoy import Envoy
from mesh.local.errors import DiskFullError, LocalError, ManifestError, StartupError
from mesh.local.folders import PodFolder
from mesh.local.identities import Identities, Wanted, open_authority
from mesh.local.kafka import POD as KAFKA_POD
from mesh.local.kafka import Kafka
from mesh.local.manifests import Manifests
from mesh.local.pods import Pod, PodSpec
from mesh.local.probing import probe_of
from mesh.local.replica import Replica
from mesh.local.sidecars import Sidecars, Standing
from mesh.manifests.kubernetes import Workload
from mesh.manifests.overlay import DEPLOYMENT, Action, Change, Overlay
from mesh.sidecar import proxy as mesh_proxy
from mesh.sidecar.mesh import Mesh

log = logging.getLogger(__name__)

MIN_FREE_BYTES = 1024 * 1024
"""With less than this left, a start that failed did so for want of room, whatever part said so first."""
START_SECONDS = 180.0
"""Longest wait for all pods: a 1.1 GB model on a slow disk takes most of it."""
MAX_GRACE_SECONDS = 10.0
"""A person waits for the end of it."""
ROOT = Path(__file__).resolve().parents[2]


class System:
    """`root` holds k8s/base and istio/; `caller` are the variables of who started the runner."""

    def __init__(
        self, home: Path, model: str, root: Path, caller: Mapping[str, str], report: Callable[[str], None]
    ) -> None:
        """Reads everything, and starts nothing. Raises LocalError."""
        self.home, self.model, self._caller, self._report = home, model, caller, report
        self._base = manifests.read(root / "k8s" / "base")
        self._jwks = {tokens.JWKS_URI: tokens.key_set(home)}
        self.applied = Applied(home, sidecars.documents(root))
        authority = open_authority(home / "ca")
        self.sidecars = Sidecars(sidecars.read(self.applied.documents(), self._jwks), authority.root_pem)
        self.manifests = self._with(self.applied.overlay)
        self.addresses = Addresses(home)
        for name in self.manifests.deployments:
            self.addresses.pod(name, 0)
        self.environment = Environment(self._base, home, model, caller)
        self.identities = Identities(authority)
        self.kafka = Kafka(home, self.addresses.broker, self._base, self.identities, caller)
        self.replicas: dict[str, Replica] = {}
        self._ingress: IngressPort | None = None
        self._changes = asyncio.Condition()
        self._scaling = asyncio.Lock()
        self._told: mesh_proxy.Addresses | None = None
        self._telling: set[asyncio.Task[None]] = set()

    # ---- start and end ----

    async def start(self) -> None:
        """Starts everything and returns once every pod is ready. Raises LocalError; the caller then stops."""
        try:
            await self._start()
        except StartupError as error:
            free = shutil.disk_usage(self.home).free
            if free >= MIN_FREE_BYTES:
                raise
            raise DiskFullError(f"The disk of {self.home} is full: free some space there and run it again.") from error

    async def _start(self) -> None:
        shutil.rmtree(self.home / "run" / "pods", ignore_errors=True)
        wanted = [each for each in self.manifests.deployments.values() if self._is_wanted(each)]
        self.replicas = {
            each.name: each
            for deployment in wanted
            for number in range(1 if deployment.is_gateway else deployment.replicas)
            for each in [self._made(deployment, number)]
        }
        self._tell(self._envoys())  # all that is to be refused is refused here
        self.sidecars.reconnect()
        self._tell(self._envoys())
        if self.kafka.is_ours:
            await self.kafka.open(self._cache, self._report)
        # All are started at once: a service is ready when broker and topics are there, and loads its code meanwhile.
        for each in self.replicas.values():
            each.start()
        if self.kafka.is_ours:
            spec = await self.kafka.pod(self.environment.machine, self._log(KAFKA_POD))
            node = Replica(spec, app=Pod(spec, self._notify))
            self.replicas[KAFKA_POD] = node
            node.start()
            await self._until_ready([node], broker.START_SECONDS)
        await self.kafka.declare(self._report)
        await self._until_ready(list(self.replicas.values()), START_SECONDS)

    async def stop(self) -> None:
        """Stops the pods, then the broker. Safe to repeat."""
        replicas, self.replicas = self.replicas, {}
        node = replicas.pop(KAFKA_POD, None)
        await replica.stop_all(list(replicas.values()))
        if node is not None:
            await node.stop()
        await self.identities.stop()
        if self._ingress is not None:
            self._ingress.close()

    async def scale(self, deployment: Workload, replicas: int) -> None:
        """Sets the replicas and returns once they are ready or gone. Raises LocalError."""
        if deployment.is_gateway and replicas > 1:
            raise LocalError(f"{deployment.name} is where people connect: on a laptop it has one replica at most.")
        async with self._scaling:
            new, gone = [], []
            for number in range(REPLICAS):
                name = f"{deployment.name}-{number}"
                if number < replicas and name not in self.replicas:
                    new.append(self._made(deployment, number))
                elif number >= replicas and name in self.replicas:
                    gone.append(self.replicas.pop(name))
            self.replicas.update({each.name: each for each in new})
            await self._replace(new, gone)

    async def _replace(self, new: list[Replica], gone: list[Replica]) -> None:
        self.replicas.update({each.name: each for each in new})
        # Whoever calls must know that a pod goes before it does.
        told = self._tell(self._envoys())
        for each in new:
            each.start()
        await _settled(told)
        await replica.stop_all(gone, drained=True)
        for each in gone:
            if each.sidecar is not None:
                await self.identities.remove(each.sidecar.folder.certificates)
                await self.identities.remove(each.sidecar.folder.path / "kafka")
        await self._until_ready(new, START_SECONDS)

    async def change(self, request: runner_pb2.ChangeResourcesRequest) -> list[Change]:
        """Brings Istio resources into force or takes them out, in every sidecar or in none. Raises LocalError.

        Deployments among them run before anything is sent their way, and end after nothing is any more.
        """
        async with self._scaling:
            overlay, changes = self.applied.asked(request)
            self._check_deployments(changes)
            mesh, wanted = sidecars.read(self.applied.documents(overlay), self._jwks), self._with(overlay)
            before = self.sidecars.mesh, self.manifests
            if request.dry_run:
                self.sidecars.mesh = mesh
                try:
                    self.sidecars.check(self._envoys(), self._places())
                finally:
                    self.sidecars.mesh = before[0]
                return changes
            try:
                await self._change(overlay, mesh, wanted)
            except LocalError:
                self.sidecars.mesh, self.manifests = before
                await self._replace([], self._popped(wanted.deployments.keys() - before[1].deployments.keys()))
                raise
            return changes

    async def _change(self, overlay: Overlay, mesh: Mesh, wanted: Manifests) -> None:
        added = [each for name, each in wanted.deployments.items() if name not in self.manifests.deployments]
        gone = self.manifests.deployments.keys() - wanted.deployments.keys()
        if added:
            first = self.applied.overlay.with_deployments_of(overlay)
            self.sidecars.mesh = sidecars.read(self.applied.documents(first), self._jwks)
            self.manifests = wanted
            await self._replace([self._made(each, number) for each in added for number in range(each.replicas)], [])
        self.sidecars.mesh, self.manifests = mesh, wanted
        await _settled(self._tell(self._envoys_but(gone)))
        self.applied.keep(overlay)
        if self.sidecars.reconnect():
            await _settled(self._tell(self._envoys_but(gone)))
        await self._replace([], self._popped(gone))

    def _check_deployments(self, changes: Iterable[Change]) -> None:
        for each in changes:
            if each.key.kind != DEPLOYMENT or each.action in {Action.UNCHANGED, Action.CREATED}:
                continue
            if each.key.name in self._base.deployments:
                raise ManifestError(f"{each.key} is one of those Rostrum was started with: `rostrum scale` changes it.")
            if each.action is Action.CONFIGURED:
                raise ManifestError(f"{each.key} runs as it was applied: delete it first.")

    def _with(self, overlay: Overlay) -> Manifests:
        return manifests.with_deployments(self._base, overlay.deployments.values())

    def _popped(self, deployments: Iterable[str]) -> list[Replica]:
        names = set(deployments)
        return [self.replicas.pop(name) for name, each in list(self.replicas.items()) if each.spec.deployment in names]

    def deployment(self, name: str) -> Workload | None:
        """The Deployment of that name, if it runs here."""
        found = self.manifests.deployments.get(name)
        return found if found is not None and self._is_wanted(found) else None

    def _is_wanted(self, deployment: Workload) -> bool:
        return deployment.name != "model" or self.model.partition(":")[0] == "embedded"

    # ---- pods ----

    def _made(self, deployment: Workload, number: int) -> Replica:
        """A replica, with its folder and certificates, that is still to be told and started. Raises LocalError."""
        name = f"{deployment.name}-{number}"
        folder = PodFolder(self.home, name)
        self.identities.add(Wanted(folder.certificates, spiffe_id=self.sidecars.spiffe_id(deployment.name)))
        envoy_log = self._log(f"{name}.envoy")
        if deployment.is_gateway:
            spec = self._gateway_spec(deployment, number, envoy_log)
        else:
            spec = self._app_spec(deployment, number, folder)
        check_free(spec.ip, spec.ports, spec.name)
        envoy = Envoy(spec, folder, envoy_log, self._notify)
        return Replica(spec, None if deployment.is_gateway else Pod(spec, self._notify), envoy)

    def _gateway_spec(self, deployment: Workload, number: int, log_file: Path) -> PodSpec:
        self._ingress = self._ingress or IngressPort(self.home, self._caller.get("ROSTRUM_PORT", ""))
        ip, _, port = ingress_of(self.home).rpartition(":")
        return PodSpec(deployment.name, number, ip, (int(port),), (), self.environment.machine, ROOT, log_file)

    def _app_spec(self, deployment: Workload, number: int, folder: PodFolder) -> PodSpec:
        ip = self.addresses.pod(deployment.name, number)
        name = f"{deployment.name}-{number}"
        container = deployment.container
        command = [sys.executable if word == "python" else word for word in (*container.command, *container.args)]
        variables = self.environment.of(
            deployment, name, ip, folder, bootstrap=self.kafka.bootstrap_servers,
            kafka_tls=self.kafka.certificates_of(deployment.service_account, folder.path),
        )  # fmt: skip
        return PodSpec(
            deployment.name, number, ip, tuple(deployment.ports.values()), command, variables, ROOT, self._log(name),
            probe_of(container.readiness_probe, deployment.ports), probe_of(container.liveness_probe, deployment.ports),
            probe_of(container.startup_probe, deployment.ports),
            min(deployment.pod.termination_grace_period_seconds, MAX_GRACE_SECONDS), folder,
        )  # fmt: skip

    def _log(self, name: str) -> Path:
        return self.home / "logs" / f"{name}.log"

    @property
    def _cache(self) -> Path:
        said = self._caller.get("ROSTRUM_CACHE")
        return Path(said) if said else Path.home() / ".cache" / "rostrum"

    # ---- what the others are told ----

    def _envoys(self) -> list[Envoy]:
        return self._envoys_but(())

    def _envoys_but(self, deployments: Container[str]) -> list[Envoy]:
        running = [each for each in self.replicas.values() if each.spec.deployment not in deployments]
        return [each.sidecar for each in running if each.sidecar is not None]

    def _tell(self, envoys: Iterable[Envoy]) -> list[Envoy]:
        self._told = self._places()
        return self.sidecars.write(envoys, self._told)

    def _places(self) -> mesh_proxy.Addresses:
        # A pod without a sidecar, which is Kafka's, is none of the mesh.
        pods = [Standing(each.spec, each.ready) for each in self.replicas.values() if each.sidecar is not None]
        return self.sidecars.addresses(pods)

    def _notify(self) -> None:
        async def tell() -> None:
            async with self._changes:
                self._changes.notify_all()
            if self._told != self._places():
                try:
                    self._tell(self._envoys())
                except LocalError as error:
                    log.warning("the sidecars are not told who is ready: %s", error)

        task = asyncio.get_running_loop().create_task(tell())
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _until_ready(self, waited: list[Replica], seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds), self._changes:
                while waiting := [each for each in waited if not each.ready]:
                    for each in self.replicas.values():
                        if (error := each.failed_start()) is not None:
                            raise StartupError(str(error))
                    self._report("waiting for " + ", ".join(each.name for each in waiting))
                    await self._changes.wait()
        except TimeoutError:
            late = next(each for each in waited if not each.ready)
            raise StartupError(f"{late.name} is not ready after {seconds:g} s: see {late.spec.log_file}.") from None

    def mesh(self) -> runner_pb2.Mesh:
        """What the sidecars' configuration is made from, now."""
        places = self._places().pods
        return runner_pb2.Mesh(
            files=[runner_pb2.ManifestFile(name=name, text=text) for name, text in self.applied.texts().items()],
            namespace=sidecars.NAMESPACE,
            workloads=[
                runner_pb2.Workload(namespace=key[0], name=key[1], ips=ips)
                for key, ips in sorted(places.items()) if ips
            ],
        )  # fmt: skip

    def status(self) -> runner_pb2.Status:
        """The state of every pod now, by deployment and replica."""
        ordered = sorted(self.replicas.values(), key=lambda each: (each.spec.deployment, each.spec.replica))
        return runner_pb2.Status(
            home=str(self.home), model=self.model, pods=[each.row() for each in ordered],
            ready=all(each.ready for each in ordered), ingress=ingress_of(self.home) if self._ingress else "",
        )  # fmt: skip


async def _settled(told: Iterable[Envoy]) -> None:
    # One that is not ready, such as one that starts anew, reads what is there then.
    await asyncio.gather(*(each.settle() for each in told if each.process.ready))
