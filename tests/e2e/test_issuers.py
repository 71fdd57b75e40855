"""Tokens of an issuer of one's own: good once its keys are had, refused until then, and `status` says why."""

from __future__ import annotations

import datetime as dt
import json
import socket
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

import jwt
import pytest

from mesh.local import tokens
from tests.support.answers import serving
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.system import System

pytestmark = pytest.mark.timeout(180)

ISSUER = "https://id.example.com/realms/debates"
RULES = """
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: {name: company-issuer}
spec:
  selector: {matchLabels: {istio: ingress}}
  jwtRules: [{issuer: "ISSUER", jwksUri: "ADDRESS", audiences: [rostrum], forwardOriginalToken: true}]
"""


def _issue(home: Path) -> str:
    """A token that this home's key signs in the name of the issuer."""
    tokens.key_set(home)
    key = (home / "keys" / "tokens.pem").read_bytes()
    now = dt.datetime.now(dt.UTC)
    claims = {
        "iss": ISSUER,
        "aud": "rostrum",
        "sub": "operator",
        "role": "operator",
        "exp": now + dt.timedelta(hours=1),
    }
    return jwt.encode(claims, key, tokens.ALGORITHM, {"kid": tokens.KEY_ID})


def _status(system: System, token: str) -> int:
    """What the ingress answers to a call with that token."""
    headers = {"authorization": f"Bearer {token}"}
    request = urllib.request.Request(f"http://{system.runner.ingress}/v1/debates", headers=headers)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=20) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_an_issuer_of_ones_own(system: System, tmp_path: Path) -> None:
    """Its tokens are refused as unknown (401), then as long as its keys are missing, and good once they are there:
    what they may do (403) is for other rules to say."""
    token, rules = _issue(tmp_path), tmp_path / "issuer.yaml"
    assert _status(system, token) == 401
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    address = f"http://127.0.0.1:{port}/keys"
    rules.write_text(RULES.replace("ISSUER", ISSUER).replace("ADDRESS", address))
    assert system.rostrum("apply", "-f", str(rules)).returncode == 0
    try:
        assert _status(system, token) == 401
        status = system.rostrum("status")
        assert f"Keys of {address}: it cannot be fetched: " in status.stderr + status.stdout
        with serving({"/keys": (200, tokens.key_set(tmp_path).encode())}, port=port):
            wait_until("the issuer's keys", lambda: _status(system, token) in {200, 403})
        assert _status(system, token) in {200, 403}
        assert json.loads(system.rostrum("status", "--json").stdout)["key_sets"][0].get("problem", "") == ""
    finally:
        assert system.rostrum("delete", "-f", str(rules)).returncode == 0
    assert _status(system, token) == 401
