"""AuthorizationPolicy: which filters a pod gets, what each field of a rule becomes, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from mesh.sidecar.mesh import Mesh
from tests.unit.mesh.sidecar.serving import TCP, chains, document, http_filter, mesh_of, refusal

ANY_PERMISSION = [{"andRules": {"rules": [{"any": True}]}}]
ANYBODY = [{"andIds": {"ids": [{"any": True}]}}]
NAME = "ns[shop]-policy[case]-rule"


def _policy(
    *rules: dict[str, Any], action: str = "ALLOW", name: str = "case", namespace: str = "shop", **more: Any
) -> Any:
    spec = {"action": action, **({"rules": list(rules)} if rules else {}), **more}
    return document("AuthorizationPolicy", spec, name, namespace)


def _rules(*policies: Any, **settings: Any) -> list[dict[str, Any]]:
    """The rules of each RBAC filter of backend's HTTP port."""
    return [rbac["rules"] for rbac in http_filter(mesh_of(*policies, **settings), "rbac")]


def _tcp_rules(mesh: Mesh) -> list[dict[str, Any]]:
    """The same of its TCP port."""
    filters = chains(mesh, TCP)[0]["filters"]
    found = [
        network_filter["typedConfig"]
        for network_filter in filters
        if network_filter["name"] == "envoy.filters.network.rbac"
    ]
    assert all(rbac["statPrefix"] == "tcp." for rbac in found)
    return [rbac["rules"] for rbac in found]


def _of_rule(rule: dict[str, Any], **settings: Any) -> dict[str, Any]:
    (found,) = _rules(_policy(rule), **settings)
    policy: dict[str, Any] = found["policies"][f"{NAME}[0]"]
    return policy


def _source(**fields: Any) -> dict[str, Any]:
    return {"from": [{"source": fields}]}


def _operation(**fields: Any) -> dict[str, Any]:
    return {"to": [{"operation": fields}]}


def _when(key: str, *values: str) -> dict[str, Any]:
    return {"when": [{"key": key, "values": list(values)}]}


# --- which filters, which policies ------------------------------------------------------------------------------------


def test_no_policy_is_no_filter() -> None:
    """Everybody may do everything."""
    assert _rules() == []
    assert _tcp_rules(mesh_of()) == []


def test_deny_is_asked_before_allow() -> None:
    """However they are called and in whatever order they are written."""
    found = _rules(_policy({}, name="a"), _policy({}, action="DENY", name="b"))
    assert [(rules.get("action", "ALLOW"), list(rules["policies"])) for rules in found] == [
        ("DENY", ["ns[shop]-policy[b]-rule[0]"]),
        ("ALLOW", ["ns[shop]-policy[a]-rule[0]"]),
    ]


def test_allow_without_rules_allows_nothing() -> None:
    """By a policy that never holds."""
    never = {"permissions": [{"notRule": {"any": True}}], "principals": [{"notId": {"any": True}}]}
    assert _rules(_policy()) == [{"policies": {f"{NAME}[0]": never}}]
    assert _tcp_rules(mesh_of(_policy())) == [{"policies": {f"{NAME}[0]": never}}]


@pytest.mark.parametrize("action", ["ALLOW", "DENY"])
def test_an_empty_rule_is_for_all(action: str) -> None:
    """Any call of anybody."""
    (found,) = _rules(_policy({}, action=action))
    assert found["policies"] == {f"{NAME}[0]": {"permissions": ANY_PERMISSION, "principals": ANYBODY}}


def test_policies_of_the_namespace_and_of_the_root_that_select_the_pod() -> None:
    """In the root namespace selectors work too; other namespaces' and other pods' policies are not asked."""
    of_backend, of_client = ({"matchLabels": {"app": app}} for app in ("backend", "client"))
    (found,) = _rules(
        _policy({}, name="all"),
        _policy({}, name="own", selector=of_backend),
        _policy({}, name="client", selector=of_client),
        _policy({}, name="root", namespace="istio-system", selector=of_backend),
        _policy({}, name="root-client", namespace="istio-system", selector=of_client),
        _policy({}, name="far", namespace="far"),
    )
    assert sorted(found["policies"]) == [
        "ns[istio-system]-policy[root]-rule[0]",
        "ns[shop]-policy[all]-rule[0]",
        "ns[shop]-policy[own]-rule[0]",
    ]


