"""Which pods a Deployment has on this machine: at which address each is, and who it is.

Owns the addresses of a home and the port of its ingress. It starts nothing: the pods that it names are planned with
first. Called by mesh.local.system.
"""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path

from mesh.errors import InvalidArgumentError
from mesh.local.addresses import Addresses, IngressPort, ingress_of
from mesh.local.declared import DeclaredResources
from mesh.local.snapshot import PodStatus
from mesh.manifests.kubernetes import Workload


class Placement:
    """`kafka_users` are the accounts that get a certificate for Kafka, `port` is what ROSTRUM_PORT asks for."""

    def __init__(self, home: Path, addresses: Addresses, kafka_users: Set[str], port: str) -> None:
        self._home, self._addresses, self._kafka_users, self._port = home, addresses, kafka_users, port
        self._ingress: IngressPort | None = None

    @property
    def ingress(self) -> str:
        """ "{ip}:{port}" at which the ingress is; empty if there is none."""
        return ingress_of(self._home) if self._ingress is not None else ""

    def place(self, resources: DeclaredResources, deployment: Workload, replicas: int) -> list[PodStatus]:
        """The first so many pods of a Deployment. Raises InvalidArgumentError, LocalError, PortInUseError."""
        if deployment.is_gateway and replicas > 1:
            message = f"{deployment.name} is where people connect: on a laptop it has one replica at most."
            raise InvalidArgumentError(message, field="replicas", value=str(replicas), limit="1")
        return [self._place(resources, deployment, number) for number in range(replicas)]

    def _place(self, resources: DeclaredResources, deployment: Workload, number: int) -> PodStatus:
        account = deployment.service_account
        if deployment.is_gateway:
            self._ingress = self._ingress or IngressPort(self._home, self._port)
            ip, _, port = ingress_of(self._home).rpartition(":")
            ports: tuple[int, ...] = (int(port),)
        else:
            ip, ports = self._addresses.pod(deployment.name, number), tuple(deployment.ports.values())
        return PodStatus(
            deployment.name, number, ip, ports, resources.spiffe_id(deployment.name),
            account if account in self._kafka_users and not deployment.is_gateway else "",
        )  # fmt: skip

    def close(self) -> None:
        """Lets others have the port of the ingress."""
        if self._ingress is not None:
            self._ingress.close()
