"""Gateway: its listeners, TLS and route configurations, how VirtualServices meet there, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from mesh.manifests.errors import ManifestError
from mesh.sidecar.listeners import gateway
from mesh.sidecar.mesh import Mesh
from mesh.sidecar.resources import as_dict
from tests.unit.mesh.sidecar.shop import (
    CLUSTER,
    configurations,
    gateway_of,
    proxy,
    shop,
    to,
    virtual_hosts,
    virtual_service,
)


def _plain(*hosts: str, number: int = 80, name: str = "http", **more: Any) -> dict[str, Any]:
    return {"port": {"number": number, "name": name, "protocol": "HTTP"}, "hosts": list(hosts or ["*"]), **more}


def _tls(*hosts: str, name: str = "https", mode: str = "SIMPLE", certificate: str = "a-cert") -> dict[str, Any]:
    port = {"number": 443, "name": name, "protocol": "HTTPS"}
    return {"port": port, "hosts": list(hosts), "tls": {"mode": mode, "credentialName": certificate}}


def _named(name: str, *hosts: str, **rule: Any) -> dict[str, Any]:
    spec = {"hosts": list(hosts or ["*"]), "gateways": ["gate"], "http": [{"name": name, "route": to(), **rule}]}
    return virtual_service(spec, name)


def _listeners(mesh: Mesh) -> dict[str, Any]:
    return {
        listener["name"]: listener
        for listener in map(as_dict, gateway.build_gateway_listeners(mesh, proxy(mesh, "gate")))
    }


def _gate(mesh: Mesh, name: str = "http.8080") -> dict[str, Any]:
    return virtual_hosts(mesh, name, "gate")


def test_a_plain_server_listens_at_the_pods_own_port() -> None:
    """Service port 80 is target port 8080: listener and route configuration have its number, one chain for all."""
    (found,) = _listeners(shop(gateway_of())).values()
    assert found["name"] == "0.0.0.0_8080"
    assert found["address"] == {"socketAddress": {"address": "127.1.0.1", "portValue": 8080}}
    assert found["trafficDirection"] == "OUTBOUND"
    (chain,) = found["filterChains"]
    assert chain.keys() == {"filters"}
    manager = chain["filters"][0]["typedConfig"]
    assert (manager["statPrefix"], manager["rds"]["routeConfigName"]) == ("outbound_0.0.0.0_8080;", "http.8080")


def test_a_port_that_no_service_has_is_listened_at_as_it_is() -> None:
    """443 is no port of gate's Service."""
    assert list(_listeners(shop(gateway_of(_tls("*"))))) == ["0.0.0.0_443"]


def test_servers_that_end_tls_are_chains_by_name() -> None:
    """Each has its certificate by secret name, its route configuration, and the names it is asked for by."""
    (found,) = _listeners(shop(gateway_of(_tls("a.example"), _tls("*", name="all", mode="MUTUAL")))).values()
    assert [listener_filter["name"] for listener_filter in found["listenerFilters"]] == [
        "envoy.filters.listener.tls_inspector"
    ]
    named, rest = found["filterChains"]
    assert named["filterChainMatch"] == {"serverNames": ["a.example"]}
    assert "filterChainMatch" not in rest
    assert named["transportSocketConnectTimeout"] == "15s"
    names = [chain["filters"][0]["typedConfig"]["rds"]["routeConfigName"] for chain in (named, rest)]
    assert names == ["https.443.https.gate.shop", "https.443.all.gate.shop"]
    simple = named["transportSocket"]["typedConfig"]
    assert simple["requireClientCertificate"] is False
    common = simple["commonTlsContext"]
    assert common["alpnProtocols"] == ["h2", "http/1.1"]
    assert [secret["name"] for secret in common["tlsCertificateSdsSecretConfigs"]] == ["kubernetes://a-cert"]
    mutual = rest["transportSocket"]["typedConfig"]
    assert mutual["requireClientCertificate"] is True
    combined = mutual["commonTlsContext"]["combinedValidationContext"]
    assert combined["validationContextSdsSecretConfig"]["name"] == "kubernetes://a-cert-cacert"


def test_without_a_virtual_service_everything_is_404() -> None:
    """The one virtual host has no routes."""
    assert _gate(shop(gateway_of())) == {"blackhole:80": {"name": "blackhole:80", "domains": ["*"]}}


