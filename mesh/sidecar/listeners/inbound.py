"""The server side of a sidecar: one listener a port of the pod, its filter chains by mTLS mode, and the app's cluster.

Owns what each mode admits on HTTP, TCP and undeclared ports, and where the app is (a socket of its own, told by
`Proxy.app`). Who may call is `mesh.sidecar.security.authorization_policy`'s. Called by `mesh.sidecar.translate`.
Source: istio/istio pilot/pkg/networking/core/listener_inbound.go, filterchain_options.go, cluster_builder.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import address_pb2, base_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.filters.listener.http_inspector.v3 import http_inspector_pb2
from envoy.extensions.filters.listener.tls_inspector.v3 import tls_inspector_pb2
from envoy.extensions.filters.network.mongo_proxy.v3 import mongo_proxy_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from google.protobuf import duration_pb2, wrappers_pb2

from mesh.manifests import names
from mesh.manifests.errors import ManifestError
from mesh.manifests.kubernetes import Protocol
from mesh.sidecar.clusters.traffic_policy import protocol_options, set_connection_pool, set_protocol_options
from mesh.sidecar.destination_rules import rules_of
from mesh.sidecar.listeners import connection_manager
from mesh.sidecar.listeners.tls import mutual
from mesh.sidecar.resources import packed
from mesh.sidecar.scope import Host, Scope
from mesh.sidecar.security import authorization_policy, peer_authentication
from mesh.sidecar.telemetry import telemetry

if TYPE_CHECKING:
    from mesh.manifests.kubernetes import Service, ServicePort
    from mesh.sidecar.mesh import Mesh
    from mesh.sidecar.proxy import Place, Proxy
    from mesh.sidecar.security.peer_authentication import Mode

_ISTIO_ALPN = ("istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2")
_ISTIO_HTTP_ALPN = ("istio-http/1.0", "istio-http/1.1", "istio-h2")
_ISTIO_TCP_ALPN = ("istio-peer-exchange", "istio")
_PLAIN_HTTP_ALPN = ("http/1.1", "h2c")


@dataclass(frozen=True)
class _Port:
    """A port of the pod, and the Service's port in front of it."""

    target: int
    service: Service
    port: ServicePort

    @property
    def protocol(self) -> Protocol:
        return self.port.protocol

    @property
    def cluster(self) -> str:
        return names.inbound_cluster(self.target)


@dataclass(frozen=True)
class _Chain:
    """A filter chain: what it takes, and whether it ends mutual TLS and reads HTTP."""

    transport: str
    alpn: Sequence[str]
    mutual_tls: bool
    http: bool


def _ports(mesh: Mesh, proxy: Proxy) -> Iterator[_Port]:
    """Every port of the pod that a Service leads to; of several Services the first says what it speaks."""
    seen: set[int] = set()
    for service in mesh.services_of(proxy.workload):
        for port in service.ports:
            target = proxy.workload.target_port(port)
            if target is None:
                raise ManifestError(f"{service.where}: spec.ports: no container port of {proxy.workload.name} is "
                                    f"called {port.target!r}: correct targetPort")  # fmt: skip
            if target not in seen:
                seen.add(target)
                yield _Port(target, service, port)


def _chains(mode: Mode, protocol: Protocol) -> list[_Chain]:
    """What a port admits. Plain HTTP ports read HTTP of all that they take, undeclared ones of what says that it is."""
    if protocol is Protocol.AUTO:
        return _sniffed_chains(mode)
    http = protocol.is_http
    plain = _Chain("raw_buffer", (), mutual_tls=False, http=http)
    if mode == "DISABLE":
        return [plain]
    if mode == "STRICT":
        return [_Chain("tls", (), mutual_tls=True, http=http)]
    passed = [] if http else [_Chain("tls", (), mutual_tls=False, http=False)]
    return [_Chain("tls", _ISTIO_ALPN, mutual_tls=True, http=http), *passed, plain]


def _sniffed_chains(mode: Mode) -> list[_Chain]:
    plain = [
        _Chain("raw_buffer", _PLAIN_HTTP_ALPN, mutual_tls=False, http=True),
        _Chain("raw_buffer", (), mutual_tls=False, http=False),
    ]
    if mode == "DISABLE":
        return plain
    http = _Chain("tls", _ISTIO_HTTP_ALPN, mutual_tls=True, http=True)
    if mode == "STRICT":
        return [http, _Chain("tls", (), mutual_tls=True, http=False)]
    return [
        http,
        _Chain("tls", _ISTIO_TCP_ALPN, mutual_tls=True, http=False),
        _Chain("tls", (), mutual_tls=False, http=False),
        *plain,
    ]


def build_inbound_listeners(mesh: Mesh, proxy: Proxy) -> list[Any]:
    """One listener a port, at the pod's IP. Raises ManifestError."""
    return [_listener(mesh, proxy, port) for port in _ports(mesh, proxy)]


def _listener(mesh: Mesh, proxy: Proxy, port: _Port) -> Any:
    chains = _chains(peer_authentication.mode(mesh, proxy.workload, port.target), port.protocol)
    found = listener_pb2.Listener(
        name=f"inbound|{port.target}",
        traffic_direction=base_pb2.INBOUND,
        address=address_pb2.Address(socket_address=address_pb2.SocketAddress(address=proxy.ip, port_value=port.target)),
        filter_chains=[_filter_chain(mesh, proxy, port, each) for each in chains],
        access_log=telemetry.listener_access_log(mesh, proxy.workload, "inbound"),
    )
    if any(each.transport == "tls" for each in chains):
        _inspect(found, "tls", tls_inspector_pb2.TlsInspector(initial_read_buffer_size=_uint(512)))
    if any(each.alpn == _PLAIN_HTTP_ALPN for each in chains):
        _inspect(found, "http", http_inspector_pb2.HttpInspector())
    return found


