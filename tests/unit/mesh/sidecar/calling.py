"""What a pod of the small shop calls others with: how the tests of clusters, endpoints and outbound listeners ask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mesh.sidecar.clusters.endpoints import build_endpoints
from mesh.sidecar.clusters.outbound import build_outbound_clusters
from mesh.sidecar.listeners.outbound import build_outbound_listeners
from mesh.sidecar.mesh import Mesh
from mesh.sidecar.proxy import Addresses, Endpoint
from mesh.sidecar.resources import as_dict
from mesh.sidecar.scope import Scope, scope_of
from tests.unit.mesh.sidecar.shop import BACKEND, CLUSTER, proxy

NETWORKING = "networking.istio.io/v1"
VIPS = {BACKEND: "127.10.0.1"}


def document(
    kind: str, spec: dict[str, Any], name: str = "case", namespace: str = "shop", **more: Any
) -> dict[str, Any]:
    """A document of a kind of Istio's that is about traffic."""
    metadata = {"name": name, "namespace": namespace, **more}
    return {"apiVersion": NETWORKING, "kind": kind, "metadata": metadata, "spec": spec}


def addresses(mesh: Mesh, vips: Mapping[str, str] = VIPS) -> Addresses:
    """A pod's replicas one after the other, each workload in a network of its own."""
    pods = {
        key: tuple(f"127.1.{number}.{replica}" for replica in range(1, workload.replicas + 1))
        for number, (key, workload) in enumerate(sorted(mesh.workloads.items()), start=1)
    }
    return Addresses(pods, vips)


def scope(mesh: Mesh, pod: str = "client", namespace: str = "shop") -> Scope:
    """What a pod sees."""
    return scope_of(mesh, proxy(mesh, pod, namespace))


def clusters(mesh: Mesh, pod: str = "client", namespace: str = "shop") -> dict[str, Any]:
    """A pod's outbound clusters by name."""
    own = proxy(mesh, pod, namespace)
    found = build_outbound_clusters(mesh, own, scope_of(mesh, own), addresses(mesh))
    return {resource["name"]: resource for resource in map(as_dict, found)}


def cluster(mesh: Mesh, name: str = CLUSTER) -> dict[str, Any]:
    """One of the client's clusters: that for backend, if no name is given."""
    found: dict[str, Any] = clusters(mesh)[name]
    return found


def endpoints(mesh: Mesh, name: str = CLUSTER) -> list[dict[str, Any]]:
    """The endpoints of one of the client's clusters."""
    own = proxy(mesh)
    loads = {
        assignment.cluster_name: as_dict(assignment)
        for assignment in build_endpoints(mesh, own, scope_of(mesh, own), addresses(mesh))
    }
    return [endpoint for locality in loads[name].get("endpoints", []) for endpoint in locality["lbEndpoints"]]


def places(mesh: Mesh, name: str = CLUSTER) -> list[str]:
    """Where these are, as address:port."""
    sockets = [endpoint["endpoint"]["address"]["socketAddress"] for endpoint in endpoints(mesh, name)]
    return [f"{socket['address']}:{socket['portValue']}" for socket in sockets]


def marks(mesh: Mesh, name: str = CLUSTER) -> list[str]:
    """How these are marked: "istio", or "" for plain text."""
    metadata = [endpoint["metadata"]["filterMetadata"] for endpoint in endpoints(mesh, name)]
    return [by_filter.get("envoy.transport_socket_match", {}).get("tlsMode", "") for by_filter in metadata]


def listeners(mesh: Mesh, ports: Mapping[int, Endpoint], vips: Mapping[str, str] = VIPS) -> dict[str, Any]:
    """The client's outbound listeners by name, if it has these ports."""
    own = replace(proxy(mesh), outbound=ports)
    found = build_outbound_listeners(mesh, own, scope_of(mesh, own), addresses(mesh, vips))
    return {listener["name"]: listener for listener in map(as_dict, found)}


def protocol_options(found: Mapping[str, Any]) -> Any:
    """A cluster's HttpProtocolOptions without @type; None if it has none."""
    (options,) = found.get("typedExtensionProtocolOptions", {"": None}).values()
    return None if options is None else {name: value for name, value in options.items() if name != "@type"}


def tls_context(socket: Mapping[str, Any]) -> Any:
    """The UpstreamTlsContext of a transport socket."""
    return socket["typedConfig"]


def sans(context: Mapping[str, Any]) -> list[str]:
    """The names that the other side must prove."""
    common = context["commonTlsContext"]
    validation = common.get("combinedValidationContext", {}).get("defaultValidationContext")
    validation = common["validationContext"] if validation is None else validation
    return [san["matcher"]["exact"] for san in validation["matchTypedSubjectAltNames"]]
