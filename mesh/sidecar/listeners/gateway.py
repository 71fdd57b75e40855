"""Gateway: listeners and route configurations of the gateway pods that its selector takes.

Owns which servers share a listener and a route configuration, which hosts of which VirtualServices meet there, and the
TLS that a server ends. Called by `mesh.sidecar.translate`. Source: istio/istio pilot/pkg/networking/core/gateway.go and
pilot/pkg/model/gateway.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from envoy.config.core.v3 import address_pb2, base_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.filters.listener.tls_inspector.v3 import tls_inspector_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, secret_pb2, tls_pb2
from google.protobuf import duration_pb2, wrappers_pb2

from mesh.manifests.document import Resource
from mesh.manifests.istio.gateway import GatewaySpec, Server, ServerTls
from mesh.manifests.istio.virtual_service import VirtualServiceSpec, gateways_of, hosts_of
from mesh.sidecar.hosts import takes
from mesh.sidecar.listeners import connection_manager
from mesh.sidecar.mesh import selects
from mesh.sidecar.resources import packed
from mesh.sidecar.routing.matches import is_catch_all
from mesh.sidecar.routing.routes import routes_of
from mesh.sidecar.routing.virtual_hosts import route_configuration
from mesh.sidecar.sources import config_source
from mesh.sidecar.telemetry import telemetry

if TYPE_CHECKING:
    from mesh.manifests.kubernetes import Workload
    from mesh.sidecar.mesh import Mesh
    from mesh.sidecar.proxy import Proxy
    from mesh.sidecar.scope import Scope


@dataclass(frozen=True)
class _Bound:
    """A server at one port of the pod."""

    server: Server
    gateway: Resource[GatewaySpec]
    target: int

    @property
    def gateway_name(self) -> str:
        return f"{self.gateway.namespace}/{self.gateway.name}"

    @property
    def route_name(self) -> str:
        """One for all plain servers of a port, one of its own for a server that ends TLS."""
        port = self.server.port
        if not self.server.is_tls:
            return f"http.{self.target}"
        return f"https.{port.number}.{port.name}.{self.gateway.name}.{self.gateway.namespace}"

    def hosts(self, namespace: str) -> list[str]:
        """The hosts that a VirtualService of that namespace may serve here, without the namespace."""
        found = []
        for each in self.server.hosts:
            said, slash, host = each.rpartition("/")
            if not slash or said == "*" or (self.gateway.namespace if said == "." else said) == namespace:
                found.append(host)
        return found


def check_gateway(mesh: Mesh, resource: Resource[GatewaySpec]) -> None:
    """Raises ManifestError for what istiod or Envoy would refuse or pass over."""
    if not any(selects(resource.spec.selector, each.labels) for each in mesh.workloads.values()):
        raise resource.refuse("selector", "no workload has these labels: correct them or add the gateway's Deployment")
    names_seen: set[str] = set()
    for number, server in enumerate(resource.spec.servers):
        path = f"servers[{number}]"
        _check_server(mesh, resource, path, server)
        if server.port.name in names_seen:
            raise resource.refuse(f"{path}.port.name", f"{server.port.name} is that of another server: name it anew")
        names_seen.add(server.port.name)
    _check_ports(mesh, resource)


def _check_server(mesh: Mesh, resource: Resource[GatewaySpec], path: str, server: Server) -> None:
    if not 1 <= server.port.number <= 65535:
        raise resource.refuse(f"{path}.port.number", f"{server.port.number} is no port: write 1 to 65535")
    if not server.port.name:
        raise resource.refuse(f"{path}.port.name", "is empty: name the port")
    for number, each in enumerate(server.hosts):
        namespace, slash, host = each.rpartition("/")
        if not host or "*" in host[1:] or (host.startswith("*") and host[1:2] not in {"", "."}) or "/" in namespace:
            raise resource.refuse(f"{path}.hosts[{number}]", f"{each} is no host: write a name, *.name, * or ns/name")
        if slash and namespace not in {".", "*", *mesh.namespaces}:
            raise resource.refuse(f"{path}.hosts[{number}]", f"no namespace {namespace}: correct it or write */{host}")
    tls = server.tls or ServerTls()
    if server.is_tls and tls.https_redirect:
        raise resource.refuse(f"{path}.tls.httpsRedirect", "this server speaks https already: remove it")
    if server.is_tls and tls.mode is None:
        raise resource.refuse(f"{path}.tls.mode", "is missing: write SIMPLE or MUTUAL, a server of HTTPS ends TLS")
    if server.is_tls and not tls.credential_name:
        raise resource.refuse(f"{path}.tls.credentialName", "is missing: name the secret with the certificate")
    if not server.is_tls and (tls.mode is not None or tls.credential_name):
        raise resource.refuse(f"{path}.tls", f"a server of {server.port.protocol} ends no TLS: write protocol HTTPS")


def _check_ports(mesh: Mesh, resource: Resource[GatewaySpec]) -> None:
    """A port of a pod is plaintext or TLS, and each host of a TLS port has one certificate; so across Gateways."""
    for workload in mesh.workloads.values():
        if not selects(resource.spec.selector, workload.labels):
            continue
        seen: dict[tuple[int, str], tuple[str, str]] = {}
        for bound in _servers(mesh, workload):
            protocol = "HTTPS" if bound.server.is_tls else "HTTP"
            where = f"{bound.gateway.where} server {bound.server.port.name}"
            other, by = seen.setdefault((bound.target, ""), (protocol, where))
            if other != protocol:
                raise resource.refuse("servers", f"port {bound.target} is {other} in {by}, {protocol} in {where}")
            for host in _sni(bound.server) if bound.server.is_tls else ():
                _, by = seen.setdefault((bound.target, host), (protocol, where))
                if by != where:
                    raise resource.refuse("servers", f"{host} at port {bound.target} is in {by} and in {where}")


def is_taken(mesh: Mesh, workload: Workload) -> bool:
    """Whether these pods are some Gateway's."""
    return any(selects(each.spec.selector, workload.labels) for each in mesh.all(GatewaySpec))


