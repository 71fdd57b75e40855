"""VirtualService: what each field becomes of a route, in what order, and every way to be refused."""

from __future__ import annotations

from typing import Any

import pytest

from mesh.manifests.errors import ManifestError
from mesh.manifests.istio.virtual_service import Match
from mesh.sidecar.resources import as_dict
from mesh.sidecar.routing.matches import make_route_match
from tests.unit.mesh.sidecar.shop import (
    BACKEND,
    CLUSTER,
    backend_routes,
    destination_rule,
    gateway_of,
    route_of,
    service,
    shop,
    to,
    virtual_service,
)

DEFAULT_RETRY_ON = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
SUBSETS = destination_rule({"subsets": [{"name": name, "labels": {"app": "backend"}} for name in ("v1", "v2")]})


def test_a_rule_without_more_has_istiods_defaults() -> None:
    """Two retries on another host, no time-out but the caller's own, spans named by the destination."""
    route = route_of({})
    assert route["match"] == {"prefix": "/"}
    assert "name" not in route
    assert route["decorator"] == {"operation": f"{BACKEND}:50051/*"}
    assert route["route"]["cluster"] == CLUSTER
    assert route["route"]["timeout"] == "0s"
    assert route["route"]["maxGrpcTimeout"] == "0s"
    policy = route["route"]["retryPolicy"]
    assert (policy["retryOn"], policy["numRetries"], policy["hostSelectionRetryMaxAttempts"]) == (
        DEFAULT_RETRY_ON,
        2,
        "5",
    )
    assert [predicate["name"] for predicate in policy["retryHostPredicate"]] == [
        "envoy.retry_host_predicates.previous_hosts"
    ]


def test_a_timeout_caps_the_callers() -> None:
    """timeout is the route's, and the most that a gRPC caller may ask for; max_stream_duration would switch it off."""
    action = route_of({"timeout": "1.5s"})["route"]
    assert (action["timeout"], action["maxGrpcTimeout"]) == ("1.500s", "1.500s")
    assert "maxStreamDuration" not in action


RETRIES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"attempts": 3}, {"numRetries": 3, "retryOn": DEFAULT_RETRY_ON}),
    ({"attempts": 1, "perTryTimeout": "250ms"}, {"perTryTimeout": "0.250s"}),
    ({"attempts": 1, "backoff": "100ms"}, {"retryBackOff": {"baseInterval": "0.100s"}}),
    ({"attempts": 1, "retryOn": "5xx,reset"}, {"retryOn": "5xx,reset"}),
    (
        {"attempts": 1, "retryOn": "5xx,503,gateway-error"},
        {"retryOn": "5xx,gateway-error,retriable-status-codes", "retriableStatusCodes": [503]},
    ),
    ({"attempts": 1, "retryOn": "retriable-status-codes,502"}, {"retryOn": "retriable-status-codes"}),
]


@pytest.mark.parametrize(("said", "made"), RETRIES)
def test_retries(said: dict[str, Any], made: dict[str, Any]) -> None:
    """Each field of retries; status codes are distinguished from conditions."""
    assert route_of({"retries": said})["route"]["retryPolicy"].items() >= made.items()


def test_attempts_0_switches_retries_off() -> None:
    """There is no policy at all."""
    assert "retryPolicy" not in route_of({"retries": {"attempts": 0}})["route"]


def test_retries_elsewhere() -> None:
    """retryRemoteLocalities goes on to other priorities; retryIgnorePreviousHosts false may meet the same host."""
    far = route_of({"retries": {"attempts": 1, "retryRemoteLocalities": True}})["route"]["retryPolicy"]
    assert far["retryPriority"]["typedConfig"]["updateFrequency"] == 2
    same = route_of({"retries": {"attempts": 1, "retryIgnorePreviousHosts": False}})["route"]["retryPolicy"]
    assert "retryHostPredicate" not in same


