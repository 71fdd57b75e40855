"""DestinationRule: what each field becomes, which rule holds, how ports and subsets override, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from mesh.manifests.errors import ManifestError
from mesh.sidecar.mesh import Mesh
from mesh.sidecar.scope import Host, Scope
from tests.unit.mesh.sidecar.calling import (
    cluster,
    clusters,
    document,
    marks,
    places,
    protocol_options,
    sans,
    scope,
    tls_context,
)
from tests.unit.mesh.sidecar.shop import BACKEND, CLUSTER, destination_rule, service, shop

OTHER = "outbound|9080||other.shop.svc.cluster.local"


def _policy(**policy: Any) -> Mesh:
    """The shop with this trafficPolicy for backend."""
    return shop(destination_rule({"trafficPolicy": policy}))


def _rule(name: str, host: str, seconds: int, namespace: str = "shop", **spec: Any) -> dict[str, Any]:
    """A rule that is recognised by its connect time-out."""
    policy = {"connectionPool": {"tcp": {"connectTimeout": f"{seconds}s"}}}
    return document("DestinationRule", {"host": host, "trafficPolicy": policy, **spec}, name, namespace)


def _subsets(*subsets: dict[str, Any], **spec: Any) -> dict[str, Any]:
    labels = {"labels": {"app": "backend"}}
    return destination_rule({"subsets": [{**labels, **subset} for subset in subsets], **spec})


def _thresholds(found: dict[str, Any]) -> Any:
    return found["circuitBreakers"]["thresholds"][0]


# --- connectionPool ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pool", "threshold"),
    [
        ({"tcp": {"maxConnections": 7}}, "maxConnections"),
        ({"http": {"http1MaxPendingRequests": 7}}, "maxPendingRequests"),
        ({"http": {"http2MaxRequests": 7}}, "maxRequests"),
        ({"http": {"maxRetries": 7}}, "maxRetries"),
    ],
)
def test_limits_are_circuit_breakers(pool: dict[str, Any], threshold: str) -> None:
    """The one that is named is 7, the others stay without a limit."""
    found = _thresholds(cluster(_policy(connectionPool=pool)))
    assert {name for name, value in found.items() if value == 7} == {threshold}
    assert sorted(found.values())[1:] == [4294967295] * 3


def test_zero_is_no_limit() -> None:
    """As in istiod, which cannot distinguish it from unset."""
    assert _thresholds(cluster(_policy(connectionPool={"tcp": {"maxConnections": 0}})))["maxConnections"] == 4294967295


def test_the_time_to_connect() -> None:
    """connectTimeout is connect_timeout."""
    assert cluster(_policy(connectionPool={"tcp": {"connectTimeout": "250ms"}}))["connectTimeout"] == "0.250s"


def test_probes_of_idle_connections() -> None:
    """tcpKeepalive, in whole seconds."""
    pool = {"tcp": {"tcpKeepalive": {"probes": 3, "time": "1m", "interval": "5s"}}}
    keepalive = cluster(_policy(connectionPool=pool))["upstreamConnectionOptions"]["tcpKeepalive"]
    assert keepalive == {"keepaliveProbes": 3, "keepaliveTime": 60, "keepaliveInterval": 5}


@pytest.mark.parametrize(
    ("pool", "common"),
    [
        ({"http": {"idleTimeout": "15s"}, "tcp": {"idleTimeout": "60s"}}, {"idleTimeout": "15s"}),
        ({"tcp": {"idleTimeout": "60s"}}, {"idleTimeout": "60s"}),
        ({"tcp": {"maxConnectionDuration": "30s"}}, {"maxConnectionDuration": "30s"}),
        ({"http": {"maxRequestsPerConnection": 5}}, {"maxRequestsPerConnection": 5}),
    ],
)
def test_limits_of_a_connection(pool: dict[str, Any], common: dict[str, Any]) -> None:
    """http.idleTimeout goes before tcp.idleTimeout."""
    options = protocol_options(cluster(_policy(connectionPool=pool)))
    assert options["commonHttpProtocolOptions"] == common
    assert options["explicitHttpConfig"] == {"http2ProtocolOptions": {}}


def test_limits_of_an_http_1_connection_say_its_protocol() -> None:
    """Envoy's options need one."""
    pool = {"http": {"idleTimeout": "15s"}}
    mesh = shop(document("DestinationRule", {"host": "other", "trafficPolicy": {"connectionPool": pool}}))
    options = protocol_options(cluster(mesh, OTHER))
    assert options["explicitHttpConfig"] == {"httpProtocolOptions": {}}


