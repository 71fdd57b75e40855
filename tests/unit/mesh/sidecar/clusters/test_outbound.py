"""Clusters, endpoints and outbound listeners: istiod's names and defaults, mTLS by endpoint, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from mesh.manifests.errors import ManifestError
from mesh.sidecar.proxy import Endpoint
from tests.unit.mesh.sidecar.calling import (
    cluster,
    clusters,
    document,
    endpoints,
    listeners,
    marks,
    places,
    protocol_options,
    sans,
    tls_context,
)
from tests.unit.mesh.sidecar.shop import BACKEND, CLUSTER, destination_rule, gateway_of, service, shop

UNLIMITED = 4294967295
HERE = Endpoint(path="/run/out.sock")


def _workload(name: str, **spec: Any) -> dict[str, Any]:
    """A Deployment of app backend, version as its name says."""
    labels = {"app": "backend", "version": name, **spec.pop("labels", {})}
    pod = {"metadata": {"labels": labels}, "spec": {"serviceAccountName": spec.pop("account", name)}}
    metadata = {"name": name, "namespace": "shop"}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {"template": pod, **spec}}


def _peer_authentication(mode: str, **selector: str) -> dict[str, Any]:
    spec: dict[str, Any] = {"mtls": {"mode": mode}}
    if selector:
        spec["selector"] = {"matchLabels": selector}
    metadata = {"name": "mode", "namespace": "shop"}
    return {"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "metadata": metadata, "spec": spec}


def test_a_cluster_has_istiods_name_and_defaults() -> None:
    """EDS by its own name, 10 s to connect, no limits, least requests, all endpoints never used in a panic."""
    found = cluster(shop())
    assert found["name"] == "outbound|50051||backend.shop.svc.cluster.local"
    assert found["altStatName"] == f"{CLUSTER};"
    assert found["type"] == "EDS"
    assert found["edsClusterConfig"]["serviceName"] == CLUSTER
    path = found["edsClusterConfig"]["edsConfig"]["pathConfigSource"]["path"]
    assert path == "./endpoints/outbound_50051__backend.shop.svc.cluster.local.json"
    assert found["connectTimeout"] == "10s"
    assert found["lbPolicy"] == "LEAST_REQUEST"
    assert found["commonLbConfig"] == {"healthyPanicThreshold": {}}
    (limits,) = found["circuitBreakers"]["thresholds"]
    assert limits == dict.fromkeys(("maxConnections", "maxPendingRequests", "maxRequests", "maxRetries"), UNLIMITED)
    assert "outlierDetection" not in found


def test_every_port_of_every_host_has_a_cluster() -> None:
    """The client sees all hosts of all namespaces."""
    assert set(clusters(shop())) == {
        CLUSTER,
        "outbound|9080||other.shop.svc.cluster.local",
        "outbound|50051||far.elsewhere.svc.cluster.local",
        "outbound|80||gate.shop.svc.cluster.local",
    }


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("grpc", {"explicitHttpConfig": {"http2ProtocolOptions": {}}}),
        ("grpc-web", {"explicitHttpConfig": {"http2ProtocolOptions": {}}}),
        ("http2", {"explicitHttpConfig": {"http2ProtocolOptions": {}}}),
        ("http", None),
        ("tcp", None),
        ("tls", None),
        ("what", {"useDownstreamProtocolConfig": {"httpProtocolOptions": {}, "http2ProtocolOptions": {}}}),
    ],
)
def test_the_ports_protocol_is_the_clusters(name: str, options: Any) -> None:
    """HTTP/2 where it is declared, HTTP/1.1 by default, the caller's where nothing is declared."""
    mesh = shop(service("more", [{"name": name, "port": 1000}]))
    assert protocol_options(cluster(mesh, "outbound|1000||more.shop.svc.cluster.local")) == options


def test_a_gateway_does_not_sniff() -> None:
    """A port of unknown protocol is HTTP/1.1 to a gateway."""
    mesh = shop(service("more", [{"name": "what", "port": 1000}]), gateway_of())
    assert protocol_options(clusters(mesh, "gate")["outbound|1000||more.shop.svc.cluster.local"]) is None