MATCHES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"uri": {"exact": "/a"}}, {"path": "/a", "caseSensitive": True}),
    ({"uri": {"prefix": "/a"}}, {"prefix": "/a", "caseSensitive": True}),
    ({"uri": {"regex": "/a.*"}}, {"safeRegex": {"regex": "/a.*"}, "caseSensitive": True}),
    ({"uri": {"prefix": "/a"}, "ignoreUriCase": True}, {"prefix": "/a", "caseSensitive": False}),
    ({"headers": {"x": {"exact": "1"}}}, {"headers": [{"name": "x", "stringMatch": {"exact": "1"}}]}),
    ({"headers": {"x": {"prefix": "1"}}}, {"headers": [{"name": "x", "stringMatch": {"prefix": "1"}}]}),
    ({"headers": {"x": {"regex": "1+"}}}, {"headers": [{"name": "x", "stringMatch": {"safeRegex": {"regex": "1+"}}}]}),
    ({"headers": {"x": {}}}, {"headers": [{"name": "x", "presentMatch": True}]}),
    ({"withoutHeaders": {"x": {}}}, {"headers": [{"name": "x", "presentMatch": True, "invertMatch": True}]}),
    (
        {"withoutHeaders": {"x": {"exact": "1"}}},
        {
            "headers": [
                {"name": "x", "stringMatch": {"exact": "1"}, "invertMatch": True, "treatMissingHeaderAsEmpty": True}
            ]
        },
    ),
    ({"method": {"exact": "POST"}}, {"headers": [{"name": ":method", "stringMatch": {"exact": "POST"}}]}),
    ({"authority": {"prefix": "b"}}, {"headers": [{"name": ":authority", "stringMatch": {"prefix": "b"}}]}),
    ({"scheme": {"exact": "http"}}, {"headers": [{"name": ":scheme", "stringMatch": {"exact": "http"}}]}),
    ({"queryParams": {"q": {"exact": "1"}}}, {"queryParameters": [{"name": "q", "stringMatch": {"exact": "1"}}]}),
    ({"queryParams": {"q": {}}}, {"queryParameters": [{"name": "q", "presentMatch": True}]}),
]


@pytest.mark.parametrize(("said", "made"), MATCHES)
def test_matches(said: dict[str, Any], made: dict[str, Any]) -> None:
    """Each field of a match. Without uri any path; with a match the case of paths is always said."""
    path = {} if "uri" in said else {"prefix": "/"}
    assert route_of({"match": [said]})["match"] == {**path, "caseSensitive": True, **made}


@pytest.mark.parametrize("name", ["@request.auth.claims[group][id]", "@request.auth.claims.group.id"])
def test_a_claim_is_matched_in_the_tokens_payload(name: str) -> None:
    """A claim as a string or as a member of a list, under either separator; inverted for withoutHeaders."""
    value = {"stringMatch": {"exact": "1"}}
    made = {
        "filter": "envoy.filters.http.jwt_authn",
        "path": [{"key": "payload"}, {"key": "group"}, {"key": "id"}],
        "value": {"orMatch": {"valueMatchers": [{"listMatch": {"oneOf": value}}, value]}},
    }
    for field, inverted in (("headers", {}), ("withoutHeaders", {"invert": True})):
        match = Match.model_validate({field: {name: {"exact": "1"}}})
        assert as_dict(make_route_match(match))["dynamicMetadata"] == [{**made, **inverted}]


def test_a_claim_is_for_gateways_alone() -> None:
    """Sidecars of callers read no token."""
    with pytest.raises(ManifestError, match="a claim is read by gateways alone"):
        route_of({"match": [{"headers": {"@request.auth.claims[a]": {"exact": "1"}}}]})


@pytest.mark.parametrize(
    ("match", "is_served"),
    [
        ({"port": 50051}, True),
        ({"port": 1}, False),
        ({"sourceLabels": {"tier": "web"}}, True),
        ({"sourceLabels": {"tier": "db"}}, False),
        ({"sourceNamespace": "shop"}, True),
        ({"sourceNamespace": "elsewhere"}, False),
        ({"gateways": ["mesh"]}, True),
        ({"gateways": ["gate"]}, False),
    ],
)
def test_what_is_known_before_a_request_decides_while_translating(match: dict[str, Any], *, is_served: bool) -> None:
    """Entries that cannot hold for this caller at this port are left out; without any the host has its default."""
    spec = {"gateways": ["mesh", "gate"], "http": [{"name": "vs", "match": [match], "route": to()}]}
    (route,) = backend_routes(shop(virtual_service(spec), gateway_of()))
    assert route["name"] == ("vs" if is_served else "default")