def _servers(mesh: Mesh, workload: Workload) -> Iterator[_Bound]:
    """Every server of the Gateways that select the pod, the oldest first, at the pod's port behind its own number."""
    for gateway in mesh.all(GatewaySpec):
        if selects(gateway.spec.selector, workload.labels):
            for server in gateway.spec.servers:
                for target in _targets(mesh, workload, server.port.number):
                    yield _Bound(server, gateway, target)


def _targets(mesh: Mesh, workload: Workload, number: int) -> list[int]:
    """The pod's ports behind a port of its Services; the number itself if none has it."""
    ports = [each.port(number) for each in mesh.services_of(workload)]
    found = {workload.target_port(each) for each in ports if each is not None} - {None}
    return sorted(each for each in found if each is not None) or [number]


def _grouped(mesh: Mesh, workload: Workload, key: str) -> dict[Any, list[_Bound]]:
    found: dict[Any, list[_Bound]] = {}
    for each in _servers(mesh, workload):
        found.setdefault(getattr(each, key), []).append(each)
    return found


def build_gateway_listeners(mesh: Mesh, proxy: Proxy) -> list[Any]:
    """One listener a port of the pod, named 0.0.0.0_<port>; where it listens is proxy.app's, else proxy.ip."""
    return [
        _listener(mesh, proxy, target, servers)
        for target, servers in sorted(_grouped(mesh, proxy.workload, "target").items())
    ]


def _listener(mesh: Mesh, proxy: Proxy, target: int, servers: Sequence[_Bound]) -> Any:
    name = f"0.0.0.0_{target}"
    found = listener_pb2.Listener(
        name=name,
        traffic_direction=base_pb2.OUTBOUND,
        address=_address(proxy, target),
        access_log=telemetry.listener_access_log(mesh, proxy.workload, "gateway"),
    )
    stat_prefix = f"outbound_{name};"
    if not servers[0].server.is_tls:
        protocol = servers[0].server.port.protocol
        manager = connection_manager.gateway(mesh, proxy, servers[0].route_name, stat_prefix, protocol)
        found.filter_chains.add(filters=[manager])
        return found
    inspector = tls_inspector_pb2.TlsInspector(initial_read_buffer_size=wrappers_pb2.UInt32Value(value=512))
    found.listener_filters.add(name="envoy.filters.listener.tls_inspector", typed_config=packed(inspector))
    for bound in servers:
        manager = connection_manager.gateway(
            mesh, proxy, bound.route_name, bound.server.name or stat_prefix, bound.server.port.protocol
        )
        chain = found.filter_chains.add(
            filters=[manager],
            transport_socket=_transport_socket(bound.server),
            transport_socket_connect_timeout=duration_pb2.Duration(seconds=15),
        )
        if "*" not in _sni(bound.server):
            chain.filter_chain_match.server_names.extend(_sni(bound.server))
    return found


def _address(proxy: Proxy, target: int) -> Any:
    place = proxy.app.get(target)
    if place is not None and place.path:
        return address_pb2.Address(pipe=address_pb2.Pipe(path=place.path))
    ip, port = (proxy.ip, target) if place is None else (place.ip, place.port)
    return address_pb2.Address(socket_address=address_pb2.SocketAddress(address=ip, port_value=port))


def _sni(server: Server) -> list[str]:
    return sorted({each.rpartition("/")[2] for each in server.hosts})


