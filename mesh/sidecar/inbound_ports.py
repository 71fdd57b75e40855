"""The ports of a pod that others call: each that a Service leads to, with the Service's own port in front of it.

Called for listeners by `mesh.sidecar.listeners.inbound`, for clusters by `mesh.sidecar.clusters.inbound`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mesh.manifests import names
from mesh.manifests.errors import ManifestError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mesh.manifests.kubernetes import Protocol, Service, ServicePort
    from mesh.sidecar.mesh import Mesh
    from mesh.sidecar.proxy import Proxy


@dataclass(frozen=True)
class InboundPort:
    """A port of the pod, and the Service's port in front of it."""

    target: int
    service: Service
    port: ServicePort

    @property
    def protocol(self) -> Protocol:
        """What it speaks."""
        return self.port.protocol

    @property
    def cluster(self) -> str:
        """The name of the cluster that is the app at this port."""
        return names.inbound_cluster(self.target)


def list_inbound_ports(mesh: Mesh, proxy: Proxy) -> Iterator[InboundPort]:
    """Every port of the pod that a Service leads to; of several Services the first says what it speaks.

    Raises ManifestError for a named port that the pod has not.
    """
    seen: set[int] = set()
    for service in mesh.services_of(proxy.workload):
        for port in service.ports:
            target = proxy.workload.target_port(port)
            if target is None:
                raise ManifestError(f"{service.where}: spec.ports: no container port of {proxy.workload.name} is "
                                    f"called {port.target!r}: correct targetPort")  # fmt: skip
            if target not in seen:
                seen.add(target)
                yield InboundPort(target, service, port)