def test_rules_keep_their_order_and_end_with_the_first_that_takes_everything() -> None:
    """One route an entry; a match's own name is appended; nothing follows the catch-all."""
    rules = [
        {"name": "some", "match": [{"uri": {"exact": "/1"}}, {"name": "two", "uri": {"prefix": "/2"}}], "route": to()},
        {"name": "all", "match": [{"uri": {"prefix": "/"}}], "route": to()},
        {"name": "never", "match": [{"uri": {"prefix": "/3"}}], "route": to()},
    ]
    found = backend_routes(shop(virtual_service({"http": rules})))
    assert [route["name"] for route in found] == ["some", "some.two", "all"]


def test_weights_and_subsets() -> None:
    """Weights are clusters of subsets; one of weight 0 is left out; spans have the VirtualService's name."""
    route = [
        {"destination": {"host": "backend", "subset": "v1"}, "weight": 90},
        {"destination": {"host": "backend", "subset": "v2"}, "weight": 10},
        {"destination": {"host": "backend"}, "weight": 0},
    ]
    made = route_of({"route": route}, SUBSETS)
    assert made["route"]["weightedClusters"]["clusters"] == [
        {"name": f"outbound|50051|v1|{BACKEND}", "weight": 90},
        {"name": f"outbound|50051|v2|{BACKEND}", "weight": 10},
    ]
    assert made["decorator"] == {"operation": "vs:50051/*"}


def test_a_destinations_headers_are_its_clusters() -> None:
    """Of several destinations each has its own headers and authority; of one they are the route's."""
    headers = {"request": {"set": {"Host": "b.example"}}, "response": {"set": {"x": "1"}}}
    one = {"destination": {"host": "backend"}, "weight": 1, "headers": headers}
    (cluster, _) = route_of({"route": [one, {**one, "headers": {}}]})["route"]["weightedClusters"]["clusters"]
    set_x = [{"header": {"key": "x", "value": "1"}, "appendAction": "OVERWRITE_IF_EXISTS_OR_ADD"}]
    assert (cluster["hostRewriteLiteral"], cluster["responseHeadersToAdd"]) == ("b.example", set_x)
    single = route_of({"route": [one]})
    assert (single["route"]["hostRewriteLiteral"], single["responseHeadersToAdd"]) == ("b.example", set_x)


def test_headers_of_a_rule() -> None:
    """set overwrites, add appends, remove removes, both ways, each by name; Host rewrites the authority."""
    route = route_of(
        {
            "headers": {
                "request": {"set": {"b": "1", "a": "2", "Host": "x.example"}, "add": {"c": "3"}, "remove": ["d"]},
                "response": {"add": {"e": "5"}, "remove": ["f"]},
            }
        }
    )
    over = "OVERWRITE_IF_EXISTS_OR_ADD"
    assert route["requestHeadersToAdd"] == [
        {"header": {"key": "a", "value": "2"}, "appendAction": over},
        {"header": {"key": "b", "value": "1"}, "appendAction": over},
        {"header": {"key": "c", "value": "3"}},
    ]
    assert route["requestHeadersToRemove"] == ["d"]
    assert route["responseHeadersToAdd"] == [{"header": {"key": "e", "value": "5"}}]
    assert route["responseHeadersToRemove"] == ["f"]
    assert route["route"]["hostRewriteLiteral"] == "x.example"


@pytest.mark.parametrize(
    ("said", "made"),
    [
        ({"mirror": {"host": "other", "port": {"number": 9080}}}, {"numerator": 100}),
        (
            {"mirror": {"host": "other", "port": {"number": 9080}}, "mirrorPercentage": {"value": 0.5}},
            {"numerator": 5000, "denominator": "MILLION"},
        ),
        (
            {
                "mirrors": [
                    {"destination": {"host": "other", "port": {"number": 9080}}, "percentage": {"value": 10}},
                ]
            },
            {"numerator": 100000, "denominator": "MILLION"},
        ),
    ],
)
def test_mirrors(said: dict[str, Any], made: dict[str, Any]) -> None:
    """All requests, or a percentage of them, go to a second place; spans of copies are not sampled."""
    assert route_of(said)["route"]["requestMirrorPolicies"] == [
        {
            "cluster": "outbound|9080||other.shop.svc.cluster.local",
            "runtimeFraction": {"defaultValue": made},
            "traceSampled": False,
            "disableShadowHostSuffixAppend": True,
        }
    ]


