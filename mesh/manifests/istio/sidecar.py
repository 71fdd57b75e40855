"""Sidecar: which of the mesh's hosts the proxies of some workloads see.

Listeners of one's own (port, bind, ingress) are no fields here, so they are refused. What is seen is for
`mesh.sidecar.scope` to say.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mesh.manifests.document import Spec
from mesh.manifests.istio.selectors import SelectedWorkloads


class Egress(Spec):
    """The hosts that are seen, as namespace/host."""

    hosts: tuple[str, ...] = Field(min_length=1)


class OutboundTrafficPolicy(Spec):
    """What becomes of a call to a host that is not seen."""

    mode: Literal["REGISTRY_ONLY", "ALLOW_ANY"] = "REGISTRY_ONLY"


class SidecarSpec(Spec):
    """spec of a Sidecar."""

    workload_selector: SelectedWorkloads = None
    egress: tuple[Egress, ...] = Field(default=(), max_length=1)
    outbound_traffic_policy: OutboundTrafficPolicy | None = None
