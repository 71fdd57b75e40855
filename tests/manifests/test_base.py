"""k8s/base as it is: whoever adds an agent and forgets a part is notified which."""

from __future__ import annotations

import pytest
import yaml

from mesh.bus.topics import Topic
from mesh.manifests.texts import parse_text
from tests.manifests import sources
from tests.manifests.sources import AGENTS, BASE, HOSTS, ISTIO, MANIFESTS, WORKLOADS, of_kind, the
from tests.support.topics import declared_topics


@pytest.mark.parametrize("name", WORKLOADS)
def test_workload_is_whole(name: str) -> None:
    """Every Deployment has its Service, its own ServiceAccount, three probes and limits."""
    deployment = MANIFESTS.deployments[name]
    container = deployment.container
    assert name in HOSTS, f"{name} has no Service"
    assert HOSTS[name].selector.items() <= deployment.labels.items()
    assert deployment.service_account == name
    # Istio's injection gives a gateway its probes, with its image and command.
    assert container.readiness_probe or deployment.is_gateway, f"{name} has no readiness probe"
    assert container.liveness_probe or deployment.is_gateway, f"{name} has no liveness probe"
    assert container.startup_probe or deployment.is_gateway, f"{name} has no startup probe"
    declared = the("Deployment", name)["spec"]["template"]["spec"]["containers"][0]
    assert {"cpu", "memory"} <= declared["resources"]["limits"].keys()
    assert declared["securityContext"]["readOnlyRootFilesystem"]
    assert not declared["securityContext"]["allowPrivilegeEscalation"]


@pytest.mark.parametrize("name", WORKLOADS)
def test_a_deployment_says_what_it_is_for(name: str) -> None:
    """Its label app.kubernetes.io/component makes an agent one: without it `rostrum ask` knows of none."""
    known = {"agent", "moderator", "model", "gateway"}
    assert MANIFESTS.deployments[name].component in known, f"{name} has no label app.kubernetes.io/component"


def test_topics_are_those_that_the_protos_declare() -> None:
    """The KafkaTopics are the topics that messages declare, those of agents once each, and their dead letters."""
    declared: dict[str, Topic] = {}
    for declaration in declared_topics():
        for one in [declaration.of(agent) for agent in AGENTS] if declaration.is_of_agents else [declaration]:
            declared |= {one.name: one, one.dead_letters.name: one.dead_letters}
    assert {topic.name for topic in MANIFESTS.topics} == declared.keys()
    for topic in MANIFESTS.topics:
        wanted = declared[topic.name]
        assert topic.partitions == wanted.partitions, topic.name
        assert topic.config["retention.ms"] == str(wanted.retention_ms), topic.name
        assert topic.config["max.message.bytes"] == str(wanted.max_message_bytes), topic.name


def test_kustomization_names_every_file() -> None:
    """kubectl apply -k takes every file that the runner reads."""
    named = sources.kustomization_of(BASE)["resources"]
    assert set(named) == {path.name for path in BASE.glob("*.yaml")} - {"kustomization.yaml"}


@pytest.mark.parametrize("name", sorted(HOSTS))
def test_ports_say_their_protocol(name: str) -> None:
    """Each port of a Service says what it speaks: by its name and by appProtocol, so that nobody has to guess."""
    for port in the("Service", name)["spec"]["ports"]:
        assert port.get("appProtocol") in {"grpc", "http"}, f"{name} port {port['port']}"
        assert port["name"].split("-")[0] == port["appProtocol"]


def test_only_the_ingress_is_a_gateway() -> None:
    """Every other pod has an app behind its sidecar."""
    assert [name for name in WORKLOADS if MANIFESTS.deployments[name].is_gateway] == ["ingress"]


def test_every_pod_is_in_the_mesh() -> None:
    """The namespace asks for sidecars and no pod opts out."""
    assert the("Namespace", "rostrum")["metadata"]["labels"]["istio-injection"] == "enabled"
    for name, deployment in of_kind("Deployment").items():
        assert deployment["spec"]["template"]["metadata"]["labels"].get("sidecar.istio.io/inject") != "false", name


def test_every_reader_reads_the_same() -> None:
    """Kubernetes takes YAML 1.1, where 0440 is octal and `on` is true; ours takes 1.2. No manifest differs by that."""
    for file, text in sources.texts(BASE, ISTIO).items():
        assert parse_text(text, file) == list(yaml.safe_load_all(text)), file