def test_a_mirror_of_0_percent_is_none() -> None:
    """Nothing is copied."""
    said = {"mirror": {"host": "backend"}, "mirrorPercentage": {"value": 0}}
    assert "requestMirrorPolicies" not in route_of(said)["route"]


@pytest.mark.parametrize(
    ("said", "made"),
    [
        (
            {"delay": {"fixedDelay": "2s", "percentage": {"value": 50}}},
            {"delay": {"fixedDelay": "2s", "percentage": {"numerator": 500000, "denominator": "MILLION"}}},
        ),
        ({"delay": {"fixedDelay": "2s"}}, {"delay": {"fixedDelay": "2s", "percentage": {}}}),
        (
            {"abort": {"httpStatus": 503, "percentage": {"value": 0.1}}},
            {"abort": {"httpStatus": 503, "percentage": {"numerator": 1000, "denominator": "MILLION"}}},
        ),
        ({"abort": {"grpcStatus": "UNAVAILABLE"}}, {"abort": {"grpcStatus": 14}}),
    ],
)
def test_faults(said: dict[str, Any], made: dict[str, Any]) -> None:
    """A fault is the route's own setting of the fault filter, in millionths; without a percentage it is never met."""
    found = route_of({"fault": said})["typedPerFilterConfig"]["envoy.filters.http.fault"]
    assert {name: value for name, value in found.items() if name != "@type"} == made


def test_cors() -> None:
    """A CORS policy is the route's own setting of the cors filter."""
    said = {
        "allowOrigins": [{"exact": "https://a.example"}, {"regex": ".*"}],
        "allowMethods": ["GET", "POST"],
        "allowHeaders": ["x-a"],
        "exposeHeaders": ["x-b", "x-c"],
        "maxAge": "24h",
        "allowCredentials": True,
        "unmatchedPreflights": "IGNORE",
    }
    found = route_of({"corsPolicy": said})["typedPerFilterConfig"]["envoy.filters.http.cors"]
    del found["@type"]
    assert found == {
        "allowOriginStringMatch": [{"exact": "https://a.example"}, {"safeRegex": {"regex": ".*"}}],
        "allowMethods": "GET,POST",
        "allowHeaders": "x-a",
        "exposeHeaders": "x-b,x-c",
        "maxAge": "86400",
        "allowCredentials": True,
        "filterEnabled": {"defaultValue": {"numerator": 100}},
        "forwardNotMatchingPreflights": False,
    }


@pytest.mark.parametrize(
    ("said", "made"),
    [
        ({"uri": "/new"}, {"prefixRewrite": "/new"}),
        ({"authority": "b.example"}, {"hostRewriteLiteral": "b.example"}),
        (
            {"uriRegexRewrite": {"match": "/a/(.*)", "rewrite": "/\\1"}},
            {"regexRewrite": {"pattern": {"regex": "/a/(.*)"}, "substitution": "/\\1"}},
        ),
    ],
)
def test_rewrites(said: dict[str, Any], made: dict[str, Any]) -> None:
    """Path and authority on the way; rewrite's authority is stronger than a destination's header."""
    headers = {"request": {"set": {"Host": "weaker.example"}}} if "authority" in said else {}
    route = [{**to()[0], "headers": headers}]
    assert route_of({"rewrite": said, "route": route})["route"].items() >= made.items()


