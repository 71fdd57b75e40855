"""The comparison itself, on small configurations made by hand: what is by design is passed over, and nothing else."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from mesh.sidecar.security import request_authentication
from tests.istiod.comparing import differences
from tests.istiod.normalise import BY_DESIGN

TYPE = "type.googleapis.com/envoy.extensions"
HCM = f"{TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager"
CLUSTER = "outbound|50051||backend.shop.svc.cluster.local"
JWKS = {"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}


def _rbac(principal: dict[str, Any]) -> dict[str, Any]:
    policies = {"ns[shop]-policy[x]-rule[0]": {"permissions": [{"any": True}], "principals": [principal]}}
    return {
        "name": "envoy.filters.http.rbac",
        "typedConfig": {
            "@type": f"{TYPE}.filters.http.rbac.v3.RBAC",
            "rules": {"policies": policies},
            "shadowRulesStatPrefix": "istio_dry_run_allow_",
        },
    }


ROLE = {"stringMatch": {"exact": "operator"}}
CLAIM = {"filter": "envoy.filters.http.jwt_authn", "path": [{"key": "payload"}], "value": ROLE}
ANYWHERE = "0.0.0.0"  # noqa: S104 - istiod's, compared and never bound
NAMES = {"matchSubjectAltNames": [{"prefix": "spiffe://cluster.local/"}]}
ROUTER = {"name": "envoy.filters.http.router", "typedConfig": {"@type": f"{TYPE}.filters.http.router.v3.Router"}}
JWT = {"name": "envoy.filters.http.jwt_authn", "typedConfig": {"providers": {"p": {"localJwks": {}}}}}


def _tls(names: dict[str, Any], alpn: list[str], source: dict[str, Any]) -> dict[str, Any]:
    secrets = {"name": "ROOTCA", "sdsConfig": source}
    context = {"defaultValidationContext": names, "validationContextSdsSecretConfig": secrets}
    common = {"combinedValidationContext": context, "alpnProtocols": alpn}
    typed = {"@type": f"{TYPE}.transport_sockets.tls.v3.DownstreamTlsContext", "commonTlsContext": common}
    return {"name": "envoy.transport_sockets.tls", "typedConfig": typed}


def _manager(filters: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    typed = {"@type": HCM, "httpFilters": filters, "streamIdleTimeout": "0s", **more}
    return {"name": "envoy.filters.network.http_connection_manager", "typedConfig": typed}


def _jwt(jwks: dict[str, Any]) -> dict[str, Any]:
    found = copy.deepcopy(JWT)
    found["typedConfig"]["providers"] = {"p": {"localJwks": {"inlineString": json.dumps(jwks)}}}  # type: ignore[index]
    return found


def _istiod() -> dict[str, Any]:
    exchange = {"name": "istio.metadata_exchange", "typedConfig": {}}
    manager = _manager(
        [exchange, _jwt(JWKS), _rbac({"metadata": CLAIM}), ROUTER],
        statPrefix="inbound_0.0.0.0_50051;",
        tracing={"randomSampling": {"value": 1}},
    )
    catch_all = {"filters": [exchange], "filterChainMatch": {"transportProtocol": "tls"}, "name": "virtualInbound"}
    chain = {
        "name": "0.0.0.0_50051",
        "filterChainMatch": {"destinationPort": 50051, "transportProtocol": "tls"},
        "filters": [exchange, manager],
        "transportSocket": _tls(
            {"matchSubjectAltNames": [{"prefix": "spiffe://cluster.local/"}]},
            ["istio-peer-exchange", "h2"],
            {"ads": {}},
        ),
    }
    inspector = {"name": "envoy.filters.listener.tls_inspector", "typedConfig": {"initialReadBufferSize": 512}}
    own_port = {"destinationPortRange": {"start": 15006, "end": 15007}}
    this_port = {"destinationPortRange": {"start": 50051, "end": 50052}}
    virtual_inbound = {
        "name": "virtualInbound",
        "address": {"socketAddress": {"address": ANYWHERE, "portValue": 15006}},
        "filterChains": [catch_all, chain],
        "listenerFilters": [
            {"name": "envoy.filters.listener.original_dst"},
            {**inspector, "filterDisabled": own_port},
            {"name": "envoy.filters.listener.http_inspector", "filterDisabled": {"orMatch": {"rules": [this_port]}}},
        ],
        "continueOnListenerFiltersTimeout": True,
        "trafficDirection": "INBOUND",
    }
    outbound = {
        "name": "0.0.0.0_50051",
        "address": {"socketAddress": {"address": ANYWHERE, "portValue": 50051}},
        "bindToPort": False,
        "trafficDirection": "OUTBOUND",
        "filterChains": [
            {
                "filterChainMatch": {"transportProtocol": "raw_buffer", "applicationProtocols": ["http/1.1", "h2c"]},
                "filters": [_manager([ROUTER], rds={"configSource": {"ads": {}}, "routeConfigName": "50051"})],
                "transportSocketConnectTimeout": "15s",
            }
        ],
        "defaultFilterChain": {"filters": [{"typedConfig": {"cluster": "BlackHoleCluster"}}]},
        "listenerFilters": [{"name": "envoy.filters.listener.http_inspector"}],
        "listenerFiltersTimeout": "0s",
    }
    route = {
        "name": "reads",
        "match": {"prefix": "/", "headers": [{"name": "a"}, {"name": "b"}]},
        "route": {
            "cluster": CLUSTER,
            "timeout": "2s",
            "maxGrpcTimeout": "2s",
            "retryPolicy": {"retryOn": "connect-failure,unavailable", "numRetries": 3},
        },
        "metadata": {"filterMetadata": {"istio": {"config": "/apis/networking.istio.io/x"}}},
    }
    routes = [route, {"name": "all"}]
    return {
        "listeners": [virtual_inbound, outbound, {"name": "virtualOutbound"}],
        "clusters": [
            {"name": "BlackHoleCluster", "type": "STATIC"},
            {
                "name": CLUSTER,
                "altStatName": f"{CLUSTER};",
                "type": "EDS",
                "edsClusterConfig": {"edsConfig": {"ads": {}}, "serviceName": CLUSTER},
                "outlierDetection": {"consecutive5xx": 3},
                "filters": [exchange],
            },
            {"name": "inbound|50051||", "type": "ORIGINAL_DST", "commonLbConfig": {}, "connectTimeout": "10s"},
        ],
        "routes": [
            {
                "name": "50051",
                "virtualHosts": [
                    {
                        "name": "backend:50051",
                        "domains": ["backend", "backend.shop"],
                        "routes": routes,
                    },
                    {"name": "allow_any", "domains": ["*"]},
                ],
            }
        ],
        "endpoints": [_load({"healthStatus": "HEALTHY", "loadBalancingWeight": 1}, loadBalancingWeight=2)],
    }


def _load(more: dict[str, Any], **locality: Any) -> dict[str, Any]:
    endpoints = [
        {"endpoint": {"address": {"socketAddress": {"address": ip, "portValue": 50051}}}, **more}
        for ip in ("127.0.1.1", "127.0.1.2")
    ]
    return {"clusterName": CLUSTER, "endpoints": [{"lbEndpoints": endpoints, **locality}]}


def _ours() -> dict[str, Any]:
    """The same in our own forms, and every list that is a set the other way round."""
    found = _istiod()
    virtual, outbound, _ = found["listeners"]
    chain = virtual["filterChains"][1]
    del chain["filterChainMatch"]["destinationPort"], chain["name"]
    typed = [{"sanType": "URI", "matcher": {"prefix": "spiffe://cluster.local/"}}]
    chain["transportSocket"] = _tls({"matchTypedSubjectAltNames": typed}, ["h2"], {"pathConfigSource": {}})
    stats = {"name": "envoy.access_loggers.stats"}
    sourced = {"sourcedMetadata": {"metadataMatcher": CLAIM}}
    chain["filters"] = [_manager([_jwt(JWKS), _rbac(sourced), ROUTER], statPrefix="inbound", accessLog=[stats])]
    inbound = {
        "name": "inbound|50051",
        "address": {"pipe": {"path": "/run/backend.sock"}},
        "filterChains": [chain],
        "listenerFilters": [
            {"name": "envoy.filters.listener.tls_inspector", "typedConfig": {"initialReadBufferSize": 512}}
        ],
        "continueOnListenerFiltersTimeout": True,
        "trafficDirection": "INBOUND",
    }
    rds = {"configSource": {"pathConfigSource": {}}, "routeConfigName": "50051"}
    outbound = {
        "name": "0.0.0.0_50051",
        "address": {"pipe": {"path": "/run/out.sock"}},
        "trafficDirection": "OUTBOUND",
        "filterChains": [{"filters": [_manager([ROUTER], rds=rds)]}],
    }
    host = found["routes"][0]["virtualHosts"][0]
    host["domains"].reverse()
    route = host["routes"][0]
    del route["metadata"]
    route["match"]["headers"].reverse()
    route["route"]["retryPolicy"]["retryOn"] = "unavailable,connect-failure"
    load = _load({})
    load["endpoints"][0]["lbEndpoints"].reverse()
    return {
        "listeners": [outbound, inbound],
        "clusters": [
            {"name": "inbound|50051||", "loadAssignment": {"endpoints": []}, "connectTimeout": "10s"},
            {"name": CLUSTER, "type": "STATIC", "outlierDetection": {"consecutive5xx": 3}, "loadAssignment": load},
        ],
        "routes": [{"name": "50051", "virtualHosts": [host]}],
        "endpoints": [],
    }


def test_what_is_by_design_is_no_difference() -> None:
    """istiod's form and ours of one proxy are equal; every list that is a set may be in any order."""
    assert differences(_istiod(), _ours()) == []