def test_mutual_tls_is_by_endpoint() -> None:
    """Two sockets: mTLS for endpoints marked istio, with SNI, ALPN and the identities behind the host; else plain."""
    mutual, plain = cluster(shop())["transportSocketMatches"]
    assert (mutual["name"], mutual["match"]) == ("tlsMode-istio", {"tlsMode": "istio"})
    assert (plain["name"], plain["match"]) == ("tlsMode-disabled", {})
    assert plain["transportSocket"]["name"] == "envoy.transport_sockets.raw_buffer"
    context = tls_context(mutual["transportSocket"])
    assert context["sni"] == f"outbound_.50051_._.{BACKEND}"
    assert sans(context) == ["spiffe://cluster.local/ns/shop/sa/backend"]
    common = context["commonTlsContext"]
    assert common["alpnProtocols"] == ["istio", "h2"]
    assert common["tlsParams"] == {"tlsMinimumProtocolVersion": "TLSv1_2", "tlsMaximumProtocolVersion": "TLSv1_3"}
    (secret,) = common["tlsCertificateSdsSecretConfigs"]
    assert secret["name"] == "default"
    assert secret["sdsConfig"]["pathConfigSource"]["path"] == "./secrets/default.json"
    assert common["combinedValidationContext"]["validationContextSdsSecretConfig"]["name"] == "ROOTCA"


def test_http_1_clusters_offer_istio_alone() -> None:
    """ALPN h2 is for HTTP/2 clusters."""
    mutual, _ = cluster(shop(), "outbound|9080||other.shop.svc.cluster.local")["transportSocketMatches"]
    assert tls_context(mutual["transportSocket"])["commonTlsContext"]["alpnProtocols"] == ["istio"]


def test_identities_are_those_of_all_workloads_behind_a_host() -> None:
    """Sorted, each once, in the mesh's trust domain; a workload without replicas counts, too."""
    mesh = shop(_workload("v1", account="z"), _workload("v2", account="a", replicas=0), trust_domain="rostrum.test")
    context = tls_context(cluster(mesh)["transportSocketMatches"][0]["transportSocket"])
    assert sans(context) == [f"spiffe://rostrum.test/ns/shop/sa/{account}" for account in ("a", "backend", "z")]


def test_where_nobody_is_known_nobody_is_accepted() -> None:
    """istiod would demand no name at all."""
    mesh = shop(service("empty", [{"name": "grpc", "port": 1000}]))
    context = tls_context(
        cluster(mesh, "outbound|1000||empty.shop.svc.cluster.local")["transportSocketMatches"][0]["transportSocket"]
    )
    assert sans(context) == ["spiffe://cluster.local/nobody"]


def test_a_namespace_without_mtls_is_called_in_plain_text() -> None:
    """PeerAuthentication DISABLE for the namespace: no TLS at all, and no endpoint is marked."""
    mesh = shop(_peer_authentication("DISABLE"))
    assert not {"transportSocket", "transportSocketMatches"} & cluster(mesh).keys()
    assert marks(mesh) == [""]


def test_a_workload_without_mtls_changes_its_endpoints_alone() -> None:
    """The cluster still has both sockets; the pod is not marked."""
    mesh = shop(_peer_authentication("DISABLE", app="backend"))
    assert len(cluster(mesh)["transportSocketMatches"]) == 2
    assert marks(mesh) == [""]


def test_a_pod_without_a_sidecar_is_not_marked() -> None:
    """sidecar.istio.io/inject: "false"."""
    mesh = shop(_workload("bare", labels={"sidecar.istio.io/inject": "false"}))
    assert sorted(marks(mesh)) == ["", "istio"]


@pytest.mark.parametrize(("mode", "mark"), [("ISTIO_MUTUAL", "istio"), ("DISABLE", "")])
def test_a_rule_marks_endpoints_whatever_they_are(mode: str, mark: str) -> None:
    """ISTIO_MUTUAL marks even a pod without a sidecar, DISABLE not even one with."""
    rule = destination_rule({"trafficPolicy": {"tls": {"mode": mode}}})
    mesh = shop(_workload("bare", labels={"sidecar.istio.io/inject": "false"}), rule)
    assert marks(mesh) == [mark, mark]


