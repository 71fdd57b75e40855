"""Tokens of the ingress: what they say, and that only the owner's key makes them."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import jwt
import pytest

from mesh.local import tokens
from mesh.local.errors import LocalError

NOW = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)


def _claims(home: Path, token: str) -> dict[str, object]:
    key = jwt.PyJWK(json.loads(tokens.key_set(home))["keys"][0])
    claims: dict[str, object] = jwt.decode(
        token, key, algorithms=["ES256"], audience="rostrum", issuer="rostrum", options={"verify_exp": False}
    )
    return claims


@pytest.mark.parametrize("role", tokens.ROLES)
def test_a_token_says_who_may_what_until_when(tmp_path: Path, role: tokens.Role) -> None:
    """Its role, its issuer and audience, and its end; checked by the key set that sidecars are given."""
    claims = _claims(tmp_path, tokens.issue(tmp_path, role, 90, now=NOW))
    assert claims["role"] == role
    assert claims["exp"] == NOW.timestamp() + 90


def test_the_key_set_holds_no_secret(tmp_path: Path) -> None:
    """The key set has the public half alone, and is the same each time."""
    found = json.loads(tokens.key_set(tmp_path))
    assert found == json.loads(tokens.key_set(tmp_path))
    (key,) = found["keys"]
    assert key.keys() == {"kty", "crv", "x", "y", "kid", "alg", "use"}


def test_another_homes_token_is_void(tmp_path: Path) -> None:
    """Each home has a key of its own."""
    token = tokens.issue(tmp_path / "other", "operator", 90)
    with pytest.raises(jwt.InvalidSignatureError):
        _claims(tmp_path / "home", token)


def test_the_key_is_the_owners_alone(tmp_path: Path) -> None:
    """Its file has mode 0600 in a folder of 0700; one that others can read is refused, with what to do."""
    tokens.key_set(tmp_path)
    file = tmp_path / "keys" / "tokens.pem"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    file.chmod(0o640)
    with pytest.raises(LocalError, match=r"tokens.pem can be read by others than its owner: remove"):
        tokens.issue(tmp_path, "viewer", 90)


def test_a_broken_key_is_named(tmp_path: Path) -> None:
    """Of a file that is no key the error says the path and what to do."""
    tokens.key_set(tmp_path)
    (tmp_path / "keys" / "tokens.pem").write_text("no key", "utf-8")
    with pytest.raises(LocalError, match=r"tokens.pem is no private key: remove"):
        tokens.key_set(tmp_path)
