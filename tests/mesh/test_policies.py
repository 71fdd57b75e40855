"""Conformance: who is allowed, who is refused, and by which policy, as the access log names it.

The rows are those of mesh/sidecar/README.md about AuthorizationPolicy and RequestAuthentication.
"""

from __future__ import annotations

import datetime as dt

import grpc
import jwt
import pytest

from mesh.sidecar.mesh import MeshSettings
from tests.mesh.shop import STRICT, case, pod, shop
from tests.support import mesh_calls as calls
from tests.support.mesh import RunningMesh, running
from tests.support.waiting import wait_until

OK, DENIED = grpc.StatusCode.OK, grpc.StatusCode.PERMISSION_DENIED
BACKEND = pod("backend", {"http": 8080})


def rpc(mesh: RunningMesh, account: str, path: str = "/shop.v1.Shop/Buy", **name: str) -> grpc.StatusCode:
    """An RPC of the backend by an account of this mesh, or by the SPIFFE ID `name`."""
    identity = mesh.authority.issue(name["name"]) if name else mesh.identity(account)
    with calls.channel(mesh.pod("backend").ip, 50051, mesh.authority, identity) as channel:
        return calls.rpc(channel, path).code


def http(mesh: RunningMesh, account: str, path: str, method: str = "GET", **more: object) -> int:
    """The status of a request to the backend by an account."""
    context = calls.tls_context(mesh.authority, mesh.identity(account))
    headers = more.get("headers", ())
    assert isinstance(headers, tuple)
    return calls.request((mesh.pod("backend").ip, 8080), method, path, context=context, headers=headers).status


def details(mesh: RunningMesh, count: int) -> list[str]:
    """response_code_details of the backend's log, once it has so many lines."""
    lines = wait_until("the log", lambda: found if len(found := mesh.pod("backend").accesses()) >= count else [])
    return [str(line["response_code_details"]) for line in lines]


def policy(name: str, spec: str) -> str:
    """An AuthorizationPolicy of the shop."""
    return f"""
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: {name}, namespace: shop}}
spec: {spec}"""


@pytest.mark.parametrize(
    ("name", "code", "why"),
    [
        ("29-allow-nothing", DENIED, "rbac_access_denied_matched_policy[none]"),
        ("30-deny-everything", DENIED, "rbac_access_denied_matched_policy[ns[shop]-policy[everything]-rule[0]]"),
        ("31-allow-everything", OK, "via_upstream"),
    ],
)
def test_policies_for_all_or_none(name: str, code: grpc.StatusCode, why: str) -> None:
    """Rows 29 to 31: ALLOW without rules forbids, DENY of everything does so by its name, ALLOW of all allows."""
    with running(case(name)) as mesh:
        assert rpc(mesh, "client") is code
        assert details(mesh, 1) == [why]
        assert bool(mesh.script.seen) is (code is OK)


@pytest.mark.parametrize(
    ("principal", "allowed", "refused"),
    [
        ("*", "spiffe://cluster.local/ns/any/sa/body", ""),
        ("*/ns/foo/sa/x", "spiffe://cluster.local/ns/foo/sa/x", "spiffe://cluster.local/ns/foo/sa/xy"),
        ("cluster.local/ns/shop/*", "spiffe://cluster.local/ns/shop/sa/x", "spiffe://cluster.local/ns/shops/sa/x"),
        ("cluster.local/ns/shop/sa/x", "spiffe://cluster.local/ns/shop/sa/x", "spiffe://cluster.local/ns/shop/sa/x/y"),
    ],
)
def test_principals(principal: str, allowed: str, refused: str) -> None:
    """Row 32: exact, from the start, from the end, and any; what only looks alike is refused."""
    rules = policy("p", f'{{rules: [{{from: [{{source: {{principals: ["{principal}"]}}}}]}}]}}')
    with running(shop(pod("backend", {"grpc": 50051}), STRICT, rules)) as mesh:
        assert rpc(mesh, "", name=allowed) is OK
        if refused:
            assert rpc(mesh, "", name=refused) is DENIED


