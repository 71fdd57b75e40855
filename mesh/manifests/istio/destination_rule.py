"""DestinationRule: the policy and the subsets of a host.

Which rule holds for a host, its port and subset is in `mesh.sidecar.destination_rules`.
"""

from __future__ import annotations

from pydantic import Field

from mesh.manifests import names
from mesh.manifests.document import Resource, Spec
from mesh.manifests.istio.traffic_policy import TrafficPolicy


class Subset(Spec):
    """Endpoints of the host that have these labels, and what holds for them alone."""

    name: str = Field(min_length=1, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    labels: dict[str, str] = Field(default_factory=dict)
    traffic_policy: TrafficPolicy | None = None


class DestinationRuleSpec(Spec):
    """spec of a DestinationRule."""

    host: str = Field(min_length=1)
    traffic_policy: TrafficPolicy | None = None
    subsets: tuple[Subset, ...] = ()
    export_to: tuple[str, ...] = ("*",)


def host_of(rule: Resource[DestinationRuleSpec]) -> str:
    """The host it speaks of, fully qualified; it may begin with "*"."""
    return names.resolved(rule.spec.host, rule.namespace)
