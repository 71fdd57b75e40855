"""k8s/base as frozen dataclasses: the same plain YAML that kubectl reads, and nothing that only a laptop knows.

A kind or field that is not listed here is refused by file, document and field, never ignored: a setting that a
cluster obeys and a laptop drops without a word would break the promise that both run the same. Fields that mean
something to a cluster alone (resources, security contexts, strategy) are read and kept out of the dataclasses.
`read` is the only entrance; `mesh.local.runner` turns its answer into processes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mesh.local.broker import Topic
from mesh.local.errors import ManifestError
from mesh.local.identities import KAFKA_BROKER, KAFKA_RUNNER
from mesh.local.rights import CLUSTER, OPERATIONS, RESOURCE_TYPES, Right
from mesh.manifests.document import yaml_values
from mesh.manifests.errors import ManifestError as MeshManifestError


@dataclass(frozen=True)
class Probe:
    """How to ask a container whether it is well: exactly one of grpc_port, http_port, command, check is set."""

    grpc_port: int | None = None
    grpc_service: str = ""
    http_port: int | None = None
    http_path: str = "/"
    command: tuple[str, ...] = ()
    check: Callable[[], Awaitable[bool]] | None = None
    """A question of the runner's own, which no manifest has."""
    period_seconds: float = 10.0
    timeout_seconds: float = 1.0
    failure_threshold: int = 3
    initial_delay_seconds: float = 0.0


@dataclass(frozen=True)
class EnvVar:
    """One variable: a value, or where it comes from. `secret` and `config` are (name, key)."""

    name: str
    value: str = ""
    field_path: str = ""
    secret: tuple[str, str] | None = None
    config: tuple[str, str] | None = None
    optional: bool = False


@dataclass(frozen=True)
class Deployment:
    """A workload of one container. `env_from` are names of ConfigMaps; `ports` by name.

    `is_gateway`: the pod is its proxy (annotation inject.istio.io/templates: gateway), so it has no command.
    """

    name: str
    replicas: int
    labels: Mapping[str, str]
    service_account: str
    command: tuple[str, ...]
    env: tuple[EnvVar, ...]
    env_from: tuple[str, ...]
    ports: Mapping[str, int]
    readiness: Probe | None
    liveness: Probe | None
    startup: Probe | None
    grace_seconds: float
    is_gateway: bool = False


@dataclass(frozen=True)
class Service:
    """A name that others dial. `ports` maps its port numbers to target ports (numbers or names)."""

    name: str
    selector: Mapping[str, str]
    ports: Mapping[int, str]


@dataclass(frozen=True)
class Manifests:
    """All of a folder. Service accounts are names; config maps are data by name."""

    deployments: Mapping[str, Deployment] = field(default_factory=dict)
    services: Mapping[str, Service] = field(default_factory=dict)
    service_accounts: frozenset[str] = frozenset()
    config_maps: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    topics: tuple[Topic, ...] = ()
    kafka_users: Mapping[str, tuple[Right, ...]] = field(default_factory=dict)
    """What each KafkaUser may do. A pod whose service account has such a name gets its certificate for Kafka."""


