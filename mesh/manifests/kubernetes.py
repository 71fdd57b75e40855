"""Kubernetes' own kinds beside workloads, and what a mesh sees of them: hosts with ports, and the pods behind them.

Owns which protocol a port speaks. The models of pods are in `mesh.manifests.pods`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from mesh.manifests import names
from mesh.manifests.document import ClusterOnly, Resource, Spec, TopLevelSpec
from mesh.manifests.pods import Container, PodSpec, WorkloadSpec

if TYPE_CHECKING:
    from collections.abc import Mapping


COMPONENT = "app.kubernetes.io/component"
"""The label of a workload that says what it is for (Kubernetes' recommended labels)."""


class ServicePortSpec(Spec):
    """spec.ports[] of a Service."""

    name: str = ""
    port: int
    target_port: int | str | None = None
    protocol: str = "TCP"
    app_protocol: str = ""


class ServiceSpec(Spec):
    """spec of a Service."""

    selector: dict[str, str] = Field(default_factory=dict)
    ports: tuple[ServicePortSpec, ...] = ()
    cluster_ip: str = Field(default="", alias="clusterIP")
    type: ClusterOnly = None
    publish_not_ready_addresses: ClusterOnly = None
    cluster_ips: ClusterOnly = Field(default=None, alias="clusterIPs")
    ip_families: ClusterOnly = None
    ip_family_policy: ClusterOnly = None
    internal_traffic_policy: Literal["Cluster"] = "Cluster"
    session_affinity: Literal["None"] = "None"


class NamespaceSpec(Spec):
    """spec of a Namespace: nothing that matters here."""

    finalizers: ClusterOnly = None


class ServiceAccountSpec(TopLevelSpec):
    """A ServiceAccount, which has no spec."""

    automount_service_account_token: ClusterOnly = None
    secrets: ClusterOnly = None
    image_pull_secrets: ClusterOnly = None


class ConfigMapSpec(TopLevelSpec):
    """A ConfigMap, which has no spec."""

    data: dict[str, str] = Field(default_factory=dict)
    immutable: ClusterOnly = None


class Protocol(Enum):
    """What a port speaks; istiod's protocol.Instance."""

    HTTP = "HTTP"
    HTTP2 = "HTTP2"
    GRPC = "GRPC"
    GRPC_WEB = "GRPC-Web"
    HTTPS = "HTTPS"
    TLS = "TLS"
    TCP = "TCP"
    MONGO = "Mongo"
    REDIS = "Redis"
    MYSQL = "MySQL"
    AUTO = "unsupported"

    @property
    def is_http(self) -> bool:
        """Whether a port of it gets the HTTP filter chain."""
        return self in {Protocol.HTTP, Protocol.HTTP2, Protocol.GRPC, Protocol.GRPC_WEB}

    @property
    def is_http2(self) -> bool:
        """Whether clusters of it speak HTTP/2."""
        return self in {Protocol.HTTP2, Protocol.GRPC, Protocol.GRPC_WEB}


_APP_PROTOCOLS = {
    "kubernetes.io/h2c": Protocol.HTTP2,
    "kubernetes.io/ws": Protocol.HTTP,
    "kubernetes.io/wss": Protocol.HTTPS,
}
_BY_NAME = {protocol.value.lower(): protocol for protocol in Protocol if protocol is not Protocol.AUTO}
_SERVER_FIRST_PORTS = frozenset({25, 53, 3306, 27017})


def protocol_of(name: str, port: int, app_protocol: str = "") -> Protocol:
    """What a Service's port speaks: appProtocol, else the part of its name before the first "-".

    Source: istio/istio pkg/config/kube/conversion.go, ConvertProtocol.
    """
    if app_protocol in _APP_PROTOCOLS:
        return _APP_PROTOCOLS[app_protocol]
    said = (app_protocol or name).lower()
    if said == "grpc-web" or said.startswith("grpc-web-"):
        return Protocol.GRPC_WEB
    found = _BY_NAME.get(re.split("-", said, maxsplit=1)[0])
    if found is None:
        return Protocol.TCP if port in _SERVER_FIRST_PORTS else Protocol.AUTO
    return found


@dataclass(frozen=True)
class ServicePort:
    """One port of a host, as others dial it. `target` is a number or a container port's name."""

    name: str
    number: int
    target: int | str
    protocol: Protocol


@dataclass(frozen=True)
class Service:
    """A host of the mesh that is a Kubernetes Service. `vip` is empty if it is headless."""

    name: str
    namespace: str
    selector: Mapping[str, str]
    ports: tuple[ServicePort, ...]
    headless: bool
    where: str

    @property
    def host(self) -> str:
        """Its fully qualified name."""
        return names.fqdn(self.name, self.namespace)

    def port(self, number: int) -> ServicePort | None:
        """The port of that number."""
        return next((port for port in self.ports if port.number == number), None)

    def selects(self, workload: Workload) -> bool:
        """Whether the workload's pods are its endpoints."""
        return (
            bool(self.selector)
            and workload.namespace == self.namespace
            and self.selector.items() <= workload.labels.items()
        )


@dataclass(frozen=True)
class Workload:
    """A Deployment or StatefulSet: `labels` are its pods', `ports` its containers' by name."""

    name: str
    namespace: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    service_account: str
    ports: Mapping[str, int]
    replicas: int
    where: str
    pod: PodSpec = field(default_factory=PodSpec)
    component: str = ""
    """What it is for, by its label app.kubernetes.io/component, such as "agent"; empty if it does not say."""

    @property
    def key(self) -> tuple[str, str]:
        """(namespace, name)."""
        return self.namespace, self.name

    @property
    def container(self) -> Container:
        """Its only container."""
        return self.pod.containers[0]

    @property
    def has_sidecar(self) -> bool:
        """False if its pods say sidecar.istio.io/inject: "false"."""
        said = self.labels.get("sidecar.istio.io/inject") or self.annotations.get("sidecar.istio.io/inject")
        return said != "false"

    @property
    def is_gateway(self) -> bool:
        """Whether its pods are their proxies (annotation inject.istio.io/templates: gateway)."""
        return self.annotations.get("inject.istio.io/templates") == "gateway"

    def target_port(self, port: ServicePort) -> int | None:
        """The pod's port behind a Service's port; None if no container has a port of that name."""
        return port.target if isinstance(port.target, int) else self.ports.get(port.target)


def service_of(resource: Resource[ServiceSpec]) -> Service:
    """Reads a Service. UDP ports are left out, as istiod does."""
    spec = resource.spec
    ports = tuple(_service_port(port) for port in spec.ports if port.protocol != "UDP")
    return Service(resource.name, resource.namespace, spec.selector, ports, spec.cluster_ip == "None", resource.where)


def _service_port(port: ServicePortSpec) -> ServicePort:
    protocol = protocol_of(port.name, port.port, port.app_protocol)
    return ServicePort(port.name, port.port, port.target_port or port.port, protocol)


def workload_of(resource: Resource[WorkloadSpec]) -> Workload:
    """Reads a Deployment or StatefulSet."""
    template = resource.spec.template
    ports = [port for container in template.spec.containers for port in container.ports]
    return Workload(
        resource.name,
        resource.namespace,
        template.metadata.labels,
        template.metadata.annotations,
        template.spec.service_account_name,
        {port.label: port.container_port for port in ports},
        resource.spec.replicas,
        resource.where,
        template.spec,
        resource.metadata.labels.get(COMPONENT, ""),
    )
