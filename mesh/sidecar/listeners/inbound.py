"""The server side of a sidecar: one listener a port of the pod, its filter chains by mTLS mode.

Owns what each mode admits on HTTP, TCP and undeclared ports. The app's cluster is in `mesh.sidecar.clusters.inbound`;
who may call is `mesh.sidecar.security.authorization_policy`'s. Called by `mesh.sidecar.translate`.
Source: istio/istio pilot/pkg/networking/core/listener_inbound.go, filterchain_options.go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from envoy.config.core.v3 import base_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.filters.listener.http_inspector.v3 import http_inspector_pb2
from envoy.extensions.filters.listener.tls_inspector.v3 import tls_inspector_pb2
from envoy.extensions.filters.network.mongo_proxy.v3 import mongo_proxy_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from google.protobuf import duration_pb2, wrappers_pb2

from mesh.manifests.kubernetes import Protocol
from mesh.sidecar.inbound_ports import list_inbound_ports
from mesh.sidecar.listeners import connection_manager
from mesh.sidecar.listeners.tls import make_server_socket
from mesh.sidecar.messages import add_inspector, make_network_filter, to_address, to_uint32
from mesh.sidecar.proxy import Endpoint
from mesh.sidecar.security import authorization_policy, peer_authentication
from mesh.sidecar.telemetry import access_logs

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mesh.sidecar.inbound_ports import InboundPort
    from mesh.sidecar.mesh import Mesh
    from mesh.sidecar.proxy import Proxy
    from mesh.sidecar.security.peer_authentication import Mode

_ISTIO_ALPN = ("istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2")
_ISTIO_HTTP_ALPN = ("istio-http/1.0", "istio-http/1.1", "istio-h2")
_ISTIO_TCP_ALPN = ("istio-peer-exchange", "istio")
_PLAIN_HTTP_ALPN = ("http/1.1", "h2c")


@dataclass(frozen=True)
class _Chain:
    """A filter chain: what it takes, and whether it ends mutual TLS and reads HTTP."""

    transport: str
    alpn: Sequence[str]
    mutual_tls: bool
    http: bool


def _plan_chains(mode: Mode, protocol: Protocol) -> list[_Chain]:
    """What a port admits. Plain HTTP ports read HTTP of all that they take, undeclared ones of what says that it is."""
    if protocol is Protocol.AUTO:
        return _plan_sniffed_chains(mode)
    http = protocol.is_http
    plain = _Chain("raw_buffer", (), mutual_tls=False, http=http)
    if mode == "DISABLE":
        return [plain]
    if mode == "STRICT":
        return [_Chain("tls", (), mutual_tls=True, http=http)]
    passed = [] if http else [_Chain("tls", (), mutual_tls=False, http=False)]
    return [_Chain("tls", _ISTIO_ALPN, mutual_tls=True, http=http), *passed, plain]


def _plan_sniffed_chains(mode: Mode) -> list[_Chain]:
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


def build_inbound_listeners(mesh: Mesh, proxy: Proxy) -> list[listener_pb2.Listener]:
    """One listener a port, at the pod's IP. Raises ManifestError."""
    return [_build_listener(mesh, proxy, port) for port in list_inbound_ports(mesh, proxy)]


def _build_listener(mesh: Mesh, proxy: Proxy, port: InboundPort) -> listener_pb2.Listener:
    chains = _plan_chains(peer_authentication.resolve_mode(mesh, proxy.workload, port.target), port.protocol)
    found = listener_pb2.Listener(
        name=f"inbound|{port.target}",
        traffic_direction=base_pb2.INBOUND,
        address=to_address(Endpoint(proxy.ip, port.target)),
        filter_chains=[_build_chain(mesh, proxy, port, chain) for chain in chains],
        access_log=access_logs.make_listener_access_logs(mesh, proxy.workload, "inbound"),
    )
    if any(chain.transport == "tls" for chain in chains):
        add_inspector(found, "tls", tls_inspector_pb2.TlsInspector(initial_read_buffer_size=to_uint32(512)))
    if any(chain.alpn == _PLAIN_HTTP_ALPN for chain in chains):
        add_inspector(found, "http", http_inspector_pb2.HttpInspector())
    return found


def _build_chain(mesh: Mesh, proxy: Proxy, port: InboundPort, chain: _Chain) -> listener_components_pb2.FilterChain:
    found = listener_components_pb2.FilterChain(
        filter_chain_match=listener_components_pb2.FilterChainMatch(
            transport_protocol=chain.transport, application_protocols=chain.alpn
        )
    )
    if chain.http:
        prefix = f"inbound_0.0.0.0_{port.target};"
        manager = connection_manager.make_inbound_manager(
            mesh,
            proxy,
            _make_routes(port),
            prefix,
            service=port.service,
            protocol=port.protocol,
            mutual_tls=chain.mutual_tls,
        )
        found.filters.append(manager)
    else:
        found.filters.extend(_make_tcp_filters(mesh, proxy, port))
    if chain.mutual_tls:
        found.transport_socket.CopyFrom(make_server_socket(mesh))
    return found


def _make_tcp_filters(mesh: Mesh, proxy: Proxy, port: InboundPort) -> Iterator[listener_components_pb2.Filter]:
    yield from authorization_policy.make_tcp_filters(mesh, proxy.workload)
    if port.protocol is Protocol.MONGO:
        yield make_network_filter("mongo_proxy", mongo_proxy_pb2.MongoProxy(stat_prefix=port.cluster))
    log = access_logs.make_access_logs(mesh, proxy.workload, "inbound")
    config = tcp_proxy_pb2.TcpProxy(stat_prefix=port.cluster, cluster=port.cluster, access_log=log)
    yield make_network_filter("tcp_proxy", config)


def _make_routes(port: InboundPort) -> route_pb2.RouteConfiguration:
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
