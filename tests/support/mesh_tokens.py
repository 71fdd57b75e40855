"""Tokens for the ingress, good ones and bad ones: each is refused for one reason alone."""

from __future__ import annotations

import base64
import datetime as dt
import hmac
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization

from mesh.local import tokens
from mesh.local.tokens import ISSUER, JWKS_URI, KEY_ID, ROLES, issue, key_set

GOOD: Mapping[str, str] = {role: role for role in ROLES}
"""Kinds of tokens that count, and the role that each gives."""


class Tokens:
    """What a home's key signs, and what others do. By kind: those of GOOD, and those of `bad`."""

    def __init__(self, home: Path, other_home: Path) -> None:
        self.jwks = {JWKS_URI: key_set(home)}
        key_set(other_home)
        key = (home / "keys" / "tokens.pem").read_bytes()
        now = dt.datetime.now(dt.UTC)
        claims: dict[str, Any] = {"iss": ISSUER, "aud": ISSUER, "sub": "operator", "role": "operator", "iat": now}
        claims["exp"] = now + dt.timedelta(hours=1)

        def signed(claims: Mapping[str, Any]) -> str:
            return jwt.encode(dict(claims), key, algorithm=tokens.ALGORITHM, headers={"kid": KEY_ID})

        self.good: dict[str, str] = {kind: issue(home, kind, 3600.0) for kind in ROLES}
        self.bad = {
            "expired": issue(home, "operator", 60.0, now=now - dt.timedelta(hours=2)),
            "forged": issue(other_home, "operator", 3600.0),
            "another audience": signed({**claims, "aud": "another"}),
            "another issuer": signed({**claims, "iss": "another"}),
            "alg none": jwt.encode(claims, "", algorithm="none", headers={"kid": KEY_ID}),
            "signed with the public key": _by_public_key(claims, key),
            "no token": "",
            "no role": signed({k: v for k, v in claims.items() if k != "role"}),
            "unknown role": signed({**claims, "role": "owner"}),
        }
        self.kinds = [*self.good, *self.bad]
        self._all = {**self.good, **self.bad}

    def headers(self, kind: str) -> list[tuple[str, str]]:
        """The header that brings a token of that kind; none for "no token"."""
        token = self._all[kind]
        return [("authorization", f"Bearer {token}")] if token else []


STATUS = {
    "expired": 401,
    "forged": 401,
    "another audience": 403,
    "another issuer": 401,
    "alg none": 401,
    "signed with the public key": 401,
}
"""With which status a bad token is refused wherever tokens are read; any other is as good as none, or has no right."""


def _by_public_key(claims: Mapping[str, Any], key: bytes) -> str:
    """HS256 with what everybody may know as the secret: the oldest trick against verifiers that believe the token.

    By hand, because PyJWT does not help with it.
    """
    private = serialization.load_pem_private_key(key, None)
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    plain = {
        name: int(value.timestamp()) if isinstance(value, dt.datetime) else value for name, value in claims.items()
    }
    parts = ({"alg": "HS256", "typ": "JWT", "kid": KEY_ID}, plain)
    signed = ".".join(_base64(json.dumps(part).encode()) for part in parts)
    return f"{signed}.{_base64(hmac.digest(public, signed.encode(), 'sha256'))}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
