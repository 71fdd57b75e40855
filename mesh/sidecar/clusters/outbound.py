"""What a proxy calls others with: one cluster a port and subset of each host it sees, and their endpoints.

Owns how the parts of a cluster come together, the identities it demands, and how endpoints are marked. Listeners are in
`mesh.sidecar.listeners.outbound`; what a DestinationRule changes is in `traffic_policy`. Called by
`mesh.sidecar.translate`.
Source: istio/istio pilot/pkg/networking/core/cluster.go, cluster_builder.go; pilot/pkg/xds/endpoints.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import address_pb2, base_pb2, health_check_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2
from google.protobuf import struct_pb2, wrappers_pb2

from mesh.manifests import names
from mesh.manifests.istio.destination_rule import Subset
from mesh.manifests.istio.service_entry import ServiceEntrySpec
from mesh.manifests.istio.traffic_policy import TrafficPolicy
from mesh.manifests.kubernetes import Workload
from mesh.sidecar.clusters.service_entries import port_of, set_dns
from mesh.sidecar.clusters.tls import by_endpoint, mutual, originated, set_automatic_names
from mesh.sidecar.clusters.traffic_policy import (
    protocol_options,
    set_connection_pool,
    set_load_balancer,
    set_outlier_detection,
    set_protocol_options,
)
from mesh.sidecar.destination_rules import endpoint_tls_mode, policy_of
from mesh.sidecar.security import peer_authentication
from mesh.sidecar.sources import config_source
from mesh.sidecar.workload_names import canonical

if TYPE_CHECKING:
    from mesh.manifests.document import Resource
    from mesh.manifests.istio.destination_rule import DestinationRuleSpec
    from mesh.manifests.istio.service_entry import Endpoint
    from mesh.manifests.kubernetes import Service, ServicePort
    from mesh.sidecar.hosts import Host
    from mesh.sidecar.mesh import Mesh
    from mesh.sidecar.proxy import Addresses, Proxy
    from mesh.sidecar.scope import Scope


def ports(mesh: Mesh) -> set[int]:
    """Every port that some host of the mesh is called at."""
    found = {port.number for service in mesh.services.values() for port in service.ports}
    return found | {port.number for entry in mesh.all(ServiceEntrySpec) for port in entry.spec.ports}


@dataclass(frozen=True)
class _Target:
    """What one cluster stands for: a port of a host, and of it a subset or all."""

    host: Host
    port: ServicePort
    subset: Subset | None
    rule: Resource[DestinationRuleSpec] | None

    @property
    def subset_name(self) -> str:
        return "" if self.subset is None else self.subset.name

    @property
    def name(self) -> str:
        return names.outbound_cluster(self.port.number, self.subset_name, self.host.name)

    @property
    def policy(self) -> TrafficPolicy:
        return TrafficPolicy() if self.rule is None else policy_of(self.rule.spec, self.port.number, self.subset_name)

    @property
    def labels(self) -> Mapping[str, str]:
        return {} if self.subset is None else self.subset.labels

    @property
    def by_dns(self) -> bool:
        return self.host.entry is not None and self.host.entry.spec.by_dns

    @property
    def is_external(self) -> bool:
        return self.host.entry is not None and self.host.entry.spec.location == "MESH_EXTERNAL"


def _targets(scope: Scope, proxy: Proxy) -> Iterator[_Target]:
    for host in scope.hosts:
        rule = scope.rule_for(host, proxy.namespace)
        for port in host.ports:
            for subset in (None, *(() if rule is None else rule.spec.subsets)):
                yield _Target(host, port, subset, rule)


def build_outbound_clusters(mesh: Mesh, proxy: Proxy, scope: Scope, addresses: Addresses) -> list[Any]:
    """One cluster a port and subset of each host in the scope; those of DNS hosts hold their endpoints."""
    found = []
    for target in _targets(scope, proxy):
        cluster = _cluster(mesh, proxy, target)
        if target.by_dns:
            load = _load_assignment(mesh, target, addresses)
            if not load.endpoints:
                continue
            cluster.load_assignment.CopyFrom(load)
        found.append(cluster)
    return found


def build_endpoints(mesh: Mesh, proxy: Proxy, scope: Scope, addresses: Addresses) -> list[Any]:
    """The endpoints of each cluster that is not resolved by DNS."""
    return [_load_assignment(mesh, each, addresses) for each in _targets(scope, proxy) if not each.by_dns]


def _cluster(mesh: Mesh, proxy: Proxy, target: _Target) -> Any:
    policy = target.policy
    cluster = cluster_pb2.Cluster(name=target.name, alt_stat_name=f"{target.name};")
    if target.host.entry is not None and target.by_dns:
        set_dns(cluster, target.host.entry.spec)
    else:
        cluster.type = cluster_pb2.Cluster.EDS
        cluster.eds_cluster_config.service_name = target.name
        cluster.eds_cluster_config.eds_config.CopyFrom(config_source("endpoints", target.name))
    options = protocol_options(target.port.protocol, policy.connection_pool, sniffs=not proxy.is_gateway)
    set_connection_pool(cluster, options, policy.connection_pool)
    set_outlier_detection(cluster, policy.outlier_detection)
    set_load_balancer(cluster, policy.load_balancer)
    _set_tls(mesh, cluster, options, target, policy)
    set_protocol_options(cluster, options)
    cluster.metadata.CopyFrom(_cluster_metadata(target))
    return cluster


def _set_tls(mesh: Mesh, cluster: Any, options: Any, target: _Target, policy: TrafficPolicy) -> None:
    http2 = options.explicit_http_config.HasField("http2_protocol_options")
    sans = _identities(mesh, target.host)
    alpn = ["istio", "h2"] if http2 else ["istio"]
    own_name = names.sni(target.port.number, target.subset_name, target.host.name)
    tls = policy.tls
    if tls is None:
        if not target.is_external and _namespace_mode(mesh, target.host.namespace) != "DISABLE":
            cluster.transport_socket_matches.extend(by_endpoint(mutual(mesh, own_name, alpn, sans)))
    elif tls.mode == "ISTIO_MUTUAL":
        socket = mutual(mesh, tls.sni or own_name, alpn, tls.subject_alt_names or sans)
        cluster.transport_socket.CopyFrom(socket)
    elif tls.mode != "DISABLE":
        set_automatic_names(options, tls)
        named = tls.subject_alt_names or (() if target.host.entry is None else tuple(sans))
        cluster.transport_socket.CopyFrom(originated(tls, named, http2=http2))


def _namespace_mode(mesh: Mesh, namespace: str) -> str:
    """The mode of a namespace's workloads that no policy selects."""
    return peer_authentication.mode(mesh, Workload("", namespace, {}, {}, "", {}, 0, ""), 0)


