"""What a proxy calls others with: one cluster a port and subset of each host it sees.

Owns how the parts of a cluster come together, and the identities it demands. What a DestinationRule changes is in
`connections`, `outliers`, `balancing` and `tls`; where a cluster leads, in `endpoints`. Called by
`mesh.sidecar.translate`. Source: istio/istio pilot/pkg/networking/core/cluster.go, cluster_builder.go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from envoy.config.cluster.v3 import cluster_pb2

from mesh.manifests import names
from mesh.manifests.kubernetes import Workload
from mesh.sidecar.clusters.balancing import set_load_balancer
from mesh.sidecar.clusters.connections import make_protocol_options, set_connection_pool, set_protocol_options
from mesh.sidecar.clusters.endpoints import build_load_assignment, make_cluster_metadata
from mesh.sidecar.clusters.outliers import set_outlier_detection
from mesh.sidecar.clusters.service_entries import set_dns
from mesh.sidecar.clusters.targets import list_targets
from mesh.sidecar.clusters.tls import make_mesh_socket, make_own_socket, match_endpoints, set_automatic_names
from mesh.sidecar.security import peer_authentication
from mesh.sidecar.sources import config_source

if TYPE_CHECKING:
    from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2

    from mesh.manifests.istio.traffic_policy import TrafficPolicy
    from mesh.sidecar.clusters.targets import Target
    from mesh.sidecar.hosts import Host
    from mesh.sidecar.mesh import Mesh
    from mesh.sidecar.proxy import Addresses, Proxy
    from mesh.sidecar.scope import Scope


def build_outbound_clusters(mesh: Mesh, proxy: Proxy, scope: Scope, addresses: Addresses) -> list[cluster_pb2.Cluster]:
    """One cluster a port and subset of each host in the scope; those of DNS hosts hold their endpoints."""
    found = []
    for target in list_targets(scope, proxy):
        cluster = _build_cluster(mesh, proxy, target)
        if target.by_dns:
            load = build_load_assignment(mesh, target, addresses)
            if not load.endpoints:
                continue
            cluster.load_assignment.CopyFrom(load)
        found.append(cluster)
    return found


def _build_cluster(mesh: Mesh, proxy: Proxy, target: Target) -> cluster_pb2.Cluster:
    policy = target.policy
    cluster = cluster_pb2.Cluster(name=target.name, alt_stat_name=f"{target.name};")
    if target.host.entry is not None and target.by_dns:
        set_dns(cluster, target.host.entry.spec)
    else:
        cluster.type = cluster_pb2.Cluster.EDS
        cluster.eds_cluster_config.service_name = target.name
        cluster.eds_cluster_config.eds_config.CopyFrom(config_source("endpoints", target.name))
    options = make_protocol_options(target.port.protocol, policy.connection_pool, sniffs=not proxy.is_gateway)
    set_connection_pool(cluster, options, policy.connection_pool)
    set_outlier_detection(cluster, policy.outlier_detection)
    set_load_balancer(cluster, policy.load_balancer)
    _set_tls(mesh, cluster, options, target, policy)
    set_protocol_options(cluster, options)
    cluster.metadata.CopyFrom(make_cluster_metadata(target))
    return cluster


def _set_tls(
    mesh: Mesh,
    cluster: cluster_pb2.Cluster,
    options: http_protocol_options_pb2.HttpProtocolOptions,
    target: Target,
    policy: TrafficPolicy,
) -> None:
    http2 = options.explicit_http_config.HasField("http2_protocol_options")
    sans = _list_identities(mesh, target.host)
    alpn = ["istio", "h2"] if http2 else ["istio"]
    own_name = names.sni(target.port.number, target.subset_name, target.host.name)
    tls = policy.tls
    if tls is None:
        if not target.is_external and _namespace_mode(mesh, target.host.namespace) != "DISABLE":
            socket = make_mesh_socket(mesh, own_name, alpn, sans)
            cluster.transport_socket_matches.extend(match_endpoints(socket))
    elif tls.mode == "ISTIO_MUTUAL":
        socket = make_mesh_socket(mesh, tls.sni or own_name, alpn, tls.subject_alt_names or sans)
        cluster.transport_socket.CopyFrom(socket)
    elif tls.mode != "DISABLE":
        set_automatic_names(options, tls)
        demanded = tls.subject_alt_names or (() if target.host.entry is None else tuple(sans))
        cluster.transport_socket.CopyFrom(make_own_socket(mesh, tls, demanded, http2=http2))


def _namespace_mode(mesh: Mesh, namespace: str) -> str:
    """The mode of a namespace's workloads that no policy selects."""
    return peer_authentication.resolve_mode(mesh, Workload("", namespace, {}, {}, "", {}, 0, ""), 0)


def _list_identities(mesh: Mesh, host: Host) -> list[str]:
    """The identities of those behind a host, whether they run or not."""
    trust_domain = mesh.settings.trust_domain
    if host.service is not None:
        workloads = mesh.workloads_of(host.service)
        accounts = {(workload.namespace, workload.service_account) for workload in workloads}
        return sorted(names.spiffe_id(namespace, account, trust_domain) for namespace, account in accounts)
    if host.entry is None:
        return []
    named = {endpoint.service_account for endpoint in host.entry.spec.endpoints if endpoint.service_account}
    own = {names.spiffe_id(host.namespace, account, trust_domain) for account in named}
    return sorted(own | set(host.entry.spec.subject_alt_names))