def test_limits_of_an_http_2_connection() -> None:
    """Streams at a time and pings."""
    http = {"maxConcurrentStreams": 100, "http2KeepAlive": {"interval": "10s", "timeout": "2s"}}
    options = protocol_options(cluster(_policy(connectionPool={"http": http})))
    assert options["explicitHttpConfig"]["http2ProtocolOptions"] == {
        "maxConcurrentStreams": 100,
        "connectionKeepalive": {"interval": "10s", "timeout": "2s"},
    }


@pytest.mark.parametrize(
    ("http", "options"),
    [
        ({"h2UpgradePolicy": "UPGRADE"}, {"explicitHttpConfig": {"http2ProtocolOptions": {}}}),
        ({"h2UpgradePolicy": "DO_NOT_UPGRADE"}, None),
        (
            {"useClientProtocol": True},
            {"useDownstreamProtocolConfig": {"httpProtocolOptions": {}, "http2ProtocolOptions": {}}},
        ),
    ],
)
def test_the_protocol_may_be_changed(http: dict[str, Any], options: Any) -> None:
    """For a port that is declared http."""
    spec = {"host": "other", "trafficPolicy": {"connectionPool": {"http": http}}}
    assert protocol_options(cluster(shop(document("DestinationRule", spec)), OTHER)) == options


# --- outlierDetection -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "becomes"),
    [
        ({"consecutive5xxErrors": 3}, {"consecutive5xx": 3, "enforcingConsecutive5xx": 100}),
        ({"consecutive5xxErrors": 0}, {"consecutive5xx": 0, "enforcingConsecutive5xx": 0}),
        (
            {"consecutiveGatewayErrors": 2},
            {"consecutiveGatewayFailure": 2, "enforcingConsecutiveGatewayFailure": 100},
        ),
        ({"consecutiveGatewayErrors": 0}, {"consecutiveGatewayFailure": 0, "enforcingConsecutiveGatewayFailure": 0}),
        ({"interval": "1s"}, {"interval": "1s"}),
        ({"baseEjectionTime": "3m"}, {"baseEjectionTime": "180s"}),
        ({"maxEjectionPercent": 50}, {"maxEjectionPercent": 50}),
        ({}, {}),
        (
            {"splitExternalLocalOriginErrors": True, "consecutiveLocalOriginFailures": 4},
            {
                "splitExternalLocalOriginErrors": True,
                "consecutiveLocalOriginFailure": 4,
                "enforcingConsecutiveLocalOriginFailure": 100,
                "enforcingLocalOriginSuccessRate": 0,
            },
        ),
    ],
)
def test_what_takes_an_endpoint_out(said: dict[str, Any], becomes: dict[str, Any]) -> None:
    """What is unset is left to Envoy; success rates never count."""
    found = cluster(_policy(outlierDetection=said))["outlierDetection"]
    assert found == {"enforcingSuccessRate": 0, **becomes}


def test_the_share_of_healthy_endpoints_below_which_all_are_used() -> None:
    """minHealthPercent."""
    found = cluster(_policy(outlierDetection={"minHealthPercent": 40}))
    assert found["commonLbConfig"] == {"healthyPanicThreshold": {"value": 40}}


# --- loadBalancer -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("simple", "policy"),
    [
        ("LEAST_REQUEST", "LEAST_REQUEST"),
        ("LEAST_CONN", "LEAST_REQUEST"),
        ("UNSPECIFIED", "LEAST_REQUEST"),
        ("RANDOM", "RANDOM"),
        ("ROUND_ROBIN", "ROUND_ROBIN"),
    ],
)
def test_simple_balancing(simple: str, policy: str) -> None:
    """By Envoy's name; ROUND_ROBIN is its default and so is not printed."""
    assert cluster(_policy(loadBalancer={"simple": simple})).get("lbPolicy", "ROUND_ROBIN") == policy


