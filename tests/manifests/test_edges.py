"""The list of edges is what the policies enforce, or the policy is refused."""

from __future__ import annotations

import pytest

from mesh.manifests.errors import ManifestError
from tests.support.edges import ANYBODY, BROKER, OUTSIDE, Edge, edges

POD = """
kind: Deployment
apiVersion: apps/v1
metadata: {name: shop}
spec: {template: {metadata: {labels: {app: shop}}}}
"""


def _policy(rules: str, action: str = "ALLOW", name: str = "p") -> str:
    return f"""
---
kind: AuthorizationPolicy
apiVersion: security.istio.io/v1
metadata: {{name: {name}}}
spec: {{selector: {{matchLabels: {{app: shop}}}}, action: {action}, rules: {rules}}}
"""


def _edges(*parts: str) -> list[Edge]:
    return edges({"x.yaml": POD + "".join(parts)}, namespace="n")


CALLERS = "from: [{source: {principals: [cluster.local/ns/n/sa/a, cluster.local/ns/n/sa/b]}}]"
PATHS = "to: [{operation: {paths: [/x, /y/*]}}]"
ROLES = 'when: [{key: "request.auth.claims[role]", values: [viewer, operator]}]'


def test_each_caller_and_path_is_an_edge() -> None:
    """Callers by their account, paths as they are written, roles sorted."""
    found = _edges(_policy(f"[{{{CALLERS}, {PATHS}, {ROLES}}}]"))
    assert found == [Edge(who, "shop", path, "CALL", ("operator", "viewer")) for who in "ab" for path in ("/x", "/y/*")]


def test_roles_of_several_rules_add_up() -> None:
    """Two rules for one path are one edge; one that asks for no role needs none."""
    viewer = 'when: [{key: "request.auth.claims[role]", values: [viewer]}]'
    operator = 'when: [{key: "request.auth.claims[role]", values: [operator]}]'
    path = "to: [{operation: {paths: [/x]}}]"
    assert [edge.roles for edge in _edges(_policy(f"[{{{path}, {viewer}}}, {{{path}, {operator}}}]"))] == [
        ("operator", "viewer")
    ]
    assert [edge.roles for edge in _edges(_policy(f"[{{{path}, {viewer}}}, {{{path}}}]"))] == [()]


def test_denied_edges_are_gone() -> None:
    """DENY takes away the caller, the path or the role that it names, and no more."""
    allow = _policy(f"[{{{CALLERS}, {PATHS}, {ROLES}}}]")
    deny = "from: [{source: {principals: [cluster.local/ns/n/sa/a]}}]"
    found = _edges(allow, _policy(f"[{{{deny}}}]", "DENY", "d"))
    assert {edge.caller for edge in found} == {"b"}
    found = _edges(allow, _policy("[{to: [{operation: {paths: [/y/*]}}]}]", "DENY", "d"))
    assert {edge.target for edge in found} == {"/x"}
    found = _edges(allow, _policy('[{when: [{key: "request.auth.claims[role]", values: [viewer]}]}]', "DENY", "d"))
    assert {edge.roles for edge in found} == {("operator",)}


def test_what_is_open_is_listed() -> None:
    """A pod without a policy is open to anybody; one whose policy has no rule is open to nobody."""
    assert _edges() == [Edge(ANYBODY, "shop", "*", "CALL")]
    assert _edges(_policy("[]")) == []
    assert _edges(_policy("[{}]")) == [Edge(ANYBODY, "shop", "*", "CALL")]


def test_a_token_without_a_caller_is_from_outside() -> None:
    """A rule by requestPrincipals alone is for whoever brings a token."""
    found = _edges(_policy('[{from: [{source: {requestPrincipals: ["i/*"]}}], to: [{operation: {methods: [GET]}}]}]'))
    assert found == [Edge(OUTSIDE, "shop", "*", "GET")]


@pytest.mark.parametrize(
    ("rules", "action", "field"),
    [
        ("[{from: [{source: {ipBlocks: [10.0.0.0/8]}}]}]", "ALLOW", r"rules\[0\].from\[0\].source.ipBlocks"),
        ("[{to: [{operation: {notPaths: [/x]}}]}]", "ALLOW", r"rules\[0\].to\[0\].operation.notPaths"),
        ('[{when: [{key: "source.ip", values: [x]}]}]', "ALLOW", r"rules\[0\].when\[0\].key"),
        ("[{}]", "CUSTOM", "spec.action"),
    ],
)
def test_what_cannot_be_listed_is_refused(rules: str, action: str, field: str) -> None:
    """A rule that asks for anything but principals, paths, methods and the role is named, never left out."""
    with pytest.raises(ManifestError, match=field):
        _edges(_policy(rules, action))


def test_rights_to_topics_are_edges() -> None:
    """Each operation that a KafkaUser may do to a topic; groups are no topics."""
    user = """
---
kind: KafkaUser
apiVersion: kafka.strimzi.io/v1beta2
metadata: {name: a}
spec:
  authorization:
    type: simple
    acls:
      - {resource: {type: topic, name: t, patternType: literal}, operations: [Read, Describe]}
      - {resource: {type: topic, name: u, patternType: prefix}, operations: [Write]}
      - {resource: {type: group, name: a, patternType: literal}, operations: [Read]}
"""
    assert _edges(_policy("[]"), user) == [
        Edge("a", BROKER, "t", "Describe"),
        Edge("a", BROKER, "t", "Read"),
        Edge("a", BROKER, "u*", "Write"),
    ]
