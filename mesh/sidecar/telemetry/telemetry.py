"""Telemetry: which calls are traced and which are logged, and by what sampling.

Owns the order of the scopes (root namespace, namespace, workload; the later overrides), the tracer and the access log.
The standard metrics are always on, so a Telemetry may only name them. Called by
`mesh.sidecar.listeners.connection_manager` and `.inbound`. Source: istio/istio pilot/pkg/model/telemetry.go and
telemetry_logging.go, pilot/pkg/networking/core/tracing.go.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.core.v3 import grpc_service_pb2
from envoy.config.trace.v3 import http_tracer_pb2, opentelemetry_pb2
from envoy.extensions.access_loggers.file.v3 import file_pb2
from envoy.extensions.access_loggers.filters.cel.v3 import cel_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.type.metadata.v3 import metadata_pb2
from envoy.type.tracing.v3 import custom_tag_pb2
from envoy.type.v3 import percent_pb2

from mesh.manifests import names
from mesh.manifests.istio.telemetry import AccessLogging, CustomTag, LiteralTag, Match, Provider, TelemetrySpec, Tracing
from mesh.sidecar.mesh import selects
from mesh.sidecar.resources import packed
from mesh.sidecar.workload_names import canonical, node_cluster

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mesh.manifests.document import Resource
    from mesh.manifests.kubernetes import Workload
    from mesh.sidecar.mesh import Mesh

Direction = Literal["inbound", "outbound", "gateway"]
DEFAULT_SAMPLING_PERCENT = 1.0
"""istiod's PILOT_TRACE_SAMPLING."""


def check_telemetry(mesh: Mesh, resource: Resource[TelemetrySpec]) -> None:
    """Raises ManifestError for what istiod would pass over, and for a second one of the same scope."""
    spec = resource.spec
    if spec.selector is None:
        oldest = next(each for each in mesh.within(TelemetrySpec, resource.namespace) if each.spec.selector is None)
        if oldest is not resource:
            raise resource.refuse(
                "", f"{oldest.where} is for all of {resource.namespace} already: remove one of the two"
            )
    elif not any(_is_for(resource, each) for each in mesh.workloads.values()):
        raise resource.refuse("selector.matchLabels", "no workload has these labels: correct them")
    for number, log in enumerate(spec.access_logging):
        if log.filter is not None and not log.providers:
            raise resource.refuse(f"accessLogging[{number}].filter", "has no effect without providers: add envoy")
        _check_providers(resource, f"accessLogging[{number}]", log.providers, "envoy")
    for number, metrics in enumerate(spec.metrics):
        _check_providers(resource, f"metrics[{number}]", metrics.providers, "prometheus")
    for number, tracing in enumerate(spec.tracing):
        for name, tag in (tracing.custom_tags or {}).items():
            if (tag.literal is None) == (tag.header is None):
                where = f"tracing[{number}].customTags[{name}]"
                raise resource.refuse(where, "one of literal and header is needed: write which")


def _check_providers(resource: Resource[TelemetrySpec], path: str, providers: Iterable[Provider], known: str) -> None:
    for i, provider in enumerate(providers):
        if provider.name != known:
            raise resource.refuse(f"{path}.providers[{i}].name", f"{provider.name!r} is not known: write {known}")


def _is_for(resource: Resource[TelemetrySpec], workload: Workload) -> bool:
    selector = resource.spec.selector
    return resource.namespace == workload.namespace and (
        selector is not None and selects(selector.match_labels, workload.labels)
    )


def _levels(mesh: Mesh, workload: Workload) -> Iterator[TelemetrySpec]:
    """What is said of a workload, the widest scope first."""
    for namespace in dict.fromkeys((mesh.settings.root_namespace, workload.namespace)):
        for each in mesh.within(TelemetrySpec, namespace):
            if each.spec.selector is None:
                yield each.spec
    yield from (each.spec for each in mesh.all(TelemetrySpec) if _is_for(each, workload))


