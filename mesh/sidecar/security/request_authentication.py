"""RequestAuthentication: which tokens are good, as Envoy's jwt_authn filter. A request without a token passes it.

Owns the providers and their order. Key sets are inline: those of a jwksUri come from `MeshSettings.jwks`, and one that
is not there is replaced by a set that nobody can sign for. Called by `mesh.sidecar.listeners.connection_manager`.
Source: istio/istio pilot/pkg/security/authn/policy_applier.go.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from envoy.config.core.v3 import base_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.filters.http.jwt_authn.v3 import config_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from google.protobuf import empty_pb2

from mesh.manifests.istio.request_authentication import JwtRule, RequestAuthenticationSpec
from mesh.sidecar.mesh import selects
from mesh.sidecar.messages import make_http_filter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mesh.manifests.document import Resource
    from mesh.manifests.kubernetes import Workload
    from mesh.sidecar.mesh import Mesh


NOBODY = json.dumps(
    {
        "keys": [
            {
                "kty": "EC",
                "crv": "P-256",
                "alg": "ES256",
                "x": "22Xs52vTGBvUDddhYnD1cLVvixy_JkOmchfMjNRHFH4",
                "y": "rWe38wLD-PkTD76fRYqpoRWyjpChpY7Yo31O6TIM3FE",
            }
        ]
    }
)
"""A key set that nobody can sign for: x is the SHA-256 of "rostrum: nobody signs for this 0", so the point's logarithm,
which is the private key, was never known to anyone."""


def check_request_authentication(mesh: Mesh, resource: Resource[RequestAuthenticationSpec]) -> None:
    """Raises ManifestError for what istiod would refuse, or what would refuse every token."""
    spec = resource.spec
    if not any(_is_for(mesh, resource, workload) for workload in mesh.workloads.values()) and spec.selector is not None:
        raise resource.refuse("selector.matchLabels", "no workload has these labels: correct them")
    for number, rule in enumerate(spec.jwt_rules):
        path = f"jwtRules[{number}]"
        if bool(rule.jwks) == bool(rule.jwks_uri):
            raise resource.refuse(path, "one of jwks and jwksUri is needed: write where the keys are")
        if rule.jwks and not is_key_set(rule.jwks):
            raise resource.refuse(f"{path}.jwks", 'is no JSON Web Key Set ({"keys": [...]}): correct it')
        if rule.jwks_uri and not _is_address(rule.jwks_uri):
            raise resource.refuse(f"{path}.jwksUri", "is no http or https address: correct it")
        if not rule.issuer and not rule.jwks_uri:
            raise resource.refuse(f"{path}.issuer", "is needed beside jwks: write whose tokens these are")
        for name in ("audiences", "from_params", "from_cookies"):
            if not all(getattr(rule, name)):
                field = type(rule).model_fields[name].alias
                raise resource.refuse(f"{path}.{field}", "has an empty value: remove it")


def _is_address(text: str) -> bool:
    try:
        found = urlsplit(text)
        is_whole = found.scheme in {"http", "https"} and bool(found.hostname) and found.port != 0
    except ValueError:  # of its port, or of an IPv6 address
        return False
    return is_whole and not re.search(r"\s", text)


def is_key_set(text: str) -> bool:
    """Whether a text is a JSON Web Key Set that has a key (RFC 7517)."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and isinstance(found.get("keys"), list) and bool(found["keys"])


def _is_for(mesh: Mesh, resource: Resource[RequestAuthenticationSpec], workload: Workload) -> bool:
    selector = resource.spec.selector
    return resource.namespace in {mesh.settings.root_namespace, workload.namespace} and selects(
        None if selector is None else selector.match_labels, workload.labels
    )


def make_http_filters(
    mesh: Mesh, workload: Workload, *, is_gateway: bool
) -> list[http_connection_manager_pb2.HttpFilter]:
    """The HTTP filter that reads tokens; none if no RequestAuthentication is for the workload."""
    resources = [resource for resource in mesh.all(RequestAuthenticationSpec) if _is_for(mesh, resource, workload)]
    rules = sorted((rule for resource in resources for rule in resource.spec.jwt_rules), key=lambda rule: rule.issuer)
    if not rules:
        return []
    config = config_pb2.JwtAuthentication(bypass_cors_preflight=True)
    providers = [f"origins-{number}" for number in range(len(rules))]
    for name, rule in zip(providers, rules, strict=True):
        config.providers[name].CopyFrom(_make_provider(mesh, rule))
        config.providers[name].clear_route_cache = is_gateway
    requirement = config_pb2.RequirementRule(
        match=route_components_pb2.RouteMatch(prefix="/"), requires=_make_requirement(providers)
    )
    config.rules.append(requirement)
    return [make_http_filter("jwt_authn", config)]


def _make_provider(mesh: Mesh, rule: JwtRule) -> config_pb2.JwtProvider:
    keys = rule.jwks or mesh.settings.jwks.get(rule.jwks_uri) or NOBODY
    found = config_pb2.JwtProvider(
        issuer=rule.issuer,
        audiences=rule.audiences,
        local_jwks=base_pb2.DataSource(inline_string=keys),
        forward=rule.forward_original_token,
        from_headers=[
            config_pb2.JwtHeader(name=header.name, value_prefix=header.prefix) for header in rule.from_headers
        ],
        from_params=rule.from_params,
        from_cookies=rule.from_cookies,
        forward_payload_header=rule.output_payload_to_header,
        payload_in_metadata="payload",
        claim_to_headers=[
            config_pb2.JwtClaimToHeader(header_name=claim.header, claim_name=claim.claim)
            for claim in rule.output_claim_to_headers
        ],
    )
    found.normalize_payload_in_metadata.space_delimited_claims.extend(["permission", "scope"])
    return found


def _make_requirement(providers: Sequence[str]) -> config_pb2.JwtRequirement:
    """A good token of any provider, or none at all; a bad one is refused."""
    named = [config_pb2.JwtRequirement(provider_name=provider) for provider in providers]
    missing = config_pb2.JwtRequirement(allow_missing=empty_pb2.Empty())
    if len(named) == 1:
        return _require_any([named[0], missing])
    each_or_none = config_pb2.JwtRequirement(
        requires_all=config_pb2.JwtRequirementAndList(
            requirements=[_require_any([requirement, missing]) for requirement in named]
        )
    )
    return _require_any([*named, each_or_none])


def _require_any(requirements: Sequence[config_pb2.JwtRequirement]) -> config_pb2.JwtRequirement:
    return config_pb2.JwtRequirement(requires_any=config_pb2.JwtRequirementOrList(requirements=requirements))
