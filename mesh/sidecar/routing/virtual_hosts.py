"""A sidecar's outbound routes: one RouteConfiguration a service port, one virtual host a host of the mesh.

Owns which VirtualService a host obeys (the oldest that names it, else the most specific wildcard), the domains of
virtual hosts, and the refusal of unknown hosts. Called by `mesh.sidecar.translate`.
Source: istio/istio pilot/pkg/networking/core/httproute.go and route/route.go, BuildSidecarVirtualHostWrapper.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import TYPE_CHECKING, TypeAlias

from envoy.config.route.v3 import route_components_pb2, route_pb2
from google.protobuf import wrappers_pb2

from mesh.manifests import names
from mesh.manifests.istio.virtual_service import hosts_of
from mesh.manifests.kubernetes import Protocol
from mesh.sidecar.hosts import takes
from mesh.sidecar.messages import to_uint32
from mesh.sidecar.routing.actions import make_default_route, make_hash_policy
from mesh.sidecar.routing.routes import consistent_hash, make_routes

if TYPE_CHECKING:
    from mesh.manifests.document import Resource
    from mesh.manifests.istio.virtual_service import VirtualServiceSpec
    from mesh.manifests.kubernetes import ServicePort
    from mesh.sidecar.mesh import Mesh
    from mesh.sidecar.proxy import Addresses, Proxy
    from mesh.sidecar.scope import Host, Scope

MESH = frozenset({"mesh"})


def build_sidecar_routes(
    mesh: Mesh, proxy: Proxy, scope: Scope, addresses: Addresses
) -> list[route_pb2.RouteConfiguration]:
    """The route configurations of the ports in proxy.outbound: named by the port, or <host>:<port> of a sniffed one.

    A sniffed port of a host without an address of its own is found by the names that requests say, as any other.
    """
    found = []
    for port in sorted(proxy.outbound):
        hosts = [host for host in scope.hosts if _http_port(host, port) is not None]
        entries = _list_entries(mesh, proxy, scope, port, hosts)
        virtual_hosts = list(_make_virtual_hosts(proxy, addresses, port, {host.name for host in hosts}, entries))
        sniffed = [host for host in hosts if _is_sniffed(host, port) and host.name in addresses.vips]
        if len(sniffed) < len(hosts):
            found.append(make_route_configuration(str(port), [*virtual_hosts, *_refuse_unknown_hosts(scope)]))
        found += [_make_sniffed(host.name, port, virtual_hosts) for host in sniffed]
    return found


def make_route_configuration(
    name: str, virtual_hosts: Sequence[route_components_pb2.VirtualHost]
) -> route_pb2.RouteConfiguration:
    """A RouteConfiguration with what all of istiod's have in common."""
    return route_pb2.RouteConfiguration(
        name=name,
        virtual_hosts=virtual_hosts,
        validate_clusters=wrappers_pb2.BoolValue(value=False),
        max_direct_response_body_size_bytes=to_uint32(1024 * 1024),
        ignore_port_in_host_matching=True,
    )


def _http_port(host: Host, number: int) -> ServicePort | None:
    """The port if it is routed as HTTP: one that is declared so, or whose protocol shows on the wire."""
    for candidate in host.ports:
        if candidate.number == number and (candidate.protocol.is_http or candidate.protocol is Protocol.AUTO):
            return candidate
    return None


def _is_sniffed(host: Host, number: int) -> bool:
    """Whether the port's protocol is not declared: at an address of its own the host is then known by that."""
    port = _http_port(host, number)
    return port is not None and port.protocol is Protocol.AUTO


def _refuse_unknown_hosts(scope: Scope) -> list[route_components_pb2.VirtualHost]:
    """502 for a host that is not known. What would be passed on has nowhere to go here, so it finds no route: 404."""
    if not scope.registry_only:
        return []
    refusal = route_components_pb2.Route(
        name="block_all",
        match=route_components_pb2.RouteMatch(prefix="/"),
        direct_response=route_components_pb2.DirectResponseAction(status=502),
    )
    return [_make_virtual_host("block_all", ["*"], [refusal])]


def _make_sniffed(
    host: str, port: int, virtual_hosts: Sequence[route_components_pb2.VirtualHost]
) -> route_pb2.RouteConfiguration:
    """The configuration behind a host's own address and port, where any name means that host."""
    name = f"{host}:{port}"
    own = [virtual_host for virtual_host in virtual_hosts if host in virtual_host.domains]
    catching = [_make_virtual_host(virtual_host.name, ["*"], virtual_host.routes) for virtual_host in own]
    return make_route_configuration(name, catching)


