"""Makes the replica of a pod: its folder, certificates and variables, then app and sidecar, still to be started.

Owns what a pod needs on this machine before its processes start, and what is left of it once they have ended. Which
pods there are is a snapshot's, when they start is mesh.local.reconciler's.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from mesh.local.addresses import check_free
from mesh.local.changes import Changes
from mesh.local.declared import DeclaredResources
from mesh.local.environment import Environment
from mesh.local.envoy import Envoy
from mesh.local.folders import PodFolder
from mesh.local.identities import CertificateRequest, Identities
from mesh.local.kafka import Kafka
from mesh.local.pods import Pod, PodSpec
from mesh.local.probing import probe_of
from mesh.local.replica import Replica
from mesh.local.snapshot import PodStatus
from mesh.manifests.kubernetes import Workload

MAX_GRACE_SECONDS = 10.0
"""A person waits for the end of it."""


class ReplicaFactory:
    """`changes` is notified of every change of state of the replicas that it makes."""

    def __init__(
        self, home: Path, environment: Environment, kafka: Kafka, identities: Identities, changes: Changes
    ) -> None:
        self._home, self._environment, self._kafka = home, environment, kafka
        self._identities, self._changes = identities, changes

    async def create_all(self, pods: Iterable[PodStatus], resources: DeclaredResources) -> list[Replica]:
        """A replica of each: all of them or none. Raises RostrumError."""
        replicas, folders = [], []
        try:
            for pod in pods:
                check_free(pod.ip, pod.ports, pod.name)
                if not pod.has_sidecar:
                    spec = self._kafka.pod_spec(self._environment.machine, self._log(pod.name))
                    replicas.append(Replica(spec, app=Pod(spec, self._changes.notify)))
                    continue
                folders.append(PodFolder(self._home, pod.name))
                replicas.append(self._create(pod, folders[-1], resources))
        except BaseException:
            for folder in folders:
                await self._remove(folder)
            raise
        return replicas

    async def discard(self, replica: Replica) -> None:
        """Removes what is left of one that has ended, or was never started."""
        if replica.sidecar is not None:
            await self._remove(replica.sidecar.folder)

    async def _remove(self, folder: PodFolder) -> None:
        for certificates in (folder.certificates, folder.kafka_certificates):
            await self._identities.remove(certificates)
        folder.close()

    def _create(self, pod: PodStatus, folder: PodFolder, resources: DeclaredResources) -> Replica:
        deployment = resources.manifests.deployments[pod.deployment]
        self._identities.add(CertificateRequest(folder.certificates, spiffe_id=pod.spiffe_id))
        envoy_log = self._log(f"{pod.name}.envoy")
        if deployment.is_gateway:
            spec = PodSpec(
                pod.deployment, pod.replica, pod.ip, pod.ports, (), self._environment.machine, folder.path, envoy_log
            )
            return Replica(spec, sidecar=Envoy(spec, folder, envoy_log, self._changes.notify))
        spec = self._app_spec(pod, deployment, folder)
        return Replica(spec, Pod(spec, self._changes.notify), Envoy(spec, folder, envoy_log, self._changes.notify))

    def _app_spec(self, pod: PodStatus, deployment: Workload, folder: PodFolder) -> PodSpec:
        if pod.kafka_user:
            self._identities.add(CertificateRequest(folder.kafka_certificates, kafka_user=pod.kafka_user))
        container, ports = deployment.container, deployment.ports
        command = [sys.executable if word == "python" else word for word in (*container.command, *container.args)]
        variables = self._environment.of(
            deployment, pod.name, pod.ip, folder, bootstrap=self._kafka.bootstrap_servers,
            kafka_tls=folder.kafka_certificates if pod.kafka_user else self._kafka.given_certificates,
        )  # fmt: skip
        return PodSpec(
            pod.deployment, pod.replica, pod.ip, pod.ports, command, variables, folder.path, self._log(pod.name),
            probe_of(container.readiness_probe, ports), probe_of(container.liveness_probe, ports),
            probe_of(container.startup_probe, ports),
            min(deployment.pod.termination_grace_period_seconds, MAX_GRACE_SECONDS), folder,
        )  # fmt: skip

    def _log(self, name: str) -> Path:
        return self._home / "logs" / f"{name}.log"