@pytest.mark.parametrize(
    ("hashed", "policy", "config"),
    [
        ({}, "RING_HASH", {"ringHashLbConfig": {"minimumRingSize": "1024"}}),
        ({"minimumRingSize": 2048}, "RING_HASH", {"ringHashLbConfig": {"minimumRingSize": "2048"}}),
        ({"ringHash": {}}, "RING_HASH", {}),
        ({"ringHash": {"minimumRingSize": 4096}}, "RING_HASH", {"ringHashLbConfig": {"minimumRingSize": "4096"}}),
        ({"maglev": {"tableSize": 65537}}, "MAGLEV", {"maglevLbConfig": {"tableSize": "65537"}}),
    ],
)
def test_balancing_by_a_hash(hashed: dict[str, Any], policy: str, config: dict[str, Any]) -> None:
    """A ring or a table; what is hashed is in the routes."""
    found = cluster(_policy(loadBalancer={"consistentHash": {"httpHeaderName": "x-user", **hashed}}))
    assert found["lbPolicy"] == policy
    assert {name: value for name, value in found.items() if name.endswith(("HashLbConfig", "maglevLbConfig"))} == config


@pytest.mark.parametrize(
    ("simple", "config"), [("LEAST_REQUEST", "leastRequestLbConfig"), ("ROUND_ROBIN", "roundRobinLbConfig")]
)
def test_a_new_endpoint_warms_up(simple: str, config: str) -> None:
    """Straight up from a tenth, unless it is said otherwise."""
    found = cluster(_policy(loadBalancer={"simple": simple, "warmup": {"duration": "30s"}}))
    start = found[config]["slowStartConfig"]
    assert start["slowStartWindow"] == "30s"
    assert start["aggression"]["defaultValue"] == 1
    assert start["minWeightPercent"] == {"value": 10}
    said = {"duration": "30s", "minimumPercent": 20, "aggression": 2.5}
    start = cluster(_policy(loadBalancer={"simple": simple, "warmup": said}))[config]["slowStartConfig"]
    assert (start["aggression"]["defaultValue"], start["minWeightPercent"]) == (2.5, {"value": 20})


# --- tls --------------------------------------------------------------------------------------------------------------


def test_mutual_tls_by_choice() -> None:
    """ISTIO_MUTUAL: one socket for every endpoint, with the same identities as by endpoint."""
    found = cluster(_policy(tls={"mode": "ISTIO_MUTUAL"}))
    assert "transportSocketMatches" not in found
    context = tls_context(found["transportSocket"])
    assert context["sni"] == f"outbound_.50051_._.{BACKEND}"
    assert sans(context) == ["spiffe://cluster.local/ns/shop/sa/backend"]


def test_mutual_tls_with_names_of_the_rules_own() -> None:
    """sni and subjectAltNames replace what istiod would say."""
    special = "spiffe://cluster.local/ns/shop/sa/special"
    tls = {"mode": "ISTIO_MUTUAL", "sni": "own.example", "subjectAltNames": [special]}
    context = tls_context(cluster(_policy(tls=tls))["transportSocket"])
    assert (context["sni"], sans(context)) == ("own.example", [special])


def test_no_tls() -> None:
    """DISABLE: no socket of any kind."""
    assert not {"transportSocket", "transportSocketMatches"} & cluster(_policy(tls={"mode": "DISABLE"})).keys()


def test_tls_with_other_roots() -> None:
    """SIMPLE: the server's name from the request and held to it; ALPN h2 alone."""
    found = cluster(_policy(tls={"mode": "SIMPLE", "caCertificates": "/etc/roots.pem"}))
    common = tls_context(found["transportSocket"])["commonTlsContext"]
    assert common["validationContext"] == {"trustedCa": {"filename": "/etc/roots.pem"}}
    assert common["alpnProtocols"] == ["h2"]
    automatic = {"autoSni": True, "autoSanValidation": True}
    assert protocol_options(found)["upstreamHttpProtocolOptions"] == automatic


