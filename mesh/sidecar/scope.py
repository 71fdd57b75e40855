"""Which hosts a proxy sees: Kubernetes Services and ServiceEntries as one thing, narrowed by the kind Sidecar.

Owns the pick of the one Sidecar resource for a pod, and the import of hosts, VirtualServices and DestinationRules.
Source: istio/istio pilot/pkg/model/sidecar.go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mesh.sidecar.destination_rule import DestinationRuleSpec
    from mesh.sidecar.document import Resource
    from mesh.sidecar.kubernetes import Service, ServicePort
    from mesh.sidecar.service_entry import ServiceEntrySpec
    from mesh.sidecar.virtual_service import VirtualServiceSpec


@dataclass(frozen=True)
class Host:
    """A host that can be called: `service` or `entry` is set, and says the rest."""

    name: str
    """Fully qualified, such as team-a.rostrum.svc.cluster.local."""
    namespace: str
    ports: tuple[ServicePort, ...]
    service: Service | None = None
    entry: Resource[ServiceEntrySpec] | None = None


@dataclass(frozen=True)
class Scope:
    """What a proxy's outbound configuration is made from, each list as istiod orders it."""

    hosts: tuple[Host, ...]
    virtual_services: tuple[Resource[VirtualServiceSpec], ...]
    """Of the mesh gateway ("mesh" in `gateways`, or none named), the oldest first."""
    destination_rules: tuple[Resource[DestinationRuleSpec], ...]
    registry_only: bool
    """Unknown hosts get 502; otherwise they would be passed through."""

    def host(self, name: str) -> Host | None:
        """The host of that name."""
        return next((each for each in self.hosts if each.name == name), None)
