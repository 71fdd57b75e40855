"""Istio's standard metrics, counted by upstream Envoy's access logger for statistics.

Owns the names and labels of istio_requests_total and istio_request_duration_milliseconds. Labels of the other side come
from the endpoint's and cluster's metadata, which `mesh.sidecar.clusters.endpoints` sets, and from certificates; the
server's side knows its caller by certificate alone. Called by `mesh.sidecar.listeners.connection_manager`. Source:
Istio's page of standard metrics; Envoy's envoy.extensions.access_loggers.stats.v3.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.access_loggers.stats.v3 import stats_pb2
from envoy.type.matcher.v3 import string_pb2
from google.protobuf import json_format
from xds.type.v3 import typed_struct_pb2

from mesh.manifests import names
from mesh.sidecar.messages import pack
from mesh.sidecar.workload_names import canonical

if TYPE_CHECKING:
    from mesh.manifests.kubernetes import Service, Workload
    from mesh.sidecar.mesh import Mesh
    from mesh.sidecar.telemetry.scopes import Direction

_CLUSTER_ID = "Kubernetes"
"""The only cluster's id, istiod's default."""


def make_http_logs(
    mesh: Mesh, workload: Workload, direction: Direction, *, service: Service | None = None, mutual_tls: bool = False
) -> list[accesslog_pb2.AccessLog]:
    """The access logs that count calls: one for gRPC, one for all other HTTP. `service`: whose port is inbound."""
    if direction == "inbound":
        labels = _label_inbound(mesh, workload, service, mutual_tls=mutual_tls)
    else:
        labels = _label_outbound(mesh, workload)
    return [_make_log(labels, is_grpc=True), _make_log(labels, is_grpc=False)]


def _label_own(mesh: Mesh, workload: Workload, side: str) -> Mapping[str, str]:
    service, revision = canonical(workload)
    return {
        f"{side}_workload": workload.name,
        f"{side}_workload_namespace": workload.namespace,
        f"{side}_principal": names.spiffe_id(workload.namespace, workload.service_account, mesh.settings.trust_domain),
        f"{side}_app": service,
        f"{side}_version": revision,
        f"{side}_canonical_service": service,
        f"{side}_canonical_revision": revision,
        f"{side}_cluster": _CLUSTER_ID,
    }


def _label_inbound(mesh: Mesh, workload: Workload, service: Service | None, *, mutual_tls: bool) -> Mapping[str, str]:
    unknown = dict.fromkeys(_label_own(mesh, workload, "source"), "unknown")
    own = dict(_label_own(mesh, workload, "destination"))
    if mutual_tls:
        unknown["source_principal"] = "%DOWNSTREAM_PEER_URI_SAN%"
    else:
        own["destination_principal"] = "unknown"
    host, name = ("unknown", "unknown") if service is None else (service.host, service.name)
    return {
        "reporter": "destination",
        **unknown,
        **own,
        "destination_service": host,
        "destination_service_name": name,
        "destination_service_namespace": workload.namespace,
        "connection_security_policy": "mutual_tls" if mutual_tls else "none",
    }


def _label_outbound(mesh: Mesh, workload: Workload) -> Mapping[str, str]:
    return {
        "reporter": "source",
        **_label_own(mesh, workload, "source"),
        "destination_workload": "%UPSTREAM_METADATA(istio:workload_name)%",
        "destination_workload_namespace": "%UPSTREAM_METADATA(istio:namespace)%",
        "destination_principal": "%UPSTREAM_PEER_URI_SAN%",
        "destination_app": "%UPSTREAM_METADATA(istio:canonical_name)%",
        "destination_version": "%UPSTREAM_METADATA(istio:canonical_revision)%",
        "destination_canonical_service": "%UPSTREAM_METADATA(istio:canonical_name)%",
        "destination_canonical_revision": "%UPSTREAM_METADATA(istio:canonical_revision)%",
        "destination_cluster": _CLUSTER_ID,
        "destination_service": "%CLUSTER_METADATA(istio:service_host)%",
        "destination_service_name": "%CLUSTER_METADATA(istio:service_name)%",
        "destination_service_namespace": "%CLUSTER_METADATA(istio:service_namespace)%",
        "connection_security_policy": "unknown",
    }


def _make_log(labels: Mapping[str, str], *, is_grpc: bool) -> accesslog_pb2.AccessLog:
    # Envoy refuses an empty one; Prometheus knows no difference between empty and none.
    said = {name: value for name, value in labels.items() if value}
    found = typed_struct_pb2.TypedStruct()
    found.CopyFrom(_make_template(tuple(said), is_grpc=is_grpc))
    for counted in ("counters", "histograms"):
        (metric,) = found.value.fields[counted].list_value.values
        tags = metric.struct_value.fields["stat"].struct_value.fields["tags"].list_value.values
        for tag, value in zip(tags, said.values(), strict=False):
            tag.struct_value.fields["valueFormat"].string_value = value
    return accesslog_pb2.AccessLog(
        name="envoy.access_loggers.stats", filter=_filter_grpc(is_grpc=is_grpc), typed_config=pack(found)
    )


@lru_cache(maxsize=64)
def _make_template(names: tuple[str, ...], *, is_grpc: bool) -> typed_struct_pb2.TypedStruct:
    """The configuration with labels of these names, their values still to be filled in, and those that all have.

    Kept, since making one costs Python a millisecond, and a pod has six.
    """
    values = {
        **dict.fromkeys(names, "to be filled in"),
        "request_protocol": "grpc" if is_grpc else "http",
        "response_code": "%RESPONSE_CODE%",
        "grpc_response_status": "%GRPC_STATUS_NUMBER%",
        "response_flags": "%RESPONSE_FLAGS%",
    }
    tags = [stats_pb2.Config.Tag(name=name, value_format=value) for name, value in values.items()]
    total = stats_pb2.Config.Stat(name="requests_total", tags=tags)
    duration = stats_pb2.Config.Stat(name="request_duration_milliseconds", tags=tags)
    config = stats_pb2.Config()
    config.counters.add(stat=total).value_fixed.value = 1
    config.histograms.add(stat=duration, unit=stats_pb2.Config.Histogram.Milliseconds, value_format="%DURATION%")
    return _add_scope(config)


def _add_scope(config: stats_pb2.Config) -> typed_struct_pb2.TypedStruct:
    """The logger's configuration with its prefix, in a field that Envoy has and its messages in Python have not yet."""
    found = typed_struct_pb2.TypedStruct(type_url=f"type.googleapis.com/{config.DESCRIPTOR.full_name}")
    found.value.update({**json_format.MessageToDict(config), "statsScope": {"prefix": "istio"}})
    return found


def _filter_grpc(*, is_grpc: bool) -> accesslog_pb2.AccessLogFilter:
    """By content type, as gRPC itself says."""
    header = route_components_pb2.HeaderMatcher(
        name="content-type",
        string_match=string_pb2.StringMatcher(prefix="application/grpc"),
        invert_match=not is_grpc,
        treat_missing_header_as_empty=not is_grpc,
    )
    return accesslog_pb2.AccessLogFilter(header_filter=accesslog_pb2.HeaderFilter(header=header))