def test_plaintext_has_no_principal() -> None:
    """Row 32: not even "*" takes a caller without a certificate, and "all but" takes it."""
    anybody = policy("p", '{rules: [{from: [{source: {principals: ["*"]}}], to: [{operation: {paths: [/any]}}]}]}')
    all_but = policy(
        "q",
        "{rules: [{from: [{source: {notPrincipals: [cluster.local/ns/a/sa/x]}}], to: [{operation: {paths: [/but]}}]}]}",
    )
    with running(shop(BACKEND, anybody, all_but)) as mesh:
        place = (mesh.pod("backend").ip, 8080)
        assert calls.request(place, "GET", "/any").status == 403
        assert calls.request(place, "GET", "/but").status == 200


@pytest.mark.parametrize(
    ("operation", "allowed", "refused"),
    [
        ("paths: [/one]", ["GET /one", "GET /one?q=1"], ["GET /one/", "GET /onee", "GET /", "GET /ONE"]),
        ('paths: ["/two/*"]', ["GET /two/", "GET /two/x/y"], ["GET /two", "GET /twox"]),
        ('paths: ["*/three"]', ["GET /three", "GET /x/three"], ["GET /three/x"]),
        ('paths: ["/v1/{*}/turns"]', ["GET /v1/x/turns"], ["GET /v1/x/y/turns", "GET /v1/turns"]),
        ('methods: ["GET", "P*"]', ["GET /", "PUT /", "POST /"], ["DELETE /", "OPTIONS /"]),
        ('notPaths: ["/admin*"]', ["GET /"], ["GET /admin", "GET /admin/x"]),
        ('ports: ["8080"]', ["GET /"], []),
        ('ports: ["80"]', [], ["GET /"]),
        ('hosts: ["any"]', ["GET /"], []),
        ('hosts: ["other"]', [], ["GET /"]),
    ],
)
def test_operations(operation: str, allowed: list[str], refused: list[str]) -> None:
    """Row 33: paths without their query, methods, hosts and ports of the workload, and what they are not."""
    with running(shop(BACKEND, STRICT, policy("p", f"{{rules: [{{to: [{{operation: {{{operation}}}}}]}}]}}"))) as mesh:
        for request in (*allowed, *refused):
            method, path = request.split()
            assert http(mesh, "client", path, method) == (200 if request in allowed else 403), request


def test_conditions_of_headers_and_addresses() -> None:
    """Row 34: values of a header, negated ones, and the caller's address."""
    by_header = '{rules: [{when: [{key: "request.headers[x-role]", values: [admin, "op*"], notValues: [opera]}]}]}'
    with running(shop(BACKEND, STRICT, policy("p", by_header))) as mesh:
        for role, status in {"admin": 200, "operator": 200, "opera": 403, "guest": 403, "": 403}.items():
            headers = (("x-role", role),) if role else ()
            assert http(mesh, "client", "/x", headers=headers) == status, role
    by_address = "{rules: [{from: [{source: {ipBlocks: [127.0.0.0/8], notIpBlocks: [127.0.0.1]}}]}]}"
    with running(shop(BACKEND, STRICT, policy("p", by_address))) as mesh:
        assert http(mesh, "client", "/x") == 403, "a caller of this machine comes from 127.0.0.1"


def test_a_deny_for_http_closes_a_tcp_port() -> None:
    """Row 35: what cannot be distinguished on a TCP port is denied: nothing of the connection reaches the app."""
    with running(case("35-tcp-deny")) as mesh:
        place = (mesh.pod("backend").ip, 7000)
        context = calls.tls_context(mesh.authority, mesh.identity("client"), ("istio",))
        assert calls.unanswered(place, b"hello", context)
        assert mesh.script.seen == []


def test_deny_goes_before_allow() -> None:
    """Row 36: who is allowed and denied is denied, by that policy's name; the root namespace's count too."""
    guest = "{action: DENY, rules: [{from: [{source: {principals: [cluster.local/ns/shop/sa/guest]}}]}]}"
    far = policy("deny-far", "{action: DENY, rules: [{from: [{source: {namespaces: [far]}}]}]}")
    policies = policy("all", "{rules: [{}]}"), policy("deny-guest", guest), far.replace(": shop}", ": istio-system}")
    with running(shop(pod("backend", {"grpc": 50051}), STRICT, *policies)) as mesh:
        assert rpc(mesh, "client") is OK
        assert rpc(mesh, "guest") is DENIED
        assert rpc(mesh, "", name="spiffe://cluster.local/ns/far/sa/client") is DENIED
        assert details(mesh, 3) == [
            "via_upstream",
            "rbac_access_denied_matched_policy[ns[shop]-policy[deny-guest]-rule[0]]",
            "rbac_access_denied_matched_policy[ns[istio-system]-policy[deny-far]-rule[0]]",
        ]


