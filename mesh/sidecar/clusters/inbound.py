"""The app's side of a sidecar: one cluster for each port of the pod, which is the app itself.

Where the app is, `Proxy.app` says. Called by `mesh.sidecar.translate`.
Source: istio/istio pilot/pkg/networking/core/cluster_builder.go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2

from mesh.manifests.errors import ManifestError
from mesh.sidecar.clusters.connections import make_protocol_options, set_connection_pool, set_protocol_options
from mesh.sidecar.inbound_ports import list_inbound_ports
from mesh.sidecar.messages import to_address

if TYPE_CHECKING:
    from mesh.manifests.istio.traffic_policy import ConnectionPool
    from mesh.sidecar.inbound_ports import InboundPort
    from mesh.sidecar.mesh import Mesh
    from mesh.sidecar.proxy import Proxy
    from mesh.sidecar.scope import Scope


def build_inbound_clusters(mesh: Mesh, proxy: Proxy, scope: Scope) -> list[cluster_pb2.Cluster]:
    """The cluster of each port: the app itself. Raises ManifestError for a port of which no endpoint is known."""
    return [_build_cluster(proxy, scope, port) for port in list_inbound_ports(mesh, proxy)]


def _build_cluster(proxy: Proxy, scope: Scope, port: InboundPort) -> cluster_pb2.Cluster:
    app = proxy.app.get(port.target)
    if app is None:
        raise ManifestError(
            f"{port.service.where}: spec.ports: {port.target} is no port of {proxy.workload.name}: correct targetPort, "
            "or add the port to a container"
        )
    endpoint = endpoint_components_pb2.LbEndpoint(endpoint=endpoint_components_pb2.Endpoint(address=to_address(app)))
    found = cluster_pb2.Cluster(
        name=port.cluster,
        alt_stat_name=f"{port.cluster};",
        type=cluster_pb2.Cluster.STATIC,
        load_assignment=endpoint_pb2.ClusterLoadAssignment(
            cluster_name=port.cluster,
            endpoints=[endpoint_components_pb2.LocalityLbEndpoints(lb_endpoints=[endpoint])],
        ),
    )
    pool = _connection_pool(proxy, scope, port)
    options = make_protocol_options(port.protocol, None, sniffs=True)  # an upgrade to HTTP/2 is between sidecars
    set_connection_pool(found, options, pool)
    set_protocol_options(found, options)
    return found


def _connection_pool(proxy: Proxy, scope: Scope, port: InboundPort) -> ConnectionPool | None:
    """The limits that a DestinationRule of the own host sets: they hold on the server's side too, if it is imported."""
    host = scope.host(port.service.host)
    return None if host is None else scope.policy_for(host, proxy.namespace, port.port.number).connection_pool
