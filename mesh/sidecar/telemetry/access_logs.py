"""Access logs: which calls and refused connections are logged, as istiod's JSON on the Envoy's standard output.

Called by `mesh.sidecar.listeners.connection_manager`, `.inbound` and `.gateway`. Source: istio/istio
pilot/pkg/model/telemetry_logging.go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.extensions.access_loggers.file.v3 import file_pb2
from envoy.extensions.access_loggers.filters.cel.v3 import cel_pb2

from mesh.sidecar.messages import pack
from mesh.sidecar.telemetry.scopes import is_meant, list_levels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mesh.manifests.istio.telemetry import AccessLogging
    from mesh.manifests.kubernetes import Workload
    from mesh.sidecar.mesh import Mesh
    from mesh.sidecar.telemetry.scopes import Direction

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


def make_access_logs(mesh: Mesh, workload: Workload, direction: Direction) -> list[accesslog_pb2.AccessLog]:
    """The access logs of a connection manager or TCP proxy; none if no Telemetry asks for them."""
    log = _find_entry(mesh, workload, direction)
    return [] if log is None else [_make_file_log(_make_filters(log))]


def make_listener_access_logs(mesh: Mesh, workload: Workload, direction: Direction) -> list[accesslog_pb2.AccessLog]:
    """The access logs of a listener: connections that no filter chain takes."""
    log = _find_entry(mesh, workload, direction)
    if log is None:
        return []
    refused = accesslog_pb2.AccessLogFilter(response_flag_filter=accesslog_pb2.ResponseFlagFilter(flags=["NR"]))
    return [_make_file_log([refused, *_make_filters(log)])]


def _find_entry(mesh: Mesh, workload: Workload, direction: Direction) -> AccessLogging | None:
    """The last entry for that side that names the provider, if the last one of all does not switch it off."""
    named: AccessLogging | None = None
    is_on = False
    for level in list_levels(mesh, workload):
        for entry in level.access_logging:
            if is_meant(entry.match, direction):
                named = entry if entry.providers else named
                is_on = not entry.disabled
    return named if is_on else None


def _make_filters(log: AccessLogging) -> list[accesslog_pb2.AccessLogFilter]:
    if log.filter is None:
        return []
    expression = cel_pb2.ExpressionFilter(expression=log.filter.expression)
    extension = accesslog_pb2.ExtensionFilter(
        name="envoy.access_loggers.extension_filters.cel", typed_config=pack(expression)
    )
    return [accesslog_pb2.AccessLogFilter(extension_filter=extension)]


def _make_file_log(filters: Sequence[accesslog_pb2.AccessLogFilter]) -> accesslog_pb2.AccessLog:
    config = file_pb2.FileAccessLog(path="/dev/stdout")
    config.log_format.json_format.update(_LOG_FORMAT)
    config.log_format.json_format_options.SetInParent()
    found = accesslog_pb2.AccessLog(name="envoy.access_loggers.file", typed_config=pack(config))
    if len(filters) > 1:
        found.filter.and_filter.filters.extend(filters)
    elif filters:
        found.filter.CopyFrom(filters[0])
    return found
