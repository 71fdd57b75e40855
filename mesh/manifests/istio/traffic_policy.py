"""trafficPolicy of a DestinationRule: connections, outliers, balancing, TLS.

What each becomes of a cluster is in `mesh.sidecar.clusters.traffic_policy`.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from mesh.manifests.document import Duration, DurationOrZero, Spec
from mesh.manifests.istio.fields import Count, Number, Port, UInt


class TcpKeepalive(Spec):
    """Probes of an idle connection. Unset: the system's."""

    probes: UInt = 0
    time: Duration | None = None
    interval: Duration | None = None


class TcpPool(Spec):
    """Limits of connections. Zero is no limit."""

    max_connections: Count = 0
    connect_timeout: Duration | None = None
    tcp_keepalive: TcpKeepalive | None = None
    max_connection_duration: Duration | None = None
    idle_timeout: DurationOrZero | None = None


class KeepAlive(Spec):
    """HTTP/2 pings."""

    interval: Duration
    timeout: Duration


class HttpPool(Spec):
    """Limits of requests. Zero is no limit."""

    http1_max_pending_requests: Count = 0
    http2_max_requests: Count = 0
    max_requests_per_connection: Count = 0
    max_retries: Count = 0
    idle_timeout: Duration | None = None
    h2_upgrade_policy: Literal["DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"] = "DEFAULT"
    use_client_protocol: bool = False
    max_concurrent_streams: Count = 0
    http2_keep_alive: KeepAlive | None = None


class ConnectionPool(Spec):
    """connectionPool."""

    tcp: TcpPool = TcpPool()
    http: HttpPool = HttpPool()


class OutlierDetection(Spec):
    """When an endpoint is left alone for a while. What is unset is Envoy's default."""

    instead: ClassVar = {
        "consecutiveErrors": "is deprecated: write consecutive5xxErrors, or consecutiveGatewayErrors",
        "http": "was removed: write its fields here, consecutiveErrors as consecutive5xxErrors",
    }

    consecutive5xx_errors: UInt | None = Field(default=None, alias="consecutive5xxErrors")
    consecutive_gateway_errors: UInt | None = None
    split_external_local_origin_errors: bool = False
    consecutive_local_origin_failures: UInt | None = None
    interval: Duration | None = None
    base_ejection_time: Duration | None = None
    max_ejection_percent: Count = Field(default=0, le=100)
    min_health_percent: Count = Field(default=0, le=100)


class Warmup(Spec):
    """How a new endpoint gets its share little by little."""

    duration: Duration
    minimum_percent: Number = Field(default=10, ge=0, le=100)
    aggression: Number = Field(default=1, gt=0)


class HttpCookie(Spec):
    """The cookie whose value is hashed. With a ttl the proxy sets one where there is none."""

    name: str = Field(min_length=1)
    path: str = ""
    ttl: DurationOrZero | None = None


class RingHash(Spec):
    """Hashing on a ring."""

    minimum_ring_size: UInt = 0


class Maglev(Spec):
    """Hashing by a table, whose size is a prime."""

    table_size: UInt = Field(default=0, lt=5_000_011)


class ConsistentHash(Spec):
    """What the endpoint is chosen by; what it becomes of routes is in `mesh.sidecar.routing.actions`."""

    http_header_name: str = ""
    http_cookie: HttpCookie | None = None
    use_source_ip: bool = False
    http_query_parameter_name: str = ""
    ring_hash: RingHash | None = None
    maglev: Maglev | None = None
    minimum_ring_size: UInt = 0


class LoadBalancer(Spec):
    """How the endpoint is chosen."""

    instead: ClassVar = {
        "warmupDurationSecs": "was replaced: write warmup, with duration",
        "localityLbSetting": "is not translated, all pods here are at one place: remove it",
    }

    simple: Literal["UNSPECIFIED", "LEAST_CONN", "LEAST_REQUEST", "ROUND_ROBIN", "RANDOM"] | None = None
    consistent_hash: ConsistentHash | None = None
    warmup: Warmup | None = None


class ClientTls(Spec):
    """How the proxy speaks TLS with the host. Paths are the Envoy's."""

    mode: Literal["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"] = "DISABLE"
    sni: str = ""
    subject_alt_names: tuple[str, ...] = ()
    client_certificate: str = ""
    private_key: str = ""
    ca_certificates: str = ""
    insecure_skip_verify: bool = False


class PortNumber(Spec):
    """A Service's port."""

    instead: ClassVar = {"name": "was removed, a port is named by its number: write number"}

    number: Port


class PortPolicy(Spec):
    """What holds for one port in the place of all that is said for the others."""

    port: PortNumber
    connection_pool: ConnectionPool | None = None
    outlier_detection: OutlierDetection | None = None
    load_balancer: LoadBalancer | None = None
    tls: ClientTls | None = None


class TrafficPolicy(Spec):
    """trafficPolicy of a rule or subset."""

    connection_pool: ConnectionPool | None = None
    outlier_detection: OutlierDetection | None = None
    load_balancer: LoadBalancer | None = None
    tls: ClientTls | None = None
    port_level_settings: tuple[PortPolicy, ...] = ()