def test_tls_with_a_certificate_of_the_rules_own() -> None:
    """MUTUAL: files, a fixed server name, names of three kinds."""
    names = ["a.example", "127.0.0.1", "spiffe://other/x"]
    files = {"clientCertificate": "/c.pem", "privateKey": "/k.pem", "caCertificates": "/r.pem"}
    found = cluster(_policy(tls={"mode": "MUTUAL", "sni": "a.example", "subjectAltNames": names, **files}))
    context = tls_context(found["transportSocket"])
    assert context["sni"] == "a.example"
    (own,) = context["commonTlsContext"]["tlsCertificates"]
    assert own == {"certificateChain": {"filename": "/c.pem"}, "privateKey": {"filename": "/k.pem"}}
    matchers = context["commonTlsContext"]["validationContext"]["matchTypedSubjectAltNames"]
    assert [matcher["sanType"] for matcher in matchers] == ["DNS", "IP_ADDRESS", "URI"]
    assert "upstreamHttpProtocolOptions" not in protocol_options(found)


def test_tls_that_believes_anybody() -> None:
    """insecureSkipVerify: nothing is held against the certificate."""
    found = cluster(_policy(tls={"mode": "SIMPLE", "insecureSkipVerify": True}))
    assert tls_context(found["transportSocket"])["commonTlsContext"]["validationContext"] == {}
    assert protocol_options(found)["upstreamHttpProtocolOptions"] == {"autoSni": True}


# --- ports and subsets ------------------------------------------------------------------------------------------------

TOP = {
    "loadBalancer": {"simple": "RANDOM"},
    "tls": {"mode": "DISABLE"},
    "connectionPool": {"tcp": {"maxConnections": 5}},
}


def test_a_ports_settings_replace_all_others() -> None:
    """What the port does not name is the default, not the rule's: TLS is by endpoint again."""
    port = {"port": {"number": 50051}, "loadBalancer": {"simple": "ROUND_ROBIN"}}
    found = cluster(_policy(**TOP, portLevelSettings=[port]))
    assert "lbPolicy" not in found
    assert _thresholds(found)["maxConnections"] == 4294967295
    assert "transportSocketMatches" in found


def test_a_ports_endpoints_inherit_the_rules_tls() -> None:
    """Unlike its cluster: istiod marks endpoints by the rule's mode if the port names none."""
    port = {"port": {"number": 50051}, "loadBalancer": {"simple": "ROUND_ROBIN"}}
    assert marks(_policy(**TOP, portLevelSettings=[port])) == [""]
    assert marks(_policy(**TOP, portLevelSettings=[{**port, "tls": {"mode": "ISTIO_MUTUAL"}}])) == ["istio"]


def test_a_subset_overrides_by_block() -> None:
    """Its own load balancer, the rule's connection pool, an SNI of its own; the whole host is as before."""
    own = {"name": "v1", "trafficPolicy": {"loadBalancer": {"simple": "ROUND_ROBIN"}, "tls": {"mode": "ISTIO_MUTUAL"}}}
    mesh = shop(_subsets(own, trafficPolicy=TOP))
    found = cluster(mesh, f"outbound|50051|v1|{BACKEND}")
    assert "lbPolicy" not in found
    assert _thresholds(found)["maxConnections"] == 5
    assert tls_context(found["transportSocket"])["sni"] == f"outbound_.50051_.v1_.{BACKEND}"
    assert cluster(mesh)["lbPolicy"] == "RANDOM"


def test_a_subsets_port_replaces_all() -> None:
    """Also what the rule says for all ports."""
    port = {"port": {"number": 50051}, "tls": {"mode": "ISTIO_MUTUAL", "sni": "own.example"}}
    own = {"name": "v1", "trafficPolicy": {"portLevelSettings": [port]}}
    found = cluster(shop(_subsets(own, trafficPolicy=TOP)), f"outbound|50051|v1|{BACKEND}")
    assert found["lbPolicy"] == "LEAST_REQUEST"
    assert tls_context(found["transportSocket"])["sni"] == "own.example"


def test_a_subset_overrides_the_rules_port() -> None:
    """The port's settings are what the subset starts from."""
    port = {"port": {"number": 50051}, "loadBalancer": {"simple": "ROUND_ROBIN"}}
    own = {"name": "v1", "trafficPolicy": {"tls": {"mode": "ISTIO_MUTUAL"}}}
    mesh = shop(_subsets(own, trafficPolicy={**TOP, "portLevelSettings": [port]}))
    found = cluster(mesh, f"outbound|50051|v1|{BACKEND}")
    assert "lbPolicy" not in found
    assert "transportSocket" in found
    assert marks(mesh, f"outbound|50051|v1|{BACKEND}") == ["istio"]


