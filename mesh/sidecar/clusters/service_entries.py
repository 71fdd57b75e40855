"""ServiceEntry: hosts that are no Kubernetes Service, outside of the mesh or within it.

Owns where their endpoints are and what is refused of them; the clusters of all hosts are made in
`mesh.sidecar.clusters.outbound`. Wildcards are refused. Source: istio/istio
pilot/pkg/serviceregistry/serviceentry/conversion.go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from envoy.config.core.v3 import extension_pb2
from envoy.extensions.clusters.common.dns.v3 import dns_pb2
from envoy.extensions.clusters.dns.v3 import dns_cluster_pb2
from envoy.extensions.network.dns_resolver.cares.v3 import cares_dns_resolver_pb2
from google.protobuf import duration_pb2

from mesh.manifests.document import Resource
from mesh.manifests.istio.fields import is_fqdn, is_ip
from mesh.manifests.istio.service_entry import Endpoint, ServiceEntrySpec
from mesh.manifests.kubernetes import ServicePort
from mesh.sidecar.hosts import check_export
from mesh.sidecar.messages import pack, to_uint32

if TYPE_CHECKING:
    from envoy.config.cluster.v3 import cluster_pb2

    from mesh.sidecar.mesh import Mesh


def port_of(endpoint: Endpoint, port: ServicePort) -> int:
    """The number under which an endpoint serves a port of the host."""
    return endpoint.ports.get(port.name) or int(port.target)


def set_dns(cluster: cluster_pb2.Cluster, spec: ServiceEntrySpec) -> None:
    """Makes the cluster one whose endpoints DNS resolves, each host's time to live respected.

    As the extension DnsCluster: the cluster's own fields for this are deprecated.
    """
    resolver = cares_dns_resolver_pb2.CaresDnsResolverConfig(udp_max_queries=to_uint32(100))
    settings = dns_cluster_pb2.DnsCluster(
        dns_refresh_rate=duration_pb2.Duration(seconds=60),
        dns_jitter=duration_pb2.Duration(nanos=100_000_000),
        respect_dns_ttl=True,
        dns_lookup_family=dns_pb2.V4_ONLY,
        typed_dns_resolver_config=extension_pb2.TypedExtensionConfig(
            name="envoy.network.dns_resolver.cares", typed_config=pack(resolver)
        ),
        all_addresses_in_single_endpoint=spec.resolution == "DNS_ROUND_ROBIN",
    )
    cluster.cluster_type.name = "envoy.clusters.dns"
    cluster.cluster_type.typed_config.CopyFrom(pack(settings))


def check_service_entry(mesh: Mesh, resource: Resource[ServiceEntrySpec]) -> None:
    """Raises ManifestError for what istiod or Envoy would refuse or pass over."""
    spec = resource.spec
    for number, host in enumerate(spec.hosts):
        _check_host(mesh, resource, f"hosts[{number}]", host)
    for field, values in (
        ("number", [port.number for port in spec.ports]),
        ("name", [port.name for port in spec.ports]),
    ):
        for position, value in enumerate(values):
            if value in values[:position]:
                raise resource.refuse(f"ports[{position}].{field}", f"{value!r} is said twice: give each port its own")
    check_export(mesh, resource, spec.export_to)
    if spec.resolution == "STATIC" and not spec.endpoints:
        raise resource.refuse("endpoints", "is missing: resolution STATIC needs addresses, or write resolution: DNS")
    if spec.resolution == "DNS_ROUND_ROBIN" and len(spec.endpoints) > 1:
        raise resource.refuse("endpoints", "DNS_ROUND_ROBIN takes one endpoint: leave one, or write resolution: DNS")
    if spec.resolution == "NONE" and spec.endpoints:
        raise resource.refuse("endpoints", "has no effect without a resolution: write resolution: STATIC or DNS")
    if len(spec.hosts) > 1 and any(port.is_of_tcp for port in spec.ports) and spec.resolution != "NONE":
        what = "several hosts at a port that is neither HTTP nor TLS cannot be told apart: write a resource for each"
        raise resource.refuse("hosts", what)
    for number, endpoint in enumerate(spec.endpoints):
        _check_endpoint(resource, f"endpoints[{number}]", endpoint)


def _check_host(mesh: Mesh, resource: Resource[ServiceEntrySpec], path: str, host: str) -> None:
    if "*" in host:
        raise resource.refuse(path, f"{host!r}: wildcards are not resolved here: name each host")
    if not is_fqdn(host):
        raise resource.refuse(path, f"{host!r} is no DNS name: correct it")
    if "." not in host:
        raise resource.refuse(path, f"{host!r} has no dot: write the full name, such as {host}.example.com")
    if host in mesh.services:
        raise resource.refuse(path, f"{host} is a Service ({mesh.services[host].where}), which wins: remove it here")
    for other in mesh.all(ServiceEntrySpec):
        if other is not resource and other.namespace == resource.namespace and host in other.spec.hosts:
            raise resource.refuse(path, f"{host} is declared already in {other.where}: remove one of the two")


def _check_endpoint(resource: Resource[ServiceEntrySpec], path: str, endpoint: Endpoint) -> None:
    spec = resource.spec
    if not spec.by_dns and not is_ip(endpoint.address):
        raise resource.refuse(
            f"{path}.address", f"{endpoint.address!r} is no IP address: write one, or resolution: DNS"
        )
    if spec.by_dns and not is_ip(endpoint.address) and not is_fqdn(endpoint.address):
        raise resource.refuse(f"{path}.address", f"{endpoint.address!r} is neither a DNS name nor an IP address")
    names = {port.name for port in spec.ports}
    for name in endpoint.ports:
        if name not in names:
            known = ", ".join(sorted(names))
            raise resource.refuse(f"{path}.ports", f"{name!r} is no port of the host: write one of {known}")