def test_rules_are_numbered() -> None:
    """As Envoy says which one refused."""
    (found,) = _rules(_policy({}, {}, {}))
    assert sorted(found["policies"]) == [f"{NAME}[{number}]" for number in range(3)]


def test_sources_and_operations_are_alternatives() -> None:
    """One principal a source, one permission an operation; within each all fields hold, in istiod's order."""
    rule = {
        "from": [{"source": {"namespaces": ["a"], "principals": ["*"]}}, {"source": {"ipBlocks": ["10.0.0.0/8"]}}],
        "to": [{"operation": {"paths": ["/a"], "hosts": ["b"]}}, {"operation": {"ports": ["1"]}}],
    }
    found = _of_rule(rule)
    first, second = (principal["andIds"]["ids"] for principal in found["principals"])
    assert [list(field["orIds"]["ids"][0]) for field in first] == [["authenticated"], ["authenticated"]]
    assert first[0]["orIds"]["ids"][0]["authenticated"] == {"principalName": {"safeRegex": {"regex": ".+"}}}
    assert list(second[0]["orIds"]["ids"][0]) == ["directRemoteIp"]
    first, second = (permission["andRules"]["rules"] for permission in found["permissions"])
    assert [list(field["orRules"]["rules"][0]) for field in first] == [["header"], ["urlPath"]]
    assert list(second[0]["orRules"]["rules"][0]) == ["destinationPort"]


def test_conditions_join_every_source_and_operation() -> None:
    """Each on its own side, after what is said there."""
    rule = {
        "from": [{"source": {"principals": ["a/ns/b/sa/c"]}}, {"source": {"namespaces": ["d"]}}],
        "to": [{"operation": {"methods": ["GET"]}}],
        "when": [
            {"key": "remote.ip", "values": ["10.0.0.0/8"]},
            {"key": "destination.port", "notValues": ["1"]},
        ],
    }
    found = _of_rule(rule)
    lasts = [principal["andIds"]["ids"][-1]["orIds"]["ids"][0] for principal in found["principals"]]
    assert [list(last) for last in lasts] == [["remoteIp"], ["remoteIp"]]
    (permission,) = found["permissions"]
    assert permission["andRules"]["rules"][-1] == {"notRule": {"orRules": {"rules": [{"destinationPort": 1}]}}}


# --- who --------------------------------------------------------------------------------------------------------------


def _named(matcher: dict[str, Any]) -> dict[str, Any]:
    return {"authenticated": {"principalName": matcher}}


def _regex(pattern: str) -> dict[str, Any]:
    return {"safeRegex": {"regex": pattern}}


def _range(address: str, length: int) -> dict[str, Any]:
    return {"addressPrefix": address, "prefixLen": length}


WHO = [
    ("principals", "cluster.local/ns/a/sa/b", _named({"exact": "spiffe://cluster.local/ns/a/sa/b"})),
    ("principals", "*", _named(_regex(".+"))),
    ("principals", "cluster.local/ns/a/*", _named({"prefix": "spiffe://cluster.local/ns/a/"})),
    ("principals", "*/sa/b.c", _named(_regex(r"spiffe://.*/sa/b\.c"))),
    ("namespaces", "a", _named(_regex(".*/ns/a/.*"))),
    ("namespaces", "a*", _named(_regex(".*/ns/a.*/.*"))),
    ("serviceAccounts", "b.c", _named(_regex(r"spiffe://.+/ns/shop/(.+/|)sa/b\.c(/.+)?"))),
    ("serviceAccounts", "b", _named(_regex("spiffe://.+/ns/shop/(.+/|)sa/b(/.+)?"))),
    ("serviceAccounts", "a/b", _named(_regex("spiffe://.+/ns/a/(.+/|)sa/b(/.+)?"))),
    ("trustDomains", "a.b", _named({"prefix": "spiffe://a.b/"})),
    ("trustDomains", "*.b", _named(_regex(r"spiffe://[^/]*\.b/.*"))),
    ("trustDomains", "*", _named({"prefix": "spiffe://"})),
    ("ipBlocks", "10.0.0.0/8", {"directRemoteIp": _range("10.0.0.0", 8)}),
    ("ipBlocks", "10.1.2.3", {"directRemoteIp": _range("10.1.2.3", 32)}),
    ("ipBlocks", "::1", {"directRemoteIp": _range("::1", 128)}),
    ("remoteIpBlocks", "10.1.2.3", {"remoteIp": _range("10.1.2.3", 32)}),
]