@pytest.mark.parametrize(
    ("said", "made"),
    [
        ({"uri": "/x"}, {"pathRedirect": "/x"}),
        ({"authority": "b.example"}, {"pathRedirect": "", "hostRedirect": "b.example"}),
        ({"uri": "/x", "redirectCode": 301}, {"pathRedirect": "/x"}),
        ({"uri": "/x", "redirectCode": 302}, {"pathRedirect": "/x", "responseCode": "FOUND"}),
        ({"uri": "/x", "redirectCode": 303}, {"pathRedirect": "/x", "responseCode": "SEE_OTHER"}),
        ({"uri": "/x", "redirectCode": 307}, {"pathRedirect": "/x", "responseCode": "TEMPORARY_REDIRECT"}),
        ({"uri": "/x", "redirectCode": 308}, {"pathRedirect": "/x", "responseCode": "PERMANENT_REDIRECT"}),
        ({"uri": "/x", "scheme": "https", "port": 443}, {"pathRedirect": "/x", "schemeRedirect": "https"}),
        ({"uri": "/x", "port": 80}, {"pathRedirect": "/x"}),
        ({"uri": "/x", "port": 8443}, {"pathRedirect": "/x", "portRedirect": 8443}),
        ({"uri": "/x", "derivePort": "FROM_REQUEST_PORT"}, {"pathRedirect": "/x", "portRedirect": 50051}),
        ({"uri": "/x", "derivePort": "FROM_PROTOCOL_DEFAULT"}, {"pathRedirect": "/x"}),
    ],
)
def test_redirects(said: dict[str, Any], made: dict[str, Any]) -> None:
    """301 unless it is said; a scheme's own port is not written."""
    found = {"hostRedirect": "", **route_of({"redirect": said})["redirect"]}
    assert found == {"hostRedirect": "", **made}


def test_direct_response() -> None:
    """Status and body; nothing is sent on."""
    route = route_of({"directResponse": {"status": 418, "body": {"string": "short and stout"}}})
    assert route["directResponse"] == {"status": 418, "body": {"inlineString": "short and stout"}}
    assert "route" not in route


HASHES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"httpHeaderName": "x-user"}, {"header": {"headerName": "x-user"}}),
    (
        {"httpCookie": {"name": "user", "ttl": "60s", "path": "/"}},
        {"cookie": {"name": "user", "ttl": "60s", "path": "/"}},
    ),
    ({"useSourceIp": True}, {"connectionProperties": {"sourceIp": True}}),
    ({"httpQueryParameterName": "user"}, {"queryParameter": {"name": "user"}}),
]


@pytest.mark.parametrize(("said", "made"), HASHES)
def test_consistent_hash_stays_with_its_host(said: dict[str, Any], made: dict[str, Any]) -> None:
    """What the DestinationRule hashes is the route's hash policy, and retries may meet the same host again."""
    rule = destination_rule({"trafficPolicy": {"loadBalancer": {"consistentHash": said}}})
    action = route_of({}, rule)["route"]
    assert action["hashPolicy"] == [made]
    assert "retryHostPredicate" not in action["retryPolicy"]


