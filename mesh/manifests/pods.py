"""Pods as Deployments and StatefulSets declare them: their containers, variables, ports and probes.

What both a cluster and a laptop have is a field that is read; what a cluster alone obeys is accepted and not kept;
what its server fills in where a file says nothing is accepted with that value. All else is refused by name.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from mesh.manifests.document import ClusterOnly, Spec


class ContainerPort(Spec):
    """One port of a container."""

    name: str = ""
    container_port: int
    protocol: ClusterOnly = None

    @property
    def label(self) -> str:
        """Its name, or its number if it has none."""
        return self.name or str(self.container_port)


class FieldRef(Spec):
    """A field of the pod."""

    field_path: Literal["metadata.name", "status.podIP"]
    api_version: Literal["v1"] = "v1"


class KeyRef(Spec):
    """A key of a Secret or ConfigMap."""

    name: str
    key: str
    optional: bool = False


class EnvSource(Spec):
    """Where a variable's value comes from: one of these."""

    field_ref: FieldRef | None = None
    secret_key_ref: KeyRef | None = None
    config_map_key_ref: KeyRef | None = None

    @model_validator(mode="after")
    def _one(self) -> EnvSource:
        if sum(source is not None for source in (self.field_ref, self.secret_key_ref, self.config_map_key_ref)) != 1:
            raise ValueError("one of fieldRef, secretKeyRef, configMapKeyRef is expected: write one")
        return self


class EnvVar(Spec):
    """One variable: a value, or where it comes from."""

    name: str
    value: str = ""
    value_from: EnvSource | None = None

    @model_validator(mode="after")
    def _one(self) -> EnvVar:
        if self.value and self.value_from is not None:
            raise ValueError("only one of value and valueFrom can be obeyed: keep one")
        return self


class ConfigMapRef(Spec):
    """A ConfigMap, all of whose keys are variables."""

    name: str


class EnvFrom(Spec):
    """A source of variables."""

    config_map_ref: ConfigMapRef


class GrpcProbe(Spec):
    """gRPC's health check."""

    port: int
    service: str = ""


class HttpProbe(Spec):
    """A GET. The port is a number or the name of a port of the container."""

    port: int | str
    path: str = "/"
    scheme: ClusterOnly = None


class ExecProbe(Spec):
    """A command that ends with 0."""

    command: tuple[str, ...] = Field(min_length=1)


class Probe(Spec):
    """How to ask a container whether it is well: one of grpc, httpGet, exec."""

    grpc: GrpcProbe | None = None
    http_get: HttpProbe | None = None
    exec: ExecProbe | None = None
    period_seconds: int = 10
    timeout_seconds: int = 1
    failure_threshold: int = 3
    initial_delay_seconds: int = 0
    success_threshold: ClusterOnly = None
    termination_grace_period_seconds: ClusterOnly = None

    @model_validator(mode="after")
    def _one(self) -> Probe:
        if sum(question is not None for question in (self.grpc, self.http_get, self.exec)) != 1:
            raise ValueError("one of grpc, httpGet, exec is expected: write one")
        return self


class Container(Spec):
    """The process of a pod."""

    name: str = ""
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: tuple[EnvVar, ...] = ()
    env_from: tuple[EnvFrom, ...] = ()
    ports: tuple[ContainerPort, ...] = ()
    readiness_probe: Probe | None = None
    liveness_probe: Probe | None = None
    startup_probe: Probe | None = None
    image: ClusterOnly = None
    image_pull_policy: ClusterOnly = None
    resources: ClusterOnly = None
    security_context: ClusterOnly = None
    volume_mounts: ClusterOnly = None
    termination_message_path: ClusterOnly = None
    termination_message_policy: ClusterOnly = None


def _forget_older_name(value: object, info: ValidationInfo) -> None:
    if value != info.data.get("service_account_name"):
        raise ValueError("the same as serviceAccountName is expected: write that alone")


class PodSpec(Spec):
    """Account and containers of a pod."""

    service_account_name: str = "default"
    service_account: Annotated[Any, AfterValidator(_forget_older_name)] = None
    """The older name of the same, which a server fills in."""
    termination_grace_period_seconds: int = 30
    containers: tuple[Container, ...] = ()
    automount_service_account_token: ClusterOnly = None
    security_context: ClusterOnly = None
    volumes: ClusterOnly = None
    affinity: ClusterOnly = None
    topology_spread_constraints: ClusterOnly = None
    enable_service_links: ClusterOnly = None
    dns_policy: Literal["ClusterFirst"] = "ClusterFirst"
    restart_policy: Literal["Always"] = "Always"
    scheduler_name: Literal["default-scheduler"] = "default-scheduler"


class PodMetadata(Spec):
    """Labels and annotations of a pod."""

    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class PodTemplate(Spec):
    """A workload's pods."""

    metadata: PodMetadata = PodMetadata()
    spec: PodSpec = PodSpec()


class LabelSelector(Spec):
    """The pods that are the workload's own."""

    match_labels: dict[str, str] = Field(min_length=1)


class WorkloadSpec(Spec):
    """What a Deployment and a StatefulSet have in common."""

    replicas: Annotated[int, Field(ge=0)] = 1
    selector: LabelSelector | None = None
    template: PodTemplate = PodTemplate()
    min_ready_seconds: ClusterOnly = None
    revision_history_limit: ClusterOnly = None

    @model_validator(mode="after")
    def _selects_its_own(self) -> WorkloadSpec:
        if self.selector is not None and self.selector.match_labels.items() - self.template.metadata.labels.items():
            raise ValueError("template.metadata.labels: the selector's labels are missing: add them")
        return self


class DeploymentSpec(WorkloadSpec):
    """spec of a Deployment."""

    strategy: ClusterOnly = None
    progress_deadline_seconds: ClusterOnly = None


class StatefulSetSpec(WorkloadSpec):
    """spec of a StatefulSet."""

    service_name: ClusterOnly = None
    pod_management_policy: ClusterOnly = None
    update_strategy: ClusterOnly = None
    volume_claim_templates: ClusterOnly = None
    persistent_volume_claim_retention_policy: ClusterOnly = None
