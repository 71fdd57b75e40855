"""What a laptop runs of the manifests: Deployments, and what their pods and the broker are given.

Owns what only a laptop asks of them: one container a pod, a command, references that lead somewhere. What the files say
is read in `mesh.manifests`. Called by `mesh.local.system`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from mesh.local.broker import Topic
from mesh.local.identities import KAFKA_BROKER, KAFKA_RUNNER
from mesh.local.rights import CLUSTER, Right
from mesh.manifests import Resource, Resources, parse_documents, read_documents, read_folders
from mesh.manifests.kubernetes import ConfigMapSpec, ServiceAccountSpec, Workload, workload_of
from mesh.manifests.pods import DeploymentSpec, StatefulSetSpec
from mesh.manifests.strimzi import KafkaTopicSpec, KafkaUserSpec


@dataclass(frozen=True)
class Manifests:
    """All that is run. Service accounts are names; config maps are data by name."""

    deployments: Mapping[str, Workload] = field(default_factory=dict)
    service_accounts: frozenset[str] = frozenset()
    config_maps: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    topics: tuple[Topic, ...] = ()
    kafka_users: Mapping[str, tuple[Right, ...]] = field(default_factory=dict)
    """What each KafkaUser may do. A pod whose service account has such a name gets its certificate for Kafka."""


def read(folder: Path) -> Manifests:
    """Reads every .yaml below `folder`. Raises ManifestError, which names file, document and field."""
    return manifests_of(read_documents(parse_documents(read_folders(folder), "default")))


def manifests_of(resources: Resources) -> Manifests:
    """Returns what is run of these resources. Raises ManifestError."""
    for stateful_set in resources.of(StatefulSetSpec):
        raise stateful_set.refuse("", "a laptop runs Deployments alone: declare one")
    topics = tuple(_topic(topic) for topic in resources.of(KafkaTopicSpec))
    names = {topic.name for topic in topics}
    manifests = Manifests(
        service_accounts=frozenset(account.name for account in resources.of(ServiceAccountSpec)),
        config_maps={config_map.name: config_map.spec.data for config_map in resources.of(ConfigMapSpec)},
        topics=topics,
        kafka_users={user.name: tuple(_rights(user, names)) for user in resources.of(KafkaUserSpec)},
    )
    deployments = {}
    for deployment in resources.of(DeploymentSpec):
        _check_deployment(deployment, manifests)
        deployments[deployment.name] = workload_of(deployment)
    return replace(manifests, deployments=deployments)


def _check_deployment(resource: Resource[DeploymentSpec], manifests: Manifests) -> None:
    spec, pod = resource.spec, resource.spec.template.spec
    if spec.selector is None:
        raise resource.refuse("selector", "is missing: add matchLabels with labels of the pods")
    if pod.service_account_name not in manifests.service_accounts:
        what = f"there is no ServiceAccount {pod.service_account_name!r}: add it, or name another"
        raise resource.refuse("template.spec.serviceAccountName", what)
    if len(pod.containers) != 1:
        what = f"exactly one container is expected, not {len(pod.containers)}"
        raise resource.refuse("template.spec.containers", what)
    path, container = "template.spec.containers[0]", pod.containers[0]
    if not container.name:
        raise resource.refuse(f"{path}.name", "is missing: add it")
    if not container.command and not workload_of(resource).is_gateway:
        raise resource.refuse(f"{path}.command", "is missing: write what is run")
    ports = {port.label for port in container.ports}
    for name, probe in (
        ("readinessProbe", container.readiness_probe),
        ("livenessProbe", container.liveness_probe),
        ("startupProbe", container.startup_probe),
    ):
        port = None if probe is None or probe.http_get is None else probe.http_get.port
        if isinstance(port, str) and port not in ports:
            what = f"the container has no port {port!r}: name one that it has"
            raise resource.refuse(f"{path}.{name}.httpGet.port", what)
    sources = [(f"envFrom[{number}]", source.config_map_ref.name) for number, source in enumerate(container.env_from)]
    for number, variable in enumerate(container.env):
        if variable.value_from is not None and variable.value_from.config_map_key_ref is not None:
            sources.append((f"env[{number}]", variable.value_from.config_map_key_ref.name))
    for field_path, name in sources:
        if name not in manifests.config_maps:
            raise resource.refuse(f"{path}.{field_path}", f"there is no ConfigMap {name!r}: add it, or name another")


def _topic(resource: Resource[KafkaTopicSpec]) -> Topic:
    spec = resource.spec
    # One replica, and none that must be in sync: there is one node here; what the manifest says is for the cluster.
    config = {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in spec.config.items()
        if name != "min.insync.replicas"
    }
    return Topic(spec.topic_name or resource.name, spec.partitions, 1, config)


def _rights(user: Resource[KafkaUserSpec], topics: set[str]) -> Iterator[Right]:
    if user.name in {KAFKA_BROKER, KAFKA_RUNNER}:
        raise user.refuse("", f"{user.name} is the name of the broker or the runner itself: take another")
    for number, acl in enumerate(user.spec.authorization.acls):
        resource, is_prefix = acl.resource, acl.resource.pattern_type == "prefix"
        name = CLUSTER if resource.type == "cluster" else resource.name
        if resource.type == "topic" and not is_prefix and name not in {*topics, "*"}:
            what = f"there is no KafkaTopic {name!r}: add it, or name another"
            raise user.refuse(f"authorization.acls[{number}].resource.name", what)
        for operation in acl.operations:
            yield Right(user.name, resource.type, name, is_prefix, operation)