# ---- tokens ----

KEY = "secretsecretsecretsecretsecretsecret"
JWKS = '{"keys":[{"kty":"oct","kid":"k","alg":"HS256","k":"c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"}]}'
REQUIRED = policy("required", '{rules: [{from: [{source: {requestPrincipals: ["rostrum/*"]}}]}]}')


def authentication(rule: str) -> str:
    """A RequestAuthentication of the backend."""
    return f"""
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {{name: tokens, namespace: shop}}
spec: {{selector: {{matchLabels: {{app: backend}}}}, jwtRules: [{{issuer: rostrum, {rule}}}]}}"""


def bearer(seconds: float = 60.0, **claims: object) -> tuple[tuple[str, str], ...]:
    """The header with a token that lasts so long."""
    end = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)
    claims = {"iss": "rostrum", "sub": "alice", "exp": end, **claims}
    return (("authorization", f"Bearer {jwt.encode(claims, KEY, 'HS256', headers={'kid': 'k'})}"),)


def test_tokens_that_are_not_required() -> None:
    """Row 37: none 200, a good one 200 and taken off, a bad one 401 - whatever would be allowed without it."""
    with running(shop(BACKEND, STRICT, authentication(f"jwks: '{JWKS}'"))) as mesh:
        assert http(mesh, "client", "/x") == 200
        assert http(mesh, "client", "/x", headers=bearer()) == 200
        assert [seen.all("authorization") for seen in mesh.script.seen] == [[], []]
        mesh.script.clear()
        assert http(mesh, "client", "/x", headers=bearer(-120)) == 401
        assert http(mesh, "client", "/x", headers=bearer(iss="another")) == 401
        assert http(mesh, "client", "/x", headers=(("authorization", "Bearer nonsense"),)) == 401
        assert mesh.script.seen == []


def test_a_token_may_stay() -> None:
    """forwardOriginalToken: the app gets the token too."""
    with running(shop(BACKEND, STRICT, authentication(f"jwks: '{JWKS}', forwardOriginalToken: true"))) as mesh:
        header = bearer()
        assert http(mesh, "client", "/x", headers=header) == 200
        assert mesh.script.seen[0].all("authorization") == [header[0][1]]


def test_tokens_that_are_required() -> None:
    """Row 38: none is 403 and not 401, a good one opens, one for another audience is 403."""
    rule = authentication(f"audiences: [shop], jwks: '{JWKS}'")
    with running(shop(BACKEND, STRICT, rule, REQUIRED)) as mesh:
        assert http(mesh, "client", "/x") == 403
        assert http(mesh, "client", "/x", headers=bearer(aud="shop")) == 200
        assert http(mesh, "client", "/x", headers=bearer(aud=["other", "shop"])) == 200
        assert http(mesh, "client", "/x", headers=bearer(aud="other")) == 403
        assert http(mesh, "client", "/x", headers=bearer(-120, aud="shop")) == 401


def test_claims_decide() -> None:
    """A claim matches as a string or as a member of a list; a missing one does not."""
    rules = policy("p", '{rules: [{when: [{key: "request.auth.claims[role]", values: [operator]}]}]}')
    with running(shop(BACKEND, STRICT, authentication(f"jwks: '{JWKS}'"), rules)) as mesh:
        for role, status in (("operator", 200), (["viewer", "operator"], 200), ("viewer", 403), ("operators", 403)):
            assert http(mesh, "client", "/x", headers=bearer(role=role)) == status, role
        assert http(mesh, "client", "/x", headers=bearer()) == 403


def test_a_key_set_that_nobody_has_makes_every_token_bad() -> None:
    """Row 39: a jwksUri that was not fetched opens nothing, and stops nobody who brings no token."""
    rule = authentication("jwksUri: http://nowhere.example.com/jwks.json")
    with running(shop(BACKEND, STRICT, rule), settings=MeshSettings(jwks={})) as mesh:
        assert http(mesh, "client", "/x", headers=bearer()) == 401
        assert http(mesh, "client", "/x") == 200