def test_a_subset_has_the_endpoints_with_its_labels() -> None:
    """The whole host has all of them."""
    pod = {"metadata": {"labels": {"app": "backend", "version": "v2"}}}
    newer = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "v2"}, "spec": {"template": pod}}
    subset = {"name": "v2", "labels": {"version": "v2"}}
    mesh = shop(newer, destination_rule({"subsets": [subset]}))
    assert len(places(mesh)) == 2
    assert places(mesh, f"outbound|50051|v2|{BACKEND}") == ["127.1.4.1:50051"]


# --- which rule holds -------------------------------------------------------------------------------------------------


def _seconds(mesh: Mesh, name: str = CLUSTER, pod: str = "client") -> str:
    found: str = clusters(mesh, pod)[name]["connectTimeout"]
    return found


FAR = "far.elsewhere.svc.cluster.local"
FAR_CLUSTER = f"outbound|50051||{FAR}"


def test_the_clients_namespace_goes_before_the_hosts_and_the_roots() -> None:
    """One after the other is taken away."""
    rules = [
        _rule("own", FAR, 1),
        _rule("theirs", "far", 2, "elsewhere"),
        _rule("root", FAR, 3, "istio-system"),
    ]
    found = [_seconds(shop(*rules[number:]), FAR_CLUSTER) for number in range(4)]
    assert found == ["1s", "2s", "3s", "10s"]


def test_the_most_specific_host_holds() -> None:
    """An exact host before wildcards, a longer wildcard before a shorter one."""
    rules = [
        _rule("exact", "backend", 1),
        _rule("namespace", "*.shop.svc.cluster.local", 2),
        _rule("all", "*", 3),
    ]
    assert [_seconds(shop(*rules[number:])) for number in range(3)] == ["1s", "2s", "3s"]


def test_a_rule_holds_where_it_is_exported_to() -> None:
    """'.' is its own namespace alone, a name that namespace."""
    private = _rule("theirs", "far", 2, "elsewhere", exportTo=["."])
    shown = _rule("theirs", "far", 2, "elsewhere", exportTo=["shop"])
    assert [_seconds(shop(rule), FAR_CLUSTER) for rule in (private, shown)] == ["10s", "2s"]


def test_several_rules_for_one_host_are_one() -> None:
    """Subsets of all of them, of one name the oldest's; the first policy that there is; metadata names the oldest."""
    old = {"creationTimestamp": "2026-01-01T00:00:00Z"}
    first = {"host": "backend", "subsets": [{"name": "a", "labels": {"app": "backend"}}]}
    also = {"name": "a", "labels": {"app": "backend"}, "trafficPolicy": {"loadBalancer": {"simple": "RANDOM"}}}
    second = {
        "host": BACKEND,
        "subsets": [also, {"name": "b", "labels": {"app": "backend"}}],
        "trafficPolicy": {"tls": {"mode": "DISABLE"}},
    }
    mesh = shop(
        document("DestinationRule", second, "second", creationTimestamp="2026-02-02T00:00:00Z"),
        document("DestinationRule", first, "first", **old),
    )
    found = clusters(mesh)
    assert f"outbound|50051|b|{BACKEND}" in found
    assert found[f"outbound|50051|a|{BACKEND}"]["lbPolicy"] == "LEAST_REQUEST"
    assert "transportSocketMatches" not in found[CLUSTER]
    assert found[CLUSTER]["metadata"]["filterMetadata"]["istio"]["config"].endswith("/destination-rule/first")


def test_a_policy_can_be_asked_for() -> None:
    """policy_for says what holds, without its ports; a host without a rule has an empty one."""
    mesh = _policy(**TOP, portLevelSettings=[{"port": {"number": 50051}, "tls": {"mode": "ISTIO_MUTUAL"}}])
    seen, host = _host(mesh, BACKEND)
    found = seen.policy_for(host, "shop", 50051)
    assert (found.load_balancer, found.port_level_settings) == (None, ())
    assert found.tls is not None
    assert found.tls.mode == "ISTIO_MUTUAL"
    _, other = _host(mesh, "other.shop.svc.cluster.local")
    assert seen.rule_for(other, "shop") is None
    assert seen.policy_for(other, "shop", 9080).tls is None


