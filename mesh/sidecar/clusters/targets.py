"""What each outbound cluster stands for: a port of a host that a proxy sees, and of it a subset or all.

Owns the names of clusters and the policy of each; `mesh.sidecar.clusters.outbound` makes the cluster of a target, and
`.endpoints` where it leads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mesh.manifests import names
from mesh.manifests.istio.traffic_policy import TrafficPolicy
from mesh.sidecar.destination_rules import policy_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mesh.manifests.document import Resource
    from mesh.manifests.istio.destination_rule import DestinationRuleSpec, Subset
    from mesh.manifests.kubernetes import ServicePort
    from mesh.sidecar.hosts import Host
    from mesh.sidecar.proxy import Proxy
    from mesh.sidecar.scope import Scope


@dataclass(frozen=True)
class Target:
    """A port of a host, and of it a subset or all; `rule` is what the proxy obeys for the host."""

    host: Host
    port: ServicePort
    subset: Subset | None
    rule: Resource[DestinationRuleSpec] | None

    @property
    def subset_name(self) -> str:
        """The name of the subset; "" for all."""
        return "" if self.subset is None else self.subset.name

    @property
    def name(self) -> str:
        """The cluster's name."""
        return names.outbound_cluster(self.port.number, self.subset_name, self.host.name)

    @property
    def policy(self) -> TrafficPolicy:
        """What holds for the port and subset."""
        return TrafficPolicy() if self.rule is None else policy_of(self.rule.spec, self.port.number, self.subset_name)

    @property
    def labels(self) -> Mapping[str, str]:
        """What an endpoint's labels must have."""
        return {} if self.subset is None else self.subset.labels

    @property
    def by_dns(self) -> bool:
        """Whether Envoy asks DNS for the endpoints."""
        return self.host.entry is not None and self.host.entry.spec.by_dns

    @property
    def is_external(self) -> bool:
        """Whether the host is outside of the mesh."""
        return self.host.entry is not None and self.host.entry.spec.location == "MESH_EXTERNAL"


def list_targets(scope: Scope, proxy: Proxy) -> Iterator[Target]:
    """Every target of the hosts that can be reached: of each port all, then each subset."""
    for host in scope.reachable:
        rule = scope.rule_for(host, proxy.namespace)
        for port in host.ports:
            for subset in (None, *(() if rule is None else rule.spec.subsets)):
                yield Target(host, port, subset, rule)
