"""All manifests of a mesh, read and checked: the one object that every translation is made from.

Owns the look-ups that istiod's semantics ask for: selection by labels, root namespace, oldest first. `reading.load`
makes one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

from mesh.sidecar.document import Resource, Spec
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
        labels = [(service.namespace, *each) for each in service.selector.items()]
        candidates = min((self._by_label.get(each, []) for each in labels), key=len, default=[])
        return [each for each in candidates if service.selects(each)]

    @cached_property
    def _by_label(self) -> Mapping[tuple[str, str, str], list[Workload]]:
        """Workloads by namespace and one label: without it a mesh's translation would be quadratic."""
        found: dict[tuple[str, str, str], list[Workload]] = {}
        for _, workload in sorted(self.workloads.items()):
            for label in workload.labels.items():
                found.setdefault((workload.namespace, *label), []).append(workload)
        return found


def selects(match_labels: Mapping[str, str] | None, labels: Mapping[str, str]) -> bool:
    """Whether an Istio selector takes these pod labels; no selector takes all."""
    return match_labels is None or match_labels.items() <= labels.items()


Check = Callable[[Mesh, Resource[Any]], None]
"""Looks at one resource in the light of all others. Raises ManifestError."""
