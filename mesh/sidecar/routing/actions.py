"""What a VirtualService does with a request that matches: where it goes, or what it is answered with.

The models are in `mesh.manifests.istio.virtual_service`, what they become is in envoy.config.route.v3. Retries and
filters are modules of their own. Called by `mesh.sidecar.routing.routes` and `mesh.sidecar.routing.virtual_hosts`.
Source: istio/istio pilot/pkg/networking/core/route/route.go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

from envoy.config.core.v3 import base_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.type.v3 import percent_pb2
from google.protobuf import wrappers_pb2

from mesh.manifests.istio.traffic_policy import ConsistentHash
from mesh.manifests.istio.virtual_service import (
    Destination,
    DirectResponse,
    HeaderOperations,
    Headers,
    Mirror,
    Redirect,
    Rewrite,
    RouteDestination,
)
from mesh.sidecar.messages import to_duration, to_uint32
from mesh.sidecar.routing.faults import to_millionths
from mesh.sidecar.routing.retries import make_retry_policy

HashPolicy: TypeAlias = route_components_pb2.RouteAction.HashPolicy


@dataclass(frozen=True)
class Reach:
    """What a proxy knows of destinations: the cluster of one, and the hash by which its endpoints are chosen."""

    cluster: Callable[[Destination], str]
    hash_policy: Callable[[Destination], HashPolicy | None]


REDIRECT_CODES: Mapping[int, route_components_pb2.RedirectAction.RedirectResponseCode.ValueType] = {
    301: route_components_pb2.RedirectAction.MOVED_PERMANENTLY,
    302: route_components_pb2.RedirectAction.FOUND,
    303: route_components_pb2.RedirectAction.SEE_OTHER,
    307: route_components_pb2.RedirectAction.TEMPORARY_REDIRECT,
    308: route_components_pb2.RedirectAction.PERMANENT_REDIRECT,
}


def make_default_route(cluster: str, operation: str, hash_policy: HashPolicy | None) -> route_components_pb2.Route:
    """The one route of a host that no VirtualService speaks of."""
    action = route_components_pb2.RouteAction(cluster=cluster, retry_policy=make_retry_policy(None, hashed=False))
    set_timeout(action, None)
    if hash_policy is not None:
        action.hash_policy.append(hash_policy)
    return route_components_pb2.Route(
        name="default",
        match=route_components_pb2.RouteMatch(prefix="/"),
        route=action,
        decorator=route_components_pb2.Decorator(operation=operation),
    )


def set_timeout(action: route_components_pb2.RouteAction, timeout: timedelta | None) -> None:
    """Without a time-out only a gRPC caller's own counts; with one, it caps the caller's.

    As istiod by max_grpc_timeout, which Envoy deprecates: its successor max_stream_duration would switch `timeout` off,
    even with its own fields unset (envoyproxy/envoy#15530, still so in 1.40).
    """
    limit = to_duration(timeout or timedelta(0))
    action.timeout.CopyFrom(limit)
    action.max_grpc_timeout.CopyFrom(limit)


def set_destinations(
    route: route_components_pb2.Route, destinations: tuple[RouteDestination, ...], reach: Reach
) -> bool:
    """Sends the route there. Returns whether it leads to one destination that is chosen by hash.

    Of several destinations those of weight 0 are left out; headers of a single one are the route's own.
    """
    action = route.route
    if len(destinations) > 1:
        for destination in destinations:
            if destination.weight:
                _add_weighted(action, destination, reach)
        return False
    (only,) = destinations
    action.cluster = reach.cluster(only.destination)
    authority = set_headers(route, only.headers)
    if authority and not action.host_rewrite_literal:
        action.host_rewrite_literal = authority
    hash_policy = reach.hash_policy(only.destination)
    if hash_policy is not None:
        action.hash_policy.append(hash_policy)
    return hash_policy is not None


def _add_weighted(action: route_components_pb2.RouteAction, weighted: RouteDestination, reach: Reach) -> None:
    cluster = action.weighted_clusters.clusters.add(
        name=reach.cluster(weighted.destination), weight=to_uint32(weighted.weight)
    )
    authority = set_headers(cluster, weighted.headers)
    if authority:
        cluster.host_rewrite_literal = authority
    hash_policy = reach.hash_policy(weighted.destination)
    if hash_policy is not None:
        action.hash_policy.append(hash_policy)


def set_headers(
    target: route_components_pb2.Route | route_components_pb2.WeightedCluster.ClusterWeight, headers: Headers | None
) -> str:
    """Adds these operations to a route or a weighted cluster. Returns the authority that they set, "" for none."""
    if headers is None:
        return ""
    target.request_headers_to_add.extend(_list_additions(headers.request))
    target.request_headers_to_remove.extend(headers.request.remove)
    target.response_headers_to_add.extend(_list_additions(headers.response))
    target.response_headers_to_remove.extend(headers.response.remove)
    said = {**headers.request.add, **headers.request.set}
    return next((value for name, value in said.items() if is_authority(name)), "")


def is_authority(header: str) -> bool:
    """Whether a header is the host that is asked for, which Envoy rewrites in a field of its own."""
    return header.lower() in {"host", ":authority"}


def _list_additions(operations: HeaderOperations) -> list[base_pb2.HeaderValueOption]:
    option = base_pb2.HeaderValueOption
    found = []
    for values, append_action in (
        (operations.set, option.OVERWRITE_IF_EXISTS_OR_ADD),
        (operations.add, option.APPEND_IF_EXISTS_OR_ADD),
    ):
        for name, value in sorted(values.items()):
            if not is_authority(name):
                found.append(option(header=base_pb2.HeaderValue(key=name, value=value), append_action=append_action))
    return found


def set_rewrite(action: route_components_pb2.RouteAction, rewrite: Rewrite) -> None:
    """Rewrites path and authority on the way."""
    if rewrite.uri_regex_rewrite is not None:
        action.regex_rewrite.pattern.regex = rewrite.uri_regex_rewrite.match
        action.regex_rewrite.substitution = rewrite.uri_regex_rewrite.rewrite
    elif rewrite.uri:
        action.prefix_rewrite = rewrite.uri
    if rewrite.authority:
        action.host_rewrite_literal = rewrite.authority


def add_mirror(action: route_components_pb2.RouteAction, mirror: Mirror, reach: Reach) -> None:
    """Sends a copy there: of every request, or of a percentage; of none at 0."""
    if mirror.percentage is not None and mirror.percentage.value == 0:
        return
    share = (
        percent_pb2.FractionalPercent(numerator=100) if mirror.percentage is None else to_millionths(mirror.percentage)
    )
    action.request_mirror_policies.add(
        cluster=reach.cluster(mirror.destination),
        runtime_fraction=base_pb2.RuntimeFractionalPercent(default_value=share),
        trace_sampled=wrappers_pb2.BoolValue(value=False),
        disable_shadow_host_suffix_append=True,
    )


def make_redirect(redirect: Redirect, port: int, *, is_tls: bool) -> route_components_pb2.RedirectAction:
    """The RedirectAction at a listener of that port. A scheme's own port is not written out."""
    found = route_components_pb2.RedirectAction(
        host_redirect=redirect.authority,
        path_redirect=redirect.uri,
        response_code=REDIRECT_CODES[redirect.redirect_code or 301],
    )
    if redirect.scheme:
        found.scheme_redirect = redirect.scheme
    wanted = port if redirect.derive_port == "FROM_REQUEST_PORT" else redirect.port
    scheme = redirect.scheme or ("https" if is_tls else "http")
    if (wanted, scheme) not in {(80, "http"), (443, "https")}:
        found.port_redirect = wanted
    return found


def make_direct_response(answer: DirectResponse) -> route_components_pb2.DirectResponseAction:
    """The DirectResponseAction."""
    found = route_components_pb2.DirectResponseAction(status=answer.status)
    if answer.body is not None:
        found.body.inline_string = answer.body.string
    return found


def make_hash_policy(consistent_hash: ConsistentHash) -> HashPolicy | None:
    """What a DestinationRule's consistentHash takes the hash of; None if it says nothing of requests."""
    if consistent_hash.http_header_name:
        return HashPolicy(header=HashPolicy.Header(header_name=consistent_hash.http_header_name))
    if consistent_hash.http_cookie is not None:
        cookie = consistent_hash.http_cookie
        ttl = None if cookie.ttl is None else to_duration(cookie.ttl)
        return HashPolicy(cookie=HashPolicy.Cookie(name=cookie.name, path=cookie.path, ttl=ttl))
    if consistent_hash.use_source_ip:
        return HashPolicy(connection_properties=HashPolicy.ConnectionProperties(source_ip=True))
    if consistent_hash.http_query_parameter_name:
        return HashPolicy(query_parameter=HashPolicy.QueryParameter(name=consistent_hash.http_query_parameter_name))
    return None
