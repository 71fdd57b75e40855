"""The server's side: what each mode admits at each sort of port, where the app is, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mesh.manifests.errors import ManifestError
from mesh.sidecar.clusters.connections import UNLIMITED
from mesh.sidecar.clusters.inbound import build_inbound_clusters
from mesh.sidecar.listeners import inbound
from mesh.sidecar.mesh import Mesh
from mesh.sidecar.proxy import Endpoint
from mesh.sidecar.resources import as_dict
from mesh.sidecar.scope import scope_of
from tests.unit.mesh.sidecar.serving import (
    AUTO,
    GRPC,
    HTTP,
    MONGO,
    TCP,
    WEB,
    chains,
    document,
    kinds,
    listener,
    manager,
    mesh_of,
    proxy,
)

ISTIO = ["istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2"]
ISTIO_HTTP = ["istio-http/1.0", "istio-http/1.1", "istio-h2"]
ISTIO_TCP = ["istio-peer-exchange", "istio"]
PLAIN = ["http/1.1", "h2c"]
HOST, OTHER = "backend.shop.svc.cluster.local", "other.shop.svc.cluster.local"
HCM, PROXY = "http_connection_manager", "tcp_proxy"


def _mode(mode: str, *documents: Any) -> Mesh:
    return mesh_of(document("PeerAuthentication", {"mtls": {"mode": mode}}), *documents)


@pytest.mark.parametrize(
    ("mode", "port", "expected"),
    [
        ("STRICT", HTTP, [("tls", [], HCM, True)]),
        ("PERMISSIVE", HTTP, [("tls", ISTIO, HCM, True), ("raw_buffer", [], HCM, False)]),
        ("DISABLE", HTTP, [("raw_buffer", [], HCM, False)]),
        ("STRICT", TCP, [("tls", [], PROXY, True)]),
        ("PERMISSIVE", TCP, [("tls", ISTIO, PROXY, True), ("tls", [], PROXY, False), ("raw_buffer", [], PROXY, False)]),
        ("DISABLE", TCP, [("raw_buffer", [], PROXY, False)]),
        ("STRICT", AUTO, [("tls", ISTIO_HTTP, HCM, True), ("tls", [], PROXY, True)]),
        (
            "PERMISSIVE",
            AUTO,
            [
                ("tls", ISTIO_HTTP, HCM, True),
                ("tls", ISTIO_TCP, PROXY, True),
                ("tls", [], PROXY, False),
                ("raw_buffer", PLAIN, HCM, False),
                ("raw_buffer", [], PROXY, False),
            ],
        ),
        ("DISABLE", AUTO, [("raw_buffer", PLAIN, HCM, False), ("raw_buffer", [], PROXY, False)]),
    ],
)
def test_what_a_port_admits(mode: str, port: int, expected: list[tuple[str, list[str], str, bool]]) -> None:
    """Each chain by transport and ALPN: what it ends in, and whether it asks for a certificate of the mesh."""
    found = [
        (
            chain["filterChainMatch"]["transportProtocol"],
            chain["filterChainMatch"].get("applicationProtocols", []),
            kinds(chain["filters"])[-1],
            "transportSocket" in chain,
        )
        for chain in chains(_mode(mode), port)
    ]
    assert found == expected


def test_mutual_tls() -> None:
    """A certificate is demanded, of the mesh's trust domain, by TLS 1.2 or 1.3 with istiod's ciphers."""
    (chain,) = chains(mesh_of(document("PeerAuthentication", {"mtls": {"mode": "STRICT"}}), trust_domain="td"))
    context = chain["transportSocket"]["typedConfig"]
    common = context["commonTlsContext"]
    assert context["requireClientCertificate"] is True
    assert common["alpnProtocols"] == ["h2", "http/1.1"]
    parameters = common["tlsParams"]
    assert (parameters["tlsMinimumProtocolVersion"], parameters["tlsMaximumProtocolVersion"]) == ("TLSv1_2", "TLSv1_3")
    assert parameters["cipherSuites"] == [
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "AES256-GCM-SHA384",
        "AES128-GCM-SHA256",
    ]
    validation = common["combinedValidationContext"]
    assert validation["defaultValidationContext"]["matchTypedSubjectAltNames"] == [
        {"sanType": "URI", "matcher": {"prefix": "spiffe://td/"}}
    ]
    assert validation["validationContextSdsSecretConfig"]["name"] == "ROOTCA"
    assert [secret["name"] for secret in common["tlsCertificateSdsSecretConfigs"]] == ["default"]


@pytest.mark.parametrize(
    ("mode", "port", "expected"),
    [
        ("STRICT", HTTP, ["tls_inspector"]),
        ("PERMISSIVE", TCP, ["tls_inspector"]),
        ("STRICT", AUTO, ["tls_inspector"]),
        ("PERMISSIVE", AUTO, ["tls_inspector", "http_inspector"]),
        ("DISABLE", AUTO, ["http_inspector"]),
        ("DISABLE", HTTP, []),
    ],
)
def test_a_listener_looks_only_for_what_its_chains_ask(mode: str, port: int, expected: list[str]) -> None:
    """And a caller that says nothing at first is waited for."""
    found = listener(_mode(mode), port)
    assert kinds(found.get("listenerFilters", [])) == expected
    assert found.get("continueOnListenerFiltersTimeout", False) is bool(expected)
    assert ("listenerFiltersTimeout" in found) is bool(expected)


def test_a_listener_is_at_the_pods_own_address() -> None:
    """So that a policy's ports are the pod's."""
    found = listener(mesh_of())
    assert found["address"] == {"socketAddress": {"address": "127.1.0.1", "portValue": HTTP}}
    assert found["trafficDirection"] == "INBOUND"


def test_there_is_one_listener_a_port() -> None:
    """By the pod's ports, in the order of its Services'."""
    mesh = mesh_of()
    found = [resource.name for resource in inbound.build_inbound_listeners(mesh, proxy(mesh))]
    assert found == [f"inbound|{port}" for port in (HTTP, GRPC, WEB, TCP, MONGO, AUTO)]


def test_of_two_services_the_first_says_what_a_port_speaks() -> None:
    """One listener, of the protocol of the Service whose name is first."""
    ports = [{"name": "grpc", "port": 81, "targetPort": HTTP}]
    mesh = mesh_of(document("Service", {"selector": {"app": "backend"}, "ports": ports}, "a"))
    config = manager(mesh)
    assert "http2ProtocolOptions" in config
    assert config["routeConfig"]["virtualHosts"][0]["name"] == "inbound|http|81"


@pytest.mark.parametrize(
    ("port", "retries"),
    [(HTTP, {"retryOn": "reset-before-request", "numRetries": 2}), (GRPC, None), (WEB, None)],
)
def test_all_goes_to_the_app_for_as_long_as_it_takes(port: int, retries: Any) -> None:
    """No timeout on this side; what was not begun is tried again, but for gRPC."""
    routes = manager(_mode("STRICT"), port)["routeConfig"]
    (host,) = routes["virtualHosts"]
    (route,) = host["routes"]
    number = 80 if port == HTTP else port
    assert (routes["name"], routes["validateClusters"]) == (f"inbound|{port}||", False)
    assert (host["name"], host["domains"]) == (f"inbound|http|{number}", ["*"])
    assert (route["name"], route["match"]) == ("default", {"prefix": "/"})
    assert route["decorator"] == {"operation": f"backend.shop.svc.cluster.local:{number}/*"}
    action = dict(route["route"])
    assert action.pop("retryPolicy", None) == retries
    zero = {"maxStreamDuration": "0s", "grpcTimeoutHeaderMax": "0s"}
    assert action == {"cluster": f"inbound|{port}||", "timeout": "0s", "maxStreamDuration": zero}


def test_mongo_is_read_on_its_way() -> None:
    """As istiod has it."""
    (chain,) = chains(_mode("STRICT"), MONGO)
    assert kinds(chain["filters"]) == ["mongo_proxy", "tcp_proxy"]


def _cluster(mesh: Mesh, port: int = HTTP, **app: Any) -> dict[str, Any]:
    own = proxy(mesh)
    own = replace(own, app={**own.app, **app.get("app", {})})
    found = {
        cluster["name"]: cluster for cluster in map(as_dict, build_inbound_clusters(mesh, own, scope_of(mesh, own)))
    }
    one: dict[str, Any] = found[f"inbound|{port}||"]
    return one


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (Endpoint(path="/run/app"), {"pipe": {"path": "/run/app"}}),
        (Endpoint("127.0.0.9", 5), {"socketAddress": {"address": "127.0.0.9", "portValue": 5}}),
    ],
)
def test_the_app_is_where_it_listens(place: Endpoint, expected: Any) -> None:
    """A socket's path or an address."""
    found = _cluster(mesh_of(), app={HTTP: place})
    (locality,) = found["loadAssignment"]["endpoints"]
    (endpoint,) = locality["lbEndpoints"]
    assert endpoint["endpoint"]["address"] == expected
    assert found.get("type", "STATIC") == "STATIC"
    assert found["altStatName"] == "inbound|8080||;"


