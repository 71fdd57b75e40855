"""A sidecar's outbound routes: one RouteConfiguration a service port, one virtual host a host of the mesh.

Source: istio/istio pilot/pkg/networking/core/httproute.go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mesh.sidecar.mesh import Mesh
    from mesh.sidecar.proxy import Addresses, Proxy
    from mesh.sidecar.scope import Scope


def routes(mesh: Mesh, proxy: Proxy, scope: Scope, addresses: Addresses) -> list[Any]:
    """The route configurations of the ports in proxy.outbound."""
    return []