@pytest.mark.parametrize(("field", "value", "expected"), WHO)
def test_who_calls(field: str, value: str, expected: Any) -> None:
    """Each value of a field is an alternative; with "not" none of them may hold."""
    other = {"ipBlocks": "1.1.1.1", "remoteIpBlocks": "1.1.1.1", "principals": "z/ns/z/sa/z"}.get(field, "z")
    found = _of_rule(_source(**{field: [value, other]}))["principals"]
    (either,) = found[0]["andIds"]["ids"]
    assert either["orIds"]["ids"][0] == expected
    assert len(either["orIds"]["ids"]) == 2
    negated = f"not{field[0].upper()}{field[1:]}"
    (neither,) = _of_rule(_source(**{negated: [value]}))["principals"][0]["andIds"]["ids"]
    assert neither == {"notId": {"orIds": {"ids": [expected]}}}


CONDITIONS = [
    ("source.principal", "principals"),
    ("source.namespace", "namespaces"),
    ("source.serviceAccount", "serviceAccounts"),
    ("source.trustDomain", "trustDomains"),
    ("source.ip", "ipBlocks"),
    ("remote.ip", "remoteIpBlocks"),
    ("request.auth.principal", "requestPrincipals"),
]


@pytest.mark.parametrize(("key", "field"), CONDITIONS)
def test_a_condition_is_what_the_field_is(key: str, field: str) -> None:
    """By the same value."""
    value = {"source.ip": "10.0.0.1", "remote.ip": "10.0.0.1", "source.principal": "a/ns/b/sa/c"}.get(key, "a")
    assert _of_rule(_when(key, value)) == _of_rule(_source(**{field: [value]}))


def test_cluster_local_is_the_meshs_own_trust_domain() -> None:
    """Whatever that is called; another one stays."""
    found = _of_rule(_source(principals=["cluster.local/ns/a/sa/b", "other/ns/a/sa/b"]), trust_domain="td")
    ids = found["principals"][0]["andIds"]["ids"][0]["orIds"]["ids"]
    names = [principal["authenticated"]["principalName"]["exact"] for principal in ids]
    assert names == ["spiffe://td/ns/a/sa/b", "spiffe://other/ns/a/sa/b"]


def _claim(path: list[str], value: Any) -> Any:
    matcher = {
        "filter": "envoy.filters.http.jwt_authn",
        "path": [{"key": key} for key in ("payload", *path)],
        "value": value,
    }
    return {"sourcedMetadata": {"metadataMatcher": matcher}}


def _token(issuer: Any, subject: Any) -> Any:
    return {"andIds": {"ids": [_claim(["iss"], {"stringMatch": issuer}), _claim(["sub"], {"stringMatch": subject})]}}


