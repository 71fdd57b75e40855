"""A sidecar's outbound routes: names, domains, unknown hosts, and which VirtualService a host obeys."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.mesh.sidecar.shop import (
    BACKEND,
    backend_routes,
    configurations,
    gateway_of,
    service,
    shop,
    to,
    virtual_hosts,
    virtual_service,
)


def test_a_port_is_one_configuration() -> None:
    """Named by the port; ports are not part of domains, clusters may come later, answers may have 1 MiB."""
    found = configurations(shop())
    assert sorted(found) == ["50051", "80", "9080"]
    del found["50051"]["virtualHosts"]
    assert found["50051"] == {
        "name": "50051",
        "validateClusters": False,
        "maxDirectResponseBodySizeBytes": 1048576,
        "ignorePortInHostMatching": True,
    }


def test_domains_are_the_names_that_the_caller_may_use() -> None:
    """A bare name only for a Service of the caller's own namespace; the VIP where there is one."""
    found = virtual_hosts(shop())
    assert found[f"{BACKEND}:50051"]["domains"] == [
        BACKEND,
        f"{BACKEND}.",
        "backend",
        "backend.shop.svc",
        "backend.shop",
        "127.10.0.1",
    ]
    far = "far.elsewhere.svc.cluster.local"
    assert found[f"{far}:50051"]["domains"] == [far, f"{far}.", "far.elsewhere.svc", "far.elsewhere"]


def test_a_headless_service_has_its_pods_names_too() -> None:
    """Each domain again with a wildcard."""
    flock = service("flock", [{"name": "grpc", "port": 50051}], clusterIP="None")
    domains = virtual_hosts(shop(flock))["flock.shop.svc.cluster.local:50051"]["domains"]
    plain = [domain for domain in domains if not domain.startswith("*.")]
    assert len(plain) == 5
    assert domains == [*plain, *(f"*.{domain}" for domain in plain)]


def test_a_host_without_a_virtual_service_has_the_default_route() -> None:
    """One route that takes everything, with the default retries; the attempt's number is sent to the app."""
    found = virtual_hosts(shop())[f"{BACKEND}:50051"]
    assert found["includeRequestAttemptCount"]
    (route,) = found["routes"]
    assert (route["name"], route["match"]) == ("default", {"prefix": "/"})
    assert route["decorator"] == {"operation": f"{BACKEND}:50051/*"}
    assert route["route"]["retryPolicy"]["numRetries"] == 2
    assert route["route"]["maxGrpcTimeout"] == "0s"


@pytest.mark.parametrize(("registry_only", "is_refused"), [(True, True), (False, False)])
def test_an_unknown_host_is_refused(*, registry_only: bool, is_refused: bool) -> None:
    """502 under REGISTRY_ONLY. Otherwise it would be passed on, and there is nowhere to pass it: no route."""
    found = virtual_hosts(shop(registry_only=registry_only))
    assert ("block_all" in found) == is_refused
    if is_refused:
        assert found["block_all"] == {
            "name": "block_all",
            "domains": ["*"],
            "routes": [{"name": "block_all", "match": {"prefix": "/"}, "directResponse": {"status": 502}}],
            "includeRequestAttemptCount": True,
        }


def test_a_port_that_is_not_http_has_no_routes() -> None:
    """TCP ports are not routed; a port that nobody has is not served."""
    tcp = service("store", [{"name": "tcp", "port": 8080}])
    assert "8080" not in configurations(shop(tcp))


def test_a_sniffed_port_has_a_configuration_of_its_own() -> None:
    """At the host's own address any name means the host; what is no HTTP never comes here."""
    mesh = shop(service("odd", [{"name": "odd", "port": 8080}]))
    name = "odd.shop.svc.cluster.local:8080"
    assert configurations(mesh)["8080"]["virtualHosts"][0]["name"] == name
    found = configurations(mesh, vips={"odd.shop.svc.cluster.local": "127.10.0.2"})
    assert "8080" not in found
    (host,) = found[name]["virtualHosts"]
    assert (host["name"], host["domains"], len(host["routes"])) == (name, ["*"], 1)


def _named(name: str, **spec: Any) -> dict[str, Any]:
    return virtual_service({"http": [{"name": name, "route": to()}], **spec}, name)


def test_the_oldest_virtual_service_wins() -> None:
    """Of two for a host the older is obeyed, whatever their names."""
    younger = virtual_service({"http": [{"name": "a", "route": to()}]}, "a", creationTimestamp="2026-02-02T00:00:00Z")
    older = virtual_service({"http": [{"name": "b", "route": to()}]}, "b", creationTimestamp="2026-01-02T00:00:00Z")
    assert [route["name"] for route in backend_routes(shop(younger, older))] == ["b"]
    assert [route["name"] for route in backend_routes(shop(_named("a"), _named("b")))] == ["a"]


def test_one_without_a_route_for_the_caller_leaves_the_host_to_the_next() -> None:
    """The older says nothing to this caller, so the younger is obeyed."""
    silent = _named("a")
    silent["spec"]["http"][0]["match"] = [{"sourceLabels": {"app": "nobody"}}]
    assert [route["name"] for route in backend_routes(shop(silent, _named("b")))] == ["b"]


def test_the_most_specific_wildcard_wins_and_a_name_beats_all() -> None:
    """A host obeys the longest wildcard that takes it, but the one that names it before that."""
    wide, narrow = _named("a", hosts=["*.cluster.local"]), _named("b", hosts=["*.shop.svc.cluster.local"])
    assert [route["name"] for route in backend_routes(shop(wide, narrow))] == ["b"]
    assert [route["name"] for route in backend_routes(shop(wide, narrow, _named("c")))] == ["c"]
    far = virtual_hosts(shop(wide, narrow))["far.elsewhere.svc.cluster.local:50051"]
    assert [route["name"] for route in far["routes"]] == ["a"]


def test_other_hosts_of_a_virtual_service_are_served_beside_its_service() -> None:
    """A host without this port is known here by its full name alone, as in istiod."""
    both = _named("both", hosts=["backend", "other"])
    both["spec"]["http"][0]["route"] = to(port={"number": 50051})
    found = virtual_hosts(shop(both))
    assert found["other.shop.svc.cluster.local:50051"]["domains"] == ["other.shop.svc.cluster.local"]
    assert found["other.shop.svc.cluster.local:50051"]["routes"] == found[f"{BACKEND}:50051"]["routes"]


def test_at_port_80_a_host_of_no_service_is_served() -> None:
    """A VirtualService for mesh and gateway: its outer host is known to sidecars at port 80 alone."""
    outer = virtual_service(
        {
            "hosts": ["a.example.com"],
            "gateways": ["gate", "mesh"],
            "http": [{"name": "outer", "route": to(port={"number": 50051})}],
        }
    )
    mesh = shop(outer, gateway_of())
    assert virtual_hosts(mesh, "80")["a.example.com:80"]["domains"] == ["a.example.com"]
    assert "a.example.com:50051" not in virtual_hosts(mesh)


def test_one_for_gateways_alone_is_nothing_to_sidecars() -> None:
    """Without "mesh" in gateways the host keeps its default."""
    mesh = shop(_named("a", gateways=["gate"], hosts=["*"]), gateway_of())
    assert [route["name"] for route in backend_routes(mesh)] == ["default"]