def _host(mesh: Mesh, name: str) -> tuple[Scope, Host]:
    seen = scope(mesh)
    host = seen.host(name)
    assert host is not None
    return seen, host


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            {"host": "beckend"},
            "spec.host: there is no host beckend.shop.svc.cluster.local: shop has backend, gate, other",
        ),
        ({"host": "far.elsewhere"}, "spec.host: there is no host far.elsewhere: write far.elsewhere.svc.cluster.local"),
        ({"host": "a.example.com"}, "spec.host: there is no host a.example.com: correct it, or add the Service"),
        ({"host": "*.nowhere"}, r"spec.host: there is no host \*.nowhere"),
        ({"host": None}, "spec.host: is missing: add it"),
        ({"host": "a_b"}, "spec.host: there is no host a_b.shop.svc.cluster.local"),
        ({"trafficPolicies": {}}, "spec.trafficPolicies: is not translated, or no such field"),
        ({"workloadSelector": {}}, "spec.workloadSelector: is not translated"),
        ({"exportTo": ["nowhere"]}, r"spec.exportTo\[0\]: there is no namespace nowhere: write one, '.' or '\*'"),
        ({"subsets": [{"labels": {}}]}, r"spec.subsets\[0\].name: is missing"),
        ({"subsets": [{"name": "V 1"}]}, r"spec.subsets\[0\].name: letters, digits and '-' are expected"),
        (
            {"subsets": [{"name": "v9", "labels": {"version": "v9"}}]},
            r"spec.subsets\[0\].labels: select no workload of backend.shop.* \(which have app=backend\)",
        ),
        ({"subsets": [{"name": "a"}, {"name": "a"}]}, r"spec.subsets\[1\].name: a is said twice"),
        (
            {"subsets": [{"name": "a", "trafficPolicy": {"loadBalancer": {}}}]},
            r"spec.subsets\[0\].trafficPolicy.loadBalancer: is empty",
        ),
    ],
)
def test_a_rule_that_means_nothing_is_refused(spec: dict[str, Any], message: str) -> None:
    """File, document, field path, and what to do."""
    with pytest.raises(ManifestError, match=rf"case.yaml document 1 \(DestinationRule backend\): {message}"):
        shop(destination_rule(spec))