def _is_meant(match: Match, direction: Direction) -> bool:
    return match.mode in {"CLIENT_AND_SERVER", "SERVER" if direction == "inbound" else "CLIENT"}


@dataclass(frozen=True)
class _Traced:
    """What all scopes together say of tracing."""

    sampling_percent: float = DEFAULT_SAMPLING_PERCENT
    is_reported: bool = True
    tags: tuple[tuple[str, CustomTag], ...] = ()
    with_istio_tags: bool = True

    def overridden(self, said: Tracing) -> _Traced:
        """With what a narrower scope says."""
        return replace(
            self,
            sampling_percent=_first(said.random_sampling_percentage, self.sampling_percent),
            is_reported=not _first(said.disable_span_reporting, not self.is_reported),
            tags=self.tags if said.custom_tags is None else tuple(said.custom_tags.items()),
            with_istio_tags=_first(said.enable_istio_tags, self.with_istio_tags),
        )


def _first(said: Any, otherwise: Any) -> Any:
    return otherwise if said is None else said


def tracing(mesh: Mesh, workload: Workload, direction: Direction) -> Any | None:
    """The tracing block of an HTTP connection manager; None if spans go nowhere.

    They go to `MeshSettings.otlp_collector`, which is the default provider of the mesh.
    """
    traced = _Traced()
    for level in _levels(mesh, workload):
        for each in level.tracing:
            if _is_meant(each.match, direction):
                traced = traced.overridden(each)
    if mesh.settings.otlp_collector is None or not traced.is_reported:
        return None
    found = http_connection_manager_pb2.HttpConnectionManager.Tracing(
        client_sampling=percent_pb2.Percent(value=100),
        random_sampling=percent_pb2.Percent(value=traced.sampling_percent),
        overall_sampling=percent_pb2.Percent(value=100),
        custom_tags=_tags(mesh, workload, traced),
        provider=_tracer(workload, *mesh.settings.otlp_collector),
    )
    if direction == "gateway":
        found.spawn_upstream_span.value = True
    return found


def _tracer(workload: Workload, host: str, port: int) -> Any:
    collector = grpc_service_pb2.GrpcService.EnvoyGrpc(
        cluster_name=names.outbound_cluster(port, "", host), authority=host
    )
    config = opentelemetry_pb2.OpenTelemetryConfig(
        grpc_service=grpc_service_pb2.GrpcService(envoy_grpc=collector), service_name=node_cluster(workload)
    )
    return http_tracer_pb2.Tracing.Http(name="envoy.tracers.opentelemetry", typed_config=packed(config))


def _tags(mesh: Mesh, workload: Workload, traced: _Traced) -> list[Any]:
    service, revision = canonical(workload)
    found = {name: _custom_tag(name, tag) for name, tag in traced.tags}
    if traced.with_istio_tags:
        literals = {
            "istio.canonical_revision": revision,
            "istio.canonical_service": service,
            "istio.cluster_id": "Kubernetes",
            "istio.mesh_id": mesh.settings.trust_domain,
            "istio.namespace": workload.namespace,
        }
        found |= {name: _custom_tag(name, CustomTag(literal=LiteralTag(value=each))) for name, each in literals.items()}
        found |= {each.tag: each for each in _dry_run_tags()}
    return [found[name] for name in sorted(found)]


def _custom_tag(name: str, tag: CustomTag) -> Any:
    found = custom_tag_pb2.CustomTag(tag=name)
    if tag.literal is not None:
        found.literal.value = tag.literal.value
    if tag.header is not None:
        found.request_header.name, found.request_header.default_value = tag.header.name, tag.header.default_value
    return found


