"""`rostrum token` and `rostrum config`."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import jwt
import pytest

from mesh.cli.exits import Exit

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.fake_world import Bench


@pytest.mark.parametrize(
    ("arguments", "role", "seconds"),
    [([], "operator", 3600), (["--role", "viewer"], "viewer", 3600), (["--ttl", "90s"], "operator", 90)],
    ids=["as it is", "viewer", "90 s"],
)
def test_token(bench: Bench, tmp_path: Path, arguments: list[str], role: str, seconds: int) -> None:
    """stdout has the token alone, of the role and for the time asked for: an operator's for an hour by default."""
    bench.home = tmp_path
    result = bench.rostrum("token", *arguments)
    assert (result.code, result.err) == (Exit.OK, "")
    claims = jwt.decode(result.out.strip(), options={"verify_signature": False})
    assert (claims["role"], claims["exp"] - claims["iat"]) == (role, seconds)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--role", "admin"),
        ("--role", ""),
        *(("--ttl", ttl) for ttl in ("0s", "1", "-1h", "31d", "1w", "1h30m", "²h")),
    ],
)
def test_a_token_that_cannot_be(bench: Bench, option: str, value: str) -> None:
    """Exit code 2, one line with what may be asked for, and no token."""
    result = bench.rostrum("token", option, value)
    assert (result.code, result.out) == (Exit.USAGE, "")
    assert option in result.err


def test_config(bench: Bench, tmp_path: Path) -> None:
    """One JSON document with each kind's resources as the sidecar has them; --kind leaves only one of them."""
    bench.runner.log_folder = tmp_path
    for name, text in {
        "bootstrap.json": {"node": {"id": "x"}},
        "listeners.json": {"resources": [{"name": "inbound"}]},
        "clusters.json": {"resources": []},
        "routes/50051.json": {"resources": [{"name": "50051"}]},
    }.items():
        file = tmp_path / "pods" / "team-a-0" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(text), "utf-8")
    shown = bench.rostrum("config", "team-a-0").json
    assert shown["bootstrap"] == {"node": {"id": "x"}}
    assert (shown["listeners"], shown["routes"]) == ([{"name": "inbound"}], [{"name": "50051"}])
    assert (shown["clusters"], shown["secrets"]) == ([], [])
    assert bench.rostrum("config", "team-a-0", "--kind", "routes").json == {"routes": [{"name": "50051"}]}


def test_config_of_what_has_none(bench: Bench) -> None:
    """Exit code 4 with the pods that have a sidecar; a kind that is none is exit code 2."""
    result = bench.rostrum("config", "kafka-0")
    assert result.code == Exit.NOT_FOUND
    assert "there are: moderator-0, team-a-0, team-b-0" in result.err
    assert bench.rostrum("config", "team-a-0", "--kind", "filters").code == Exit.USAGE


def test_istiods_config_without_go(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line that says which Go is needed and how to get it; a kind that istiod does not send is exit code 2."""
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("ROSTRUM_CACHE", str(tmp_path))
    monkeypatch.setattr("sysconfig.get_path", lambda _name: str(tmp_path))
    bench.home = tmp_path
    (tmp_path / "logs").mkdir()
    result = bench.rostrum("config", "team-a-0", "--istiod")
    assert (result.code, result.out) == (Exit.FAILURE, "")
    assert re.fullmatch(r"rostrum: Go 1\.26\.0 or newer is missing, .* -r requirements/ci\.txt`\.\n", result.err)
    assert bench.rostrum("config", "team-a-0", "--istiod", "--kind", "secrets").code == Exit.USAGE


def test_status_shows_sidecars_and_the_way_in(bench: Bench) -> None:
    """Each pod's sidecar with its state and process, and where the ingress listens."""
    result = bench.rostrum("status")
    assert "ready (200)" in result.out
    assert "http://127.0.0.1:8080" in result.err
