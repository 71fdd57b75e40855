"""outlierDetection of a traffic policy: when an endpoint that fails is left alone for a while.

Without the block nothing is ejected, and all endpoints are used however few are healthy. Called by
`mesh.sidecar.clusters.outbound`. Source: istio/istio pilot/pkg/networking/core/cluster_traffic_policy.go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from envoy.config.cluster.v3 import outlier_detection_pb2

from mesh.sidecar.messages import to_duration, to_uint32

if TYPE_CHECKING:
    from envoy.config.cluster.v3 import cluster_pb2

    from mesh.manifests.istio.traffic_policy import OutlierDetection


def set_outlier_detection(cluster: cluster_pb2.Cluster, outliers: OutlierDetection | None) -> None:
    """Sets what takes endpoints out, and below which share of healthy ones all are used (0: never)."""
    cluster.common_lb_config.healthy_panic_threshold.value = 0 if outliers is None else outliers.min_health_percent
    if outliers is None:
        return
    found = outlier_detection_pb2.OutlierDetection(enforcing_success_rate=to_uint32(0))
    if outliers.consecutive5xx_errors is not None:
        found.consecutive_5xx.value = outliers.consecutive5xx_errors
        found.enforcing_consecutive_5xx.value = 100 if outliers.consecutive5xx_errors else 0
    if outliers.consecutive_gateway_errors is not None:
        found.consecutive_gateway_failure.value = outliers.consecutive_gateway_errors
        found.enforcing_consecutive_gateway_failure.value = 100 if outliers.consecutive_gateway_errors else 0
    if outliers.interval is not None:
        found.interval.CopyFrom(to_duration(outliers.interval))
    if outliers.base_ejection_time is not None:
        found.base_ejection_time.CopyFrom(to_duration(outliers.base_ejection_time))
    if outliers.max_ejection_percent:
        found.max_ejection_percent.value = outliers.max_ejection_percent
    if outliers.split_external_local_origin_errors:
        found.split_external_local_origin_errors = True
        if outliers.consecutive_local_origin_failures:
            found.consecutive_local_origin_failure.value = outliers.consecutive_local_origin_failures
            found.enforcing_consecutive_local_origin_failure.value = 100
        found.enforcing_local_origin_success_rate.value = 0
    cluster.outlier_detection.CopyFrom(found)