def _dry_run_tags() -> Iterator[Any]:
    """istiod's tags of policies that are only tried. None is tried here, so they are never there in a span."""
    for action in ("allow", "deny"):
        for name, key in (("name", "effective_policy_id"), ("result", "engine_result")):
            found = custom_tag_pb2.CustomTag(tag=f"istio.authorization.dry_run.{action}_policy.{name}")
            found.metadata.kind.CopyFrom(metadata_pb2.MetadataKind(request=metadata_pb2.MetadataKind.Request()))
            found.metadata.metadata_key.key = "envoy.filters.http.rbac"
            found.metadata.metadata_key.path.add(key=f"istio_dry_run_{action}_shadow_{key}")
            yield found


_LOG_FORMAT = {
    "authority": "%REQ(:AUTHORITY)%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
    "connection_termination_details": "%CONNECTION_TERMINATION_DETAILS%",
    "downstream_local_address": "%DOWNSTREAM_LOCAL_ADDRESS%",
    "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS%",
    "duration": "%DURATION%",
    "method": "%REQ(:METHOD)%",
    "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
    "protocol": "%PROTOCOL%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "requested_server_name": "%REQUESTED_SERVER_NAME%",
    "response_code": "%RESPONSE_CODE%",
    "response_code_details": "%RESPONSE_CODE_DETAILS%",
    "response_flags": "%RESPONSE_FLAGS%",
    "route_name": "%ROUTE_NAME%",
    "start_time": "%START_TIME%",
    "upstream_cluster": "%UPSTREAM_CLUSTER_RAW%",
    "upstream_host": "%UPSTREAM_HOST%",
    "upstream_local_address": "%UPSTREAM_LOCAL_ADDRESS%",
    "upstream_service_time": "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%",
    "upstream_transport_failure_reason": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
    "user_agent": "%REQ(USER-AGENT)%",
    "x_forwarded_for": "%REQ(X-FORWARDED-FOR)%",
}
"""istiod's own with accessLogEncoding JSON, the only encoding that we know."""


def access_log(mesh: Mesh, workload: Workload, direction: Direction) -> list[Any]:
    """The access logs of a connection manager or TCP proxy; none if no Telemetry asks for them."""
    log = _logged(mesh, workload, direction)
    return [] if log is None else [_file_log(_filters(log))]


def listener_access_log(mesh: Mesh, workload: Workload, direction: Direction) -> list[Any]:
    """The access logs of a listener: connections that no filter chain takes."""
    log = _logged(mesh, workload, direction)
    if log is None:
        return []
    refused = accesslog_pb2.AccessLogFilter(response_flag_filter=accesslog_pb2.ResponseFlagFilter(flags=["NR"]))
    return [_file_log([refused, *_filters(log)])]


def _logged(mesh: Mesh, workload: Workload, direction: Direction) -> AccessLogging | None:
    """The last entry for that side that names the provider, if the last one of all does not switch it off."""
    named: AccessLogging | None = None
    is_on = False
    for level in _levels(mesh, workload):
        for each in level.access_logging:
            if _is_meant(each.match, direction):
                named = each if each.providers else named
                is_on = not each.disabled
    return named if is_on else None


def _filters(log: AccessLogging) -> list[Any]:
    if log.filter is None:
        return []
    expression = cel_pb2.ExpressionFilter(expression=log.filter.expression)
    extension = accesslog_pb2.ExtensionFilter(
        name="envoy.access_loggers.extension_filters.cel", typed_config=packed(expression)
    )
    return [accesslog_pb2.AccessLogFilter(extension_filter=extension)]


def _file_log(filters: list[Any]) -> Any:
    config = file_pb2.FileAccessLog(path="/dev/stdout")
    config.log_format.json_format.update(_LOG_FORMAT)
    config.log_format.json_format_options.SetInParent()
    found = accesslog_pb2.AccessLog(name="envoy.access_loggers.file", typed_config=packed(config))
    if len(filters) > 1:
        found.filter.and_filter.filters.extend(filters)
    elif filters:
        found.filter.CopyFrom(filters[0])
    return found
