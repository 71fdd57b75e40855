"""A gateway pod's routes: one RouteConfiguration for the plain servers of a port, one for each that ends TLS.

Owns which hosts of which VirtualServices meet at a server, and which virtual hosts are the same. Called by
`mesh.sidecar.translate`. Source: istio/istio pilot/pkg/networking/core/gateway.go.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from envoy.config.route.v3 import route_components_pb2

from mesh.manifests.istio.virtual_service import VirtualServiceSpec, gateways_of, hosts_of
from mesh.sidecar.gateways import group_servers
from mesh.sidecar.hosts import takes
from mesh.sidecar.routing.matches import is_catch_all
from mesh.sidecar.routing.routes import make_routes
from mesh.sidecar.routing.virtual_hosts import make_route_configuration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from envoy.config.route.v3 import route_pb2

    from mesh.manifests.document import Resource
    from mesh.sidecar.gateways import BoundServer
    from mesh.sidecar.mesh import Mesh
    from mesh.sidecar.proxy import Proxy
    from mesh.sidecar.scope import Scope


@dataclass
class _VirtualHost:
    """The routes of one host, by the (gateway, VirtualService) that they come from."""

    port: int
    parts: list[tuple[str, str]] = field(default_factory=list)
    routes: list[route_components_pb2.Route] = field(default_factory=list)
    require_tls: bool = False
    domains: list[str] = field(default_factory=list)

    def is_like(self, other: _VirtualHost) -> bool:
        return self.parts == other.parts and self.require_tls == other.require_tls


def build_gateway_routes(mesh: Mesh, proxy: Proxy, scope: Scope) -> list[route_pb2.RouteConfiguration]:
    """The gateway pod's route configurations. A host that nothing serves gets 404."""
    grouped = group_servers(mesh, proxy.workload, lambda bound: bound.route_name)
    return [_build_configuration(mesh, proxy, scope, name, servers) for name, servers in sorted(grouped.items())]


def _build_configuration(
    mesh: Mesh, proxy: Proxy, scope: Scope, name: str, servers: Sequence[BoundServer]
) -> route_pb2.RouteConfiguration:
    hosts = _collect_hosts(mesh, proxy, scope, servers)
    if not hosts:
        nothing = route_components_pb2.VirtualHost(name=f"blackhole:{servers[0].server.port.number}", domains=["*"])
        return make_route_configuration(name, [nothing])
    return make_route_configuration(
        name,
        [_make_virtual_host(host, made) for host, made in sorted(_collapse(hosts).items(), key=lambda item: item[0])],
    )


def _make_virtual_host(host: str, made: _VirtualHost) -> route_components_pb2.VirtualHost:
    """Its routes, those that take everything last: they come from several VirtualServices."""
    found = route_components_pb2.VirtualHost(
        name=f"{host}:{made.port}",
        domains=made.domains,
        routes=sorted(made.routes, key=lambda route: is_catch_all(route.match)),
        include_request_attempt_count=True,
    )
    if made.require_tls:
        found.require_tls = route_components_pb2.VirtualHost.ALL
    return found


def _collect_hosts(mesh: Mesh, proxy: Proxy, scope: Scope, servers: Sequence[BoundServer]) -> dict[str, _VirtualHost]:
    found: dict[str, _VirtualHost] = {}
    made: dict[tuple[str, str], list[route_components_pb2.Route]] = {}
    for bound in servers:
        port = bound.server.port.number
        redirects = bound.server.tls is not None and bound.server.tls.https_redirect
        for vs in _list_virtual_services(mesh, proxy, bound.gateway_name):
            shared = _intersect(bound.hosts(vs.namespace), hosts_of(vs))
            key = (bound.gateway_name, vs.where)
            if shared and key not in made:
                made[key] = make_routes(
                    scope,
                    vs,
                    port=port,
                    proxy=proxy,
                    gateway_names=frozenset({bound.gateway_name}),
                    is_tls=bound.server.tls is not None,
                )
            for host in shared if made.get(key) else ():
                into = found.setdefault(host.lower(), _VirtualHost(port, domains=[host.lower()]))
                into.parts.append(key)
                into.routes += made[key]
                into.require_tls |= redirects
        for host in bound.server.hosts if redirects else ():
            into = found.setdefault(host.lower(), _VirtualHost(port, domains=[host.lower()]))
            into.require_tls = True
    return found


def _list_virtual_services(mesh: Mesh, proxy: Proxy, gateway_name: str) -> list[Resource[VirtualServiceSpec]]:
    """Those bound to the gateway and visible to the pod: private ones, those exported to it, then the public ones."""

    def rank(vs: Resource[VirtualServiceSpec]) -> int | None:
        exported = vs.spec.export_to
        if "*" in exported:
            return 2
        if "." in exported and vs.namespace == proxy.namespace:
            return 0
        return 1 if proxy.namespace in exported else None

    ranked = [
        (rank(vs), number, vs)
        for number, vs in enumerate(mesh.all(VirtualServiceSpec))
        if gateway_name in gateways_of(vs)
    ]
    return [vs for _, _, vs in sorted((entry for entry in ranked if entry[0] is not None), key=lambda entry: entry[:2])]


def _intersect(served: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """Of each pair of hosts that overlap the narrower one."""
    found: list[str] = []
    for ours in served:
        for theirs in wanted:
            host = ours if takes(theirs, ours) else theirs if takes(ours, theirs) else None
            if host is not None and host not in found:
                found.append(host)
    return found


def _collapse(hosts: dict[str, _VirtualHost]) -> dict[str, _VirtualHost]:
    """Hosts with the same routes as one, named by the first: longest names first, wildcards last.

    One is put to the last like it of the same VirtualServices, as in istiod's collapseDuplicateRoutes.
    """
    found: dict[str, _VirtualHost] = {}
    known: dict[tuple[tuple[str, str], ...], str] = {}
    for host in sorted(hosts, key=lambda name: (name.startswith("*"), -len(name), name)):
        made = hosts[host]
        first = known.get(tuple(made.parts))
        if first is not None and made.is_like(found[first]):
            found[first].domains += made.domains
        else:
            known[tuple(made.parts)] = host
            found[host] = made
    return found
