"""Gateway: the ports and hosts that a gateway's pods serve, and the TLS that they end.

TCP servers, TLS passed through or between gateways, and QUIC are no values here, so they are refused. The listeners are
made in `mesh.sidecar.listeners.gateway`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from mesh.manifests.document import Spec
from mesh.manifests.istio.fields import Port, SelectorLabels


def _in_upper_case(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


class ServerPort(Spec):
    """The port that clients call."""

    number: Port
    name: str = Field(min_length=1)
    protocol: Annotated[Literal["HTTP", "HTTP2", "GRPC", "GRPC-WEB", "HTTPS"], BeforeValidator(_in_upper_case)]


class ServerTls(Spec):
    """How the server meets TLS: by sending plaintext callers to https, or by ending it with a named certificate."""

    instead: ClassVar = dict.fromkeys(
        ("serverCertificate", "privateKey", "tlsCertificates", "credentialNames"),
        "is not translated, a certificate comes from a secret: write credentialName",
    )

    https_redirect: bool = False
    mode: Literal["SIMPLE", "MUTUAL"] | None = None
    credential_name: str = ""


class Server(Spec):
    """One port and the hosts served there; a host may be namespace/host, for VirtualServices of that namespace."""

    name: str = ""
    port: ServerPort
    hosts: tuple[str, ...] = Field(min_length=1)
    tls: ServerTls | None = None

    @property
    def is_tls(self) -> bool:
        """Whether it ends TLS."""
        return self.port.protocol == "HTTPS"


class GatewaySpec(Spec):
    """spec of a Gateway."""

    selector: SelectorLabels = Field(min_length=1)
    servers: tuple[Server, ...] = Field(min_length=1)
