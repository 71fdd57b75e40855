"""Where outbound clusters lead: the endpoints of each target, how they are marked, and what metrics call them.

Owns the metadata of endpoints and clusters: `tlsMode`, by which a cluster picks mTLS, and the labels that
`mesh.sidecar.telemetry.metrics` reads. Called by `mesh.sidecar.translate` and `mesh.sidecar.clusters.outbound`.
Source: istio/istio pilot/pkg/xds/endpoints, pilot/pkg/networking/core/cluster_builder.go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from envoy.config.core.v3 import base_pb2, health_check_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2
from google.protobuf import struct_pb2

from mesh.sidecar.clusters.service_entries import port_of
from mesh.sidecar.clusters.targets import list_targets
from mesh.sidecar.destination_rules import endpoint_tls_mode
from mesh.sidecar.messages import to_address, to_uint32
from mesh.sidecar.proxy import Endpoint
from mesh.sidecar.security import peer_authentication
from mesh.sidecar.workload_names import canonical

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mesh.manifests.document import Resource
    from mesh.manifests.istio import service_entry
    from mesh.manifests.istio.service_entry import ServiceEntrySpec
    from mesh.manifests.kubernetes import Service, Workload
    from mesh.sidecar.clusters.targets import Target
    from mesh.sidecar.mesh import Mesh
    from mesh.sidecar.proxy import Addresses, Proxy
    from mesh.sidecar.scope import Scope


def build_endpoints(
    mesh: Mesh, proxy: Proxy, scope: Scope, addresses: Addresses
) -> list[endpoint_pb2.ClusterLoadAssignment]:
    """The endpoints of each cluster that is not resolved by DNS."""
    return [
        build_load_assignment(mesh, target, addresses) for target in list_targets(scope, proxy) if not target.by_dns
    ]


def build_load_assignment(mesh: Mesh, target: Target, addresses: Addresses) -> endpoint_pb2.ClusterLoadAssignment:
    """The endpoints of one target; none if no pod and no address is behind it."""
    found = endpoint_pb2.ClusterLoadAssignment(cluster_name=target.name)
    endpoints: list[endpoint_components_pb2.LbEndpoint] = []
    if target.host.service is not None:
        endpoints += _list_pods(mesh, target, target.host.service, addresses)
    elif target.host.entry is not None:
        endpoints += _list_entry_endpoints(target, target.host.entry)
    if endpoints:
        locality = found.endpoints.add()
        locality.locality.SetInParent()
        locality.lb_endpoints.extend(endpoints)
        locality.load_balancing_weight.value = sum(endpoint.load_balancing_weight.value for endpoint in endpoints)
    return found


def _list_pods(
    mesh: Mesh, target: Target, service: Service, addresses: Addresses
) -> Iterator[endpoint_components_pb2.LbEndpoint]:
    for workload in mesh.workloads_of(service):
        number = workload.target_port(target.port)
        if number is None or not target.labels.items() <= workload.labels.items():
            continue
        mutual_tls = _is_marked(target, speaks_tls=workload.has_sidecar and _meets_tls(mesh, workload, number))
        metadata = _label_workload(workload)
        for ip in addresses.pods.get(workload.key, ()):
            endpoint = _make_endpoint(ip, number, 1, metadata, mutual_tls=mutual_tls)
            endpoint.health_status = health_check_pb2.HEALTHY
            yield endpoint


def _meets_tls(mesh: Mesh, workload: Workload, number: int) -> bool:
    return peer_authentication.resolve_mode(mesh, workload, number) != "DISABLE"


def _is_marked(target: Target, *, speaks_tls: bool) -> bool:
    """Whether an endpoint is marked to speak mTLS: as the rule says, else by what it can do."""
    rule = target.rule
    mode = None if rule is None else endpoint_tls_mode(rule.spec, target.port.number, target.subset_name)
    return speaks_tls if mode is None else mode == "ISTIO_MUTUAL"


def _list_entry_endpoints(
    target: Target, entry: Resource[ServiceEntrySpec]
) -> Iterator[endpoint_components_pb2.LbEndpoint]:
    for number, endpoint in enumerate(entry.spec.endpoints_of(target.host.name)):
        if target.labels.items() <= endpoint.labels.items():
            name = f"{entry.name}-{number}" if entry.spec.endpoints else entry.name
            yield _make_endpoint(
                endpoint.address,
                port_of(endpoint, target.port),
                endpoint.weight or 1,
                _label_entry(endpoint, name, entry.namespace),
                mutual_tls=_is_marked(target, speaks_tls=endpoint.has_sidecar),
            )


def _make_endpoint(
    address: str, port: int, weight: int, metadata: Mapping[str, str], *, mutual_tls: bool
) -> endpoint_components_pb2.LbEndpoint:
    found = endpoint_components_pb2.LbEndpoint(
        endpoint=endpoint_components_pb2.Endpoint(address=to_address(Endpoint(address, port))),
        load_balancing_weight=to_uint32(weight),
        metadata=_make_metadata({"istio": metadata}),
    )
    if mutual_tls:
        found.metadata.MergeFrom(_make_metadata({"envoy.transport_socket_match": {"tlsMode": "istio"}}))
    return found


def _make_metadata(values: Mapping[str, Mapping[str, Any]]) -> base_pb2.Metadata:
    found = base_pb2.Metadata()
    for namespace, fields in values.items():
        struct = struct_pb2.Struct()
        struct.update(fields)
        found.filter_metadata[namespace].CopyFrom(struct)
    return found


def _label_workload(workload: Workload) -> Mapping[str, str]:
    service, revision = canonical(workload)
    return _label(workload.name, workload.namespace, service, revision)


def _label_entry(endpoint: service_entry.Endpoint, name: str, namespace: str) -> Mapping[str, str]:
    service = endpoint.labels.get("service.istio.io/canonical-name") or endpoint.labels.get("app") or name
    return _label(name, namespace, service, endpoint.labels.get("version") or "latest")


def _label(name: str, namespace: str, service: str, revision: str) -> Mapping[str, str]:
    """What metrics are labelled by: in one text as istiod says it, and apart for the access logger of upstream."""
    return {
        "workload": f"{name};{namespace};{service};{revision};Kubernetes",
        "workload_name": name,
        "namespace": namespace,
        "canonical_name": service,
        "canonical_revision": revision,
    }


def make_cluster_metadata(target: Target) -> base_pb2.Metadata:
    """What metrics call the host, where its rule stands, and what a reader of the configuration asks of a cluster."""
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
    return _make_metadata({"istio": fields})
