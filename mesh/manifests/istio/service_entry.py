"""ServiceEntry: hosts that are no Kubernetes Service, outside of the mesh or within it.

Refuses resolution NONE (nothing is captured, so there is no original destination) and endpoints by selector, which are
no fields or values here. Source: istio/istio pilot/pkg/serviceregistry/serviceentry/conversion.go.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mesh.manifests.document import Spec
from mesh.manifests.kubernetes import Protocol, ServicePort


class EntryPort(Spec):
    """A port of the host, as others dial it."""

    number: int = Field(ge=1, le=65535)
    name: str = Field(min_length=1)
    protocol: Literal["HTTP", "HTTPS", "GRPC", "GRPC-WEB", "HTTP2", "TCP", "TLS", "MONGO", "REDIS", "MYSQL"]
    target_port: int = Field(default=0, ge=0, le=65535)

    @property
    def as_service_port(self) -> ServicePort:
        """The same as a Service's."""
        protocol = next(known for known in Protocol if known.value.upper() == self.protocol)
        return ServicePort(self.name, self.number, self.target_port or self.number, protocol)


class Endpoint(Spec):
    """One of the places where the host is. A port's name leads to another number than the host's."""

    address: str = Field(min_length=1)
    ports: dict[str, int] = Field(default_factory=dict)
    labels: dict[str, str] = Field(default_factory=dict)
    weight: int = Field(default=0, ge=0)
    service_account: str = ""

    @property
    def has_sidecar(self) -> bool:
        """Whether it speaks the mesh's mTLS: by its label, else if it has an account."""
        return self.labels.get("security.istio.io/tlsMode", "istio" if self.service_account else "") == "istio"


class ServiceEntrySpec(Spec):
    """spec of a ServiceEntry."""

    hosts: tuple[str, ...] = Field(min_length=1)
    ports: tuple[EntryPort, ...] = Field(min_length=1)
    location: Literal["MESH_EXTERNAL", "MESH_INTERNAL"] = "MESH_EXTERNAL"
    resolution: Literal["STATIC", "DNS", "DNS_ROUND_ROBIN"]
    endpoints: tuple[Endpoint, ...] = ()
    subject_alt_names: tuple[str, ...] = ()
    export_to: tuple[str, ...] = ("*",)

    @property
    def by_dns(self) -> bool:
        """Whether Envoy asks DNS where the host is."""
        return self.resolution != "STATIC"

    def endpoints_of(self, host: str) -> tuple[Endpoint, ...]:
        """Its endpoints; by DNS the host itself, if none is named."""
        return self.endpoints or ((Endpoint(address=host),) if self.by_dns else ())
