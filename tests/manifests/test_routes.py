"""What reaches whom, how long it may take, and what is repeated: routes against the contracts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf import descriptor

from tests.manifests.sources import (
    AGENTS,
    BEHIND_THE_INGRESS,
    HEALTH,
    HOSTS,
    ISTIO,
    REFLECTION,
    SERVED,
    allowed,
    documents,
    is_idempotent,
    of_kind,
    path_of,
    rest_of,
    the,
)

REPEATED_ON = {"connect-failure", "refused-stream", "unavailable"}
RPCS = [(workload, method) for workload, service in sorted(SERVED.items()) for method in service.methods]
FROM_OUTSIDE = ["127.0.0.1:8080", "localhost:8080", "[::1]:8080", "rostrum.example", "moderator", "moderator:50051"]
Route = dict[str, Any]


def _matches(match: Route, method: str, path: str, authority: str) -> bool:
    known = {"uri": path, "method": method, "authority": authority}
    assert match.keys() <= known.keys(), f"the test knows no such match: {match}"
    for name, how in match.items():
        ((kind, wanted),) = how.items()
        if not (known[name] == wanted if kind == "exact" else re.fullmatch(wanted, known[name])):
            return False
    return True


def _first(virtual_service: Route, method: str, path: str, authority: str) -> Route | None:
    for route in virtual_service["spec"]["http"]:
        if any(_matches(match, method, path, authority) for match in route.get("match", [{}])):
            found: Route = route
            return found
    return None


def _virtual_services(gateway: str) -> Iterator[Route]:
    yield from (
        document for document in of_kind("VirtualService").values() if document["spec"]["gateways"] == [gateway]
    )


def _at_the_ingress(method: str, path: str, authority: str) -> list[Route]:
    """The route of each VirtualService that takes it. Their order is that of their age, so one at most may."""
    routes = (_first(virtual_service, method, path, authority) for virtual_service in _virtual_services("ingress"))
    return [route for route in routes if route is not None]


def _only_route(method: str, path: str, authority: str) -> Route:
    """The one route that this takes."""
    routes = _at_the_ingress(method, path, authority)
    assert len(routes) == 1, (
        f"{method} {path} with the authority {authority} has {len(routes)} VirtualServices, not one"
    )
    return routes[0]


def _hosts(route: Route) -> set[str]:
    return {target["destination"]["host"] for target in route["route"]}


def _held_to(route: Route, method: descriptor.MethodDescriptor) -> None:
    """A route repeats an RPC only if its proto allows it, and ends it in time unless it is a stream."""
    attempts = route["retries"]["attempts"]
    assert (attempts > 0) == is_idempotent(method), f"{method.full_name}: {route['name']} has attempts: {attempts}"
    assert attempts == 0 or set(route["retries"]["retryOn"].split(",")) <= REPEATED_ON
    assert ("timeout" in route) != method.server_streaming, f"{method.full_name}: {route['name']} has the wrong timeout"


@pytest.mark.parametrize(("workload", "method"), RPCS, ids=lambda value: getattr(value, "name", value))
def test_each_rpc_has_one_way_in(workload: str, method: descriptor.MethodDescriptor) -> None:
    """By REST and by gRPC it reaches its workload, over one route that fits its idempotency_level.

    A stream has its REST by an RPC of its own, which sends server-sent events.
    """
    rest = rest_of(method, workload)
    assert (rest is None) == (f"{method.name}ByHttp" in method.containing_service.methods_by_name)
    authorities = FROM_OUTSIDE if workload == "moderator" else [workload, f"{workload}:50051"]
    asked = [("POST", path_of(method), authority) for authority in authorities]
    asked += [(*rest, authority) for authority in FROM_OUTSIDE if rest is not None]
    for request in asked:
        route = _only_route(*request)
        assert _hosts(route) == {workload}, request
        _held_to(route, method)


@pytest.mark.parametrize("path", sorted(HEALTH | REFLECTION))
def test_health_and_reflection_go_by_authority(path: str) -> None:
    """Of an agent by its name, otherwise of the moderator; of nobody by a name that is none."""
    for authority, host in [
        *((outside, "moderator") for outside in FROM_OUTSIDE),
        *((agent, agent) for agent in AGENTS),
    ]:
        route = _only_route("POST", path, authority)
        assert (_hosts(route), route.get("timeout"), route["retries"]) == ({host}, None, {"attempts": 0})
    assert _at_the_ingress("POST", path, "team-z") == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("DELETE", "/v1/debates/x"),
        ("GET", "/v1/debates/x/turns/1"),
        ("GET", "/v1/agents/team-z"),
        ("GET", "/v1/agents/team-a/"),
        ("GET", "/v1/agents/team-a:ask"),
        ("POST", "/rostrum.local.v1.RunnerService/Stop"),
        ("POST", "/rostrum.agent.v1.AgentService/GetAgent"),
    ],
)
def test_nothing_else_has_a_way_in(method: str, path: str) -> None:
    """What is no RPC of a service has no route; an agent's RPC has none under the authority of the ingress."""
    assert _at_the_ingress(method, path, "127.0.0.1:8080") == []


def test_calls_inside_are_held_to_the_contract() -> None:
    """The route of each call between pods repeats it only if its proto allows it; a path without proto never is."""
    by_host = {virtual_service["spec"]["hosts"][0]: virtual_service for virtual_service in _virtual_services("mesh")}
    for edge in allowed():
        if edge.caller in BEHIND_THE_INGRESS and edge.callee in HOSTS:
            route = _first(by_host[edge.callee], "POST", edge.target, edge.callee)
            assert route is not None, edge
            assert _hosts(route) == {edge.callee}
            methods = SERVED[edge.callee].methods if edge.callee in SERVED else ()
            method = next((rpc for rpc in methods if path_of(rpc) == edge.target), None)
            if method is not None:
                _held_to(route, method)
            else:
                assert route["retries"] == {"attempts": 0}, edge


def test_every_route_says_what_it_repeats() -> None:
    """No route leaves it to Istio's default, which repeats any call twice. Scenarios included."""
    for document in documents(ISTIO):
        if document["kind"] == "VirtualService":
            for route in document["spec"]["http"]:
                assert "retries" in route, f"{document['metadata']['name']}: {route['name']}"


@pytest.mark.parametrize("workload", BEHIND_THE_INGRESS)
def test_outlier_detection_goes_with_retries(workload: str) -> None:
    """A workload has it if an RPC of it may be repeated elsewhere; then one of two replicas can be taken out."""
    policy = the("DestinationRule", workload)["spec"]["trafficPolicy"]
    repeatable = workload in SERVED and any(map(is_idempotent, SERVED[workload].methods))
    assert ("outlierDetection" in policy) == repeatable
    assert not repeatable or policy["outlierDetection"]["maxEjectionPercent"] >= 50
    assert policy["tls"]["mode"] == "ISTIO_MUTUAL"
