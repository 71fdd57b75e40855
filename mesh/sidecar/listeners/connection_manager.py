"""The HTTP connection manager of each kind of listener, and the order of its HTTP filters.

Owns the fields that differ by role (sidecar inbound, sidecar outbound, gateway) and the one place where filters get
their order. Called by `mesh.sidecar.listeners.inbound`, `.outbound` and `.gateway`.
Source: istio/istio pilot/pkg/networking/core/listener_builder.go, listener.go, gateway.go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from envoy.extensions.filters.http.cors.v3 import cors_pb2
from envoy.extensions.filters.http.fault.v3 import fault_pb2
from envoy.extensions.filters.http.grpc_stats.v3 import config_pb2 as grpc_stats_pb2
from envoy.extensions.filters.http.grpc_web.v3 import grpc_web_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.extensions.request_id.uuid.v3 import uuid_pb2
from google.protobuf import wrappers_pb2

from mesh.manifests.kubernetes import Protocol
from mesh.sidecar.listeners import envoy_filters
from mesh.sidecar.messages import make_http_filter, make_network_filter, pack
from mesh.sidecar.security import authorization_policy, request_authentication
from mesh.sidecar.sources import config_source
from mesh.sidecar.telemetry import access_logs, metrics
from mesh.sidecar.telemetry.tracing import make_tracing

if TYPE_CHECKING:
    from envoy.config.listener.v3 import listener_components_pb2
    from envoy.config.route.v3 import route_pb2

    from mesh.manifests.kubernetes import Service
    from mesh.sidecar.mesh import Mesh
    from mesh.sidecar.proxy import Proxy
    from mesh.sidecar.telemetry.scopes import Direction

_MANAGER = http_connection_manager_pb2.HttpConnectionManager
_SERVER_NAME = "istio-envoy"


def make_inbound_manager(
    mesh: Mesh,
    proxy: Proxy,
    route_config: route_pb2.RouteConfiguration,
    stat_prefix: str,
    *,
    service: Service,
    protocol: Protocol,
    mutual_tls: bool,
) -> listener_components_pb2.Filter:
    """What serves a port of the pod behind a Service. `mutual_tls`: whether its callers are known by certificate."""
    config = _make_manager(mesh, proxy, "inbound", stat_prefix, protocol)
    logs = metrics.make_http_logs(mesh, proxy.workload, "inbound", service=service, mutual_tls=mutual_tls)
    config.access_log.extend(logs)
    config.route_config.CopyFrom(route_config)
    config.server_name = _SERVER_NAME
    config.forward_client_cert_details = _MANAGER.APPEND_FORWARD
    _set_details(config)
    if protocol.is_http2:
        config.http2_protocol_options.SetInParent()
    return make_network_filter("http_connection_manager", config)


def make_outbound_manager(
    mesh: Mesh, proxy: Proxy, route_config_name: str, stat_prefix: str, protocol: Protocol = Protocol.HTTP
) -> listener_components_pb2.Filter:
    """What takes the app's own calls to a port of every host; `protocol` is that of the first one."""
    config = _make_manager(mesh, proxy, "outbound", stat_prefix, protocol)
    config.access_log.extend(metrics.make_http_logs(mesh, proxy.workload, "outbound"))
    _set_routes(config, route_config_name)
    return make_network_filter("http_connection_manager", config)


def make_gateway_manager(
    mesh: Mesh,
    proxy: Proxy,
    route_config_name: str,
    stat_prefix: str,
    protocol: Protocol | Literal["HTTP", "HTTPS", "HTTP2", "GRPC", "GRPC-WEB"],
) -> listener_components_pb2.Filter:
    """What takes calls from outside at a Gateway's server of that protocol."""
    web = Protocol.GRPC_WEB if str(getattr(protocol, "value", protocol)).upper() == "GRPC-WEB" else Protocol.HTTP
    config = _make_manager(mesh, proxy, "gateway", stat_prefix, web)
    config.access_log.extend(metrics.make_http_logs(mesh, proxy.workload, "gateway"))
    _set_routes(config, route_config_name)
    config.server_name = _SERVER_NAME
    config.use_remote_address.value = True
    config.http_protocol_options.SetInParent()
    config.forward_client_cert_details = _MANAGER.SANITIZE_SET
    _set_details(config)
    config.set_current_client_cert_details.cert = True
    envoy_filters.patch_manager(mesh, proxy, config)
    return make_network_filter("http_connection_manager", config)


def _make_manager(
    mesh: Mesh, proxy: Proxy, direction: Direction, stat_prefix: str, protocol: Protocol
) -> http_connection_manager_pb2.HttpConnectionManager:
    """What all roles have in common."""
    config = _MANAGER(
        stat_prefix=stat_prefix,
        http_filters=list_http_filters(mesh, proxy, direction, protocol),
        use_remote_address=wrappers_pb2.BoolValue(value=False),
        normalize_path=wrappers_pb2.BoolValue(value=True),
        path_with_escaped_slashes_action=_MANAGER.KEEP_UNCHANGED,
        upgrade_configs=[_MANAGER.UpgradeConfig(upgrade_type="websocket")],
        proxy_100_continue=True,
        access_log=access_logs.make_access_logs(mesh, proxy.workload, direction),
        tracing=make_tracing(mesh, proxy.workload, direction),
    )
    config.stream_idle_timeout.SetInParent()  # zero: no limit
    trace = uuid_pb2.UuidRequestIdConfig(use_request_id_for_trace_sampling=wrappers_pb2.BoolValue(value=True))
    config.request_id_extension.typed_config.CopyFrom(pack(trace))
    return config


def list_http_filters(
    mesh: Mesh, proxy: Proxy, direction: Direction, protocol: Protocol
) -> list[http_connection_manager_pb2.HttpFilter]:
    """The HTTP filters in their order: who it is, what it may, then what routes ask for; the router is last.

    An app's own calls are not held to policies: the callee's sidecar does that.
    """
    found = []
    if direction != "outbound":
        found += request_authentication.make_http_filters(mesh, proxy.workload, is_gateway=direction == "gateway")
        found += authorization_policy.make_http_filters(mesh, proxy.workload)
    if protocol is Protocol.GRPC_WEB:
        found.append(make_http_filter("grpc_web", grpc_web_pb2.GrpcWeb()))
    stats = grpc_stats_pb2.FilterConfig(emit_filter_state=True)
    stats.stats_for_all_methods.value = False
    found.append(make_http_filter("grpc_stats", stats))
    found.append(make_http_filter("fault", fault_pb2.HTTPFault()))
    found.append(make_http_filter("cors", cors_pb2.Cors()))
    found.append(make_http_filter("router", router_pb2.Router()))
    return found


def _set_routes(config: http_connection_manager_pb2.HttpConnectionManager, name: str) -> None:
    config.rds.route_config_name = name
    config.rds.config_source.CopyFrom(config_source("routes", name))


def _set_details(config: http_connection_manager_pb2.HttpConnectionManager) -> None:
    details = config.set_current_client_cert_details
    details.subject.value, details.dns, details.uri = True, True, True
