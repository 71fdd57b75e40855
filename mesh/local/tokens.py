"""Tokens for the ingress: a local key that signs them, and the key set by which every sidecar checks them.

The key (EC P-256, HOME/keys/tokens.pem, mode 0600) never leaves its file: whoever can read it is the owner of the
home. What a token's role may do is said in istio/. Called by the runner (`key_set`) and the command (`issue`).
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from pathlib import Path
from typing import Literal

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from mesh.local.certificates import KeyFileError, load_private_key, private_pem, write_private
from mesh.local.errors import LocalError, disk_errors

ISSUER = "rostrum"
"""Issuer and audience that the RequestAuthentication of istio/base asks for."""
JWKS_URI = "http://issuer.rostrum.svc.cluster.local:8080/jwks.json"
"""Its jwksUri, in whose place the sidecars are given our key set."""
KEY_ID = "rostrum-1"
ALGORITHM = "ES256"

Role = Literal["viewer", "operator"]
ROLES: tuple[Role, ...] = ("viewer", "operator")
OWN_SECONDS = 60.0
"""Lifetime of the token that the command makes for a call of its own: above what two clocks may differ."""
MAX_SECONDS = 30 * 86_400.0
"""Longest lifetime: nothing takes a token back."""


def key_set(home: Path) -> str:
    """The JWKS (RFC 7517) of this home's key, which is made if there is none. Raises LocalError."""
    public = ECAlgorithm(ECAlgorithm.SHA256).to_jwk(_key(home).public_key(), as_dict=True)
    return json.dumps({"keys": [{**public, "kid": KEY_ID, "alg": ALGORITHM, "use": "sig"}]})


def issue(home: Path, role: Role, seconds: float, *, now: dt.datetime | None = None) -> str:
    """A token of this role for so many seconds from now. Raises LocalError."""
    begin = now or dt.datetime.now(dt.UTC)
    claims = {
        "iss": ISSUER,
        "aud": ISSUER,
        "sub": role,
        "role": role,
        "iat": begin,
        "exp": begin + dt.timedelta(seconds=seconds),
        "jti": uuid.uuid4().hex,
    }
    return jwt.encode(claims, _key(home), algorithm=ALGORITHM, headers={"kid": KEY_ID})


def _key(home: Path) -> ec.EllipticCurvePrivateKey:
    file = home / "keys" / "tokens.pem"
    again = f"remove {file} and start again: tokens issued before are then void."
    with disk_errors(home):
        if not file.exists():
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_private(file, private_pem(ec.generate_private_key(ec.SECP256R1())))
        try:
            key = load_private_key(file)
        except KeyFileError as error:
            raise LocalError(f"{error}: {again}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise LocalError(f"{file} is no key of the curve P-256: {again}")
    return key