def test_every_replica_is_an_endpoint() -> None:
    """At the pods' addresses and the target port, healthy, each of weight 1, with what metrics are labelled by."""
    mesh = shop(_workload("v2", replicas=2))
    found = endpoints(mesh)
    assert [endpoint["healthStatus"] for endpoint in found] == ["HEALTHY"] * 3
    assert [endpoint["loadBalancingWeight"] for endpoint in found] == [1, 1, 1]
    assert places(mesh) == ["127.1.1.1:50051", "127.1.4.1:50051", "127.1.4.2:50051"]
    assert found[-1]["metadata"]["filterMetadata"]["istio"] == {
        "workload": "v2;shop;backend;v2;Kubernetes",
        "workload_name": "v2",
        "namespace": "shop",
        "canonical_name": "backend",
        "canonical_revision": "v2",
    }


def test_a_named_target_port_is_the_containers() -> None:
    """A workload without a container port of that name is no endpoint."""
    boxes = [{"name": "app", "ports": [{"name": "serving", "containerPort": 7777}]}]
    labels = {"app": "more"}
    pods = {"metadata": {"labels": labels}, "spec": {"containers": boxes}}
    bare = {"metadata": {"labels": labels}, "spec": {"containers": []}}
    ports = [{"name": "grpc", "port": 1000, "targetPort": "serving"}]
    workloads = [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {"template": template}}
        for name, template in (("more", pods), ("none", bare))
    ]
    mesh = shop(service("more", ports), *workloads)
    assert [place.rpartition(":")[2] for place in places(mesh, "outbound|1000||more.shop.svc.cluster.local")] == [
        "7777"
    ]


def test_canonical_names_have_their_own_labels_first() -> None:
    """service.istio.io/canonical-name and -revision win over app and version."""
    own = {"service.istio.io/canonical-name": "shown", "service.istio.io/canonical-revision": "r7"}
    mesh = shop(_workload("v2", labels=own))
    assert endpoints(mesh)[-1]["metadata"]["filterMetadata"]["istio"]["workload"] == "v2;shop;shown;r7;Kubernetes"


def test_a_cluster_says_whose_it_is() -> None:
    """Host, name and namespace, the rule that made it and its subset, where access logs find them."""
    mesh = shop(destination_rule({"subsets": [{"name": "all", "labels": {"app": "backend"}}]}))
    found = cluster(mesh, f"outbound|50051|all|{BACKEND}")["metadata"]["filterMetadata"]["istio"]
    assert found["services"] == [{"host": BACKEND, "name": "backend", "namespace": "shop"}]
    assert (found["service_host"], found["service_name"], found["service_namespace"]) == (BACKEND, "backend", "shop")
    assert found["config"] == "/apis/networking.istio.io/v1/namespaces/shop/destination-rule/backend"
    assert found["subset"] == "all"


def test_a_headless_service_is_balanced_over() -> None:
    """istiod would take the address that was dialled; here none is captured."""
    mesh = shop(service("backend2", [{"name": "grpc", "port": 1000}], selector={"app": "backend"}, clusterIP="None"))
    name = "outbound|1000||backend2.shop.svc.cluster.local"
    assert cluster(mesh, name)["type"] == "EDS"
    assert cluster(mesh, name)["metadata"]["filterMetadata"]["istio"]["headless"] is True
    assert len(places(mesh, name)) == 1


def test_http_hosts_of_a_port_share_a_listener() -> None:
    """It is at the proxy's place for that port, and its routes are named by the port."""
    (found,) = listeners(shop(), {50051: HERE}).values()
    assert found["name"] == "0.0.0.0_50051"
    assert found["address"] == {"pipe": {"path": "/run/out.sock", "mode": 0o600}}
    assert found["trafficDirection"] == "OUTBOUND"
    ((manager,),) = [chain["filters"] for chain in found["filterChains"]]
    assert manager["typedConfig"]["rds"]["routeConfigName"] == "50051"


def test_a_listener_may_be_at_an_address() -> None:
    """An IP and port in the place of a socket's path."""
    (found,) = listeners(shop(), {50051: Endpoint("127.0.0.1", 1234)}).values()
    assert found["address"] == {"socketAddress": {"address": "127.0.0.1", "portValue": 1234}}


def test_a_port_that_no_host_has_is_not_listened_at() -> None:
    """Nothing is there to call."""
    assert listeners(shop(), {4711: HERE}) == {}


