"""Spans: which calls are policy, by what sampling, with which tags, and where the spans go.

Called by `mesh.sidecar.listeners.connection_manager`. Source: istio/istio pilot/pkg/model/telemetry.go,
pilot/pkg/networking/core/tracing.go.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from envoy.config.core.v3 import grpc_service_pb2
from envoy.config.trace.v3 import http_tracer_pb2, opentelemetry_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.type.metadata.v3 import metadata_pb2
from envoy.type.tracing.v3 import custom_tag_pb2
from envoy.type.v3 import percent_pb2

from mesh.manifests import names
from mesh.manifests.istio.telemetry import CustomTag, LiteralTag, Tracing
from mesh.sidecar.messages import pack
from mesh.sidecar.telemetry.scopes import is_meant, list_levels
from mesh.sidecar.workload_names import canonical, node_cluster

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mesh.manifests.kubernetes import Workload
    from mesh.sidecar.mesh import Mesh
    from mesh.sidecar.telemetry.scopes import Direction

T = TypeVar("T")
DEFAULT_SAMPLING_PERCENT = 1.0
"""istiod's PILOT_TRACE_SAMPLING."""


@dataclass(frozen=True)
class _Policy:
    """What all scopes together say of tracing."""

    sampling_percent: float = DEFAULT_SAMPLING_PERCENT
    is_reported: bool = True
    tags: tuple[tuple[str, CustomTag], ...] = ()
    with_istio_tags: bool = True

    def override(self, said: Tracing) -> _Policy:
        """With what a narrower scope says."""
        return replace(
            self,
            sampling_percent=_first(said.random_sampling_percentage, self.sampling_percent),
            is_reported=not _first(said.disable_span_reporting, not self.is_reported),
            tags=self.tags if said.custom_tags is None else tuple(said.custom_tags.items()),
            with_istio_tags=_first(said.enable_istio_tags, self.with_istio_tags),
        )


def _first(said: T | None, otherwise: T) -> T:
    return otherwise if said is None else said


def make_tracing(
    mesh: Mesh, workload: Workload, direction: Direction
) -> http_connection_manager_pb2.HttpConnectionManager.Tracing | None:
    """The tracing block of an HTTP connection manager; None if spans go nowhere.

    They go to `MeshSettings.otlp_collector`, which is the default provider of the mesh.
    """
    policy = _Policy()
    for level in list_levels(mesh, workload):
        for entry in level.tracing:
            if is_meant(entry.match, direction):
                policy = policy.override(entry)
    if mesh.settings.otlp_collector is None or not policy.is_reported:
        return None
    found = http_connection_manager_pb2.HttpConnectionManager.Tracing(
        client_sampling=percent_pb2.Percent(value=100),
        random_sampling=percent_pb2.Percent(value=policy.sampling_percent),
        overall_sampling=percent_pb2.Percent(value=100),
        custom_tags=_make_tags(mesh, workload, policy),
        provider=_make_tracer(workload, *mesh.settings.otlp_collector),
    )
    if direction == "gateway":
        found.spawn_upstream_span.value = True
    return found


def _make_tracer(workload: Workload, host: str, port: int) -> http_tracer_pb2.Tracing.Http:
    collector = grpc_service_pb2.GrpcService.EnvoyGrpc(
        cluster_name=names.outbound_cluster(port, "", host), authority=host
    )
    config = opentelemetry_pb2.OpenTelemetryConfig(
        grpc_service=grpc_service_pb2.GrpcService(envoy_grpc=collector), service_name=node_cluster(workload)
    )
    return http_tracer_pb2.Tracing.Http(name="envoy.tracers.opentelemetry", typed_config=pack(config))


def _make_tags(mesh: Mesh, workload: Workload, policy: _Policy) -> list[custom_tag_pb2.CustomTag]:
    service, revision = canonical(workload)
    found = {name: _make_tag(name, tag) for name, tag in policy.tags}
    if policy.with_istio_tags:
        literals = {
            "istio.canonical_revision": revision,
            "istio.canonical_service": service,
            "istio.cluster_id": "Kubernetes",
            "istio.mesh_id": mesh.settings.trust_domain,
            "istio.namespace": workload.namespace,
        }
        found |= {name: _make_tag(name, CustomTag(literal=LiteralTag(value=value))) for name, value in literals.items()}
        found |= {tag.tag: tag for tag in _list_dry_run_tags()}
    return [found[name] for name in sorted(found)]


def _make_tag(name: str, tag: CustomTag) -> custom_tag_pb2.CustomTag:
    found = custom_tag_pb2.CustomTag(tag=name)
    if tag.literal is not None:
        found.literal.value = tag.literal.value
    if tag.header is not None:
        found.request_header.name, found.request_header.default_value = tag.header.name, tag.header.default_value
    return found


def _list_dry_run_tags() -> Iterator[custom_tag_pb2.CustomTag]:
    """istiod's tags of policies that are only tried. None is tried here, so they are never there in a span."""
    for action in ("allow", "deny"):
        for name, key in (("name", "effective_policy_id"), ("result", "engine_result")):
            found = custom_tag_pb2.CustomTag(tag=f"istio.authorization.dry_run.{action}_policy.{name}")
            found.metadata.kind.CopyFrom(metadata_pb2.MetadataKind(request=metadata_pb2.MetadataKind.Request()))
            found.metadata.metadata_key.key = "envoy.filters.http.rbac"
            found.metadata.metadata_key.path.add(key=f"istio_dry_run_{action}_shadow_{key}")
            yield found
