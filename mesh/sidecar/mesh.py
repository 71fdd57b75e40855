"""All manifests of a mesh, read and checked: the one object that every translation is made from.

Owns which kinds are known, and the look-ups that istiod's semantics ask for (selection by labels, root namespace,
oldest first). `load` is the only entrance; it reads texts, never files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from mesh.sidecar import kubernetes
from mesh.sidecar.document import RawDocument, Resource, Spec, documents, resource
from mesh.sidecar.errors import ManifestError
from mesh.sidecar.kubernetes import Service, Workload

S = TypeVar("S", bound=Spec)


@dataclass(frozen=True)
class MeshSettings:
    """What istiod reads from its MeshConfig; the defaults are istiod's but for the outbound policy."""

    trust_domain: str = "cluster.local"
    root_namespace: str = "istio-system"
    registry_only: bool = True
    """outboundTrafficPolicy REGISTRY_ONLY: without iptables there is nothing that traffic could pass through to."""
    jwks: Mapping[str, str] = field(default_factory=dict)
    """Key sets by their jwksUri; one that is missing here is replaced by a set that nobody can sign for."""
    otlp_collector: tuple[str, int] | None = None
    """Host and port of a service of the mesh that takes OTLP/gRPC; None: proxies export no spans."""


@dataclass(frozen=True)
class Mesh:
    """Everything that was read. Istio's resources are held by model class, each kind in the order of its age."""

    settings: MeshSettings
    services: Mapping[str, Service]
    """By host."""
    workloads: Mapping[tuple[str, str], Workload]
    """By (namespace, name)."""
    accounts: frozenset[tuple[str, str]]
    """ServiceAccounts, (namespace, name)."""
    namespaces: Mapping[str, Mapping[str, str]]
    """Labels by namespace."""
    istio: Mapping[type[Spec], Sequence[Resource[Any]]]

    def all(self, model: type[S]) -> Sequence[Resource[S]]:
        """Every resource of a kind, the oldest first."""
        return self.istio.get(model, ())

    def within(self, model: type[S], namespace: str) -> list[Resource[S]]:
        """Those of one namespace, the oldest first."""
        return [each for each in self.all(model) if each.namespace == namespace]

    def services_of(self, workload: Workload) -> list[Service]:
        """The Services whose endpoints the workload's pods are, by host."""
        return [service for _, service in sorted(self.services.items()) if service.selects(workload)]

    def workloads_of(self, service: Service) -> list[Workload]:
        """The workloads behind a Service, by namespace and name."""
        return [workload for _, workload in sorted(self.workloads.items()) if service.selects(workload)]


def selects(match_labels: Mapping[str, str] | None, labels: Mapping[str, str]) -> bool:
    """Whether an Istio selector takes these pod labels; no selector takes all."""
    return match_labels is None or match_labels.items() <= labels.items()


_KUBERNETES: Mapping[tuple[str, str], type[Spec]] = {
    ("apps/v1", "Deployment"): kubernetes.WorkloadSpec,
    ("apps/v1", "StatefulSet"): kubernetes.WorkloadSpec,
    ("v1", "Service"): kubernetes.ServiceSpec,
    ("v1", "ServiceAccount"): kubernetes.ServiceAccountSpec,
    ("v1", "Namespace"): kubernetes.NamespaceSpec,
}
_NOT_OURS = {"kustomize.config.k8s.io", "kafka.strimzi.io"}
"""API groups that others read: kustomize, and Strimzi or mesh.local."""
_REFUSED = {
    "WasmPlugin": "filters of your own are not run: remove it",
    "ProxyConfig": "sidecars are configured by Rostrum: remove it",
    "WorkloadEntry": "workloads are Deployments or StatefulSets: declare one",
    "WorkloadGroup": "workloads are Deployments or StatefulSets: declare one",
}


def load(texts: Mapping[str, str], settings: MeshSettings = MeshSettings(), namespace: str = "default") -> Mesh:
    """Reads the YAML texts by file name, and checks each resource and what it refers to. Raises ManifestError.

    `namespace` is that of documents which name none, as kustomize's `namespace:` sets it.
    """
    from mesh.sidecar.kinds import CHECKS, ISTIO  # noqa: PLC0415 - the kinds' modules need Mesh for their own signatures

    found: dict[type[Spec], list[Resource[Any]]] = {}
    seen: dict[tuple[str, str, str], str] = {}
    for raw in documents(texts, namespace):
        model = _KUBERNETES.get((raw.api_version, raw.kind)) or _istio_model(raw, ISTIO)
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


def _istio_model(raw: RawDocument, istio: Mapping[tuple[str, str], type[Spec]]) -> type[Spec] | None:
    group, _, version = raw.api_version.partition("/")
    if group in _NOT_OURS or (raw.api_version, raw.kind) == ("v1", "ConfigMap"):
        return None
    model = istio.get((group, raw.kind))
    if model is None:
        why = _REFUSED.get(raw.kind, "is not translated: remove it, or see the README's table of kinds")
        raise ManifestError(f"{raw.where}: {raw.api_version} {raw.kind}: {why}")
    if version not in {"v1", "v1beta1", "v1alpha3", "v1alpha1"}:
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


Check = Callable[[Mesh, Resource[Any]], None]
"""Looks at one resource in the light of all others. Raises ManifestError."""
