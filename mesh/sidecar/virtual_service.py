"""VirtualService: which routes its http[] become, for a sidecar or a gateway.

Routes of TCP and TLS, and delegation, are refused. Source: istio/istio pilot/pkg/networking/core/route/route.go.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from mesh.sidecar.document import Duration, Resource, Spec
from mesh.sidecar.route_action import (
    CorsPolicy,
    Destination,
    DirectResponse,
    Fault,
    Headers,
    Mirror,
    Percent,
    Redirect,
    Retries,
    Rewrite,
    RouteDestination,
)
from mesh.sidecar.route_match import Match

if TYPE_CHECKING:
    from mesh.sidecar.mesh import Mesh
    from mesh.sidecar.proxy import Proxy
    from mesh.sidecar.scope import Scope


class HttpRoute(Spec):
    """One rule: the first whose match holds is obeyed."""

    name: str = ""
    match: tuple[Match, ...] = ()
    route: tuple[RouteDestination, ...] = ()
    redirect: Redirect | None = None
    direct_response: DirectResponse | None = None
    rewrite: Rewrite | None = None
    timeout: Duration | None = None
    retries: Retries | None = None
    fault: Fault | None = None
    mirror: Destination | None = None
    mirror_percentage: Percent | None = None
    mirrors: tuple[Mirror, ...] = ()
    cors_policy: CorsPolicy | None = None
    headers: Headers = Headers()


class VirtualServiceSpec(Spec):
    """spec of a VirtualService."""

    hosts: tuple[str, ...] = Field(min_length=1)
    gateways: tuple[str, ...] = ("mesh",)
    http: tuple[HttpRoute, ...] = Field(min_length=1)
    export_to: tuple[str, ...] = ("*",)


def check(mesh: Mesh, resource: Resource[VirtualServiceSpec]) -> None:
    """Raises ManifestError for what istiod or Envoy would refuse or pass over."""


def routes_of(
    mesh: Mesh,
    scope: Scope,
    vs: Resource[VirtualServiceSpec],
    *,
    port: int,
    proxy: Proxy,
    gateway_names: frozenset[str],
) -> list[Any]:
    """The routes that this proxy gets of it, in order."""
    return []
