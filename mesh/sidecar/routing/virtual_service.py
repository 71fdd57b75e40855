"""VirtualService: its fields, and the hosts and gateways that it is for.

What its http[] becomes is in `mesh.sidecar.routing.route`, field by field in `route_match`, `route_action`,
`route_retry` and `route_filters`; what is refused is in `route_check`. Routes of TCP and TLS, and delegation, are no
fields here, so they are refused. Source: istio/istio pilot/pkg/model/virtualservice.go.
"""

from __future__ import annotations

from pydantic import Field

from mesh.manifests import names
from mesh.manifests.document import Duration, Resource, Spec
from mesh.sidecar.routing.route_action import (
    Destination,
    DirectResponse,
    Headers,
    Mirror,
    Redirect,
    Rewrite,
    RouteDestination,
)
from mesh.sidecar.routing.route_filters import CorsPolicy, Fault, Percent
from mesh.sidecar.routing.route_match import Match, gateway_name
from mesh.sidecar.routing.route_retry import Retries


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
    headers: Headers | None = None

    @property
    def all_mirrors(self) -> tuple[Mirror, ...]:
        """Both ways to say it, as one."""
        single = () if self.mirror is None else (Mirror(destination=self.mirror, percentage=self.mirror_percentage),)
        return (*single, *self.mirrors)


class VirtualServiceSpec(Spec):
    """spec of a VirtualService."""

    hosts: tuple[str, ...] = Field(min_length=1)
    gateways: tuple[str, ...] = ("mesh",)
    http: tuple[HttpRoute, ...] = Field(min_length=1)
    export_to: tuple[str, ...] = ("*",)


def hosts_of(vs: Resource[VirtualServiceSpec]) -> list[str]:
    """The hosts it speaks of, fully qualified."""
    return [names.resolved(each, vs.namespace) for each in vs.spec.hosts]


def gateways_of(vs: Resource[VirtualServiceSpec]) -> frozenset[str]:
    """The gateways it is bound to, as namespace/name or "mesh"."""
    return frozenset(gateway_name(each, vs.namespace) for each in vs.spec.gateways)
