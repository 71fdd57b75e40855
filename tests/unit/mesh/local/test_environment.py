"""What of the caller's environment reaches a pod."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mesh.local.environment import Environment
from mesh.local.folders import PodFolder
from mesh.local.manifests import manifests_of
from mesh.manifests import parse_documents, read_documents, read_folders

if TYPE_CHECKING:
    from collections.abc import Mapping

BASE = Path(__file__).resolve().parents[4] / "k8s" / "base"
CALLER = {
    "OPENAI_API_KEY": "s3cret",
    "OLLAMA_HOST": "box",
    "HTTPS_PROXY": "http://proxy:3128",
    "no_proxy": "box",
    "SSL_CERT_FILE": "/ca.pem",
    "REQUESTS_CA_BUNDLE": "/ca.pem",
    "MODEL_CONTEXT_TOKENS": "16384",
    "AWS_SECRET_ACCESS_KEY": "other",
}


def environment(deployment: str, folder: Path) -> Mapping[str, str]:
    found = manifests_of(read_documents(parse_documents(read_folders(BASE), "default")))
    pod = PodFolder(folder, f"{deployment}-0")
    try:
        return Environment(found, folder, "openai:x", CALLER).of(
            found.deployments[deployment], f"{deployment}-0", "127.0.1.1", pod, bootstrap="k:9093", kafka_tls=None
        )
    finally:
        pod.close()


@pytest.mark.parametrize("deployment", ["team-a", "team-b", "moderator"])
def test_who_speaks_with_a_model_can_reach_it(deployment: str, tmp_path: Path) -> None:
    """Address, key, proxy and certificates of a hosted model reach those who call it, and nothing else does."""
    given = environment(deployment, tmp_path)
    assert {name: given.get(name) for name in CALLER} == {**CALLER, "AWS_SECRET_ACCESS_KEY": None}


@pytest.mark.parametrize("deployment", ["model", "embeddings"])
def test_nobody_else_gets_its_key_or_a_proxy(deployment: str, tmp_path: Path) -> None:
    """The servers of embedded models are told neither keys nor proxies."""
    assert not {"OPENAI_API_KEY", "HTTPS_PROXY", "no_proxy", "SSL_CERT_FILE"} & environment(deployment, tmp_path).keys()