@pytest.mark.parametrize(
    ("value", "issuer", "subject"),
    [
        ("*", _regex(".+"), _regex(".+")),
        ("a/b", {"exact": "a"}, {"exact": "b"}),
        ("https://a/b/c", {"exact": "https://a/b"}, {"exact": "c"}),
        ("a/*", {"exact": "a"}, _regex(".+")),
        ("a/b*", {"exact": "a"}, {"prefix": "b"}),
        ("*/b", _regex(".+"), {"exact": "b"}),
        ("*a/b", {"suffix": "a"}, {"exact": "b"}),
        ("*b", _regex(".+"), {"suffix": "b"}),
        ("a*", {"prefix": "a"}, _regex(".+")),
        ("a", {"exact": "a"}, {"exact": ""}),
    ],
)
def test_a_token_is_of_an_issuer_and_a_subject(value: str, issuer: Any, subject: Any) -> None:
    """Separated at the last slash."""
    (one,) = _of_rule(_source(requestPrincipals=[value]))["principals"][0]["andIds"]["ids"]
    assert one == _token(issuer, subject)
    (either,) = _of_rule(_source(requestPrincipals=[value, "x/y"]))["principals"][0]["andIds"]["ids"]
    assert either == {"orIds": {"ids": [one, _token({"exact": "x"}, {"exact": "y"})]}}
    (neither,) = _of_rule(_source(notRequestPrincipals=[value]))["principals"][0]["andIds"]["ids"]
    assert neither == {"notId": one}


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("request.auth.claims[role]", ["role"]),
        ("request.auth.claims[a][b]", ["a", "b"]),
        ("request.auth.audiences", ["aud"]),
        ("request.auth.presenter", ["azp"]),
    ],
)
def test_a_claim_is_a_value_or_has_it_in_a_list(key: str, path: list[str]) -> None:
    """One value, or any of several."""
    one, many = {"stringMatch": {"exact": "x"}}, {"stringMatch": {"prefix": "y"}}
    either = {"orMatch": {"valueMatchers": [one, many]}}
    for values, expected in ((["x"], one), (["x", "y*"], either)):
        (found,) = _of_rule(_when(key, *values))["principals"][0]["andIds"]["ids"]
        member = {"listMatch": {"oneOf": expected}}
        assert found == _claim(path, {"orMatch": {"valueMatchers": [member, expected]}})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a", {"stringMatch": {"exact": "a"}}),
        ("a*", {"stringMatch": {"prefix": "a"}}),
        ("*a", {"stringMatch": {"suffix": "a"}}),
        ("*", {"presentMatch": True}),
    ],
)
def test_a_header(value: str, expected: Any) -> None:
    """By its name in the key; "*" is that there is one."""
    (found,) = _of_rule(_when("request.headers[x-role]", value))["principals"][0]["andIds"]["ids"]
    assert found == {"orIds": {"ids": [{"header": {"name": "x-role", **expected}}]}}


# --- what -------------------------------------------------------------------------------------------------------------


def _header(name: str, **matcher: Any) -> Any:
    return {"header": {"name": name, **matcher}}


def _path(**matcher: Any) -> Any:
    return {"urlPath": {"path": matcher}}


def _template(path: str) -> Any:
    kind = "type.googleapis.com/envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig"
    return {"uriTemplate": {"name": "uri-template", "typedConfig": {"@type": kind, "pathTemplate": path}}}


WHAT = [
    ("hosts", "a.b", _header(":authority", stringMatch={"exact": "a.b", "ignoreCase": True})),
    ("hosts", "*.b", _header(":authority", stringMatch={"suffix": ".b", "ignoreCase": True})),
    ("hosts", "a.*", _header(":authority", stringMatch={"prefix": "a.", "ignoreCase": True})),
    ("hosts", "*", _header(":authority", presentMatch=True)),
    ("methods", "GET", _header(":method", stringMatch={"exact": "GET"})),
    ("methods", "P*", _header(":method", stringMatch={"prefix": "P"})),
    ("methods", "*", _header(":method", presentMatch=True)),
    ("paths", "/a", _path(exact="/a")),
    ("paths", "/a/*", _path(prefix="/a/")),
    ("paths", "*/a", _path(suffix="/a")),
    ("paths", "*", _path(safeRegex={"regex": ".+"})),
    ("paths", "/v1/{*}/turns", _template("/v1/*/turns")),
    ("paths", "/v1/{**}", _template("/v1/**")),
    ("ports", "8080", {"destinationPort": 8080}),
]


