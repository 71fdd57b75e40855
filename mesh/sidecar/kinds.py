"""The check of each of Istio's kinds, which holds a resource to the rest of the mesh."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mesh.manifests.istio.authorization_policy import AuthorizationPolicySpec
from mesh.manifests.istio.destination_rule import DestinationRuleSpec
from mesh.manifests.istio.envoy_filter import EnvoyFilterSpec
from mesh.manifests.istio.gateway import GatewaySpec
from mesh.manifests.istio.peer_authentication import PeerAuthenticationSpec
from mesh.manifests.istio.request_authentication import RequestAuthenticationSpec
from mesh.manifests.istio.service_entry import ServiceEntrySpec
from mesh.manifests.istio.sidecar import SidecarSpec
from mesh.manifests.istio.telemetry import TelemetrySpec
from mesh.manifests.istio.virtual_service import VirtualServiceSpec
from mesh.sidecar import sidecar
from mesh.sidecar.clusters import destination_check, service_entry
from mesh.sidecar.listeners import envoy_filter, gateway
from mesh.sidecar.routing import route_check
from mesh.sidecar.security import authorization_policy, peer_authentication, request_authentication
from mesh.sidecar.telemetry import telemetry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mesh.manifests.document import Spec
    from mesh.sidecar.mesh import Check

CHECKS: Mapping[type[Spec], Check] = {
    PeerAuthenticationSpec: peer_authentication.check,
    RequestAuthenticationSpec: request_authentication.check,
    AuthorizationPolicySpec: authorization_policy.check,
    DestinationRuleSpec: destination_check.check,
    VirtualServiceSpec: route_check.check,
    GatewaySpec: gateway.check,
    ServiceEntrySpec: service_entry.check,
    SidecarSpec: sidecar.check,
    EnvoyFilterSpec: envoy_filter.check,
    TelemetrySpec: telemetry.check,
}
"""What each resource is held to once all are read: `check(mesh, resource)` raises ManifestError."""
