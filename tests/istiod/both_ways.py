"""The same manifests through istiod and through our translator, with the same addresses: what differs, by pod.

Owns what both sides get (addresses, mesh settings) and how one of our proxies is placed for it. Used by every test
of this tier that has manifests; `tests.istiod.comparing` says what differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mesh.istiod.generator import MESH_CONFIG, Istiod, Places
from mesh.manifests.kubernetes import Workload
from mesh.manifests.texts import dump_text, parse_text
from mesh.sidecar.gateways import is_gateway
from mesh.sidecar.hosts import all_ports
from mesh.sidecar.mesh import Mesh, MeshSettings
from mesh.sidecar.proxy import Addresses, Endpoint, Proxy
from mesh.sidecar.reading import load
from mesh.sidecar.resources import Resources, as_dict
from mesh.sidecar.translate import translate
from tests.istiod.comparing import differences


def compare(
    istiod: Istiod, files: Mapping[str, str], *, namespace: str = "default", jwks: Mapping[str, str] | None = None
) -> Mapping[str, list[str]]:
    """Returns the differences by namespace/workload; an empty list for each proxy that both sides make alike.

    A ConfigMap istio in istio-system may hold the mesh's settings, as on a cluster; without one unknown hosts are
    refused. Raises what either side refuses the files with.
    """
    config = _mesh_config(files)
    mesh = load(files, _settings(config, jwks or {}), namespace)
    addresses = _addresses(mesh)
    theirs = istiod.translate(
        files, namespace=namespace, places=_places(mesh, addresses), mesh_config=dump_text(config), jwks=jwks
    )
    ours = {
        f"{workload.namespace}/{workload.name}": translate(mesh, _proxy(mesh, workload, addresses), addresses)
        for workload in mesh.workloads.values()
        if workload.has_sidecar or is_gateway(mesh, workload)
    }
    assert sorted(theirs) == sorted(ours), "both sides are to see the same proxies"
    return {pod: differences(vars(theirs[pod]), _as_dicts(ours[pod])) for pod in sorted(theirs)}


def _mesh_config(files: Mapping[str, str]) -> dict[str, Any]:
    config: dict[str, Any] = dict(MESH_CONFIG)
    for file, text in files.items():
        for document in parse_text(text, file):
            match document:
                case {"kind": "ConfigMap", "metadata": {"name": "istio", "namespace": "istio-system"}, "data": data}:
                    config.update(parse_text(data["mesh"], file)[0])
    return config


def _settings(config: Mapping[str, Any], jwks: Mapping[str, str]) -> MeshSettings:
    """Our settings for a MeshConfig. Raises KeyError for what we have no setting for."""
    known: dict[str, Any] = {"jwks": jwks}
    for name, value in config.items():
        match name, value:
            case "outboundTrafficPolicy", {"mode": mode}:
                known["registry_only"] = mode == "REGISTRY_ONLY"
            case "extensionProviders", [{"name": name, "opentelemetry": {"service": host, "port": port}}]:
                known["otlp_collector"], known["otlp_provider"] = (host, port), name
            case "accessLogEncoding", "JSON":
                pass
            case "defaultProviders", {"tracing": [_]}:
                pass  # ours has one collector, which is the default
            case _:
                raise KeyError(f"meshConfig {name} has no counterpart in MeshSettings")
    return MeshSettings(**known)


def _addresses(mesh: Mesh) -> Addresses:
    pods, vips, number = {}, {}, 0
    for key, workload in sorted(mesh.workloads.items()):
        pods[key] = tuple(f"127.1.{(number + i) // 250}.{(number + i) % 250 + 1}" for i in range(workload.replicas))
        number += workload.replicas
    for number, (host, service) in enumerate(sorted(mesh.services.items())):
        if not service.headless:
            vips[host] = f"127.10.{number // 250}.{number % 250 + 1}"
    return Addresses(pods, vips)


def _places(mesh: Mesh, addresses: Addresses) -> Places:
    services = {
        f"{service.namespace}/{service.name}": addresses.vips[host]
        for host, service in mesh.services.items()
        if host in addresses.vips
    }
    return Places({f"{namespace}/{name}": ips for (namespace, name), ips in addresses.pods.items()}, services)


def _proxy(mesh: Mesh, workload: Workload, addresses: Addresses) -> Proxy:
    targets = set(workload.ports.values())
    for service in mesh.services_of(workload):
        targets |= {number for port in service.ports if (number := workload.target_port(port)) is not None}
    return Proxy(
        workload,
        addresses.pods[workload.key][0],
        app={port: Endpoint(path=f"/run/app/{port}.sock") for port in sorted(targets)},
        outbound={port: Endpoint(path=f"/run/out/{port}.sock") for port in sorted(all_ports(mesh))},
        is_gateway=is_gateway(mesh, workload),
    )


def _as_dicts(resources: Resources) -> Mapping[str, list[Any]]:
    return {
        kind: [as_dict(resource) for resource in getattr(resources, kind)]
        for kind in ("listeners", "clusters", "routes", "endpoints")
    }