@pytest.mark.parametrize(("field", "value", "expected"), WHAT)
def test_what_is_called(field: str, value: str, expected: Any) -> None:
    """Each value of a field is an alternative; with "not" none of them may hold."""
    other = {"paths": "/z", "ports": "9"}.get(field, "z")
    (either,) = _of_rule(_operation(**{field: [value, other]}))["permissions"][0]["andRules"]["rules"]
    assert either["orRules"]["rules"][0] == expected
    assert len(either["orRules"]["rules"]) == 2
    (neither,) = _of_rule(_operation(**{f"not{field.capitalize()}": [value]}))["permissions"][0]["andRules"]["rules"]
    assert neither == {"notRule": {"orRules": {"rules": [expected]}}}


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("destination.port", "8080", {"destinationPort": 8080}),
        ("destination.ip", "10.0.0.0/8", {"destinationIp": _range("10.0.0.0", 8)}),
        ("connection.sni", "a.b", {"requestedServerName": {"exact": "a.b"}}),
        ("connection.sni", "*.b", {"requestedServerName": {"suffix": ".b"}}),
    ],
)
def test_conditions_on_what_is_called(key: str, value: str, expected: Any) -> None:
    """They are permissions, and leave who calls open."""
    found = _of_rule(_when(key, value))
    assert found["permissions"][0]["andRules"]["rules"] == [{"orRules": {"rules": [expected]}}]
    assert found["principals"] == ANYBODY


# --- where no HTTP is read --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rule",
    [
        _operation(methods=["GET"]),
        _operation(paths=["/a"], ports=["7000"]),
        _operation(notHosts=["a"]),
        _source(requestPrincipals=["*"]),
        _when("request.headers[a]", "b"),
        _when("request.auth.claims[a]", "b"),
        {"to": [{"operation": {"ports": ["7000"]}}, {"operation": {"methods": ["GET"]}}]},
    ],
)
def test_over_tcp_allow_drops_a_rule_about_http(rule: dict[str, Any]) -> None:
    """So it allows less; the filter stays, and denies what no other rule allows."""
    (found,) = _tcp_rules(mesh_of(_policy(rule, _source(namespaces=["a"]))))
    assert list(found["policies"]) == [f"{NAME}[1]"]
    assert _tcp_rules(mesh_of(_policy(rule))) == [{}]


def test_over_tcp_deny_is_widened() -> None:
    """What is about HTTP is left out, so it denies more: a rule about nothing else denies all."""
    rules = (
        _operation(methods=["GET"], ports=["7000"]),
        _operation(methods=["GET"]),
        {**_source(requestPrincipals=["*"], namespaces=["a"]), **_when("request.headers[a]", "b")},
    )
    (found,) = _tcp_rules(mesh_of(_policy(*rules, action="DENY")))
    policies = found["policies"]
    port = [{"andRules": {"rules": [{"orRules": {"rules": [{"destinationPort": 7000}]}}]}}]
    assert policies[f"{NAME}[0]"] == {"permissions": port, "principals": ANYBODY}
    assert policies[f"{NAME}[1]"] == {"permissions": ANY_PERMISSION, "principals": ANYBODY}
    namespace = {"orIds": {"ids": [_named(_regex(".*/ns/a/.*"))]}}
    assert policies[f"{NAME}[2]"]["principals"] == [{"andIds": {"ids": [namespace]}}]


# --- refusals ---------------------------------------------------------------------------------------------------------