def _identities(mesh: Mesh, host: Host) -> list[str]:
    """The identities of those behind a host, whether they run or not."""
    trust_domain = mesh.settings.trust_domain
    if host.service is not None:
        workloads = mesh.workloads_of(host.service)
        return sorted({names.spiffe_id(each.namespace, each.service_account, trust_domain) for each in workloads})
    if host.entry is None:
        return []
    accounts = {each.service_account for each in host.entry.spec.endpoints if each.service_account}
    own = {names.spiffe_id(host.namespace, each, trust_domain) for each in accounts}
    return sorted(own | set(host.entry.spec.subject_alt_names))


def _load_assignment(mesh: Mesh, target: _Target, addresses: Addresses) -> Any:
    found = endpoint_pb2.ClusterLoadAssignment(cluster_name=target.name)
    made: list[Any] = []
    if target.host.service is not None:
        made += _pods(mesh, target, target.host.service, addresses)
    elif target.host.entry is not None:
        made += _entry_endpoints(target, target.host.entry)
    if made:
        locality = found.endpoints.add()
        locality.locality.SetInParent()
        locality.lb_endpoints.extend(made)
        locality.load_balancing_weight.value = sum(each.load_balancing_weight.value for each in made)
    return found


def _pods(mesh: Mesh, target: _Target, service: Service, addresses: Addresses) -> Iterator[Any]:
    for workload in mesh.workloads_of(service):
        number = workload.target_port(target.port)
        if number is None or not target.labels.items() <= workload.labels.items():
            continue
        mutual_tls = _is_marked(target, speaks_tls=workload.has_sidecar and _meets_tls(mesh, workload, number))
        for ip in addresses.pods.get(workload.key, ()):
            each = _endpoint(ip, number, 1, _workload_metadata(workload), mutual_tls=mutual_tls)
            each.health_status = health_check_pb2.HEALTHY
            yield each


