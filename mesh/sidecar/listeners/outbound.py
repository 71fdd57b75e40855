"""Where an app finds others through its sidecar: one listener a service port, HTTP by host names, TCP by the one host.

Owns which port gets which listener, and refuses what one listener cannot distinguish: two hosts whose port is not HTTP
are distinguished on a cluster by the address that was dialled, and nothing is captured here. Called by
`mesh.sidecar.translate`. Source: istio/istio pilot/pkg/networking/core/listener.go, networkfilter.go.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from envoy.config.core.v3 import base_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.extensions.filters.listener.http_inspector.v3 import http_inspector_pb2
from envoy.extensions.filters.listener.tls_inspector.v3 import tls_inspector_pb2
from envoy.extensions.filters.network.mongo_proxy.v3 import mongo_proxy_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2
from envoy.type.v3 import hash_policy_pb2

from mesh.manifests import names
from mesh.manifests.errors import ManifestError
from mesh.manifests.istio.traffic_policy import TrafficPolicy
from mesh.manifests.kubernetes import Protocol
from mesh.sidecar.listeners import connection_manager
from mesh.sidecar.messages import add_inspector, make_network_filter, to_address, to_duration, to_uint32

if TYPE_CHECKING:
    from mesh.sidecar.hosts import Host
    from mesh.sidecar.mesh import Mesh
    from mesh.sidecar.proxy import Addresses, Endpoint, Proxy
    from mesh.sidecar.scope import Scope

_ANY = "0.0.0.0"  # noqa: S104 - how istiod names a listener of all hosts; nothing is bound there
_TLS = frozenset({Protocol.TLS, Protocol.HTTPS})


def build_outbound_listeners(
    mesh: Mesh, proxy: Proxy, scope: Scope, addresses: Addresses
) -> list[listener_pb2.Listener]:
    """The listeners of the ports in proxy.outbound that any host in the scope has, by port.

    Raises ManifestError if hosts of one port cannot be distinguished.
    """
    parts = _Listeners(mesh, proxy, scope, addresses)
    return [parts.build(number, endpoint) for number, endpoint in sorted(proxy.outbound.items()) if parts.hosts(number)]


@dataclass(frozen=True)
class _Listeners:
    """What all listeners of one proxy are made from."""

    mesh: Mesh
    proxy: Proxy
    scope: Scope
    addresses: Addresses

    def hosts(self, number: int) -> list[tuple[Host, Protocol]]:
        """The hosts that have a port, and what it speaks."""
        return [(host, port.protocol) for host in self.scope.hosts if (port := host.port(number)) is not None]

    def build(self, number: int, endpoint: Endpoint) -> listener_pb2.Listener:
        hosts = self.hosts(number)
        if all(protocol.is_http for _, protocol in hosts):
            return self._build_http(hosts[0][1], number, endpoint)
        if all(protocol in _TLS and host.name not in self.addresses.vips for host, protocol in hosts):
            return self._build_by_server_name(number, endpoint, [host for host, _ in hosts])
        if len(hosts) > 1:
            all_hosts = ", ".join(f"{host.name} ({protocol.value})" for host, protocol in hosts)
            raise ManifestError(
                f"{self.proxy.workload.where}: port {number} of {all_hosts} cannot be told apart where nothing is "
                "captured: give the ports different numbers, or let a Sidecar show one of these hosts"
            )
        return self._build_for_one_host(*hosts[0], number, endpoint)

    def _build_http(self, protocol: Protocol, number: int, endpoint: Endpoint) -> listener_pb2.Listener:
        """By the names that requests say, however many hosts there are; `protocol` is the first one's."""
        listener = _make_listener(f"{_ANY}_{number}", endpoint)
        stat_prefix = f"outbound_{listener.name};"
        manager = connection_manager.make_outbound_manager(self.mesh, self.proxy, str(number), stat_prefix, protocol)
        listener.filter_chains.add().filters.append(manager)
        return listener

    def _build_for_one_host(
        self, host: Host, protocol: Protocol, number: int, endpoint: Endpoint
    ) -> listener_pb2.Listener:
        listener = _make_listener(f"{self.addresses.vips.get(host.name, _ANY)}_{number}", endpoint)
        if protocol is Protocol.AUTO:
            has_address = host.name in self.addresses.vips
            self._sniff(listener, f"{host.name}:{number}" if has_address else str(number))
            listener.default_filter_chain.filters.append(self._make_tcp_proxy(host, number))
            return listener
        chain = listener.filter_chains.add()
        if protocol is Protocol.MONGO:
            config = mongo_proxy_pb2.MongoProxy(stat_prefix=names.outbound_cluster(number, "", host.name))
            chain.filters.append(make_network_filter("mongo_proxy", config))
        chain.filters.append(self._make_tcp_proxy(host, number))
        return listener

    def _build_by_server_name(self, number: int, endpoint: Endpoint, hosts: Sequence[Host]) -> listener_pb2.Listener:
        """TLS that is the app's own: passed on to the host whose name the handshake says, any other is closed."""
        listener = _make_listener(f"{_ANY}_{number}", endpoint)
        inspector = tls_inspector_pb2.TlsInspector(initial_read_buffer_size=to_uint32(512))
        add_inspector(listener, "tls", inspector)
        for host in hosts:
            match = listener_components_pb2.FilterChainMatch(server_names=[host.name])
            listener.filter_chains.add(filter_chain_match=match).filters.append(self._make_tcp_proxy(host, number))
        return listener

    def _sniff(self, listener: listener_pb2.Listener, route_config_name: str) -> None:
        """HTTP, if what comes is HTTP; else the default chain takes it."""
        add_inspector(listener, "http", http_inspector_pb2.HttpInspector())
        match = listener_components_pb2.FilterChainMatch(
            transport_protocol="raw_buffer", application_protocols=["http/1.1", "h2c"]
        )
        stat_prefix = f"outbound_{listener.name};"
        manager = connection_manager.make_outbound_manager(self.mesh, self.proxy, route_config_name, stat_prefix)
        listener.filter_chains.add(filter_chain_match=match).filters.append(manager)

    def _make_tcp_proxy(self, host: Host, number: int) -> listener_components_pb2.Filter:
        """Passes bytes on to the host. Of its DestinationRule the policy for all ports counts alone, as in istiod."""
        rule = self.scope.rule_for(host, self.proxy.namespace)
        policy = (None if rule is None else rule.spec.traffic_policy) or TrafficPolicy()
        cluster = names.outbound_cluster(number, "", host.name)
        config = tcp_proxy_pb2.TcpProxy(stat_prefix=cluster, cluster=cluster)
        tcp = None if policy.connection_pool is None else policy.connection_pool.tcp
        if tcp is not None and tcp.idle_timeout is not None:
            config.idle_timeout.CopyFrom(to_duration(tcp.idle_timeout))
        if tcp is not None and tcp.max_connection_duration is not None:
            config.max_downstream_connection_duration.CopyFrom(to_duration(tcp.max_connection_duration))
        balancer = policy.load_balancer
        if balancer is not None and balancer.consistent_hash is not None and balancer.consistent_hash.use_source_ip:
            config.hash_policy.append(hash_policy_pb2.HashPolicy(source_ip=hash_policy_pb2.HashPolicy.SourceIp()))
        return make_network_filter("tcp_proxy", config)


def _make_listener(name: str, endpoint: Endpoint) -> listener_pb2.Listener:
    return listener_pb2.Listener(
        name=name, address=to_address(endpoint, pipe_mode=0o600), traffic_direction=base_pb2.OUTBOUND
    )
