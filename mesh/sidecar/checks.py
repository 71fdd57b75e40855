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
from mesh.sidecar.clusters.checks import check_destination_rule
from mesh.sidecar.clusters.service_entries import check_service_entry
from mesh.sidecar.gateways import check_gateway
from mesh.sidecar.imports import check_sidecar
from mesh.sidecar.listeners.envoy_filters import check_envoy_filter
from mesh.sidecar.routing.checks import check_virtual_service
from mesh.sidecar.security.authorization_policy import check_authorization_policy
from mesh.sidecar.security.peer_authentication import check_peer_authentication
from mesh.sidecar.security.request_authentication import check_request_authentication
from mesh.sidecar.telemetry.scopes import check_telemetry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mesh.manifests.document import Spec
    from mesh.sidecar.mesh import Check

CHECKS: Mapping[type[Spec], Check] = {
    PeerAuthenticationSpec: check_peer_authentication,
    RequestAuthenticationSpec: check_request_authentication,
    AuthorizationPolicySpec: check_authorization_policy,
    DestinationRuleSpec: check_destination_rule,
    VirtualServiceSpec: check_virtual_service,
    GatewaySpec: check_gateway,
    ServiceEntrySpec: check_service_entry,
    SidecarSpec: check_sidecar,
    EnvoyFilterSpec: check_envoy_filter,
    TelemetrySpec: check_telemetry,
}
"""What each resource is held to once all are read: `check(mesh, resource)` raises ManifestError."""
