"""ServiceEntry: hosts that are no Kubernetes Service, outside of the mesh or within it.

Refuses endpoints by selector and addresses, which are no fields here.
Source: istio/istio pilot/pkg/serviceregistry/serviceentry/conversion.go.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from mesh.manifests.document import Spec
from mesh.manifests.istio.fields import DnsLabel, ExportToOrNone, Labels, Port, UInt
from mesh.manifests.kubernetes import Protocol, ServicePort

_PROTOCOLS = {protocol.value.lower(): protocol for protocol in Protocol if protocol is not Protocol.AUTO}


def _read_protocol(value: object) -> object:
    """A protocol in any case; none is found out by the first bytes."""
    if not isinstance(value, str):
        return value
    found = _PROTOCOLS.get(value.lower()) if value else Protocol.AUTO
    if found is None:
        known = ", ".join(protocol.value for protocol in _PROTOCOLS.values())
        raise ValueError(f"one of {known}, in any case, is expected")
    return found.value


class EntryPort(Spec):
    """A port of the host, as others dial it."""

    number: Port
    name: DnsLabel
    protocol: Annotated[str, BeforeValidator(_read_protocol)] = Protocol.AUTO.value
    target_port: Port = 0
    """0, which cannot be written: the same as the number."""

    @property
    def is_of_tcp(self) -> bool:
        """Whether hosts that share it cannot be told apart."""
        protocol = Protocol(self.protocol)
        return not protocol.is_http and protocol not in {Protocol.HTTPS, Protocol.TLS}

    @property
    def as_service_port(self) -> ServicePort:
        """The same as a Service's."""
        return ServicePort(self.name, self.number, self.target_port or self.number, Protocol(self.protocol))


class Endpoint(Spec):
    """One of the places where the host is. A port's name leads to another number than the host's."""

    address: str = Field(min_length=1)
    ports: dict[DnsLabel, Port] = Field(default_factory=dict)
    labels: Labels = Field(default_factory=dict)
    weight: UInt = 0
    service_account: str = ""

    @property
    def has_sidecar(self) -> bool:
        """Whether it speaks the mesh's mTLS: by its label, else if it has an account."""
        return self.labels.get("security.istio.io/tlsMode", "istio" if self.service_account else "") == "istio"


class ServiceEntrySpec(Spec):
    """spec of a ServiceEntry. Without a resolution Envoy asks DNS: a cluster would pass a call on to the address that
    the caller dialled, but here nothing is captured."""

    instead: ClassVar = {
        "discovery": "was replaced: write resolution",
        "addresses": "is not translated, a host here is called at an address of its own: remove it",
        "workloadSelector": "is not translated: write endpoints",
    }

    hosts: tuple[str, ...] = Field(min_length=1)
    ports: tuple[EntryPort, ...] = Field(min_length=1)
    location: Literal["MESH_EXTERNAL", "MESH_INTERNAL"] = "MESH_EXTERNAL"
    resolution: Literal["NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN"] = "NONE"
    endpoints: tuple[Endpoint, ...] = ()
    subject_alt_names: tuple[str, ...] = ()
    export_to: ExportToOrNone = ("*",)

    @property
    def by_dns(self) -> bool:
        """Whether Envoy asks DNS where the host is."""
        return self.resolution != "STATIC"

    def endpoints_of(self, host: str) -> tuple[Endpoint, ...]:
        """Its endpoints; by DNS the host itself, if none is named."""
        return self.endpoints or ((Endpoint(address=host),) if self.by_dns else ())
