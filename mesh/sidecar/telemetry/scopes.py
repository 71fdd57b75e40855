"""The scopes of Telemetry: what the root namespace, the namespace and the workload say, the later overriding.

Owns the order of the scopes, which side of a call an entry is meant for, and what a Telemetry may not say. What comes
of it is in `tracing` and `access_logs`; the standard metrics are always on, so a Telemetry may only name them.
Source: istio/istio pilot/pkg/model/telemetry.go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from mesh.manifests.istio.telemetry import Match, Provider, TelemetrySpec
from mesh.sidecar.mesh import selects

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mesh.manifests.document import Resource
    from mesh.manifests.kubernetes import Workload
    from mesh.sidecar.mesh import Mesh

Direction = Literal["inbound", "outbound", "gateway"]


def _is_for(resource: Resource[TelemetrySpec], workload: Workload) -> bool:
    selector = resource.spec.selector
    return resource.namespace == workload.namespace and (
        selector is not None and selects(selector.match_labels, workload.labels)
    )


def list_levels(mesh: Mesh, workload: Workload) -> Iterator[TelemetrySpec]:
    """What is said of a workload, the widest scope first."""
    for namespace in dict.fromkeys((mesh.settings.root_namespace, workload.namespace)):
        for telemetry in mesh.within(TelemetrySpec, namespace):
            if telemetry.spec.selector is None:
                yield telemetry.spec
    yield from (telemetry.spec for telemetry in mesh.all(TelemetrySpec) if _is_for(telemetry, workload))


def is_meant(match: Match, direction: Direction) -> bool:
    """Whether an entry is for that side of a call; a gateway is a client."""
    return match.mode in {"CLIENT_AND_SERVER", "SERVER" if direction == "inbound" else "CLIENT"}


def check_telemetry(mesh: Mesh, resource: Resource[TelemetrySpec]) -> None:
    """Raises ManifestError for what istiod would pass over, and for a second one of the same scope."""
    spec = resource.spec
    if spec.selector is None:
        oldest = next(other for other in mesh.within(TelemetrySpec, resource.namespace) if not other.spec.selector)
        if oldest is not resource:
            raise resource.refuse(
                "", f"{oldest.where} is for all of {resource.namespace} already: remove one of the two"
            )
    elif not any(_is_for(resource, workload) for workload in mesh.workloads.values()):
        raise resource.refuse("selector.matchLabels", "no workload has these labels: correct them")
    for number, log in enumerate(spec.access_logging):
        if log.filter is not None and not log.providers:
            raise resource.refuse(f"accessLogging[{number}].filter", "has no effect without providers: add envoy")
        _check_providers(resource, f"accessLogging[{number}]", log.providers, "envoy")
    for number, metrics in enumerate(spec.metrics):
        _check_providers(resource, f"metrics[{number}]", metrics.providers, "prometheus")
    settings = mesh.settings
    for number, tracing in enumerate(spec.tracing):
        if settings.otlp_collector is None and tracing.providers:
            what = "no collector of spans is configured here: leave providers out, which means the mesh's default"
            raise resource.refuse(f"tracing[{number}].providers", what)
        _check_providers(resource, f"tracing[{number}]", tracing.providers, settings.otlp_provider)
        for name, tag in (tracing.custom_tags or {}).items():
            if (tag.literal is None) == (tag.header is None):
                where = f"tracing[{number}].customTags[{name}]"
                raise resource.refuse(where, "one of literal and header is needed: write which")


def _check_providers(resource: Resource[TelemetrySpec], path: str, providers: Iterable[Provider], known: str) -> None:
    for i, provider in enumerate(providers):
        if provider.name != known:
            raise resource.refuse(f"{path}.providers[{i}].name", f"{provider.name!r} is not known: write {known}")