def test_the_narrowest_hash_counts() -> None:
    """A subset's before the port's before the rule's; a port's only for a destination that names the port."""

    def hashed(name: str) -> dict[str, Any]:
        return {"loadBalancer": {"consistentHash": {"httpHeaderName": name}}}

    rule = destination_rule(
        {
            "trafficPolicy": {**hashed("all"), "portLevelSettings": [{"port": {"number": 50051}, **hashed("port")}]},
            "subsets": [{"name": "v1", "labels": {}, "trafficPolicy": hashed("subset")}],
        }
    )
    for destination, expected in (
        ({}, "all"),
        ({"port": {"number": 50051}}, "port"),
        ({"port": {"number": 50051}, "subset": "v1"}, "subset"),
    ):
        action = route_of({"route": to(**destination)}, rule)["route"]
        assert action["hashPolicy"] == [{"header": {"headerName": expected}}], destination


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"http": [{"route": to(), "timeuot": "1s"}]}, "http[0].timeuot", "no such field"),
    ({"http": [{"route": to(), "delegate": {"name": "x"}}]}, "http[0].delegate", "is not translated"),
    ({"http": [{"route": to()}], "tcp": []}, "tcp", "is not translated"),
    ({"http": [{"route": to()}], "tls": []}, "tls", "is not translated"),
    ({"http": []}, "http", "at least 1 item"),
    ({"hosts": [], "http": [{"route": to()}]}, "hosts", "it is a delegate"),
    ({"http": [{"route": to(), "timeout": 5}]}, "http[0].timeout", "a duration such as"),
    (
        {"http": [{"route": [{"destination": {"host": "backend"}, "weight": "one"}]}]},
        "http[0].route[0].weight",
        "integer",
    ),
    ({"http": [{"match": [{"statPrefix": "x"}], "route": to()}]}, "http[0].match[0].statPrefix", "is not translated"),
    ({"hosts": ["nobody"], "http": [{"route": to()}]}, "hosts[0]", "no Service or ServiceEntry has this host"),
    ({"hosts": ["a*"], "http": [{"route": to()}]}, "hosts[0]", "is no host"),
    ({"hosts": ["*.example.com"], "http": [{"route": to()}]}, "hosts[0]", "no Service or ServiceEntry has this host"),
    ({"gateways": ["gaet"], "http": [{"route": to()}]}, "gateways[0]", "no Gateway shop/gaet"),
    ({"hosts": ["*"], "http": [{"route": to()}]}, "hosts[0]", "is for gateways alone"),
    ({"hosts": ["backend", "backend"], "http": [{"route": to()}]}, "hosts[1]", "is said already by backend"),
    (
        {"hosts": ["backend.shop.svc.cluster.local", "*.cluster.local"], "http": [{"route": to()}]},
        "hosts[1]",
        "is said already",
    ),
    ({"exportTo": ["nowhere"], "http": [{"route": to()}]}, "exportTo[0]", "no namespace nowhere"),
    ({"http": [{"route": to("nobody")}]}, "http[0].route[0].destination.host", "nobody.shop.svc.cluster.local"),
    ({"http": [{"route": to("backend.elsewhere")}]}, "http[0].route[0].destination.host", "no Service"),
    ({"http": [{"route": to(subset="v3")}]}, "http[0].route[0].destination.subset", "has a subset v3"),
    ({"http": [{"route": to(port={"number": 1})}]}, "http[0].route[0].destination.port.number", "one of 50051"),
    ({"http": [{"route": to("other")}]}, "http[0].route[0].destination.port", "has no port 50051: name one of 9080"),
    ({"http": [{"route": to(), "mirror": {"host": "nobody"}}]}, "http[0].mirror.host", "no Service"),
    (
        {"http": [{"route": to(), "mirrors": [{"destination": {"host": "nobody"}}]}]},
        "http[0].mirrors[0].destination.host",
        "no Service",
    ),
    (
        {"http": [{"route": to(), "mirror": {"host": "backend"}, "mirrors": [{"destination": {"host": "backend"}}]}]},
        "http[0].mirror",
        "mirrors is said, too",
    ),
    ({"http": [{"route": to(), "mirrorPercentage": {"value": 1}}]}, "http[0].mirrorPercentage", "there is no mirror"),
    (
        {"http": [{"route": to(), "mirror": {"host": "backend"}, "mirrorPercentage": {"value": 101}}]},
        "http[0].mirrorPercentage.value",
        "write 0 to 100",
    ),
    ({"http": [{}]}, "http[0]", "one of route, redirect, directResponse"),
    ({"http": [{"route": to(), "redirect": {"uri": "/x"}}]}, "http[0]", "one of route, redirect, directResponse"),
    ({"http": [{"route": [*to(), *to()]}]}, "http[0].route", "all weights are 0"),
    (
        {"http": [{"route": [{"destination": {"host": "backend"}, "weight": -1}, *to()]}]},
        "http[0].route[0].weight",
        "greater than or equal to 0",
    ),
    ({"http": [{"route": to(), "timeout": "0s"}]}, "http[0].timeout", "leave it out for none"),
    ({"http": [{"route": to(), "retries": {"attempts": -1}}]}, "http[0].retries.attempts", "below 0"),
    ({"http": [{"route": to(), "retries": {"retryOn": "5xx"}}]}, "http[0].retries", "attempts is 0"),
    ({"http": [{"route": to(), "retries": {"attempts": 1, "retryOn": "4xx"}}]}, "http[0].retries.retryOn", "4xx"),
    (
        {"http": [{"route": to(), "retries": {"attempts": 1, "perTryTimeout": "0s"}}]},
        "http[0].retries.perTryTimeout",
        "1ms",
    ),
    ({"http": [{"route": to(), "retries": {"attempts": 1, "backoff": "0s"}}]}, "http[0].retries.backoff", "1ms"),
    ({"http": [{"route": to(), "fault": {}}]}, "http[0].fault", "neither delay nor abort"),
    ({"http": [{"route": to(), "fault": {"delay": {"fixedDelay": "0s"}}}]}, "http[0].fault.delay.fixedDelay", "1ms"),
    (
        {"http": [{"route": to(), "fault": {"delay": {"fixedDelay": "1s", "percentage": {"value": 101}}}}]},
        "http[0].fault.delay.percentage.value",
        "101 is no percentage",
    ),
    ({"http": [{"route": to(), "fault": {"abort": {}}}]}, "http[0].fault.abort", "one of httpStatus and grpcStatus"),
    (
        {"http": [{"route": to(), "fault": {"abort": {"httpStatus": 99}}}]},
        "http[0].fault.abort.httpStatus",
        "99 is no status",
    ),
    (
        {"http": [{"route": to(), "fault": {"abort": {"grpcStatus": "BUSY"}}}]},
        "http[0].fault.abort.grpcStatus",
        "BUSY is no status",
    ),
    (
        {"http": [{"route": to(), "fault": {"abort": {"httpStatus": 500, "percentage": {"value": -1}}}}]},
        "http[0].fault.abort.percentage.value",
        "-1 is no percentage",
    ),
    ({"http": [{"route": to(), "rewrite": {}}]}, "http[0].rewrite", "says nothing"),
    (
        {"http": [{"route": to(), "rewrite": {"authority": "a"}, "headers": {"request": {"set": {"Host": "b"}}}}]},
        "http[0].headers.request",
        "gives a second authority (a, b)",
    ),
    (
        {"http": [{"route": to(), "rewrite": {"uriRegexRewrite": {"match": "/(a)", "rewrite": "/\\2"}}}]},
        "http[0].rewrite.uriRegexRewrite.rewrite",
        "is no group",
    ),
    (
        {"http": [{"route": to(), "headers": {"request": {"set": {"x-a": "100%"}}}}]},
        "http[0].headers.request.set[x-a]",
        "write %% for a percent sign",
    ),
    (
        {"http": [{"route": to(), "corsPolicy": {"allowMethods": ["get"]}}]},
        "http[0].corsPolicy.allowMethods[0]",
        "'get' is no method",
    ),
    ({"http": [{"route": to(), "corsPolicy": {"maxAge": "1.5s"}}]}, "http[0].corsPolicy.maxAge", "whole seconds"),
    (
        {"http": [{"directResponse": {"status": 200}, "fault": {"abort": {"httpStatus": 503}}}]},
        "http[0].fault",
        "answers itself",
    ),
    (
        {"http": [{"route": to(), "rewrite": {"uri": "/", "uriRegexRewrite": {"match": "a", "rewrite": "b"}}}]},
        "http[0].rewrite",
        "only one of uri and uriRegexRewrite",
    ),
    (
        {"http": [{"route": to(), "rewrite": {"uriRegexRewrite": {"match": "(", "rewrite": "b"}}}]},
        "http[0].rewrite.uriRegexRewrite.match",
        "write it for RE2",
    ),
    ({"http": [{"redirect": {"uri": "/x"}, "rewrite": {"uri": "/"}}]}, "http[0].rewrite", "answers itself"),
    ({"http": [{"directResponse": {"status": 200}, "timeout": "1s"}]}, "http[0].timeout", "answers itself"),
    ({"http": [{"redirect": {}}]}, "http[0].redirect", "leads nowhere else"),
    ({"http": [{"redirect": {"uri": "/", "redirectCode": 304}}]}, "http[0].redirect.redirectCode", "304 is none"),
    ({"http": [{"redirect": {"uri": "/", "scheme": "ftp"}}]}, "http[0].redirect.scheme", "write http or https"),
    ({"http": [{"redirect": {"uri": "/", "port": 70000}}]}, "http[0].redirect.port", "less than or equal to 65535"),
    (
        {"http": [{"redirect": {"uri": "/", "port": 1, "derivePort": "FROM_REQUEST_PORT"}}]},
        "http[0].redirect",
        "only one of port and derivePort",
    ),
    ({"http": [{"redirect": {"derivePort": "FROM_HEAVEN"}}]}, "http[0].redirect.derivePort", "FROM_REQUEST_PORT"),
    ({"http": [{"directResponse": {"status": 99}}]}, "http[0].directResponse.status", "99 is no status"),
    (
        {"http": [{"directResponse": {"status": 200, "body": {"string": "x" * 1048577}}}]},
        "http[0].directResponse.body.string",
        "above 1 MiB",
    ),
    (
        {"http": [{"route": to(), "headers": {"request": {"set": {":path": "/"}}}}]},
        "http[0].headers.request.set",
        "':path' cannot be changed",
    ),
    (
        {"http": [{"route": to(), "headers": {"response": {"add": {"Host": "x"}}}}]},
        "http[0].headers.response.add",
        "'Host' cannot be changed",
    ),
    (
        {"http": [{"route": to(), "headers": {"request": {"remove": ["host"]}}}]},
        "http[0].headers.request.remove",
        "'host' cannot be changed",
    ),
    (
        {"http": [{"route": to(), "corsPolicy": {"allowOrigins": [{}]}}]},
        "http[0].corsPolicy.allowOrigins[0]",
        "says nothing",
    ),
    ({"http": [{"route": to(), "corsPolicy": {"maxAge": "0s"}}]}, "http[0].corsPolicy.maxAge", "1ms"),
]


