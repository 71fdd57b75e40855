"""Gateway: the ports and hosts that a gateway's pods serve, and the TLS that they end.

TCP servers, TLS passed through or between gateways, and QUIC are no values here, so they are refused. The listeners are
made in `mesh.sidecar.listeners.gateway`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mesh.manifests.document import Spec


class ServerPort(Spec):
    """The port that clients call."""

    number: int
    name: str
    protocol: Literal["HTTP", "HTTP2", "GRPC", "GRPC-WEB", "HTTPS"]


class ServerTls(Spec):
    """How the server meets TLS: by sending plaintext callers to https, or by ending it with a named certificate."""

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

    selector: dict[str, str] = Field(min_length=1)
    servers: tuple[Server, ...] = Field(min_length=1)
