"""Gateway: listeners and route configurations of the gateway pods that its selector takes.

Source: istio/istio pilot/pkg/networking/core/gateway.go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from mesh.sidecar.document import Resource, Spec

if TYPE_CHECKING:
    from mesh.sidecar.mesh import Mesh
    from mesh.sidecar.proxy import Proxy
    from mesh.sidecar.scope import Scope


class ServerPort(Spec):
    """The port that clients call."""

    number: int
    name: str
    protocol: Literal["HTTP", "HTTP2", "GRPC", "GRPC-WEB", "HTTPS"]


class ServerTls(Spec):
    """How the server meets TLS."""

    https_redirect: bool = False
    mode: Literal["SIMPLE", "MUTUAL"] | None = None
    credential_name: str = ""


class Server(Spec):
    """One listener's port and the hosts served there."""

    name: str = ""
    port: ServerPort
    hosts: tuple[str, ...] = Field(min_length=1)
    tls: ServerTls | None = None


class GatewaySpec(Spec):
    """spec of a Gateway."""

    selector: dict[str, str] = Field(min_length=1)
    servers: tuple[Server, ...] = Field(min_length=1)


def check(mesh: Mesh, resource: Resource[GatewaySpec]) -> None:
    """Raises ManifestError for what istiod or Envoy would refuse or pass over."""


def listeners(mesh: Mesh, proxy: Proxy) -> list[Any]:
    """The gateway pod's listeners."""
    return []


def routes(mesh: Mesh, proxy: Proxy, scope: Scope) -> list[Any]:
    """The gateway pod's route configurations."""
    return []