def _transport_socket(server: Server) -> Any:
    tls = server.tls or ServerTls()
    secret = f"kubernetes://{tls.credential_name}"
    common = tls_pb2.CommonTlsContext(
        alpn_protocols=["h2", "http/1.1"],
        tls_certificate_sds_secret_configs=[_secret(secret)],
    )
    if tls.mode == "MUTUAL":
        combined = common.combined_validation_context
        combined.default_validation_context.CopyFrom(common_pb2.CertificateValidationContext())
        combined.validation_context_sds_secret_config.CopyFrom(_secret(f"{secret}-cacert"))
    context = tls_pb2.DownstreamTlsContext(
        common_tls_context=common, require_client_certificate=wrappers_pb2.BoolValue(value=tls.mode == "MUTUAL")
    )
    return base_pb2.TransportSocket(name="envoy.transport_sockets.tls", typed_config=packed(context))


def _secret(name: str) -> Any:
    return secret_pb2.SdsSecretConfig(name=name, sds_config=config_source("secrets", name))


@dataclass
class _VirtualHost:
    """The routes of one host, by the (gateway, VirtualService) that they come from."""

    port: int
    parts: list[tuple[str, str]] = field(default_factory=list)
    routes: list[Any] = field(default_factory=list)
    require_tls: bool = False
    domains: list[str] = field(default_factory=list)

    def is_like(self, other: _VirtualHost) -> bool:
        return self.parts == other.parts and self.require_tls == other.require_tls


def build_gateway_routes(mesh: Mesh, proxy: Proxy, scope: Scope) -> list[Any]:
    """The gateway pod's route configurations. A host that nothing serves gets 404."""
    grouped = _grouped(mesh, proxy.workload, "route_name")
    return [_route_configuration(mesh, proxy, scope, name, servers) for name, servers in sorted(grouped.items())]


def _route_configuration(mesh: Mesh, proxy: Proxy, scope: Scope, name: str, servers: Sequence[_Bound]) -> Any:
    hosts = _hosts(mesh, proxy, scope, servers)
    if not hosts:
        nothing = route_components_pb2.VirtualHost(name=f"blackhole:{servers[0].server.port.number}", domains=["*"])
        return route_configuration(name, [nothing])
    return route_configuration(
        name, [_virtual_host(host, each) for host, each in sorted(_collapsed(hosts).items(), key=lambda item: item[0])]
    )


def _virtual_host(host: str, made: _VirtualHost) -> Any:
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


def _hosts(mesh: Mesh, proxy: Proxy, scope: Scope, servers: Sequence[_Bound]) -> dict[str, _VirtualHost]:
    found: dict[str, _VirtualHost] = {}
    made: dict[tuple[str, str], list[Any]] = {}
    for bound in servers:
        port = bound.server.port.number
        redirects = bound.server.tls is not None and bound.server.tls.https_redirect
        for vs in _virtual_services(mesh, proxy, bound.gateway_name):
            shared = _intersection(bound.hosts(vs.namespace), hosts_of(vs))
            key = (bound.gateway_name, vs.where)
            if shared and key not in made:
                made[key] = routes_of(
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


def _virtual_services(mesh: Mesh, proxy: Proxy, gateway_name: str) -> list[Resource[VirtualServiceSpec]]:
    """Those bound to the gateway and visible to the pod: private ones, those exported to it, then the public ones."""

    def rank(vs: Resource[VirtualServiceSpec]) -> int | None:
        exported = vs.spec.export_to
        if "*" in exported:
            return 2
        if "." in exported and vs.namespace == proxy.namespace:
            return 0
        return 1 if proxy.namespace in exported else None

    ranked = [
        (rank(each), number, each)
        for number, each in enumerate(mesh.all(VirtualServiceSpec))
        if gateway_name in gateways_of(each)
    ]
    return [each for order, _, each in sorted((x for x in ranked if x[0] is not None), key=lambda x: (x[0], x[1]))]


def _intersection(served: Sequence[str], wanted: Sequence[str]) -> list[str]:
    """Of each pair of hosts that overlap the narrower one."""
    found: list[str] = []
    for ours in served:
        for theirs in wanted:
            host = ours if takes(theirs, ours) else theirs if takes(ours, theirs) else None
            if host is not None and host not in found:
                found.append(host)
    return found


def _collapsed(hosts: dict[str, _VirtualHost]) -> dict[str, _VirtualHost]:
    """Hosts with the same routes as one, named by the first: longest names first, wildcards last.

    One is put to the last like it of the same VirtualServices, as in istiod's collapseDuplicateRoutes.
    """
    found: dict[str, _VirtualHost] = {}
    known: dict[tuple[tuple[str, str], ...], str] = {}
    for host in sorted(hosts, key=lambda each: (each.startswith("*"), -len(each), each)):
        each = hosts[host]
        first = known.get(tuple(each.parts))
        if first is not None and each.is_like(found[first]):
            found[first].domains += each.domains
        else:
            known[tuple(each.parts)] = host
            found[host] = each
    return found
