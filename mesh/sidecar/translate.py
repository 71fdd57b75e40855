"""One proxy's whole configuration: which part makes which of its resources. The entrance of the translator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mesh.sidecar.clusters.endpoints import build_endpoints
from mesh.sidecar.clusters.inbound import build_inbound_clusters
from mesh.sidecar.clusters.outbound import build_outbound_clusters
from mesh.sidecar.listeners.gateway import build_gateway_listeners
from mesh.sidecar.listeners.inbound import build_inbound_listeners
from mesh.sidecar.listeners.outbound import build_outbound_listeners
from mesh.sidecar.resources import Resources
from mesh.sidecar.routing.gateway import build_gateway_routes
from mesh.sidecar.routing.virtual_hosts import build_sidecar_routes
from mesh.sidecar.scope import scope_of

if TYPE_CHECKING:
    from mesh.sidecar.mesh import Mesh
    from mesh.sidecar.proxy import Addresses, Proxy


def translate(mesh: Mesh, proxy: Proxy, addresses: Addresses) -> Resources:
    """Returns what this Envoy is to be given. Raises ManifestError for what only shows in the light of one pod."""
    scope = scope_of(mesh, proxy)
    clusters = build_outbound_clusters(mesh, proxy, scope, addresses)
    endpoints = build_endpoints(mesh, proxy, scope, addresses)
    if proxy.is_gateway:
        return Resources(
            build_gateway_listeners(mesh, proxy), clusters, build_gateway_routes(mesh, proxy, scope), endpoints
        )
    return Resources(
        [*build_inbound_listeners(mesh, proxy), *build_outbound_listeners(mesh, proxy, scope, addresses)],
        [*build_inbound_clusters(mesh, proxy, scope), *clusters],
        build_sidecar_routes(mesh, proxy, scope, addresses),
        endpoints,
    )
