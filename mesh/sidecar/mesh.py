"""All manifests of a mesh, read and checked: the one object that every translation is made from.

Owns the look-ups that istiod's semantics ask for: selection by labels, root namespace, oldest first. None of them looks
at everything for each pod, and what others find out about a mesh is found out `once`: a translation of a whole mesh is
to cost a pod what one of a small mesh does. `reading.load` makes one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic, TypeVar

from mesh.manifests.document import Resource, Spec
from mesh.manifests.kubernetes import Service, Workload

S = TypeVar("S", bound=Spec)
T = TypeVar("T")
LabelsOf = Callable[[S], Mapping[str, str] | None]
"""The labels that a spec's selector asks for; None: it has no selector, and takes all."""


class BySelector(Generic[T]):
    """Things that select pods, found by a pod's labels: each is filed under one of the labels that it asks for."""

    def __init__(self, things: Iterable[tuple[str, Mapping[str, str] | None, T]]) -> None:
        """`things`: (namespace, labels, thing)."""
        self._filed: dict[tuple[str, tuple[str, str] | None], list[tuple[int, Mapping[str, str] | None, T]]] = {}
        for number, (namespace, labels, thing) in enumerate(things):
            one = next(iter(labels.items()), None) if labels else None
            self._filed.setdefault((namespace, one), []).append((number, labels, thing))

    def find(self, namespaces: Iterable[str], labels: Mapping[str, str]) -> list[T]:
        """Those of these namespaces that take a pod's labels, in the order in which they were given."""
        keys = [(namespace, one) for namespace in dict.fromkeys(namespaces) for one in (None, *labels.items())]
        found = [entry for key in keys for entry in self._filed.get(key, ()) if selects(entry[1], labels)]
        return [thing for _, _, thing in sorted(found, key=lambda entry: entry[0])]


@dataclass(frozen=True)
class MeshSettings:
    """What istiod reads from its MeshConfig; the defaults are istiod's but for the outbound policy."""

    trust_domain: str = "cluster.local"
    root_namespace: str = "istio-system"
    registry_only: bool = True
    """outboundTrafficPolicy REGISTRY_ONLY: without iptables there is nothing that traffic could pass through to."""
    jwks: Mapping[str, str] = field(default_factory=dict)
    """Key sets by their jwksUri; one that is missing here is replaced by a set that nobody can sign for."""
    system_ca_file: str = "/etc/ssl/certs/ca-certificates.crt"
    """The certificate authorities of the proxies' operating system; empty: it has no such file."""
    otlp_collector: tuple[str, int] | None = None
    """Host and port of a service of the mesh that takes OTLP/gRPC; None: proxies export no spans."""
    otlp_provider: str = "otel"
    """What a Telemetry may call that collector: its name among MeshConfig's extensionProviders."""


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
    _found: dict[Any, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    def once(self, find: Callable[[Mesh], T]) -> T:
        """What `find` finds out about this mesh: it is asked once, as a mesh does not change."""
        if find not in self._found:
            self._found[find] = find(self)
        found: T = self._found[find]
        return found

    def all(self, model: type[S]) -> Sequence[Resource[S]]:
        """Every resource of a kind, the oldest first."""
        return self.istio.get(model, ())

    def within(self, model: type[S], namespace: str) -> list[Resource[S]]:
        """Those of one namespace, the oldest first."""
        return [resource for resource in self.all(model) if resource.namespace == namespace]

    def list_selecting(self, model: type[S], workload: Workload, labels_of: LabelsOf[S]) -> list[Resource[S]]:
        """Those whose selector takes the workload, of its namespace and of the root namespace; the oldest first."""
        key = (model, labels_of)
        if key not in self._found:
            things = ((resource.namespace, labels_of(resource.spec), resource) for resource in self.all(model))
            self._found[key] = BySelector(things)
        index: BySelector[Resource[S]] = self._found[key]
        return index.find((self.settings.root_namespace, workload.namespace), workload.labels)

    def services_of(self, workload: Workload) -> list[Service]:
        """The Services whose endpoints the workload's pods are, by host."""
        return self._services.find([workload.namespace], workload.labels)

    @cached_property
    def _services(self) -> BySelector[Service]:
        services = (service for _, service in sorted(self.services.items()) if service.selector)
        return BySelector((service.namespace, service.selector, service) for service in services)

    def workloads_of(self, service: Service) -> list[Workload]:
        """The workloads behind a Service, by namespace and name."""
        return list(self.workloads_with(service.selector, service.namespace)) if service.selector else []

    def workloads_with(self, labels: Mapping[str, str], namespace: str | None = None) -> Iterator[Workload]:
        """The workloads that have these labels, by name; of one namespace, or of all, by namespace."""
        for name in sorted(self.namespaces) if namespace is None else [namespace]:
            filed = (self._by_label.get((name, *label), []) for label in labels.items())
            candidates = min(filed, key=len) if labels else [found for _, found in sorted(self.workloads.items())]
            yield from (found for found in candidates if found.namespace == name and selects(labels, found.labels))

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