def test_a_host_is_served_where_gateway_and_virtual_service_agree() -> None:
    """The narrower of both; any other host has no virtual host, so it gets 404."""
    mesh = shop(gateway_of(_plain("*.example.org", "b.example")), _named("a", "a.example.org", "*.example"))
    found = _gate(mesh)
    assert [host["domains"] for host in found.values()] == [["a.example.org", "b.example"]]
    assert list(found) == ["a.example.org:80"]
    (route,) = found["a.example.org:80"]["routes"]
    assert route["route"]["cluster"] == CLUSTER


def test_routes_of_several_are_joined_and_what_takes_everything_comes_last() -> None:
    """The oldest first, but catch-alls behind all others."""
    mesh = shop(gateway_of(), _named("a"), _named("b", match=[{"uri": {"prefix": "/b"}}]), _named("c"))
    assert [route["name"] for route in _gate(mesh)["*:80"]["routes"]] == ["b", "a", "c"]


def test_a_virtual_host_has_the_servers_port_in_its_name() -> None:
    """As istiod names them: the Service's port, not the pod's."""
    found = _gate(shop(gateway_of(), _named("a")))["*:80"]
    assert (found["domains"], found["includeRequestAttemptCount"]) == (["*"], True)


@pytest.mark.parametrize(
    ("host", "is_served"),
    [("./a.example", True), ("shop/a.example", True), ("*/a.example", True), ("elsewhere/a.example", False)],
)
def test_a_servers_host_may_be_for_one_namespace(host: str, *, is_served: bool) -> None:
    """VirtualServices of another namespace are not served there."""
    found = _gate(shop(gateway_of(_plain(host)), _named("a", "a.example")))
    assert ("a.example:80" in found) == is_served


def test_https_redirect() -> None:
    """301 to https for each host of the server, also for one that nothing serves."""
    mesh = shop(gateway_of(_plain("a.example", "b.example", tls={"httpsRedirect": True})), _named("a", "a.example"))
    found = _gate(mesh)
    assert {name: host["requireTls"] for name, host in found.items()} == {"a.example:80": "ALL", "b.example:80": "ALL"}
    assert "routes" not in found["b.example:80"]


def test_https_redirect_holds_for_a_narrower_host() -> None:
    """The server has a wildcard, the VirtualService one of its names."""
    mesh = shop(gateway_of(_plain("*.example", tls={"httpsRedirect": True})), _named("a", "a.example"))
    assert {host.get("requireTls") for host in _gate(mesh).values()} == {"ALL"}


def test_hosts_with_the_same_routes_are_one() -> None:
    """Named by the longest; wildcards last; those that redirect stay apart."""
    redirecting = _plain("redirecting.example", name="redirecting", tls={"httpsRedirect": True})
    mesh = shop(gateway_of(_plain("a.example", "bb.example", "*.c.example"), redirecting), _named("a"))
    found = {name: host["domains"] for name, host in _gate(mesh).items()}
    assert found == {
        "bb.example:80": ["bb.example", "a.example", "*.c.example"],
        "redirecting.example:80": ["redirecting.example"],
    }


def test_a_destination_without_a_port_is_a_hosts_only_one() -> None:
    """At a gateway the port called says nothing of the port meant."""
    (route,) = _gate(shop(gateway_of(), _named("a")))["*:80"]["routes"]
    assert route["route"]["cluster"] == CLUSTER


def test_a_match_may_be_for_one_gateway() -> None:
    """Entries for another gateway, or for the mesh, are left out; those without gateways look at the pod."""
    spec = {
        "hosts": ["backend"],
        "gateways": ["gate", "mesh"],
        "http": [
            {"name": "in", "match": [{"uri": {"prefix": "/in"}, "gateways": ["mesh"]}], "route": to()},
            {"name": "out", "match": [{"uri": {"prefix": "/out"}, "gateways": ["shop/gate"]}], "route": to()},
            {"name": "pod", "match": [{"uri": {"prefix": "/x"}, "sourceLabels": {"istio": "gate"}}], "route": to()},
        ],
    }
    mesh = shop(gateway_of(), virtual_service(spec))
    (host,) = _gate(mesh).values()
    assert [route["name"] for route in host["routes"]] == ["out", "pod"]