HASH = {"httpHeaderName": "x"}


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ({}, "trafficPolicy: is empty"),
        ({"connectionPool": {}}, "connectionPool: is empty"),
        ({"connectionPool": {"tcp": {"maxConnections": "5x"}}}, "connectionPool.tcp.maxConnections: input should be"),
        ({"connectionPool": {"tcp": {"maxConnections": -1}}}, "connectionPool.tcp.maxConnections: input should be gre"),
        ({"connectionPool": {"tcp": {"maxConection": 1}}}, "connectionPool.tcp.maxConection: is not translated, or no"),
        ({"connectionPool": {"tcp": {"connectTimeout": "soon"}}}, "connectionPool.tcp.connectTimeout: a duration such"),
        (
            {"connectionPool": {"tcp": {"connectTimeout": "0s"}}},
            "connectionPool.tcp.connectTimeout: a duration of at least 1ms",
        ),
        (
            {"connectionPool": {"http": {"http2KeepAlive": {"interval": "0s", "timeout": "1s"}}}},
            "connectionPool.http.http2KeepAlive.interval: a duration of at least 1ms",
        ),
        (
            {"connectionPool": {"http": {"useClientProtocol": True, "h2UpgradePolicy": "UPGRADE"}}},
            "connectionPool.http.h2UpgradePolicy: UPGRADE is passed over",
        ),
        ({"outlierDetection": {"interval": "0s"}}, "outlierDetection.interval: a duration of at least 1ms"),
        (
            {"outlierDetection": {"maxEjectionPercent": 101}},
            "outlierDetection.maxEjectionPercent: input should be less",
        ),
        (
            {"outlierDetection": {"consecutiveErrors": 5}},
            "outlierDetection.consecutiveErrors: is deprecated: write consec",
        ),
        (
            {"outlierDetection": {"consecutiveLocalOriginFailures": 5}},
            "outlierDetection.consecutiveLocalOriginFailures: is passed over: add splitExternalLocalOriginErrors",
        ),
        ({"loadBalancer": {"simple": "PASSTHROUGH"}}, "loadBalancer.simple: input should be"),
        ({"loadBalancer": {"localityLbSetting": {}}}, "loadBalancer.localityLbSetting: is not translated"),
        (
            {"loadBalancer": {"simple": "RANDOM", "consistentHash": HASH}},
            "loadBalancer: simple and consistentHash excl",
        ),
        (
            {"loadBalancer": {"simple": "RANDOM", "warmup": {"duration": "1s"}}},
            "loadBalancer.warmup: is passed over: it needs simple: ROUND_ROBIN or LEAST_REQUEST",
        ),
        ({"loadBalancer": {"consistentHash": {}}}, "loadBalancer.consistentHash: exactly one of httpHeaderName"),
        (
            {"loadBalancer": {"consistentHash": {**HASH, "useSourceIp": True}}},
            "loadBalancer.consistentHash: exactly one",
        ),
        (
            {"loadBalancer": {"consistentHash": {**HASH, "maglev": {}, "ringHash": {}}}},
            "loadBalancer.consistentHash: ringHash, maglev and minimumRingSize exclude each other",
        ),
        (
            {"loadBalancer": {"consistentHash": {**HASH, "maglev": {"tableSize": 65536}}}},
            "loadBalancer.consistentHash.maglev.tableSize: 65536 is no prime",
        ),
        (
            {"loadBalancer": {"consistentHash": {**HASH, "maglev": {}}}},
            "loadBalancer.consistentHash.maglev.tableSize: 0 is no prime",
        ),
        ({"tls": {"mode": "ISTIO"}}, "tls.mode: input should be"),
        ({"tls": {"mode": "SIMPLE", "credentialName": "x"}}, "tls.credentialName: is not translated"),
        (
            {"tls": {"mode": "SIMPLE", "insecureSkipVerify": True, "caCertificates": "/ca.pem"}},
            "tls.insecureSkipVerify: verifies nothing, so caCertificates and subjectAltNames have no effect",
        ),
        ({"tls": {"mode": "MUTUAL", "caCertificates": "/r"}}, "tls.clientCertificate: is missing: mode MUTUAL"),
        ({"tls": {"mode": "ISTIO_MUTUAL", "privateKey": "/k"}}, "tls.privateKey: is not used in mode ISTIO_MUTUAL"),
        (
            {"tls": {"mode": "DISABLE", "insecureSkipVerify": True}},
            "tls.insecureSkipVerify: is not used in mode DISABLE",
        ),
        ({"tls": {"mode": "DISABLE", "sni": "a.example"}}, "tls.sni: is not used in mode DISABLE"),
        ({"tls": {"mode": "DISABLE", "subjectAltNames": ["a"]}}, "tls.subjectAltNames: is not used in mode DISABLE"),
        (
            {"tls": {"mode": "ISTIO_MUTUAL", "subjectAltNames": ["a.example"]}},
            r"tls.subjectAltNames\[0\]: a.example is no identity: write spiffe://",
        ),
        (
            {"portLevelSettings": [{"port": {"number": 1}, "tls": {"mode": "DISABLE"}}]},
            r"portLevelSettings\[0\].port.number: 1 is no port of the host, which has 50051",
        ),
        ({"portLevelSettings": [{"port": {"number": 50051}}]}, r"portLevelSettings\[0\]: is empty"),
        (
            {"portLevelSettings": [{"port": {"number": 50051}, "tls": {"mode": "DISABLE"}}] * 2},
            r"portLevelSettings\[1\].port.number: 50051 is said twice",
        ),
    ],
)
def test_a_policy_that_would_not_hold_is_refused(policy: dict[str, Any], message: str) -> None:
    """What istiod or Envoy refuses, and what they would pass over without a word."""
    with pytest.raises(ManifestError, match=rf"\(DestinationRule backend\): spec\.(trafficPolicy\.)?{message}"):
        _policy(**policy)


def test_rules_of_one_host_with_other_exports_are_refused() -> None:
    """istiod would take the one or the other by their order."""
    rules = [_rule("a", "backend", 1, exportTo=["."]), _rule("b", "backend", 2)]
    with pytest.raises(ManifestError, match=r"DestinationRule a\): spec.exportTo: .*DestinationRule b.* say the same"):
        shop(*rules)


def test_a_rule_may_be_for_a_service_without_workloads() -> None:
    """A host that exists is enough."""
    assert shop(service("empty", [{"name": "http", "port": 80}]), _rule("a", "empty", 1))