@pytest.mark.parametrize(("spec", "path", "what"), REFUSED)
def test_refused(spec: dict[str, Any], path: str, what: str) -> None:
    """What is not translated, does not exist, is out of range or would be passed over: file, field, what to do."""
    with pytest.raises(ManifestError) as error:
        shop(virtual_service(spec))
    assert str(error.value).startswith(f"case.yaml document 1 (VirtualService vs): spec.{path}: ")
    assert what in str(error.value)


@pytest.mark.parametrize(
    ("match", "path", "what"),
    [
        ({"uri": {}}, "uri", "says nothing"),
        ({"uri": {"exact": "/a", "prefix": "/b"}}, "uri", "only one of exact, prefix, regex"),
        ({"uri": {"suffix": "/a"}}, "uri.suffix", "no such field"),
        ({"method": {"prefix": ""}}, "method.prefix", "is empty"),
        ({"uri": {"regex": "("}}, "uri.regex", "write it for RE2"),
        ({"uri": {"regex": ""}}, "uri.regex", "is empty"),
        ({"headers": {"x": {"regex": "*"}}}, "headers[x].regex", "write it for RE2"),
        ({"headers": {"x": {"regex": "(?=a)"}}}, "headers[x].regex", "no look-around"),
        ({"headers": {"x": {"regex": "(a)\\1"}}}, "headers[x].regex", "no back references"),
        ({"headers": {"x y": {}}}, "headers[x y]", "no name of a header"),
        ({"headers": {"@request.auth.claims": {"exact": "a"}}}, "headers[@request.auth.claims]", "names no claim"),
        ({"headers": {"@request.auth.claims[a]": {}}}, "headers[@request.auth.claims[a]]", "a claim is compared"),
        ({"queryParams": {"": {"exact": "a"}}}, "queryParams[]", "a name is expected"),
        ({"port": 70000}, "port", "less than or equal to 65535"),
        ({"gateways": ["gate"]}, "gateways", "gate is not among spec.gateways"),
    ],
)
def test_a_match_that_is_refused(match: dict[str, Any], path: str, what: str) -> None:
    """A condition that Envoy would not take, or that could never hold."""
    gateways = {"gateways": ["gate"]} if "request.auth" in str(match) else {}
    with pytest.raises(ManifestError) as error:
        shop(gateway_of(), virtual_service({**gateways, "http": [{"match": [match], "route": to()}]}))
    assert f": spec.http[0].match[0].{path}: " in str(error.value)
    assert what in str(error.value)


def test_a_port_is_asked_for_where_the_host_called_has_several() -> None:
    """backend has two ports now: a destination without a port must have both, or the rule must say which it is for."""
    two = service("two", [{"name": "http", "port": 9080}, {"name": "grpc", "port": 50051}])
    with pytest.raises(ManifestError, match=r"is missing, and .* has no port 9080"):
        shop(virtual_service({"hosts": ["two"], "http": [{"route": to()}]}), two)
    shop(virtual_service({"hosts": ["two"], "http": [{"match": [{"port": 50051}], "route": to()}]}), two)