@pytest.mark.parametrize(("said", "is_served"), [("*", True), (".", True), ("elsewhere", False)])
def test_a_virtual_service_is_seen_where_it_is_exported(said: str, *, is_served: bool) -> None:
    """exportTo is the gateway pod's namespace, or all."""
    vs = _named("a")
    vs["spec"]["exportTo"] = [said]
    assert ("*:80" in _gate(shop(gateway_of(), vs))) == is_served


def test_derived_ports_of_redirects_are_the_servers() -> None:
    """https at 443 is not written out, http at 443 would be."""
    vs = _named("a")
    vs["spec"]["http"][0] = {"redirect": {"uri": "/x", "derivePort": "FROM_REQUEST_PORT"}}
    found = configurations(shop(gateway_of(_tls("*")), vs), "gate")["https.443.https.gate.shop"]
    assert "portRedirect" not in found["virtualHosts"][0]["routes"][0]["redirect"]


@pytest.mark.parametrize(
    ("servers", "path", "what"),
    [
        ([_plain(tsl={})], "servers[0].tsl", "no such field"),
        ([{**_plain(), "bind": "127.0.0.1"}], "servers[0].bind", "is not translated"),
        ([_plain(name="")], "servers[0].port.name", "at least 1 character"),
        ([_plain(number=0)], "servers[0].port.number", "greater than or equal to 1"),
        ([_plain("a*")], "servers[0].hosts[0]", "is no host"),
        ([_plain("nowhere/a.example")], "servers[0].hosts[0]", "no namespace nowhere"),
        ([{**_plain(), "port": {"number": 1, "name": "a", "protocol": "TCP"}}], "servers[0].port.protocol", "'HTTPS'"),
        ([{**_plain(), "port": {"number": 1, "name": "a", "protocol": "htp"}}], "servers[0].port.protocol", "'HTTP'"),
        ([_plain("short")], "servers[0].hosts[0]", "is no host: write a name with a dot"),
        ([_plain(tls={"mode": "SIMPLE"})], "servers[0].tls", "write protocol HTTPS"),
        ([_tls("*", mode="PASSTHROUGH")], "servers[0].tls.mode", "'SIMPLE' or 'MUTUAL'"),
        ([_tls("*", mode="ISTIO_MUTUAL")], "servers[0].tls.mode", "'SIMPLE' or 'MUTUAL'"),
        ([_tls("*", certificate="")], "servers[0].tls.credentialName", "name the secret"),
        ([{**_tls("*"), "tls": {"credentialName": "a"}}], "servers[0].tls.mode", "write SIMPLE or MUTUAL"),
        ([{**_tls("*"), "tls": {"httpsRedirect": True}}], "servers[0].tls.httpsRedirect", "speaks https already"),
        ([_plain(), _plain("a.example", number=81)], "servers[1].port.name", "is that of another server"),
        ([_tls("a.example"), _plain("a.example", number=443)], "servers", "port 443 is HTTPS"),
        ([_tls("a.example"), _tls("a.example", name="again")], "servers", "a.example at port 443 is in"),
    ],
)
def test_refused(servers: list[dict[str, Any]], path: str, what: str) -> None:
    """What is not translated, or what Envoy would refuse or istiod pass over."""
    with pytest.raises(ManifestError) as error:
        shop(gateway_of(*servers))
    assert str(error.value).startswith(f"case.yaml document 1 (Gateway gate): spec.{path}: ")
    assert what in str(error.value)


def test_a_selector_that_takes_nothing_is_refused() -> None:
    """A typo in the labels would leave the ingress closed without an error."""
    said = gateway_of()
    said["spec"]["selector"] = {"istio": "gaet"}
    with pytest.raises(ManifestError, match=r"spec\.selector: no workload has these labels"):
        shop(said)


def test_a_virtual_service_whose_host_no_server_has_is_refused() -> None:
    """It would be served nowhere."""
    with pytest.raises(ManifestError, match=r"hosts\[0\]: b.example: no Service or ServiceEntry has this host, nor"):
        shop(gateway_of(_plain("a.example")), _named("a", "b.example"))