def _make_virtual_host(
    name: str, domains: Sequence[str], routes: Iterable[route_components_pb2.Route]
) -> route_components_pb2.VirtualHost:
    return route_components_pb2.VirtualHost(
        name=name, domains=domains, routes=routes, include_request_attempt_count=True
    )


_Entry: TypeAlias = "tuple[str, Host | None, Sequence[route_components_pb2.Route]]"
"""A virtual host before its domains: its name, the host of the mesh that it is, its routes."""


def _make_virtual_hosts(
    proxy: Proxy, addresses: Addresses, port: int, own_names: Set[str], entries: Iterable[_Entry]
) -> Iterator[route_components_pb2.VirtualHost]:
    """A name or domain that is taken stays taken; a short form gives way to the host of that name."""
    seen: set[str] = set()
    domains_seen: set[str] = set()
    for name, host, routes in entries:
        if name in seen:
            continue
        seen.add(name)
        domains = [name] if host is None else _domains(host, proxy, addresses)
        short = set(domains) & own_names - {name}
        free = [domain for domain in domains if domain.lower() not in domains_seen and domain not in short]
        domains_seen |= {domain.lower() for domain in free}
        if free:
            yield _make_virtual_host(f"{name}:{port}", free, routes)


def _list_entries(mesh: Mesh, proxy: Proxy, scope: Scope, port: int, hosts: Sequence[Host]) -> Iterator[_Entry]:
    """Hosts of VirtualServices, the oldest first, then the others."""
    by_name = {host.name: host for host in hosts}
    wildcards = _assign_wildcards(scope, by_name)
    spoken_of: set[str] = set()
    for vs in scope.virtual_services:
        known, unknown = _split_hosts(vs, by_name, wildcards)
        # Only at port 80 does istiod serve a VirtualService none of whose hosts it knows.
        routes = (
            make_routes(scope, vs, port=port, proxy=proxy, gateway_names=MESH)
            if known or (unknown and port == 80)
            else []
        )
        if not routes:
            continue
        for name in unknown:
            yield name, None, routes
        for host in known:
            spoken_of.add(host.name)
            yield host.name, host, routes
    for host in hosts:
        if host.name not in spoken_of:
            yield host.name, host, [_make_default(scope, proxy, host, port)]


def _split_hosts(
    vs: Resource[VirtualServiceSpec], by_name: Mapping[str, Host], wildcards: Mapping[str, str]
) -> tuple[list[Host], list[str]]:
    """The hosts with this port that it decides over, and the names it has that are none of them."""
    known, unknown = [], []
    for name in hosts_of(vs):
        if name in by_name:
            known.append(by_name[name])
        elif not name.startswith("*"):
            unknown.append(name)
        else:
            matching = [host for host in by_name.values() if takes(name, host.name)]
            known += [host for host in matching if wildcards.get(host.name) == vs.where]
            unknown += [] if matching else [name]
    return known, unknown


def _assign_wildcards(scope: Scope, by_name: Mapping[str, Host]) -> dict[str, str]:
    """By host, `where` of the VirtualService whose wildcard decides over it: none if one names the host itself."""
    exact = {name for vs in scope.virtual_services for name in hosts_of(vs) if not name.startswith("*")}
    patterns = [(name, vs.where) for vs in scope.virtual_services for name in hosts_of(vs) if name.startswith("*")]
    patterns.sort(key=lambda entry: -len(entry[0]))
    found: dict[str, str] = {}
    for host in by_name if patterns else ():
        if host not in exact:
            where = next((where for pattern, where in patterns if takes(pattern, host)), None)
            if where is not None:
                found[host] = where
    return found


def _domains(host: Host, proxy: Proxy, addresses: Addresses) -> list[str]:
    vip = addresses.vips.get(host.name)
    headless = host.service is not None and host.service.headless
    found = names.virtual_host_domains(host.name, proxy.namespace)
    if headless:
        found += [f"*.{domain}" for domain in found]
    return found if vip is None else [*found, vip]


def _make_default(scope: Scope, proxy: Proxy, host: Host, port: int) -> route_components_pb2.Route:
    rule = scope.rule_for(host, proxy.namespace)
    found = None if rule is None else consistent_hash(rule.spec.traffic_policy, port)
    cluster = names.outbound_cluster(port, "", host.name)
    return make_default_route(cluster, f"{host.name}:{port}/*", None if found is None else make_hash_policy(found))
