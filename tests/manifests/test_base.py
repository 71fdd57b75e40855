"""k8s/base as it is: whoever adds an agent and forgets a part is told which."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from mesh.bus import topics
from mesh.local.manifests import read

BASE = Path(__file__).resolve().parents[2] / "k8s" / "base"
NOT_AGENTS = {"moderator", "model", "embeddings"}
MANIFESTS = read(BASE)
DEPLOYMENTS = sorted(MANIFESTS.deployments)
AGENTS = sorted(MANIFESTS.deployments.keys() - NOT_AGENTS)


def _container(name: str) -> dict[str, Any]:
    for path in BASE.glob("*.yaml"):
        for document in yaml.safe_load_all(path.read_text("utf-8")):
            if document and document["kind"] == "Deployment" and document["metadata"]["name"] == name:
                container: dict[str, Any] = document["spec"]["template"]["spec"]["containers"][0]
                return container
    raise AssertionError(f"no Deployment {name}")


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_workload_is_whole(name: str) -> None:
    """Every Deployment has its Service, its own ServiceAccount, three probes and limits."""
    deployment = MANIFESTS.deployments[name]
    assert name in MANIFESTS.services, f"{name} has no Service"
    assert MANIFESTS.services[name].selector.items() <= deployment.labels.items()
    assert deployment.service_account == name
    assert deployment.readiness, f"{name} has no readiness probe"
    assert deployment.liveness, f"{name} has no liveness probe"
    assert deployment.startup, f"{name} has no startup probe"
    container = _container(name)
    assert {"cpu", "memory"} <= container["resources"]["limits"].keys()
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert not container["securityContext"]["allowPrivilegeEscalation"]


def test_topics_are_those_of_the_registry() -> None:
    """The KafkaTopics are the turns, each agent's floors and their dead letters, as mesh.bus.topics declares them."""
    read_by_services = [topics.TURNS_TOPIC, *(topics.floors_topic(agent) for agent in AGENTS)]
    wanted = {*read_by_services, *(topics.dead_letters_topic(each) for each in read_by_services)}
    assert {each.name for each in MANIFESTS.topics} == wanted
    for each in MANIFESTS.topics:
        declared = topics.describe(each.name)
        assert each.partitions == declared.partitions, each.name
        assert each.config["retention.ms"] == str(declared.retention_ms), each.name
        assert each.config["max.message.bytes"] == str(declared.max_message_bytes), each.name


def test_kustomization_names_every_file() -> None:
    """kubectl apply -k takes every file that the runner reads."""
    named = yaml.safe_load((BASE / "kustomization.yaml").read_text("utf-8"))["resources"]
    assert set(named) == {path.name for path in BASE.glob("*.yaml")} - {"kustomization.yaml"}
