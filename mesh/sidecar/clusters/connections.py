"""connectionPool of a traffic policy: limits of connections and requests, and which HTTP a cluster speaks.

A cluster's HttpProtocolOptions are made here first, changed by whoever has more to say, and put into the cluster last.
Called by `mesh.sidecar.clusters.outbound` and `.inbound`. Source: istio/istio
pilot/pkg/networking/core/cluster_traffic_policy.go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from envoy.config.cluster.v3 import circuit_breaker_pb2
from envoy.config.core.v3 import address_pb2, protocol_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from google.protobuf import duration_pb2

from mesh.manifests.istio.traffic_policy import ConnectionPool, HttpPool, TcpKeepalive, TcpPool
from mesh.manifests.kubernetes import Protocol
from mesh.sidecar.messages import pack, to_duration, to_uint32

if TYPE_CHECKING:
    from envoy.config.cluster.v3 import cluster_pb2

UNLIMITED = 2**32 - 1
"""istiod's default for each circuit breaker; Envoy's own (1024 connections, 3 retries) would be felt."""
_PROTOCOL_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def make_protocol_options(
    protocol: Protocol, pool: ConnectionPool | None, *, sniffs: bool
) -> http_protocol_options_pb2.HttpProtocolOptions:
    """Which HTTP a cluster of that port speaks; an empty message if nothing is to be said of it.

    `sniffs` is true for a sidecar's outbound clusters: there a port of unknown protocol speaks what its caller does.
    """
    found = http_protocol_options_pb2.HttpProtocolOptions()
    http = HttpPool() if pool is None else pool.http
    if protocol.is_http2 or (http.h2_upgrade_policy == "UPGRADE" and not http.use_client_protocol):
        found.explicit_http_config.http2_protocol_options.SetInParent()
    elif protocol is Protocol.AUTO and sniffs:
        _speak_as_called(found)
    return found


def _speak_as_called(options: http_protocol_options_pb2.HttpProtocolOptions) -> None:
    options.use_downstream_protocol_config.http_protocol_options.SetInParent()
    options.use_downstream_protocol_config.http2_protocol_options.SetInParent()


def set_connection_pool(
    cluster: cluster_pb2.Cluster,
    options: http_protocol_options_pb2.HttpProtocolOptions,
    pool: ConnectionPool | None,
) -> None:
    """Sets the cluster's limits, and in `options` the limits of its connections."""
    tcp, http = (TcpPool(), HttpPool()) if pool is None else (pool.tcp, pool.http)
    cluster.connect_timeout.CopyFrom(
        duration_pb2.Duration(seconds=10) if tcp.connect_timeout is None else to_duration(tcp.connect_timeout)
    )
    cluster.circuit_breakers.thresholds.append(
        circuit_breaker_pb2.CircuitBreakers.Thresholds(
            max_connections=to_uint32(tcp.max_connections or UNLIMITED),
            max_pending_requests=to_uint32(http.http1_max_pending_requests or UNLIMITED),
            max_requests=to_uint32(http.http2_max_requests or UNLIMITED),
            max_retries=to_uint32(http.max_retries or UNLIMITED),
        )
    )
    if tcp.tcp_keepalive is not None:
        cluster.upstream_connection_options.tcp_keepalive.CopyFrom(_make_keepalive(tcp.tcp_keepalive))
    _limit_connections(options, tcp, http)
    if http.use_client_protocol:
        _speak_as_called(options)


def _limit_connections(options: http_protocol_options_pb2.HttpProtocolOptions, tcp: TcpPool, http: HttpPool) -> None:
    idle = tcp.idle_timeout if http.idle_timeout is None else http.idle_timeout
    numbers = (http.max_requests_per_connection, http.max_concurrent_streams)
    if idle is None and tcp.max_connection_duration is None and not any(numbers) and http.http2_keep_alive is None:
        return
    common = options.common_http_protocol_options
    common.SetInParent()
    if idle is not None:
        common.idle_timeout.CopyFrom(to_duration(idle))
    if tcp.max_connection_duration is not None:
        common.max_connection_duration.CopyFrom(to_duration(tcp.max_connection_duration))
    if http.max_requests_per_connection:
        common.max_requests_per_connection.value = http.max_requests_per_connection
    if not options.explicit_http_config.HasField("http2_protocol_options"):
        options.explicit_http_config.http_protocol_options.SetInParent()
        return
    http2 = options.explicit_http_config.http2_protocol_options
    if http.max_concurrent_streams:
        http2.max_concurrent_streams.value = http.max_concurrent_streams
    if http.http2_keep_alive is not None:
        interval, timeout = to_duration(http.http2_keep_alive.interval), to_duration(http.http2_keep_alive.timeout)
        http2.connection_keepalive.CopyFrom(protocol_pb2.KeepaliveSettings(interval=interval, timeout=timeout))


def set_protocol_options(cluster: cluster_pb2.Cluster, options: http_protocol_options_pb2.HttpProtocolOptions) -> None:
    """Puts the finished options into the cluster. Empty ones are left out; any others need a protocol."""
    if not options.ByteSize():
        return
    if options.WhichOneof("upstream_protocol_options") is None:
        options.explicit_http_config.http_protocol_options.SetInParent()
    cluster.typed_extension_protocol_options[_PROTOCOL_OPTIONS].CopyFrom(pack(options))


def _make_keepalive(keepalive: TcpKeepalive) -> address_pb2.TcpKeepalive:
    found = address_pb2.TcpKeepalive()
    if keepalive.probes:
        found.keepalive_probes.value = keepalive.probes
    if keepalive.time is not None:
        found.keepalive_time.value = int(keepalive.time.total_seconds())
    if keepalive.interval is not None:
        found.keepalive_interval.value = int(keepalive.interval.total_seconds())
    return found
