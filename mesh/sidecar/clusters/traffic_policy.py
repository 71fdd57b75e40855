"""What a trafficPolicy becomes of a cluster: connections, outliers, balancing.

The models are in `mesh.manifests.istio.traffic_policy`; which policy holds for a port or subset is said in
`mesh.sidecar.destination_rules`, TLS in `tls`. Called by `mesh.sidecar.clusters.outbound`, and by
`mesh.sidecar.listeners.inbound` for the connection pool alone. Source: istio/istio
pilot/pkg/networking/core/cluster_traffic_policy.go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from envoy.config.cluster.v3 import circuit_breaker_pb2, cluster_pb2, outlier_detection_pb2
from envoy.config.core.v3 import address_pb2, base_pb2, protocol_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from envoy.type.v3 import percent_pb2
from google.protobuf import duration_pb2, wrappers_pb2

from mesh.manifests.istio.traffic_policy import (
    ConnectionPool,
    ConsistentHash,
    HttpPool,
    LoadBalancer,
    OutlierDetection,
    TcpKeepalive,
    TcpPool,
)
from mesh.sidecar.resources import packed

if TYPE_CHECKING:
    from datetime import timedelta

    from mesh.manifests.kubernetes import Protocol

UNLIMITED = 2**32 - 1
"""istiod's default for each circuit breaker; Envoy's own (1024 connections, 3 retries) would be felt."""
_PROTOCOL_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def duration(value: timedelta) -> duration_pb2.Duration:
    """A duration as a message."""
    found = duration_pb2.Duration()
    found.FromTimedelta(value)
    return found


def _uint(value: int) -> wrappers_pb2.UInt32Value:
    return wrappers_pb2.UInt32Value(value=value)


def protocol_options(protocol: Protocol, pool: ConnectionPool | None, *, sniffs: bool) -> Any:
    """Which HTTP a cluster of that port speaks; an empty message if nothing is to be said of it.

    `sniffs` is true for a sidecar's outbound clusters: there a port of unknown protocol speaks what its caller does.
    """
    found = http_protocol_options_pb2.HttpProtocolOptions()
    http = HttpPool() if pool is None else pool.http
    if protocol.is_http2 or (http.h2_upgrade_policy == "UPGRADE" and not http.use_client_protocol):
        found.explicit_http_config.http2_protocol_options.SetInParent()
    elif protocol.value == "unsupported" and sniffs:
        _speak_as_called(found)
    return found


def _speak_as_called(options: Any) -> None:
    options.use_downstream_protocol_config.http_protocol_options.SetInParent()
    options.use_downstream_protocol_config.http2_protocol_options.SetInParent()


def set_connection_pool(cluster: Any, options: Any, pool: ConnectionPool | None) -> None:
    """Sets the cluster's limits, and in `options` (from `protocol_options`) the limits of its connections."""
    tcp, http = (TcpPool(), HttpPool()) if pool is None else (pool.tcp, pool.http)
    cluster.connect_timeout.CopyFrom(
        duration_pb2.Duration(seconds=10) if tcp.connect_timeout is None else duration(tcp.connect_timeout)
    )
    cluster.circuit_breakers.thresholds.append(
        circuit_breaker_pb2.CircuitBreakers.Thresholds(
            max_connections=_uint(tcp.max_connections or UNLIMITED),
            max_pending_requests=_uint(http.http1_max_pending_requests or UNLIMITED),
            max_requests=_uint(http.http2_max_requests or UNLIMITED),
            max_retries=_uint(http.max_retries or UNLIMITED),
        )
    )
    if tcp.tcp_keepalive is not None:
        cluster.upstream_connection_options.tcp_keepalive.CopyFrom(_keepalive(tcp.tcp_keepalive))
    _limit_connections(options, tcp, http)
    if http.use_client_protocol:
        _speak_as_called(options)


def _limit_connections(options: Any, tcp: TcpPool, http: HttpPool) -> None:
    idle = tcp.idle_timeout if http.idle_timeout is None else http.idle_timeout
    numbers = (http.max_requests_per_connection, http.max_concurrent_streams)
    if idle is None and tcp.max_connection_duration is None and not any(numbers) and http.http2_keep_alive is None:
        return
    common = options.common_http_protocol_options
    common.SetInParent()
    if idle is not None:
        common.idle_timeout.CopyFrom(duration(idle))
    if tcp.max_connection_duration is not None:
        common.max_connection_duration.CopyFrom(duration(tcp.max_connection_duration))
    if http.max_requests_per_connection:
        common.max_requests_per_connection.value = http.max_requests_per_connection
    if not options.explicit_http_config.HasField("http2_protocol_options"):
        options.explicit_http_config.http_protocol_options.SetInParent()
        return
    http2 = options.explicit_http_config.http2_protocol_options
    if http.max_concurrent_streams:
        http2.max_concurrent_streams.value = http.max_concurrent_streams
    if http.http2_keep_alive is not None:
        interval, timeout = duration(http.http2_keep_alive.interval), duration(http.http2_keep_alive.timeout)
        http2.connection_keepalive.CopyFrom(protocol_pb2.KeepaliveSettings(interval=interval, timeout=timeout))


