"""Reads a mesh's YAML texts: every document by its kind, then each resource held to all others.

Owns which kinds are known, which belong to others, and which are refused by name. `load` is the only entrance; it reads
texts, never files.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from mesh.manifests import kubernetes
from mesh.manifests.document import RawDocument, Resource, Spec, documents, resource
from mesh.manifests.errors import ManifestError
from mesh.manifests.istio import kinds
from mesh.sidecar.checks import CHECKS
from mesh.sidecar.mesh import Mesh, MeshSettings

S = TypeVar("S", bound=Spec)

_KUBERNETES: Mapping[tuple[str, str], type[Spec]] = {
    ("apps/v1", "Deployment"): kubernetes.WorkloadSpec,
    ("apps/v1", "StatefulSet"): kubernetes.WorkloadSpec,
    ("v1", "Service"): kubernetes.ServiceSpec,
    ("v1", "ServiceAccount"): kubernetes.ServiceAccountSpec,
    ("v1", "Namespace"): kubernetes.NamespaceSpec,
}
_NOT_OURS = {"kustomize.config.k8s.io", "kafka.strimzi.io"}
"""API groups that others read: kustomize, and Strimzi or mesh.local."""


@contextmanager
def _without_collector() -> Iterator[None]:
    """Nearly all that reading makes is kept: looking for garbage in it finds none, and took half as long again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@_without_collector()
def load(texts: Mapping[str, str], settings: MeshSettings | None = None, namespace: str = "default") -> Mesh:
    """Reads the YAML texts by file name, and checks each resource and what it refers to. Raises ManifestError.

    `namespace` is that of documents which name none, as kustomize's `namespace:` sets it.
    """
    found: dict[type[Spec], list[Resource[Any]]] = {}
    seen: dict[tuple[str, str, str], str] = {}
    for raw in documents(texts, namespace):
        model = _KUBERNETES.get((raw.api_version, raw.kind)) or _istio_model(raw)
        if model is None:
            continue
        known = model in _KUBERNETES.values()
        each = _kubernetes_resource(raw, model) if known else resource(raw, model)
        key = (raw.kind, each.namespace, each.name)
        if key in seen:
            raise ManifestError(f"{each.where}: is declared already in {seen[key]}: remove one of the two")
        seen[key] = each.where
        found.setdefault(model, []).append(each)
    mesh = _assemble(found, settings or MeshSettings())
    for kind, check in CHECKS.items():
        for each in mesh.all(kind):
            check(mesh, each)
    return mesh


def _istio_model(raw: RawDocument) -> type[Spec] | None:
    group, _, version = raw.api_version.partition("/")
    if group in _NOT_OURS or (raw.api_version, raw.kind) == ("v1", "ConfigMap"):
        return None
    model = kinds.KINDS.get((group, raw.kind))
    if model is None:
        why = kinds.REFUSED.get(raw.kind, "is not translated: remove it, or see the README's table of kinds")
        raise ManifestError(f"{raw.where}: {raw.api_version} {raw.kind}: {why}")
    if version not in kinds.VERSIONS:
        raise ManifestError(f"{raw.where}: apiVersion: {raw.kind} has no version {version}: write {group}/v1")
    return model


def _kubernetes_resource(raw: RawDocument, model: type[S]) -> Resource[S]:
    fields = {name: raw.fields[name] for name in ("apiVersion", "kind", "metadata", "spec") if name in raw.fields}
    metadata = {
        name: value
        for name, value in (fields.get("metadata") or {}).items()
        if name in {"name", "namespace", "labels", "annotations", "creationTimestamp"}
    }
    return resource(RawDocument(raw.api_version, raw.kind, {**fields, "metadata": metadata}, raw.where), model)


def _assemble(found: Mapping[type[Spec], Sequence[Resource[Any]]], settings: MeshSettings) -> Mesh:
    services = [kubernetes.service_of(each) for each in found.get(kubernetes.ServiceSpec, ())]
    workloads = [kubernetes.workload_of(each) for each in found.get(kubernetes.WorkloadSpec, ())]
    everything = [each for resources in found.values() for each in resources]
    namespaces: dict[str, Mapping[str, str]] = {each.namespace: {} for each in everything}
    namespaces.update({each.name: each.metadata.labels for each in found.get(kubernetes.NamespaceSpec, ())})
    istio = found.keys() - set(_KUBERNETES.values())
    return Mesh(
        settings,
        {each.host: each for each in services},
        {each.key: each for each in workloads},
        frozenset((each.namespace, each.name) for each in found.get(kubernetes.ServiceAccountSpec, ())),
        namespaces,
        {model: sorted(found[model], key=lambda each: each.age) for model in istio},
    )