def test_the_connection_pool_of_a_rule_holds_for_the_server_too() -> None:
    """Its limits and its time to connect; not outlier detection, balancing and TLS; no upgrade to HTTP/2."""
    pool = {"tcp": {"connectTimeout": "2s"}, "http": {"http2MaxRequests": 7, "h2UpgradePolicy": "UPGRADE"}}
    policy = {"connectionPool": pool, "outlierDetection": {}, "tls": {"mode": "ISTIO_MUTUAL"}}
    found = _cluster(mesh_of(document("DestinationRule", {"host": "backend", "trafficPolicy": policy})))
    assert found["connectTimeout"] == "2s"
    assert found["circuitBreakers"]["thresholds"][0]["maxRequests"] == 7
    assert not {"outlierDetection", "transportSocket", "typedExtensionProtocolOptions"} & found.keys()


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [(["./*"], 7), (["~/*"], UNLIMITED), ([f"./{OTHER}"], UNLIMITED), (["./*", f"~shop/{HOST}"], UNLIMITED)],
)
def test_a_pool_of_a_host_that_the_pod_does_not_import_is_for_its_callers_alone(
    hosts: list[str], expected: int
) -> None:
    """A server's Sidecar may leave out the server's own host, as most of ours do."""
    policy = {"connectionPool": {"tcp": {"maxConnections": 7}}}
    rule = document("DestinationRule", {"host": "backend", "trafficPolicy": policy})
    other = document("Service", {"selector": {"app": "other"}, "ports": [{"name": "http", "port": 80}]}, "other")
    found = _cluster(mesh_of(rule, other, document("Sidecar", {"egress": [{"hosts": hosts}]})))
    assert found["circuitBreakers"]["thresholds"][0]["maxConnections"] == expected


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        (HTTP, None),
        (TCP, None),
        (GRPC, {"explicitHttpConfig": {"http2ProtocolOptions": {}}}),
        (AUTO, {"useDownstreamProtocolConfig": {"httpProtocolOptions": {}, "http2ProtocolOptions": {}}}),
    ],
)
def test_the_app_is_spoken_to_as_its_port_says(port: int, expected: Any) -> None:
    """HTTP/2 where the port's name says so, as the caller does where nothing is said."""
    options = _cluster(mesh_of(), port).get("typedExtensionProtocolOptions", {"": {}})
    (found,) = options.values()
    assert ({name: value for name, value in found.items() if name != "@type"} or None) == expected


def test_a_port_that_the_app_has_not_is_refused() -> None:
    """By the Service."""
    mesh = mesh_of()
    own = proxy(mesh)
    missing = replace(own, app={port: place for port, place in own.app.items() if port != TCP})
    with pytest.raises(ManifestError, match=r"Service backend\): spec.ports: 7000 is no port of backend"):
        build_inbound_clusters(mesh, missing, scope_of(mesh, missing))


def test_a_name_that_no_container_port_has_is_refused() -> None:
    """By the Service."""
    ports = [{"name": "http", "port": 1, "targetPort": "nowhere"}]
    mesh = mesh_of(document("Service", {"selector": {"app": "backend"}, "ports": ports}, "other"))
    with pytest.raises(ManifestError, match=r"Service other\): spec.ports: no container port of backend is called"):
        inbound.build_inbound_listeners(mesh, proxy(mesh))