def test_the_arguments_stay_as_they_are() -> None:
    """Comparing changes neither side."""
    istiod, ours = _istiod(), _ours()
    differences(istiod, ours)
    assert (istiod, ours) == (_istiod(), _ours())


def _manager_of(ours: dict[str, Any]) -> Any:
    return ours["listeners"][1]["filterChains"][0]["filters"][0]["typedConfig"]


def _route_of(ours: dict[str, Any]) -> Any:
    return ours["routes"][0]["virtualHosts"][0]["routes"][0]


PLAINTEXT = {"filterChainMatch": {"transportProtocol": "raw_buffer"}, "filters": []}
CHANGES: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "a loosened policy": (
        lambda ours: _manager_of(ours)["httpFilters"].__setitem__(1, _rbac({"any": True})),
        "principals[0].any: only ours has it: true",
    ),
    "a policy left out": (lambda ours: _manager_of(ours)["httpFilters"].pop(1), "httpFilters[2]: only istiod has it"),
    "filters in another order": (
        lambda ours: _manager_of(ours)["httpFilters"].reverse(),
        "httpFilters[0].name: istiod",
    ),
    "another key set": (
        lambda ours: _manager_of(ours)["httpFilters"].__setitem__(0, _jwt({"keys": [{"kty": "oct", "k": "bXk"}]})),
        'localJwks.keys[0].k: istiod "c2VjcmV0", ours "bXk"',
    ),
    "a key set that nobody can sign for": (
        lambda ours: _manager_of(ours)["httpFilters"].__setitem__(0, _jwt(json.loads(request_authentication.NOBODY))),
        "localJwks: istiod",
    ),
    "TLS left out": (
        lambda ours: ours["listeners"][1]["filterChains"][0].pop("transportSocket"),
        "transportSocket: only istiod has it",
    ),
    "a chain for plaintext too": (
        lambda ours: ours["listeners"][1]["filterChains"].append(
            {"filterChainMatch": {"transportProtocol": "raw_buffer"}}
        ),
        "raw_buffer",
    ),
    "a port left out": (lambda ours: ours["listeners"].pop(1), "listeners[inbound|50051]: only istiod has it"),
    "a listener more": (lambda ours: ours["listeners"].append({"name": "more"}), "listeners[more]: only ours has it"),
    "a dropped retry": (
        lambda ours: _route_of(ours)["route"].pop("retryPolicy"),
        "route.retryPolicy: only istiod has it",
    ),
    "a retry for more": (
        lambda ours: _route_of(ours)["route"]["retryPolicy"].update(retryOn="unavailable,connect-failure,5xx"),
        "retryOn",
    ),
    "a changed timeout": (
        lambda ours: _route_of(ours)["route"].update(timeout="3s"),
        'routes[50051].virtualHosts[backend:50051].routes[0].route.timeout: istiod "2s", ours "3s"',
    ),
    "no limit of grpc-timeout": (lambda ours: _route_of(ours)["route"].pop("maxGrpcTimeout"), "maxGrpcTimeout"),
    "routes in another order": (
        lambda ours: ours["routes"][0]["virtualHosts"][0]["routes"].reverse(),
        'routes[0].name: istiod "reads", ours "all"',
    ),
    "an extra domain": (
        lambda ours: ours["routes"][0]["virtualHosts"][0]["domains"].append("evil"),
        'domains[2]: only ours has it: "evil"',
    ),
    "a catch-all host": (
        lambda ours: ours["routes"][0]["virtualHosts"].append({"name": "allow_any", "domains": ["*"]}),
        "virtualHosts[allow_any]: only ours has it",
    ),
    "outlier detection left out": (
        lambda ours: ours["clusters"][1].pop("outlierDetection"),
        "outlierDetection: only istiod has it",
    ),
    "a cluster more": (
        lambda ours: ours["clusters"].append({"name": "PassthroughCluster"}),
        "clusters[PassthroughCluster]: only ours has it",
    ),
    "an endpoint less": (
        lambda ours: ours["clusters"][1]["loadAssignment"]["endpoints"][0]["lbEndpoints"].pop(),
        "127.0.1.1",
    ),
    "the same cluster twice": (
        lambda ours: ours["clusters"].append(copy.deepcopy(ours["clusters"][0])),
        "once more]: only ours has it",
    ),
    "an app's cluster that connects slower": (
        lambda ours: ours["clusters"][0].update(connectTimeout="11s"),
        'clusters[inbound|50051||].connectTimeout: istiod "10s", ours "11s"',
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_reported(change: str) -> None:
    """Whatever is no difference by design is named by its path, with both values."""
    ours = _ours()
    make, expected = CHANGES[change]
    make(ours)
    found = differences(_istiod(), ours)
    assert any(expected in line for line in found), found


def test_true_is_not_one() -> None:
    """Values of other types are other values."""
    assert differences({"clusters": [{"name": "a", "x": True}]}, {"clusters": [{"name": "a", "x": 1}]}) == [
        "clusters[a].x: istiod true, ours 1"
    ]


def test_every_row_has_a_reason_of_its_own() -> None:
    """The table can be read as a list of reasons."""
    reasons = [rule.why for rule in BY_DESIGN]
    assert len(set(reasons)) == len(reasons)
    assert all(reason.endswith(".") for reason in reasons)


def test_a_listener_filter_that_cannot_be_told_is_refused() -> None:
    """A predicate that the table does not know is an error, not a guess."""
    istiod = _istiod()
    istiod["listeners"][0]["listenerFilters"][1]["filterDisabled"] = {"andMatch": {"rules": []}}
    with pytest.raises(ValueError, match="andMatch"):
        differences(istiod, _ours())