def _meets_tls(mesh: Mesh, workload: Workload, number: int) -> bool:
    return peer_authentication.mode(mesh, workload, number) != "DISABLE"


def _is_marked(target: _Target, *, speaks_tls: bool) -> bool:
    """Whether an endpoint is marked to speak mTLS: as the rule says, else by what it can do."""
    said = None if target.rule is None else endpoint_tls_mode(target.rule.spec, target.port.number, target.subset_name)
    return speaks_tls if said is None else said == "ISTIO_MUTUAL"


def _entry_endpoints(target: _Target, entry: Resource[ServiceEntrySpec]) -> Iterator[Any]:
    for number, each in enumerate(entry.spec.endpoints_of(target.host.name)):
        if target.labels.items() <= each.labels.items():
            name = f"{entry.name}-{number}" if entry.spec.endpoints else entry.name
            metadata = _entry_metadata(each, name, entry.namespace)
            mutual_tls = _is_marked(target, speaks_tls=each.has_sidecar)
            yield _endpoint(each.address, port_of(each, target.port), each.weight or 1, metadata, mutual_tls=mutual_tls)


def _endpoint(address: str, port: int, weight: int, metadata: Mapping[str, str], *, mutual_tls: bool) -> Any:
    found = endpoint_components_pb2.LbEndpoint(
        endpoint=endpoint_components_pb2.Endpoint(
            address=address_pb2.Address(socket_address=address_pb2.SocketAddress(address=address, port_value=port))
        ),
        load_balancing_weight=wrappers_pb2.UInt32Value(value=weight),
        metadata=_filter_metadata({"istio": metadata}),
    )
    if mutual_tls:
        found.metadata.MergeFrom(_filter_metadata({"envoy.transport_socket_match": {"tlsMode": "istio"}}))
    return found


def _filter_metadata(values: Mapping[str, Mapping[str, Any]]) -> Any:
    found = base_pb2.Metadata()
    for namespace, fields in values.items():
        made = struct_pb2.Struct()
        made.update(fields)
        found.filter_metadata[namespace].CopyFrom(made)
    return found


def _workload_metadata(workload: Workload) -> Mapping[str, str]:
    service, revision = canonical(workload)
    return _labelled(workload.name, workload.namespace, service, revision)


def _entry_metadata(endpoint: Endpoint, name: str, namespace: str) -> Mapping[str, str]:
    service = endpoint.labels.get("service.istio.io/canonical-name") or endpoint.labels.get("app") or name
    return _labelled(name, namespace, service, endpoint.labels.get("version") or "latest")


def _labelled(name: str, namespace: str, service: str, revision: str) -> Mapping[str, str]:
    """What metrics are labelled by: in one text as istiod says it, and apart for the access logger of upstream."""
    return {
        "workload": f"{name};{namespace};{service};{revision};Kubernetes",
        "workload_name": name,
        "namespace": namespace,
        "canonical_name": service,
        "canonical_revision": revision,
    }


def _cluster_metadata(target: _Target) -> Any:
    name = target.host.name if target.host.service is None else target.host.service.name
    service = {"host": target.host.name, "name": name, "namespace": target.host.namespace}
    fields: dict[str, Any] = {"services": [service]}
    fields |= {"service_host": target.host.name, "service_name": name, "service_namespace": target.host.namespace}
    if target.is_external and target.subset is None:
        fields["external"] = True
    if target.host.service is not None and target.host.service.headless:
        # On a cluster the proxy takes the pod that was dialled; nothing is captured here, so it chooses one.
        fields["headless"] = True
    if target.rule is not None:
        where = f"{target.rule.namespace}/destination-rule/{target.rule.name}"
        fields["config"] = f"/apis/networking.istio.io/v1/namespaces/{where}"
    if target.subset is not None:
        fields["subset"] = target.subset.name
    return _filter_metadata({"istio": fields})
