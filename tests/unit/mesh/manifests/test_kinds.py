"""Which kinds and versions are read, and what of a pod, a Service and Strimzi's resources is obeyed or refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from mesh.manifests import ManifestError, read
from mesh.manifests.pods import DeploymentSpec
from mesh.manifests.strimzi import KafkaTopicSpec, KafkaUserSpec
from mesh.manifests.texts import dump_text
from tests.unit.mesh.manifests.test_server_fields import document, reading


def refusal(printed: dict[str, Any]) -> str:
    with pytest.raises(ManifestError) as refused:
        reading(printed)
    assert refused.value.reason == "INVALID_MANIFEST"
    return str(refused.value)


def changed(kind: str, *path: str | int, value: Any) -> dict[str, Any]:
    """The kind's small document with one field set."""
    fields = copy.deepcopy(document(kind))
    at = fields["spec"]
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return fields


POD = ("template", "spec")
CONTAINER = (*POD, "containers", 0)


@pytest.mark.parametrize(
    ("kind", "path", "value"),
    [
        ("Deployment", ("progressDeadlineSeconds",), 600),
        ("Deployment", ("revisionHistoryLimit",), 10),
        ("Deployment", ("strategy",), {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%"}}),
        ("Deployment", ("template", "metadata", "creationTimestamp"), None),
        ("Deployment", (*POD, "dnsPolicy"), "ClusterFirst"),
        ("Deployment", (*POD, "restartPolicy"), "Always"),
        ("Deployment", (*POD, "schedulerName"), "default-scheduler"),
        ("Deployment", (*POD, "securityContext"), {}),
        ("Deployment", (*POD, "terminationGracePeriodSeconds"), 30),
        ("Deployment", (*CONTAINER, "imagePullPolicy"), "IfNotPresent"),
        ("Deployment", (*CONTAINER, "resources"), {}),
        ("Deployment", (*CONTAINER, "terminationMessagePath"), "/dev/termination-log"),
        ("Deployment", (*CONTAINER, "terminationMessagePolicy"), "File"),
        ("Service", ("clusterIPs",), ["10.96.0.10"]),
        ("Service", ("internalTrafficPolicy",), "Cluster"),
        ("Service", ("ipFamilies",), ["IPv4"]),
        ("Service", ("ipFamilyPolicy",), "SingleStack"),
        ("Service", ("sessionAffinity",), "None"),
        ("Service", ("type",), "ClusterIP"),
        ("Service", ("ports", 0, "protocol"), "TCP"),
        ("KafkaTopic", ("replicas",), 3),
    ],
)
def test_what_a_server_fills_in_changes_nothing(kind: str, path: tuple[str | int, ...], value: Any) -> None:
    """Each default of the server is accepted, and the resource is the same as without it."""
    assert reading(changed(kind, *path, value=value)) == reading(document(kind))


@pytest.mark.parametrize(
    ("kind", "path", "value", "message"),
    [
        ("Deployment", ("paused",), True, "spec.paused: is not translated, or no such field"),
        ("Deployment", ("replicas",), "many", "spec.replicas: input should be a valid integer, not 'many'"),
        ("Deployment", ("replicas",), -1, "spec.replicas: input should be greater than or equal to 0"),
        ("Deployment", (*POD, "dnsPolicy"), "None", "spec.template.spec.dnsPolicy: input should be 'ClusterFirst'"),
        ("Deployment", (*POD, "initContainers"), [], "spec.template.spec.initContainers: is not translated"),
        ("Deployment", (*POD, "serviceAccount"), "x", "spec.template.spec.serviceAccount: the same as"),
        ("Deployment", (*CONTAINER, "lifecycle"), {}, "spec.template.spec.containers[0].lifecycle: is not translated"),
        ("Deployment", ("selector", "matchLabels"), {"app": "x"}, "spec: template.metadata.labels: the selector's"),
        ("Service", ("sessionAffinity",), "ClientIP", "spec.sessionAffinity: input should be 'None'"),
        ("Service", ("internalTrafficPolicy",), "Local", "spec.internalTrafficPolicy: input should be 'Cluster'"),
        ("Service", ("externalName",), "x", "spec.externalName: is not translated"),
        ("KafkaTopic", ("partitions",), 0, "spec.partitions: input should be greater than or equal to 1"),
        ("KafkaTopic", ("config", "retention.ms"), [1], "spec.config.retention.ms"),
        ("KafkaUser", ("quotas",), {}, "spec.quotas: is not translated"),
        ("KafkaUser", ("authorization", "acls", 0, "operation"), "Read", "acls[0].operation: is not translated"),
        ("KafkaUser", ("authorization", "acls", 0, "resource"), {"type": "topic"}, "resource: name: is missing"),
    ],
)
def test_what_only_one_of_the_two_would_obey_is_refused(
    kind: str, path: tuple[str | int, ...], value: Any, message: str
) -> None:
    """By field path: a setting that a cluster obeys and a laptop drops would run otherwise here than there."""
    assert message in refusal(changed(kind, *path, value=value))


@pytest.mark.parametrize(
    ("probe", "message"),
    [
        ({"grpc": {"port": 1}, "exec": {"command": ["x"]}}, "readinessProbe: one of grpc, httpGet, exec is expected"),
        ({"periodSeconds": 1}, "readinessProbe: one of grpc, httpGet, exec is expected"),
        ({"tcpSocket": {"port": 1}}, "readinessProbe.tcpSocket: is not translated"),
        ({"httpGet": {"port": 1, "httpHeaders": []}}, "readinessProbe.httpGet.httpHeaders: is not translated"),
        ({"exec": {"command": []}}, "readinessProbe.exec.command: tuple should have at least 1 item"),
    ],
)
def test_a_probe_asks_one_question(probe: dict[str, Any], message: str) -> None:
    """One that the runner can put."""
    assert message in refusal(changed("Deployment", *CONTAINER, "readinessProbe", value=probe))


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        ({"name": "A", "value": "1", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}, "only one of value"),
        ({"name": "A", "valueFrom": {}}, "one of fieldRef, secretKeyRef, configMapKeyRef is expected"),
        ({"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}, "fieldPath: input should be"),
        ({"name": "A", "valueFrom": {"resourceFieldRef": {}}}, "resourceFieldRef: is not translated"),
    ],
)
def test_a_variable_has_one_source(variable: dict[str, Any], message: str) -> None:
    """One that a laptop has, too."""
    assert message in refusal(changed("Deployment", *CONTAINER, "env", value=[variable]))


@pytest.mark.parametrize("version", ["v1", "v1beta2"])
@pytest.mark.parametrize(("kind", "model"), [("KafkaTopic", KafkaTopicSpec), ("KafkaUser", KafkaUserSpec)])
def test_both_versions_of_strimzi(kind: str, model: Any, version: str) -> None:
    """Strimzi 1.x serves v1 alone; older clusters have v1beta2. What is read is the same."""
    found = reading({**document(kind), "apiVersion": f"kafka.strimzi.io/{version}"})
    assert found == reading(document(kind))
    assert len(found.of(model)) == 1


@pytest.mark.parametrize(
    ("api_version", "kind", "message"),
    [
        ("kafka.strimzi.io/v1alpha1", "KafkaTopic", "KafkaTopic has no version v1alpha1: write kafka.strimzi.io/v1"),
        ("networking.istio.io/v2", "VirtualService", "has no version v2: write networking.istio.io/v1"),
        ("kafka.strimzi.io/v1", "KafkaBridge", "kafka.strimzi.io/v1 KafkaBridge: is not translated"),
        ("v1", "Pod", "v1 Pod: is not translated"),
        ("apps/v1beta1", "Deployment", "apps/v1beta1 Deployment: is not translated"),
        ("networking.istio.io/v1", "WorkloadEntry", "workloads are Deployments or StatefulSets"),
    ],
)
def test_other_kinds_and_versions_are_refused(api_version: str, kind: str, message: str) -> None:
    """By name, with what there is."""
    assert message in refusal({"apiVersion": api_version, "kind": kind, "metadata": {"name": "x"}})


def test_a_second_one_is_refused() -> None:
    """Kind, namespace and name are there once, whatever the files."""
    text = dump_text(document("Service"))
    with pytest.raises(ManifestError, match=r"^b\.yaml .*: is declared already in a\.yaml document 1 \(Service team-a"):
        read({"a.yaml": text, "b.yaml": text}, "rostrum")


def test_kustomizations_are_passed_over() -> None:
    """They are for kubectl."""
    kustomization = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": ["x.yaml"]}
    assert reading(kustomization).by_model == {}


def test_a_deployment_is_typed() -> None:
    """What is read of a pod is at hand by its field."""
    (resource,) = reading(document("Deployment")).of(DeploymentSpec)
    assert resource.spec.template.spec.containers[0].command == ("true",)
    assert (resource.namespace, resource.spec.replicas) == ("rostrum", 1)
