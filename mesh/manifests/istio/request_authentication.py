"""RequestAuthentication: whose tokens are good, and where they are looked for.

What it becomes is in `mesh.sidecar.security.request_authentication`.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from mesh.manifests.document import Spec
from mesh.manifests.istio.selectors import Selected


class FromHeader(Spec):
    """A header with a token, behind a prefix."""

    name: str = Field(min_length=1)
    prefix: str = ""


class ClaimToHeader(Spec):
    """A claim that the app gets in a header."""

    header: str = Field(min_length=1, pattern=r"^[-_A-Za-z0-9]+$")
    claim: str = Field(min_length=1)


class JwtRule(Spec):
    """One issuer's tokens. Without places of its own a token is looked for in Authorization, then in access_token."""

    instead: ClassVar = {
        "jwtHeaders": "was replaced: write fromHeaders",
        "jwtParams": "was replaced: write fromParams",
        "triggerRules": "was removed: write the paths in an AuthorizationPolicy",
    }

    issuer: str = ""
    """Whose tokens they are; empty, which it may be with a jwksUri alone, for whoever has the keys."""
    audiences: tuple[str, ...] = ()
    jwks: str = ""
    jwks_uri: str = ""
    from_headers: tuple[FromHeader, ...] = ()
    from_params: tuple[str, ...] = ()
    from_cookies: tuple[str, ...] = ()
    forward_original_token: bool = False
    output_payload_to_header: str = ""
    output_claim_to_headers: tuple[ClaimToHeader, ...] = ()


class RequestAuthenticationSpec(Spec):
    """spec of a RequestAuthentication."""

    selector: Selected = None
    jwt_rules: tuple[JwtRule, ...] = Field(min_length=1)
