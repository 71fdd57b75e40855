"""DestinationRule: the policy and the subsets of a host.

Which rule holds for a host, its port and subset is in `mesh.sidecar.destination_rules`.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from mesh.manifests import names
from mesh.manifests.document import Resource, Spec
from mesh.manifests.istio.fields import DnsLabel, ExportTo, Labels
from mesh.manifests.istio.traffic_policy import TrafficPolicy


class Subset(Spec):
    """Endpoints of the host that have these labels, and what holds for them alone."""

    name: DnsLabel
    labels: Labels = Field(default_factory=dict)
    traffic_policy: TrafficPolicy | None = None


class DestinationRuleSpec(Spec):
    """spec of a DestinationRule."""

    instead: ClassVar = {
        "name": "was the host in versions before 0.8: write host",
        "workloadSelector": "is not translated, a rule is for all pods of its namespace: remove it",
    }

    host: str = Field(min_length=1)
    traffic_policy: TrafficPolicy | None = None
    subsets: tuple[Subset, ...] = ()
    export_to: ExportTo = ("*",)


def host_of(rule: Resource[DestinationRuleSpec]) -> str:
    """The host it speaks of, fully qualified; it may begin with "*"."""
    return names.resolved(rule.spec.host, rule.namespace)
