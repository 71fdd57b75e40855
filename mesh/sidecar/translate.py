"""One proxy's whole configuration: which part makes which of its resources. The entrance of the translator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mesh.sidecar.clusters import outbound
from mesh.sidecar.listeners import gateway, inbound, outbound_listeners
from mesh.sidecar.resources import Resources
from mesh.sidecar.routing import routes
from mesh.sidecar.scope import scope_of

if TYPE_CHECKING:
    from mesh.sidecar.mesh import Mesh
    from mesh.sidecar.proxy import Addresses, Proxy


def translate(mesh: Mesh, proxy: Proxy, addresses: Addresses) -> Resources:
    """Returns what this Envoy is to be given. Raises ManifestError for what only shows in the light of one pod."""
    scope = scope_of(mesh, proxy)
    clusters = outbound.clusters(mesh, proxy, scope, addresses)
    endpoints = outbound.endpoints(mesh, proxy, scope, addresses)
    if proxy.is_gateway:
        return Resources(gateway.listeners(mesh, proxy), clusters, gateway.routes(mesh, proxy, scope), endpoints)
    return Resources(
        [*inbound.listeners(mesh, proxy), *outbound_listeners.listeners(mesh, proxy, scope, addresses)],
        [*inbound.clusters(mesh, proxy), *clusters],
        routes.routes(mesh, proxy, scope, addresses),
        endpoints,
    )
