"""A small shop, and what its caller's sidecar and its gateway are given: how the tests of routes ask.

The shop: backend (grpc 50051) and other (http 9080) in namespace shop, called by client; far in elsewhere; the gateway
pod gate, whose Service has port 80 on target port 8080.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mesh.manifests.texts import dump_texts
from mesh.sidecar.gateways import is_gateway
from mesh.sidecar.mesh import Mesh, MeshSettings
from mesh.sidecar.proxy import Addresses, Endpoint, Proxy
from mesh.sidecar.reading import load
from mesh.sidecar.resources import as_dict
from mesh.sidecar.routing.gateway import build_gateway_routes
from mesh.sidecar.routing.virtual_hosts import build_sidecar_routes
from mesh.sidecar.scope import scope_of

BACKEND = "backend.shop.svc.cluster.local"
CLUSTER = f"outbound|50051||{BACKEND}"
PORTS = (80, 8080, 9080, 50051)


def _service(name: str, ports: list[dict[str, Any]], namespace: str = "shop", **spec: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"selector": {"app": name}, "ports": ports, **spec},
    }


def _deployment(name: str, namespace: str = "shop", **labels: str) -> dict[str, Any]:
    pod = {
        "metadata": {"labels": {"app": name, **labels}},
        "spec": {"serviceAccountName": name, "containers": [{"name": name}]},
    }
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {"template": pod}}


GRPC = [{"name": "grpc", "port": 50051}]
SHOP = [
    _service("backend", GRPC),
    _service("other", [{"name": "http", "port": 9080}]),
    _service("far", GRPC, "elsewhere"),
    _service("gate", [{"name": "http", "port": 80, "targetPort": 8080}]),
    _deployment("client", tier="web"),
    _deployment("backend"),
    _deployment("gate", istio="gate"),
]


def service(name: str, ports: list[dict[str, Any]], namespace: str = "shop", **spec: Any) -> dict[str, Any]:
    """One more Service."""
    return _service(name, ports, namespace, **spec)


def virtual_service(spec: dict[str, Any], name: str = "vs", **metadata: str) -> dict[str, Any]:
    """A VirtualService in namespace shop, for backend unless hosts says more."""
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": name, "namespace": "shop", **metadata},
        "spec": {"hosts": ["backend"], **spec},
    }


def to(host: str = "backend", **destination: Any) -> list[dict[str, Any]]:
    """The route of a rule that leads to one destination."""
    return [{"destination": {"host": host, **destination}}]


def gateway_of(*servers: dict[str, Any], name: str = "gate") -> dict[str, Any]:
    """A Gateway of the pod gate; without servers one for all hosts at port 80."""
    plain = {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "Gateway",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"selector": {"istio": "gate"}, "servers": list(servers) or [plain]},
    }


def destination_rule(spec: dict[str, Any]) -> dict[str, Any]:
    """A DestinationRule for backend."""
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "DestinationRule",
        "metadata": {"name": "backend", "namespace": "shop"},
        "spec": {"host": "backend", **spec},
    }


def shop(*documents: dict[str, Any], **settings: Any) -> Mesh:
    """The shop with these documents, which are in case.yaml."""
    files = {"case.yaml": dump_texts(documents), "shop.yaml": dump_texts(SHOP)}
    return load(files, MeshSettings(**settings), "shop")


def proxy(mesh: Mesh, pod: str = "client", namespace: str = "shop") -> Proxy:
    """The Envoy of a pod."""
    workload = mesh.workloads[namespace, pod]
    return Proxy(
        workload,
        "127.1.0.1",
        {},
        {port: Endpoint("127.1.0.1", port) for port in PORTS},
        is_gateway=is_gateway(mesh, workload),
    )


def configurations(mesh: Mesh, pod: str = "client", vips: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A pod's route configurations by name; backend has an address of its own, and so have `vips`."""
    own = proxy(mesh, pod)
    scope = scope_of(mesh, own)
    addresses = Addresses({}, {BACKEND: "127.10.0.1", **(vips or {})})
    outbound = [] if own.is_gateway else build_sidecar_routes(mesh, own, scope, addresses)
    inward = build_gateway_routes(mesh, own, scope) if own.is_gateway else []
    return {configuration["name"]: configuration for configuration in map(as_dict, [*outbound, *inward])}


def virtual_hosts(mesh: Mesh, name: str = "50051", pod: str = "client") -> dict[str, Any]:
    """The virtual hosts of one route configuration by name."""
    return {host["name"]: host for host in configurations(mesh, pod)[name]["virtualHosts"]}


def backend_routes(mesh: Mesh) -> list[Any]:
    """What the client is given for backend."""
    found: list[Any] = virtual_hosts(mesh)[f"{BACKEND}:50051"]["routes"]
    return found


def route_of(rule: dict[str, Any], *documents: dict[str, Any]) -> Any:
    """The one route that a rule becomes; without anything that it does, it leads to backend."""
    does = rule.keys() & {"route", "redirect", "directResponse"}
    spec = {"http": [rule if does else {"route": to(), **rule}]}
    (found,) = backend_routes(shop(virtual_service(spec), *documents))
    return found
