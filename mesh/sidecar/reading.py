"""Typed resources to a mesh: each of Istio's held to all others.

`load` reads texts, `assemble` takes what was read already. What the texts say is read in `mesh.manifests`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mesh.manifests import read
from mesh.manifests.istio import kinds
from mesh.manifests.kubernetes import NamespaceSpec, ServiceAccountSpec, ServiceSpec, service_of, workload_of
from mesh.manifests.pods import DeploymentSpec, StatefulSetSpec
from mesh.sidecar.checks import CHECKS
from mesh.sidecar.mesh import Mesh, MeshSettings

if TYPE_CHECKING:
    from mesh.manifests import Resources


def load(texts: Mapping[str, str], settings: MeshSettings | None = None, namespace: str = "default") -> Mesh:
    """Reads the YAML texts by file name, and checks each resource and what it refers to. Raises ManifestError.

    `namespace` is that of documents which name none, as kustomize's `namespace:` sets it.
    """
    return assemble(read(texts, namespace), settings or MeshSettings())


def assemble(resources: Resources, settings: MeshSettings) -> Mesh:
    """Returns these resources as a mesh, each checked with what it refers to. Raises ManifestError."""
    services = [service_of(service) for service in resources.of(ServiceSpec)]
    workloads = [workload_of(resource) for resource in (*resources.of(DeploymentSpec), *resources.of(StatefulSetSpec))]
    namespaces: dict[str, Mapping[str, str]] = {settings.root_namespace: {}}
    namespaces |= {resource.namespace: {} for found in resources.by_model.values() for resource in found}
    namespaces |= {namespace.name: namespace.metadata.labels for namespace in resources.of(NamespaceSpec)}
    mesh = Mesh(
        settings,
        {service.host: service for service in services},
        {workload.key: workload for workload in workloads},
        frozenset((account.namespace, account.name) for account in resources.of(ServiceAccountSpec)),
        namespaces,
        {model: sorted(resources.of(model), key=lambda resource: resource.age) for model in kinds.KINDS.values()},
    )
    for model, check in CHECKS.items():
        for resource in mesh.all(model):
            check(mesh, resource)
    return mesh