def set_protocol_options(cluster: Any, options: Any) -> None:
    """Puts the finished options into the cluster. Empty ones are left out; any others need a protocol."""
    if not options.ByteSize():
        return
    if options.WhichOneof("upstream_protocol_options") is None:
        options.explicit_http_config.http_protocol_options.SetInParent()
    cluster.typed_extension_protocol_options[_PROTOCOL_OPTIONS].CopyFrom(packed(options))


def _keepalive(said: TcpKeepalive) -> Any:
    found = address_pb2.TcpKeepalive()
    if said.probes:
        found.keepalive_probes.value = said.probes
    if said.time is not None:
        found.keepalive_time.value = int(said.time.total_seconds())
    if said.interval is not None:
        found.keepalive_interval.value = int(said.interval.total_seconds())
    return found


def set_outlier_detection(cluster: Any, said: OutlierDetection | None) -> None:
    """Sets what takes endpoints out, and below which share of healthy ones all are used (0: never)."""
    cluster.common_lb_config.healthy_panic_threshold.value = 0 if said is None else said.min_health_percent
    if said is None:
        return
    found = outlier_detection_pb2.OutlierDetection(enforcing_success_rate=_uint(0))
    if said.consecutive5xx_errors is not None:
        found.consecutive_5xx.value = said.consecutive5xx_errors
        found.enforcing_consecutive_5xx.value = 100 if said.consecutive5xx_errors else 0
    if said.consecutive_gateway_errors is not None:
        found.consecutive_gateway_failure.value = said.consecutive_gateway_errors
        found.enforcing_consecutive_gateway_failure.value = 100 if said.consecutive_gateway_errors else 0
    if said.interval is not None:
        found.interval.CopyFrom(duration(said.interval))
    if said.base_ejection_time is not None:
        found.base_ejection_time.CopyFrom(duration(said.base_ejection_time))
    if said.max_ejection_percent:
        found.max_ejection_percent.value = said.max_ejection_percent
    if said.split_external_local_origin_errors:
        found.split_external_local_origin_errors = True
        if said.consecutive_local_origin_failures:
            found.consecutive_local_origin_failure.value = said.consecutive_local_origin_failures
            found.enforcing_consecutive_local_origin_failure.value = 100
        found.enforcing_local_origin_success_rate.value = 0
    cluster.outlier_detection.CopyFrom(found)


def set_load_balancer(cluster: Any, said: LoadBalancer | None) -> None:
    """Sets how the endpoint is chosen: by least requests if nothing is said."""
    policy = cluster_pb2.Cluster
    simple = None if said is None else said.simple
    if simple == "RANDOM":
        cluster.lb_policy = policy.RANDOM
    elif simple == "ROUND_ROBIN":
        cluster.lb_policy = policy.ROUND_ROBIN
        _set_warmup(cluster.round_robin_lb_config, said)
    else:
        cluster.lb_policy = policy.LEAST_REQUEST
        _set_warmup(cluster.least_request_lb_config, said)
    if said is not None and said.consistent_hash is not None:
        _set_hash(cluster, said.consistent_hash)


def _set_warmup(config: Any, said: LoadBalancer | None) -> None:
    if said is None or said.warmup is None:
        return
    slow = cluster_pb2.Cluster.SlowStartConfig(
        slow_start_window=duration(said.warmup.duration),
        aggression=base_pb2.RuntimeDouble(default_value=said.warmup.aggression, runtime_key="unset"),
        min_weight_percent=percent_pb2.Percent(value=said.warmup.minimum_percent),
    )
    config.slow_start_config.CopyFrom(slow)


def _set_hash(cluster: Any, said: ConsistentHash) -> None:
    if said.maglev is not None:
        cluster.lb_policy = cluster_pb2.Cluster.MAGLEV
        if said.maglev.table_size:
            cluster.maglev_lb_config.table_size.value = said.maglev.table_size
        return
    cluster.lb_policy = cluster_pb2.Cluster.RING_HASH
    # 1024 is the default of the deprecated field, not of ringHash.
    size = said.minimum_ring_size or 1024 if said.ring_hash is None else said.ring_hash.minimum_ring_size
    if size:
        cluster.ring_hash_lb_config.minimum_ring_size.value = size
