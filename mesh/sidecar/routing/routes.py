"""The routes that one VirtualService's http[] becomes, for a sidecar or a gateway.

Owns their order, names and the end at the first route that takes everything. What a rule's match and its fields become
is in `mesh.sidecar.routing.matches`, `.actions`, `.retries`, `.faults`. Called by
`mesh.sidecar.routing.virtual_hosts` and `mesh.sidecar.listeners.gateway`. Source: istio/istio
pilot/pkg/networking/core/route/route.go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from envoy.config.route.v3 import route_components_pb2

from mesh.manifests import names
from mesh.sidecar.routing.actions import (
    HashPolicy,
    Reach,
    add_mirror,
    make_direct_response,
    make_hash_policy,
    make_redirect,
    set_destinations,
    set_headers,
    set_rewrite,
    set_timeout,
)
from mesh.sidecar.routing.faults import make_filter_configs
from mesh.sidecar.routing.matches import is_catch_all, is_for, make_route_match
from mesh.sidecar.routing.retries import make_retry_policy

if TYPE_CHECKING:
    from mesh.manifests.document import Resource
    from mesh.manifests.istio.traffic_policy import ConsistentHash, TrafficPolicy
    from mesh.manifests.istio.virtual_service import Destination, HttpRoute, Match, VirtualServiceSpec
    from mesh.sidecar.hosts import Host
    from mesh.sidecar.proxy import Proxy
    from mesh.sidecar.scope import Scope


def make_routes(
    scope: Scope,
    vs: Resource[VirtualServiceSpec],
    *,
    port: int,
    proxy: Proxy,
    gateway_names: frozenset[str],
    is_tls: bool = False,
) -> list[route_components_pb2.Route]:
    """The routes that this proxy gets of it at a listener of that port (the Service's or server's), in order.

    `gateway_names` is {"mesh"} for a sidecar, else the gateway as namespace/name. Empty if none can hold there.
    """
    reach = _make_reach(scope, vs, port, proxy, in_mesh="mesh" in gateway_names)
    found: list[route_components_pb2.Route] = []
    for rule in vs.spec.http:
        for match in rule.match or (None,):
            if match is not None and not is_for(
                match, vs.namespace, port=port, proxy=proxy, gateway_names=gateway_names
            ):
                continue
            found.append(_make_route(vs.name, rule, match, reach, port, is_tls=is_tls))
            if is_catch_all(found[-1].match):
                return found
    return found


def _make_route(
    vs_name: str, rule: HttpRoute, match: Match | None, reach: Reach, port: int, *, is_tls: bool
) -> route_components_pb2.Route:
    name = f"{rule.name}.{match.name}" if match is not None and match.name else rule.name
    route = route_components_pb2.Route(name=name, match=make_route_match(match))
    authority = set_headers(route, rule.headers)
    if rule.redirect is not None:
        route.redirect.CopyFrom(make_redirect(rule.redirect, port, is_tls=is_tls))
    elif rule.direct_response is not None:
        route.direct_response.CopyFrom(make_direct_response(rule.direct_response))
    else:
        route.route.host_rewrite_literal = authority
        if not authority:
            route.route.ClearField("host_rewrite_literal")
        _send_on(route, rule, reach)
    route.decorator.operation = _operation(route, vs_name, port)
    for filter_name, config in make_filter_configs(rule.fault, rule.cors_policy).items():
        route.typed_per_filter_config[filter_name].CopyFrom(config)
    return route


def _send_on(route: route_components_pb2.Route, rule: HttpRoute, reach: Reach) -> None:
    action = route.route
    set_timeout(action, rule.timeout)
    if rule.rewrite is not None:
        set_rewrite(action, rule.rewrite)
    for mirror in rule.all_mirrors:
        add_mirror(action, mirror, reach)
    hashed = set_destinations(route, rule.route, reach)
    policy = make_retry_policy(rule.retries, hashed=hashed)
    if policy is not None:
        action.retry_policy.CopyFrom(policy)


def _operation(route: route_components_pb2.Route, vs_name: str, port: int) -> str:
    """How spans are named: by the one destination, else by the VirtualService, and by what is matched of the path."""
    match = route.match
    paths = {"path": match.path, "safe_regex": match.safe_regex.regex, "prefix": f"{match.prefix}*"}
    path = paths[match.WhichOneof("path_specifier") or "prefix"]
    cluster = route.route.cluster.split("|")
    return f"{cluster[3]}:{cluster[1]}{path}" if len(cluster) == 4 else f"{vs_name}:{port}{path}"


def _make_reach(scope: Scope, vs: Resource[VirtualServiceSpec], port: int, proxy: Proxy, *, in_mesh: bool) -> Reach:
    def cluster(destination: Destination) -> str:
        host = names.resolved(destination.host, vs.namespace)
        return names.outbound_cluster(
            _destination_port(destination, scope.host(host), port, in_mesh=in_mesh), destination.subset, host
        )

    def hash_of(destination: Destination) -> HashPolicy | None:
        return _destination_hash(scope, names.resolved(destination.host, vs.namespace), proxy.namespace, destination)

    return Reach(cluster, hash_of)


def _destination_port(destination: Destination, host: Host | None, port: int, *, in_mesh: bool) -> int:
    """The port of a destination that names none: within the mesh the one that was called, at a gateway the only one.

    Of several ports a gateway takes the server's own number, as istiod does.
    """
    if destination.port is not None:
        return destination.port.number
    if in_mesh or host is None or len(host.ports) != 1:
        return port
    return host.ports[0].number


def _destination_hash(scope: Scope, host: str, client_namespace: str, destination: Destination) -> HashPolicy | None:
    """The hash that the DestinationRule asks for: the subset's by port, the subset's, the port's, the rule's.

    A port counts only where the destination names it. Source: hashForHTTPDestination.
    """
    known = scope.host(host)
    rule = None if known is None else scope.rule_for(known, client_namespace)
    if rule is None:
        return None
    number = None if destination.port is None else destination.port.number
    policies = [subset.traffic_policy for subset in rule.spec.subsets if subset.name == destination.subset]
    for policy in (*policies, rule.spec.traffic_policy):
        found = consistent_hash(policy, number)
        if found is not None:
            return make_hash_policy(found)
    return None


def consistent_hash(policy: TrafficPolicy | None, port: int | None) -> ConsistentHash | None:
    """consistentHash of a traffic policy, that of the port before that of all."""
    if policy is None:
        return None
    for settings in policy.port_level_settings:
        if settings.port.number == port and settings.load_balancer is not None:
            if settings.load_balancer.consistent_hash is not None:
                return settings.load_balancer.consistent_hash
            break
    return None if policy.load_balancer is None else policy.load_balancer.consistent_hash
