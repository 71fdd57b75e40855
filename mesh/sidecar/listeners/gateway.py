"""A gateway's listeners: one a port of the pod, a filter chain a server that ends TLS.

Owns the TLS that a server ends. TCP servers, TLS passed through or between gateways, and QUIC are refused by the model.
Which servers share a listener is said in `mesh.sidecar.gateways`. Called by `mesh.sidecar.translate`.
Source: istio/istio pilot/pkg/networking/core/gateway.go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from envoy.config.core.v3 import base_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.extensions.filters.listener.tls_inspector.v3 import tls_inspector_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, tls_pb2
from google.protobuf import duration_pb2, wrappers_pb2

from mesh.manifests.istio.gateway import ServerTls
from mesh.sidecar.gateways import group_servers
from mesh.sidecar.listeners import connection_manager
from mesh.sidecar.messages import make_transport_socket, pack, refer_to_secret, to_address, to_uint32
from mesh.sidecar.proxy import Endpoint
from mesh.sidecar.telemetry import access_logs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mesh.manifests.istio.gateway import Server
    from mesh.sidecar.gateways import BoundServer
    from mesh.sidecar.mesh import Mesh
    from mesh.sidecar.proxy import Proxy


def build_gateway_listeners(mesh: Mesh, proxy: Proxy) -> list[listener_pb2.Listener]:
    """One listener a port of the pod, named 0.0.0.0_<port>; where it listens is proxy.app's, else proxy.ip."""
    by_target = group_servers(mesh, proxy.workload, lambda bound: bound.target)
    return [_build_listener(mesh, proxy, target, servers) for target, servers in sorted(by_target.items())]


def _build_listener(mesh: Mesh, proxy: Proxy, target: int, servers: Sequence[BoundServer]) -> listener_pb2.Listener:
    name = f"0.0.0.0_{target}"
    found = listener_pb2.Listener(
        name=name,
        traffic_direction=base_pb2.OUTBOUND,
        address=to_address(proxy.app.get(target) or Endpoint(proxy.ip, target)),
        access_log=access_logs.make_listener_access_logs(mesh, proxy.workload, "gateway"),
    )
    stat_prefix = f"outbound_{name};"
    if not servers[0].server.is_tls:
        protocol = servers[0].server.port.protocol
        manager = connection_manager.make_gateway_manager(mesh, proxy, servers[0].route_name, stat_prefix, protocol)
        found.filter_chains.add(filters=[manager])
        return found
    inspector = tls_inspector_pb2.TlsInspector(initial_read_buffer_size=to_uint32(512))
    found.listener_filters.add(name="envoy.filters.listener.tls_inspector", typed_config=pack(inspector))
    for bound in servers:
        manager = connection_manager.make_gateway_manager(
            mesh, proxy, bound.route_name, bound.server.name or stat_prefix, bound.server.port.protocol
        )
        chain = found.filter_chains.add(
            filters=[manager],
            transport_socket=_make_socket(bound.server),
            transport_socket_connect_timeout=duration_pb2.Duration(seconds=15),
        )
        if "*" not in bound.server_names:
            chain.filter_chain_match.server_names.extend(bound.server_names)
    return found


def _make_socket(server: Server) -> base_pb2.TransportSocket:
    tls = server.tls or ServerTls()
    secret = f"kubernetes://{tls.credential_name}"
    common = tls_pb2.CommonTlsContext(
        alpn_protocols=["h2", "http/1.1"],
        tls_certificate_sds_secret_configs=[refer_to_secret(secret)],
    )
    if tls.mode == "MUTUAL":
        combined = common.combined_validation_context
        combined.default_validation_context.CopyFrom(common_pb2.CertificateValidationContext())
        combined.validation_context_sds_secret_config.CopyFrom(refer_to_secret(f"{secret}-cacert"))
    context = tls_pb2.DownstreamTlsContext(
        common_tls_context=common, require_client_certificate=wrappers_pb2.BoolValue(value=tls.mode == "MUTUAL")
    )
    return make_transport_socket("tls", context)
