"""RequestAuthentication: what each field becomes, what is asked of a request, and what is refused."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest

from mesh.sidecar.resources import as_dict
from mesh.sidecar.security import request_authentication
from mesh.sidecar.security.request_authentication import NOBODY
from tests.unit.mesh.sidecar.serving import document, http_filter, mesh_of, refusal

KEYS = '{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}'


def _tokens(*rules: dict[str, Any], name: str = "tokens", namespace: str = "shop", **spec: Any) -> Any:
    return document("RequestAuthentication", {"jwtRules": list(rules), **spec}, name, namespace)


def _rule(issuer: str = "rostrum", **fields: Any) -> dict[str, Any]:
    return {"issuer": issuer, "jwks": KEYS, **fields}


def _config(*documents: Any, **settings: Any) -> dict[str, Any]:
    (found,) = http_filter(mesh_of(*documents, **settings), "jwt_authn")
    return found


def _provider(**fields: Any) -> dict[str, Any]:
    found: dict[str, Any] = _config(_tokens(_rule(**fields)))["providers"]["origins-0"]
    return found


def test_an_issuer_is_a_provider() -> None:
    """With its keys inline, its claims as metadata for policies, and the token taken out of the request."""
    assert _provider() == {
        "issuer": "rostrum",
        "localJwks": {"inlineString": KEYS},
        "payloadInMetadata": "payload",
        "normalizePayloadInMetadata": {"spaceDelimitedClaims": ["permission", "scope"]},
    }


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("audiences", ["a", "b"], {"audiences": ["a", "b"]}),
        ("forwardOriginalToken", True, {"forward": True}),
        ("fromHeaders", [{"name": "x", "prefix": "T "}], {"fromHeaders": [{"name": "x", "valuePrefix": "T "}]}),
        ("fromParams", ["token"], {"fromParams": ["token"]}),
        ("fromCookies", ["session"], {"fromCookies": ["session"]}),
        ("outputPayloadToHeader", "x-payload", {"forwardPayloadHeader": "x-payload"}),
        (
            "outputClaimToHeaders",
            [{"header": "x-sub", "claim": "sub"}],
            {"claimToHeaders": [{"headerName": "x-sub", "claimName": "sub"}]},
        ),
    ],
)
def test_each_field(field: str, value: Any, expected: dict[str, Any]) -> None:
    """By the name that Envoy has for it."""
    assert _provider(**{field: value}) == {**_provider(), **expected}


def test_keys_of_an_address_come_from_the_settings() -> None:
    """The translator itself asks nobody."""
    tokens = _tokens({"issuer": "rostrum", "jwksUri": "https://keys.example/jwks"})
    found = _config(tokens, jwks={"https://keys.example/jwks": KEYS})
    assert found["providers"]["origins-0"]["localJwks"] == {"inlineString": KEYS}


def test_keys_that_are_not_known_are_those_of_nobody() -> None:
    """So no token is good."""
    found = _config(_tokens({"issuer": "rostrum", "jwksUri": "https://keys.example/jwks"}))
    assert found["providers"]["origins-0"]["localJwks"] == {"inlineString": NOBODY}


def test_nobody_has_the_key_of_nobody() -> None:
    """Its x is a hash, and y is what the curve P-256 has there: nobody chose the point by its logarithm."""
    (key,) = json.loads(NOBODY)["keys"]
    x, y = (int.from_bytes(base64.urlsafe_b64decode(key[name] + "=")) for name in "xy")
    prime = 2**256 - 2**224 + 2**192 + 2**96 - 1
    b = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
    assert x == int.from_bytes(hashlib.sha256(b"rostrum: nobody signs for this 0").digest())
    assert (y * y - (x**3 - 3 * x + b)) % prime == 0


def test_a_good_token_or_none_of_one_issuer() -> None:
    """For every path; a preflight of a browser passes."""
    found = _config(_tokens(_rule()))
    either = {"requiresAny": {"requirements": [{"providerName": "origins-0"}, {"allowMissing": {}}]}}
    assert found["rules"] == [{"match": {"prefix": "/"}, "requires": either}]
    assert found["bypassCorsPreflight"] is True


def test_issuers_of_all_resources_by_name() -> None:
    """One token of any of them is enough; a bad one of any is refused."""
    found = _config(
        _tokens(_rule("b"), name="one"),
        _tokens(_rule("a"), name="two", namespace="istio-system"),
        _tokens(_rule("c"), name="other", selector={"matchLabels": {"app": "client"}}),
    )
    assert {name: provider["issuer"] for name, provider in found["providers"].items()} == {
        "origins-0": "a",
        "origins-1": "b",
    }
    named = [{"providerName": "origins-0"}, {"providerName": "origins-1"}]
    each_or_none = [{"requiresAny": {"requirements": [provider, {"allowMissing": {}}]}} for provider in named]
    requirements = [*named, {"requiresAll": {"requirements": each_or_none}}]
    assert found["rules"][0]["requires"] == {"requiresAny": {"requirements": requirements}}


def test_no_resource_is_no_filter() -> None:
    """A pod that none selects reads no tokens."""
    assert http_filter(mesh_of(_tokens(_rule(), selector={"matchLabels": {"app": "client"}})), "jwt_authn") == []


@pytest.mark.parametrize("is_gateway", [True, False])
def test_a_gateway_chooses_its_route_again(*, is_gateway: bool) -> None:
    """After the claims are known, for routes that look at them."""
    mesh = mesh_of(_tokens(_rule()))
    (found,) = request_authentication.make_http_filters(mesh, mesh.workloads["shop", "gate"], is_gateway=is_gateway)
    assert as_dict(found)["typedConfig"]["providers"]["origins-0"].get("clearRouteCache", False) is is_gateway


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (_tokens(), "spec.jwtRules: "),
        (_tokens({"issuer": "a"}), "spec.jwtRules[0]: one of jwks and jwksUri is needed"),
        (_tokens(_rule(jwksUri="https://a.example")), "spec.jwtRules[0]: one of jwks and jwksUri is needed"),
        (_tokens(_rule(jwks="no keys")), "spec.jwtRules[0].jwks: is no JSON Web Key Set"),
        (_tokens(_rule(jwks='{"keys": []}')), "spec.jwtRules[0].jwks: is no JSON Web Key Set"),
        (_tokens({"issuer": "a", "jwksUri": "keys.json"}), "spec.jwtRules[0].jwksUri: is no http or https address"),
        (_tokens(_rule(issuer="")), "spec.jwtRules[0].issuer: "),
        (_tokens(_rule(audiences=[""])), "spec.jwtRules[0].audiences: has an empty value"),
        (_tokens(_rule(fromParams=[""])), "spec.jwtRules[0].fromParams: has an empty value"),
        (_tokens(_rule(fromHeaders=[{"prefix": "a"}])), "spec.jwtRules[0].fromHeaders[0].name: is missing"),
        (_tokens(_rule(outputClaimToHeaders=[{"header": "a b", "claim": "c"}])), "outputClaimToHeaders[0].header: "),
        (_tokens(_rule(timeout="5s")), "spec.jwtRules[0].timeout: is not translated"),
        (_tokens(_rule(), selector={"matchLabels": {"app": "bakend"}}), "spec.selector.matchLabels: no workload"),
        (_tokens(_rule(), targetRefs=[{"kind": "Gateway"}]), "spec.targetRefs: is not translated"),
    ],
)
def test_what_is_refused(tokens: Any, message: str) -> None:
    """By file, document and field."""
    assert message in refusal(tokens)
    assert refusal(tokens).startswith("case.yaml document 1 (RequestAuthentication tokens)")
