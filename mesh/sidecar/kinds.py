"""Istio's kinds: which model reads which, and which check holds each to the rest of the mesh."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mesh.sidecar import sidecar
from mesh.sidecar.clusters import destination_check, destination_rule, service_entry
from mesh.sidecar.listeners import envoy_filter, gateway
from mesh.sidecar.routing import route_check, virtual_service
from mesh.sidecar.security import authorization_policy, peer_authentication, request_authentication
from mesh.sidecar.telemetry import telemetry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mesh.manifests.document import Spec
    from mesh.sidecar.mesh import Check

ISTIO: Mapping[tuple[str, str], type[Spec]] = {
    ("security.istio.io", "PeerAuthentication"): peer_authentication.PeerAuthenticationSpec,
    ("security.istio.io", "RequestAuthentication"): request_authentication.RequestAuthenticationSpec,
    ("security.istio.io", "AuthorizationPolicy"): authorization_policy.AuthorizationPolicySpec,
    ("networking.istio.io", "DestinationRule"): destination_rule.DestinationRuleSpec,
    ("networking.istio.io", "VirtualService"): virtual_service.VirtualServiceSpec,
    ("networking.istio.io", "Gateway"): gateway.GatewaySpec,
    ("networking.istio.io", "ServiceEntry"): service_entry.ServiceEntrySpec,
    ("networking.istio.io", "Sidecar"): sidecar.SidecarSpec,
    ("networking.istio.io", "EnvoyFilter"): envoy_filter.EnvoyFilterSpec,
    ("telemetry.istio.io", "Telemetry"): telemetry.TelemetrySpec,
}
"""The model of each kind's spec, by API group and kind."""

CHECKS: Mapping[type[Spec], Check] = {
    peer_authentication.PeerAuthenticationSpec: peer_authentication.check,
    request_authentication.RequestAuthenticationSpec: request_authentication.check,
    authorization_policy.AuthorizationPolicySpec: authorization_policy.check,
    destination_rule.DestinationRuleSpec: destination_check.check,
    virtual_service.VirtualServiceSpec: route_check.check,
    gateway.GatewaySpec: gateway.check,
    service_entry.ServiceEntrySpec: service_entry.check,
    sidecar.SidecarSpec: sidecar.check,
    envoy_filter.EnvoyFilterSpec: envoy_filter.check,
    telemetry.TelemetrySpec: telemetry.check,
}
"""What each resource is held to once all are read: `check(mesh, resource)` raises ManifestError."""