class _Fields:
    """A YAML mapping that must be read whole: `done` refuses what nobody asked for."""

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            raise ManifestError(f"{where}: a mapping is expected here")
        self._left: dict[str, Any] = dict(value)
        self.where = where

    def text(self, name: str, default: str | None = None) -> str:
        value = self._take(name, default)
        if not isinstance(value, str):
            raise ManifestError(f"{self.where}.{name}: a text is expected, not {value!r}")
        return value

    def number(self, name: str, default: int | None = None) -> int:
        value = self._take(name, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise ManifestError(f"{self.where}.{name}: a whole number is expected, not {value!r}")
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        value = self._take(name, default)
        if not isinstance(value, bool):
            raise ManifestError(f"{self.where}.{name}: true or false is expected, not {value!r}")
        return value

    def inner(self, name: str) -> _Fields:
        return _Fields(self._take(name, None), f"{self.where}.{name}")

    def maybe(self, name: str) -> _Fields | None:
        return self.inner(name) if name in self._left else None

    def items(self, name: str, *, required: bool = False) -> Iterator[_Fields]:
        for index, each in enumerate(self._list(name, required=required)):
            yield _Fields(each, f"{self.where}.{name}[{index}]")

    def texts(self, name: str, *, required: bool = False) -> tuple[str, ...]:
        found = self._list(name, required=required)
        if not all(isinstance(each, str) for each in found):
            raise ManifestError(f"{self.where}.{name}: a list of texts is expected")
        return tuple(found)

    def mapping(self, name: str, *, required: bool = False) -> dict[str, str]:
        value = self._take(name, None if required else {})
        if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
            raise ManifestError(f"{self.where}.{name}: a mapping of texts is expected (quote numbers)")
        return {str(key): each for key, each in value.items()}

    def scalars(self, name: str) -> dict[str, str]:
        value = self._take(name, {})
        if not isinstance(value, dict) or not all(isinstance(each, str | int) for each in value.values()):
            raise ManifestError(f"{self.where}.{name}: a mapping of texts and numbers is expected")
        return {str(key): str(each).lower() if isinstance(each, bool) else str(each) for key, each in value.items()}

    def cluster_only(self, *names: str) -> None:
        """Takes fields that only a cluster obeys."""
        for name in names:
            self._left.pop(name, None)

    def done(self) -> None:
        if self._left:
            name = next(iter(self._left))
            raise ManifestError(f"{self.where}.{name}: the local runner does not know this field")

    def _take(self, name: str, default: object) -> Any:
        value = self._left.pop(name, default)
        if value is None:
            raise ManifestError(f"{self.where}.{name}: is missing")
        return value

    def _list(self, name: str, *, required: bool) -> list[Any]:
        value = self._take(name, None if required else [])
        if not isinstance(value, list) or (required and not value):
            raise ManifestError(f"{self.where}.{name}: a list is expected")
        return value


def read(folder: Path) -> Manifests:
    """Reads every .yaml below `folder`. Raises ManifestError, which names file, document and field."""
    files = sorted(folder.rglob("*.yaml")) if folder.is_dir() else []
    if not files:
        raise ManifestError(f"There are no manifests in {folder}: give the folder of k8s/base.")
    found = _Found()
    for path in files:
        try:
            documents = yaml_values(path.read_text(encoding="utf-8"), str(path))
        except (OSError, UnicodeDecodeError) as error:
            raise ManifestError(f"{path}: cannot be read: {error}") from error
        except MeshManifestError as error:
            raise ManifestError(str(error)) from error
        for number, document in enumerate(documents, start=1):
            if document is not None:
                found.add(document, f"{path} document {number}")
    return found.checked(folder)


def with_deployments(manifests: Manifests, more: Mapping[str, Mapping[str, Any]], where: str) -> Manifests:
    """Returns the same with further Deployments, by name. Raises ManifestError."""
    deployments = dict(manifests.deployments)
    for name, fields in more.items():
        place = f"{where} (Deployment {name})"
        if name in deployments:
            raise ManifestError(f"{place}: runs here already: give it another name, or change its file and start anew")
        deployments[name] = _deployment(name, _Fields({"spec": fields.get("spec")}, place).inner("spec"))
        _check_references(deployments[name], place, manifests.service_accounts, manifests.config_maps.keys())
    return replace(manifests, deployments=deployments)


def _check_references(deployment: Deployment, where: str, accounts: Set[str], config_maps: Set[str]) -> None:
    if deployment.service_account not in accounts:
        raise ManifestError(f"{where}: there is no ServiceAccount {deployment.service_account!r}")
    maps = {*deployment.env_from, *(each.config[0] for each in deployment.env if each.config)}
    for name in sorted(maps - config_maps):
        raise ManifestError(f"{where}: there is no ConfigMap {name!r}")


class _Found:
    def __init__(self) -> None:
        self.deployments: dict[str, Deployment] = {}
        self.services: dict[str, Service] = {}
        self.accounts: set[str] = set()
        self.config_maps: dict[str, dict[str, str]] = {}
        self.topics: list[Topic] = []
        self.users: dict[str, tuple[Right, ...]] = {}

    def add(self, document: object, where: str) -> None:
        fields = _Fields(document, where)
        api, kind = fields.text("apiVersion"), fields.text("kind")
        if kind == "Kustomization":
            return
        where = f"{where} ({kind})"
        fields.where = where
        meta = fields.inner("metadata")
        name = meta.text("name")
        meta.cluster_only("namespace", "labels", "annotations")
        meta.done()
        match api, kind:
            case "v1", "Namespace":
                fields.cluster_only("spec")
            case "v1", "ServiceAccount":
                fields.cluster_only("automountServiceAccountToken")
                self.accounts.add(name)
            case "v1", "ConfigMap":
                self.config_maps[name] = fields.mapping("data")
            case "v1", "Service":
                self.services[name] = _service(name, fields.inner("spec"))
            case "apps/v1", "Deployment":
                self.deployments[name] = _deployment(name, fields.inner("spec"))
            case "kafka.strimzi.io/v1beta2", "KafkaTopic":
                self.topics.append(_topic(name, fields.inner("spec")))
            case "kafka.strimzi.io/v1beta2", "KafkaUser":
                self.users[name] = _kafka_user(name, fields.inner("spec"))
            case _:
                raise ManifestError(f"{where}: the local runner does not know {api} {kind}")
        fields.done()

    def checked(self, folder: Path) -> Manifests:
        for deployment in self.deployments.values():
            _check_references(
                deployment, f"{folder}: Deployment {deployment.name}", self.accounts, self.config_maps.keys()
            )
        topics = {topic.name for topic in self.topics}
        for user, rights in self.users.items():
            for right in rights:
                if right.resource_type == "topic" and not right.prefix and right.name not in {*topics, "*"}:
                    raise ManifestError(f"{folder}: KafkaUser {user}: there is no KafkaTopic {right.name!r}")
        return Manifests(
            self.deployments, self.services, frozenset(self.accounts), self.config_maps, tuple(self.topics), self.users
        )


def _topic(name: str, spec: _Fields) -> Topic:
    topic = Topic(
        name=spec.text("topicName", name),
        partitions=spec.number("partitions", 1),
        replicas=1,  # one node here; what the manifest says is for the cluster
        config={key: value for key, value in spec.scalars("config").items() if key != "min.insync.replicas"},
    )
    spec.cluster_only("replicas")
    spec.done()
    return topic


def _kafka_user(name: str, spec: _Fields) -> tuple[Right, ...]:
    if name in {KAFKA_BROKER, KAFKA_RUNNER}:
        raise ManifestError(f"{spec.where}: {name} is the name of the broker or the runner itself: take another")
    authentication = spec.inner("authentication")
    if (kind := authentication.text("type")) != "tls":
        raise ManifestError(f"{authentication.where}.type: only tls is known here, not {kind!r}")
    authentication.done()
    authorization = spec.inner("authorization")
    if (kind := authorization.text("type")) != "simple":
        raise ManifestError(f"{authorization.where}.type: only simple is known here, not {kind!r}")
    rights = tuple(right for acl in authorization.items("acls", required=True) for right in _rights(name, acl))
    authorization.done()
    spec.done()
    return rights


def _rights(user: str, acl: _Fields) -> Iterator[Right]:
    if (kind := acl.text("type", "allow")) != "allow":
        raise ManifestError(f"{acl.where}.type: only allow is known here, not {kind!r}: allow less instead")
    if (host := acl.text("host", "*")) != "*":
        raise ManifestError(f"{acl.where}.host: only '*' is known here, not {host!r}: the certificate says who it is")
    resource = acl.inner("resource")
    found = resource.text("type")
    of_type = next((each for each in RESOURCE_TYPES if each == found), None)
    if of_type is None:
        raise ManifestError(f"{resource.where}.type: one of {', '.join(RESOURCE_TYPES)} is expected, not {found!r}")
    name = CLUSTER if of_type == "cluster" else resource.text("name")
    pattern = resource.text("patternType", "literal")
    if pattern not in {"literal", "prefix"}:
        raise ManifestError(f"{resource.where}.patternType: literal or prefix is expected, not {pattern!r}")
    resource.done()
    for operation in acl.texts("operations", required=True):
        if operation not in OPERATIONS:
            raise ManifestError(f"{acl.where}.operations: {operation!r} is none of {', '.join(OPERATIONS)}")
        yield Right(user, of_type, name, pattern == "prefix", operation)
    acl.done()


def _service(name: str, spec: _Fields) -> Service:
    ports: dict[int, str] = {}
    for port in spec.items("ports", required=True):
        number = port.number("port")
        target = port._take("targetPort", number)  # a number or a name
        ports[number] = str(target)
        port.cluster_only("name", "protocol", "appProtocol")
        port.done()
    service = Service(name, spec.mapping("selector", required=True), ports)
    spec.cluster_only("clusterIP", "type", "publishNotReadyAddresses")
    spec.done()
    return service


def _deployment(name: str, spec: _Fields) -> Deployment:
    replicas = spec.number("replicas", 1)
    selector = spec.inner("selector")
    wanted = selector.mapping("matchLabels", required=True)
    selector.done()
    spec.cluster_only("strategy", "revisionHistoryLimit", "minReadySeconds", "progressDeadlineSeconds")
    template = spec.inner("template")
    spec.done()
    meta = template.inner("metadata")
    labels = meta.mapping("labels", required=True)
    is_gateway = meta.mapping("annotations").get("inject.istio.io/templates") == "gateway"
    meta.done()
    if wanted.items() - labels.items():
        raise ManifestError(f"{meta.where}.labels: the selector's labels are missing")
    pod = template.inner("spec")
    template.done()
    account = pod.text("serviceAccountName")
    grace = pod.number("terminationGracePeriodSeconds", 30)
    pod.cluster_only("automountServiceAccountToken", "securityContext", "volumes", "affinity")
    pod.cluster_only("topologySpreadConstraints", "enableServiceLinks")
    containers = list(pod.items("containers", required=True))
    pod.done()
    if len(containers) != 1:
        raise ManifestError(f"{pod.where}.containers: exactly one container is expected")
    box = containers[0]
    box.text("name")
    box.cluster_only("image", "imagePullPolicy", "resources", "securityContext", "volumeMounts")
    ports = {}
    for port in box.items("ports"):
        number = port.number("containerPort")
        ports[port.text("name", str(number))] = number
        port.cluster_only("protocol")
        port.done()
    env_from = []
    for source in box.items("envFrom"):
        reference = source.inner("configMapRef")
        env_from.append(reference.text("name"))
        reference.done()
        source.done()
    deployment = Deployment(
        name=name,
        replicas=replicas,
        labels=labels,
        service_account=account,
        command=box.texts("command", required=not is_gateway) + box.texts("args"),
        env=tuple(_env(each) for each in box.items("env")),
        env_from=tuple(env_from),
        ports=ports,
        readiness=_probe(box.maybe("readinessProbe"), ports),
        liveness=_probe(box.maybe("livenessProbe"), ports),
        startup=_probe(box.maybe("startupProbe"), ports),
        grace_seconds=grace,
        is_gateway=is_gateway,
    )
    box.done()
    return deployment


def _env(each: _Fields) -> EnvVar:
    name = each.text("name")
    source = each.maybe("valueFrom")
    if source is None:
        variable = EnvVar(name, value=each.text("value", ""))
        each.done()
        return variable
    each.done()
    if (reference := source.maybe("fieldRef")) is not None:
        path = reference.text("fieldPath")
        if path not in {"metadata.name", "status.podIP"}:
            raise ManifestError(f"{reference.where}.fieldPath: only metadata.name and status.podIP are known")
        variable = EnvVar(name, field_path=path)
    elif (reference := source.maybe("secretKeyRef")) is not None:
        pair = (reference.text("name"), reference.text("key"))
        variable = EnvVar(name, secret=pair, optional=reference.flag("optional", default=False))
    else:
        reference = source.inner("configMapKeyRef")
        pair = (reference.text("name"), reference.text("key"))
        variable = EnvVar(name, config=pair, optional=reference.flag("optional", default=False))
    reference.done()
    source.done()
    return variable


def _probe(probe: _Fields | None, ports: Mapping[str, int]) -> Probe | None:
    if probe is None:
        return None
    times: dict[str, Any] = {
        "period_seconds": float(probe.number("periodSeconds", 10)),
        "timeout_seconds": float(probe.number("timeoutSeconds", 1)),
        "failure_threshold": probe.number("failureThreshold", 3),
        "initial_delay_seconds": float(probe.number("initialDelaySeconds", 0)),
    }
    probe.cluster_only("successThreshold", "terminationGracePeriodSeconds")
    if (how := probe.maybe("grpc")) is not None:
        result = Probe(grpc_port=how.number("port"), grpc_service=how.text("service", ""), **times)
    elif (how := probe.maybe("httpGet")) is not None:
        port = how._take("port", None)  # a number or a name
        number = ports.get(str(port), port)
        if not isinstance(number, int):
            raise ManifestError(f"{how.where}.port: the container has no port {port!r}")
        result = Probe(http_port=number, http_path=how.text("path", "/"), **times)
        how.cluster_only("scheme")
    else:
        how = probe.inner("exec")
        result = Probe(command=how.texts("command", required=True), **times)
    how.done()
    probe.done()
    return result
