"""Istio's kinds: which model reads which, by API group and kind; what is refused; which versions there are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mesh.manifests.istio import (
    authorization_policy,
    destination_rule,
    envoy_filter,
    gateway,
    peer_authentication,
    request_authentication,
    service_entry,
    sidecar,
    telemetry,
    virtual_service,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mesh.manifests.document import Spec

KINDS: Mapping[tuple[str, str], type[Spec]] = {
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
VERSIONS = frozenset({"v1", "v1beta1", "v1alpha3", "v1alpha1"})
"""The versions that Istio's groups serve, whose fields are the same."""
REFUSED = {
    "WasmPlugin": "filters of your own are not run: remove it",
    "ProxyConfig": "sidecars are configured by Rostrum: remove it",
    "WorkloadEntry": "workloads are Deployments or StatefulSets: declare one",
    "WorkloadGroup": "workloads are Deployments or StatefulSets: declare one",
}
"""Kinds that somebody may have, and why they are not obeyed."""
