"""Documents to typed resources: which kind is of which model, which kinds are refused, and none declared twice.

Called by `mesh.manifests.read`, and by whoever keeps documents (an overlay).
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from mesh.manifests import kubernetes, pods, strimzi
from mesh.manifests.document import Resource, Spec, read_resource
from mesh.manifests.istio import kinds as istio
from mesh.manifests.texts import Document, Key

S = TypeVar("S", bound=Spec)

KUBERNETES: Mapping[tuple[str, str], type[Spec]] = {
    ("apps/v1", "Deployment"): pods.DeploymentSpec,
    ("apps/v1", "StatefulSet"): pods.StatefulSetSpec,
    ("v1", "Service"): kubernetes.ServiceSpec,
    ("v1", "ServiceAccount"): kubernetes.ServiceAccountSpec,
    ("v1", "ConfigMap"): kubernetes.ConfigMapSpec,
    ("v1", "Namespace"): kubernetes.NamespaceSpec,
}
"""The model of each of Kubernetes' kinds, by apiVersion and kind."""
STRIMZI: Mapping[str, type[Spec]] = {"KafkaTopic": strimzi.KafkaTopicSpec, "KafkaUser": strimzi.KafkaUserSpec}
"""The model of each kind of the group kafka.strimzi.io."""


@dataclass(frozen=True)
class Resources:
    """Everything that was read, by the model of its kind, each kind in the order of its documents."""

    by_model: Mapping[type[Spec], Sequence[Resource[Any]]]

    def of(self, model: type[S]) -> Sequence[Resource[S]]:
        """The resources of one kind."""
        return self.by_model.get(model, ())


def read_documents(documents: Iterable[Document]) -> Resources:
    """Reads each document as its kind's model. Raises ManifestError, also for a resource that is declared twice."""
    with _without_collector():
        found: dict[type[Spec], list[Resource[Any]]] = {}
        seen: dict[Key, str] = {}
        for document in documents:
            resource = read_resource(document.fields, model := model_of(document), document.where)
            if document.key in seen:
                raise document.refuse(f"is declared already in {seen[document.key]}: remove one of the two")
            seen[document.key] = document.where
            found.setdefault(model, []).append(resource)
        return Resources(found)


def model_of(document: Document) -> type[Spec]:
    """The model of a document's kind. Raises ManifestError for a kind or version that is not known here."""
    api_version, kind, group = document.api_version, document.kind, document.group
    model = KUBERNETES.get((api_version, kind))
    if model is not None:
        return model
    model, versions = istio.KINDS.get((group, kind)), istio.VERSIONS
    if group == "kafka.strimzi.io":
        model, versions = STRIMZI.get(kind), strimzi.VERSIONS
    if model is None:
        why = istio.REFUSED.get(kind, "is not translated: remove it, or see the README's table of kinds")
        raise document.refuse(f"{api_version} {kind}: {why}")
    version = api_version.rpartition("/")[2]
    if version not in versions:
        raise document.refuse(f"apiVersion: {kind} has no version {version}: write {group}/v1")
    return model


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
