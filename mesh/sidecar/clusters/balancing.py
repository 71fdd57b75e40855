"""loadBalancer of a traffic policy: how one of a cluster's endpoints is chosen.

What a consistent hash is taken of is the route's, in `mesh.sidecar.routing.actions`. Called by
`mesh.sidecar.clusters.outbound`. Source: istio/istio pilot/pkg/networking/core/cluster_traffic_policy.go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import base_pb2
from envoy.type.v3 import percent_pb2

from mesh.sidecar.messages import to_duration

if TYPE_CHECKING:
    from mesh.manifests.istio.traffic_policy import ConsistentHash, LoadBalancer


def set_load_balancer(cluster: cluster_pb2.Cluster, balancer: LoadBalancer | None) -> None:
    """Sets how the endpoint is chosen: by least requests if nothing is said."""
    simple = None if balancer is None else balancer.simple
    if simple == "RANDOM":
        cluster.lb_policy = cluster_pb2.Cluster.RANDOM
    elif simple == "ROUND_ROBIN":
        cluster.lb_policy = cluster_pb2.Cluster.ROUND_ROBIN
        _set_warmup(cluster.round_robin_lb_config, balancer)
    else:
        cluster.lb_policy = cluster_pb2.Cluster.LEAST_REQUEST
        _set_warmup(cluster.least_request_lb_config, balancer)
    if balancer is not None and balancer.consistent_hash is not None:
        _set_hash(cluster, balancer.consistent_hash)


def _set_warmup(
    config: cluster_pb2.Cluster.RoundRobinLbConfig | cluster_pb2.Cluster.LeastRequestLbConfig,
    balancer: LoadBalancer | None,
) -> None:
    if balancer is None or balancer.warmup is None:
        return
    slow = cluster_pb2.Cluster.SlowStartConfig(
        slow_start_window=to_duration(balancer.warmup.duration),
        aggression=base_pb2.RuntimeDouble(default_value=balancer.warmup.aggression, runtime_key="unset"),
        min_weight_percent=percent_pb2.Percent(value=balancer.warmup.minimum_percent),
    )
    config.slow_start_config.CopyFrom(slow)


def _set_hash(cluster: cluster_pb2.Cluster, consistent_hash: ConsistentHash) -> None:
    if consistent_hash.maglev is not None:
        cluster.lb_policy = cluster_pb2.Cluster.MAGLEV
        if consistent_hash.maglev.table_size:
            cluster.maglev_lb_config.table_size.value = consistent_hash.maglev.table_size
        return
    cluster.lb_policy = cluster_pb2.Cluster.RING_HASH
    ring = consistent_hash.ring_hash
    # 1024 is the default of the deprecated field, not of ringHash.
    size = consistent_hash.minimum_ring_size or 1024 if ring is None else ring.minimum_ring_size
    if size:
        cluster.ring_hash_lb_config.minimum_ring_size.value = size