REFUSED = [
    (_policy({}, action="AUDIT"), "spec.action: AUDIT is not translated"),
    (_policy({}, action="CUSTOM", provider={"name": "a"}), "spec.action: CUSTOM is not translated"),
    (_policy({}, action="PERMIT"), "spec.action: input should be 'ALLOW' or 'DENY'"),
    (_policy(action="DENY"), "spec.rules: DENY without rules denies nothing"),
    (_policy({}, selector={"matchLabels": {"app": "bakend"}}), "spec.selector.matchLabels: no workload"),
    (_policy({}, targetRefs=[]), "spec.targetRefs: is not translated"),
    (_policy(_source(principal=["a"])), "spec.rules[0].from[0].source.principal: is not translated"),
    (_policy({"form": []}), "spec.rules[0].form: is not translated"),
    (_policy({"from": [{}]}), "spec.rules[0].from[0].source: is missing"),
    (_policy({}, _source()), "spec.rules[1].from[0].source: source says nothing"),
    (_policy(_operation()), "spec.rules[0].to[0].operation: operation says nothing"),
    (_policy({"when": [{"key": "source.ip"}]}), "spec.rules[0].when[0]: source.ip says nothing"),
    (_policy(_when("source.labels", "a")), "spec.rules[0].when[0]: key 'source.labels' is not known"),
    (_policy(_when("request.header[a]", "b")), "key 'request.header[a]' is not known"),
    (_policy(_when("request.headers[]", "b")), "key 'request.headers[]' is not known"),
    (_policy(_when("request.auth.claims[a]b", "b")), "key 'request.auth.claims[a]b' is not known"),
    (_policy(_when("experimental.envoy.filters.a[b]", "c")), "is not known"),
    (_policy(_when("methods", "GET")), "key 'methods' is not known"),
    (_policy(_when("source", "GET")), "key 'source' is not known"),
    (_policy(_source(principals=[""])), "source.principal '': is empty"),
    (_policy(_source(principals=["spiffe://a/ns/b/sa/c"])), "is no <trust domain>/ns/<namespace>/sa/<account>"),
    (_policy(_source(principals=["a/ns/*/sa/c"])), "one * is known, at the beginning or at the end"),
    (_policy(_source(principals=["*a*"])), "one * is known, at the beginning or at the end"),
    (_policy(_source(requestPrincipals=["*a*"])), "one * is known, at the beginning or at the end"),
    (_policy(_source(namespaces=["a/b"])), "source.namespace 'a/b': is no name of a namespace"),
    (_policy(_source(serviceAccounts=["a/b/c"])), "is no <account> or <namespace>/<account>"),
    (_policy(_source(serviceAccounts=["a*"])), "is no <account> or <namespace>/<account>"),
    (_policy(_source(serviceAccounts=["a"], namespaces=["b"])), "from[0].source.serviceAccounts: does not go with"),
    (_policy(_source(ipBlocks=["10.0.0"])), "source.ip '10.0.0': is neither an IP address nor a CIDR block"),
    (_policy(_source(ipBlocks=["10.0.0.0/255.0.0.0"])), "is neither an IP address nor a CIDR block"),
    (_policy(_operation(ports=["http"])), "destination.port 'http': is no port"),
    (_policy(_operation(ports=["65536"])), "destination.port '65536': is no port"),
    (_policy(_operation(ports=[8080])), "spec.rules[0].to[0].operation.ports[0]: a text is expected, not a number"),
    (_policy(_operation(paths=["/a/*/b"])), "one * is known, at the beginning or at the end"),
    (_policy(_operation(paths=["/a/{*}b"])), "{*} and {**} stand for whole segments"),
    (_policy(_operation(paths=["/a/{b}"])), "{*} and {**} stand for whole segments"),
    (_policy(_operation(paths=["/{*}/*"])), "{*} and {**} stand for whole segments"),
    (_policy(_operation(paths=["{*}/a"])), "{*} and {**} stand for whole segments"),
    (_policy(_operation(paths=["/{**}/{**}"])), "{**} may be there once"),
    (_policy(_operation(paths=["/{**}/{*}"])), "{**} may be there once"),
]


@pytest.mark.parametrize(("policy", "message"), REFUSED)
def test_what_is_refused(policy: Any, message: str) -> None:
    """By file, document and field, with what to do."""
    found = refusal(policy)
    assert found.startswith("case.yaml document 1 (AuthorizationPolicy case): spec.")
    assert message in found


def test_a_dry_run_is_refused() -> None:
    """It would be enforced."""
    policy = _policy({})
    policy["metadata"]["annotations"] = {"istio.io/dry-run": "true"}
    assert "is a dry run" in refusal(policy)