def test_a_tcp_port_leads_to_its_one_host() -> None:
    """Named by the virtual IP. Time-outs are those of the rule's policy for all ports."""
    pool = {"tcp": {"idleTimeout": "60s", "maxConnectionDuration": "1h"}}
    balancer = {"consistentHash": {"useSourceIp": True}}
    rule = {"host": "store", "trafficPolicy": {"connectionPool": pool, "loadBalancer": balancer}}
    mesh = shop(service("store", [{"name": "tcp", "port": 7000}]), document("DestinationRule", rule))
    (found,) = listeners(mesh, {7000: HERE}, {"store.shop.svc.cluster.local": "127.10.0.9"}).values()
    assert found["name"] == "127.10.0.9_7000"
    (chain,) = found["filterChains"]
    (proxy,) = chain["filters"]
    assert proxy["typedConfig"] == {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        "statPrefix": "outbound|7000||store.shop.svc.cluster.local",
        "cluster": "outbound|7000||store.shop.svc.cluster.local",
        "idleTimeout": "60s",
        "maxDownstreamConnectionDuration": "3600s",
        "hashPolicy": [{"sourceIp": {}}],
    }


def test_a_mongo_port_is_counted() -> None:
    """By Envoy's filter before the bytes are passed on."""
    mesh = shop(service("store", [{"name": "mongo", "port": 7000}]))
    (found,) = listeners(mesh, {7000: HERE}).values()
    (chain,) = found["filterChains"]
    assert [network_filter["name"].rpartition(".")[2] for network_filter in chain["filters"]] == [
        "mongo_proxy",
        "tcp_proxy",
    ]


def test_a_grpc_web_port_is_translated() -> None:
    """The first host's protocol says whether gRPC-Web is taken."""
    mesh = shop(service("store", [{"name": "grpc-web", "port": 7000}]))
    (found,) = listeners(mesh, {7000: HERE}).values()
    manager = found["filterChains"][0]["filters"][0]["typedConfig"]
    assert "envoy.filters.http.grpc_web" in [http_filter["name"] for http_filter in manager["httpFilters"]]


def test_a_port_of_unknown_protocol_is_sniffed() -> None:
    """HTTP gets routes of its own, all else the host."""
    mesh = shop(service("more", [{"name": "what", "port": 1000}]))
    (found,) = listeners(mesh, {1000: HERE}, {"more.shop.svc.cluster.local": "127.10.0.9"}).values()
    assert found["name"] == "127.10.0.9_1000"
    assert [listener_filter["name"] for listener_filter in found["listenerFilters"]] == [
        "envoy.filters.listener.http_inspector"
    ]
    (chain,) = found["filterChains"]
    match = {"transportProtocol": "raw_buffer", "applicationProtocols": ["http/1.1", "h2c"]}
    assert chain["filterChainMatch"] == match
    assert chain["filters"][0]["typedConfig"]["rds"]["routeConfigName"] == "more.shop.svc.cluster.local:1000"
    (proxy,) = found["defaultFilterChain"]["filters"]
    assert proxy["typedConfig"]["cluster"] == "outbound|1000||more.shop.svc.cluster.local"


def test_tls_hosts_are_distinguished_by_server_name() -> None:
    """The app's own TLS is passed on; a handshake with another name meets no chain."""
    entry = {
        "hosts": ["a.example.com", "b.example.com"],
        "ports": [{"number": 443, "name": "tls", "protocol": "TLS"}],
        "resolution": "DNS",
    }
    (found,) = listeners(shop(document("ServiceEntry", entry)), {443: HERE}).values()
    names = [chain["filterChainMatch"]["serverNames"] for chain in found["filterChains"]]
    assert names == [["a.example.com"], ["b.example.com"]]
    assert [listener_filter["name"] for listener_filter in found["listenerFilters"]] == [
        "envoy.filters.listener.tls_inspector"
    ]
    assert "defaultFilterChain" not in found


@pytest.mark.parametrize("other", ["tcp", "http"])
def test_hosts_that_cannot_be_distinguished_are_refused(other: str) -> None:
    """Two hosts at one port, of which one is not HTTP."""
    mesh = shop(service("x", [{"name": "tcp", "port": 1000}]), service("y", [{"name": other, "port": 1000}]))
    with pytest.raises(ManifestError, match=r"port 1000 of x.shop.*y.shop.* cannot be told apart .*: give the ports"):
        listeners(mesh, {1000: HERE})
