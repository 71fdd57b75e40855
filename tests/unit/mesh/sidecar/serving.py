"""A pod with one port of each sort, and what its sidecar is given for them: how the tests of the server's side ask.

The pod backend in namespace shop: http 8080 (Service port 80), grpc 50051, grpc-web 8081, tcp 7000, mongo 27017, and
9000 of which nothing is said; client calls it; gate is a gateway.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from mesh.manifests.errors import ManifestError
from mesh.manifests.texts import dump_texts
from mesh.sidecar.listeners import inbound
from mesh.sidecar.mesh import Mesh, MeshSettings
from mesh.sidecar.proxy import Endpoint, Proxy
from mesh.sidecar.reading import load
from mesh.sidecar.resources import as_dict

HTTP, GRPC, WEB, TCP, MONGO, AUTO = 8080, 50051, 8081, 7000, 27017, 9000
PORTS = [
    {"name": "http", "port": 80, "targetPort": HTTP},
    {"name": "grpc", "port": GRPC},
    {"name": "grpc-web", "port": WEB},
    {"name": "tcp", "port": TCP},
    {"name": "mongo", "port": MONGO},
    {"name": "whatever", "port": AUTO},
]


def document(kind: str, spec: dict[str, Any], name: str = "case", namespace: str = "shop", **more: Any) -> Any:
    """A document of any kind that tests here speak of."""
    group = {
        "Service": "v1",
        "Deployment": "apps/v1",
        "Telemetry": "telemetry.istio.io/v1",
        "DestinationRule": "networking.istio.io/v1",
        "Gateway": "networking.istio.io/v1",
        "Sidecar": "networking.istio.io/v1",
    }.get(kind, "security.istio.io/v1")
    return {"apiVersion": group, "kind": kind, "metadata": {"name": name, "namespace": namespace, **more}, "spec": spec}


def deployment(name: str, namespace: str = "shop", **labels: str) -> Any:
    """A Deployment, its pods labelled with app and these."""
    pod = {"serviceAccountName": name, "containers": [{"name": name}]}
    template = {"metadata": {"labels": {"app": name, **labels}}, "spec": pod}
    return document("Deployment", {"template": template}, name, namespace)


POD = [
    document("Service", {"selector": {"app": "backend"}, "ports": PORTS}, "backend"),
    deployment("backend"),
    deployment("client"),
    deployment("gate", istio="gate"),
    deployment("root", "istio-system"),
]


def mesh_of(*documents: Any, **settings: Any) -> Mesh:
    """The pod with these documents, which are in case.yaml."""
    files = {"case.yaml": dump_texts(documents), "pod.yaml": dump_texts(POD)}
    return load(files, MeshSettings(**settings), "shop")


def refusal(*documents: Any, **settings: Any) -> str:
    """How these documents are refused."""
    with pytest.raises(ManifestError) as caught:
        mesh_of(*documents, **settings)
    return str(caught.value)


def proxy(mesh: Mesh, pod: str = "backend", *, is_gateway: bool = False) -> Proxy:
    """The Envoy of a pod; its app listens at /run/<port>."""
    ports = (HTTP, GRPC, WEB, TCP, MONGO, AUTO)
    return Proxy(
        mesh.workloads["shop", pod],
        "127.1.0.1",
        {port: Endpoint(path=f"/run/{port}") for port in ports},
        {80: Endpoint(path="/run/out")},
        is_gateway=is_gateway,
    )


def listener(mesh: Mesh, port: int = HTTP) -> dict[str, Any]:
    """One inbound listener of backend."""
    found = {
        resource["name"]: resource for resource in map(as_dict, inbound.build_inbound_listeners(mesh, proxy(mesh)))
    }
    one: dict[str, Any] = found[f"inbound|{port}"]
    return one


def chains(mesh: Mesh, port: int = HTTP) -> list[dict[str, Any]]:
    """Its filter chains."""
    found: list[dict[str, Any]] = listener(mesh, port)["filterChains"]
    return found


def manager(mesh: Mesh, port: int = HTTP) -> dict[str, Any]:
    """The HTTP connection manager of its first chain."""
    config: dict[str, Any] = chains(mesh, port)[0]["filters"][-1]["typedConfig"]
    return config


def http_filter(mesh: Mesh, name: str, port: int = HTTP) -> list[dict[str, Any]]:
    """The configurations of the HTTP filters of a name, in their order."""
    return [
        {key: value for key, value in entry["typedConfig"].items() if key != "@type"}
        for entry in manager(mesh, port)["httpFilters"]
        if entry["name"] == f"envoy.filters.http.{name}"
    ]


def kinds(filters: list[Mapping[str, Any]]) -> list[str]:
    """The names of filters without what all names begin with."""
    return [str(entry["name"]).rsplit(".", 1)[-1] for entry in filters]