def _inspect(listener: Any, kind: str, config: Any) -> None:
    listener.listener_filters.add(name=f"envoy.filters.listener.{kind}_inspector", typed_config=packed(config))
    listener.listener_filters_timeout.SetInParent()  # zero: a caller that says nothing is waited for
    listener.continue_on_listener_filters_timeout = True


def _uint(value: int) -> wrappers_pb2.UInt32Value:
    return wrappers_pb2.UInt32Value(value=value)


def _filter_chain(mesh: Mesh, proxy: Proxy, port: _Port, chain: _Chain) -> Any:
    found = listener_components_pb2.FilterChain(
        filter_chain_match=listener_components_pb2.FilterChainMatch(
            transport_protocol=chain.transport, application_protocols=chain.alpn
        )
    )
    if chain.http:
        prefix = f"inbound_0.0.0.0_{port.target};"
        manager = connection_manager.inbound(
            mesh,
            proxy,
            _route_config(port),
            prefix,
            service=port.service,
            protocol=port.protocol,
            mutual_tls=chain.mutual_tls,
        )
        found.filters.append(manager)
    else:
        found.filters.extend(_tcp_filters(mesh, proxy, port))
    if chain.mutual_tls:
        found.transport_socket.CopyFrom(mutual(mesh))
    return found


def _tcp_filters(mesh: Mesh, proxy: Proxy, port: _Port) -> Iterator[Any]:
    yield from authorization_policy.tcp_filters(mesh, proxy.workload)
    if port.protocol is Protocol.MONGO:
        yield _network_filter("mongo_proxy", mongo_proxy_pb2.MongoProxy(stat_prefix=port.cluster))
    log = telemetry.access_log(mesh, proxy.workload, "inbound")
    config = tcp_proxy_pb2.TcpProxy(stat_prefix=port.cluster, cluster=port.cluster, access_log=log)
    yield _network_filter("tcp_proxy", config)


def _network_filter(name: str, config: Any) -> Any:
    return listener_components_pb2.Filter(name=f"envoy.filters.network.{name}", typed_config=packed(config))


def _route_config(port: _Port) -> Any:
    """All that comes goes to the app, for as long as it takes; the caller's side has the timeouts."""
    zero = duration_pb2.Duration()
    action = route_components_pb2.RouteAction(
        cluster=port.cluster,
        timeout=zero,
        max_stream_duration=route_components_pb2.RouteAction.MaxStreamDuration(
            max_stream_duration=zero, grpc_timeout_header_max=zero
        ),
    )
    if port.protocol not in {Protocol.GRPC, Protocol.GRPC_WEB}:
        action.retry_policy.retry_on = "reset-before-request"
        action.retry_policy.num_retries.value = 2
    route = route_components_pb2.Route(
        name="default",
        match=route_components_pb2.RouteMatch(prefix="/"),
        route=action,
        decorator=route_components_pb2.Decorator(operation=f"{port.service.host}:{port.port.number}/*"),
    )
    host = route_components_pb2.VirtualHost(name=f"inbound|http|{port.port.number}", domains=["*"], routes=[route])
    return route_pb2.RouteConfiguration(
        name=port.cluster, virtual_hosts=[host], validate_clusters=wrappers_pb2.BoolValue(value=False)
    )


def build_inbound_clusters(mesh: Mesh, proxy: Proxy) -> list[Any]:
    """The cluster of each port: the app itself. Raises ManifestError for a port of which no place is known."""
    return [_cluster(mesh, proxy, port) for port in _ports(mesh, proxy)]


def _cluster(mesh: Mesh, proxy: Proxy, port: _Port) -> Any:
    place = proxy.app.get(port.target)
    if place is None:
        raise ManifestError(
            f"{port.service.where}: spec.ports: {port.target} is no port of {proxy.workload.name}: correct targetPort, "
            "or add the port to a container"
        )
    endpoint = endpoint_components_pb2.LbEndpoint(endpoint=endpoint_components_pb2.Endpoint(address=_address(place)))
    found = cluster_pb2.Cluster(
        name=port.cluster,
        alt_stat_name=f"{port.cluster};",
        type=cluster_pb2.Cluster.STATIC,
        load_assignment=endpoint_pb2.ClusterLoadAssignment(
            cluster_name=port.cluster,
            endpoints=[endpoint_components_pb2.LocalityLbEndpoints(lb_endpoints=[endpoint])],
        ),
    )
    pool = _connection_pool(mesh, proxy, port)
    options = protocol_options(port.protocol, None, sniffs=True)  # an upgrade to HTTP/2 is between sidecars
    set_connection_pool(found, options, pool)
    set_protocol_options(found, options)
    return found


def _connection_pool(mesh: Mesh, proxy: Proxy, port: _Port) -> Any:
    """The limits that a DestinationRule of the own host sets: they hold on the server's side too."""
    root = mesh.settings.root_namespace
    scope = Scope((), (), mesh.once(rules_of), registry_only=True, root_namespace=root)
    host = Host(port.service.host, port.service.namespace, port.service.ports, service=port.service)
    return scope.policy_for(host, proxy.namespace, port.port.number).connection_pool


def _address(place: Place) -> Any:
    if place.path:
        return address_pb2.Address(pipe=address_pb2.Pipe(path=place.path))
    return address_pb2.Address(socket_address=address_pb2.SocketAddress(address=place.ip, port_value=place.port))
