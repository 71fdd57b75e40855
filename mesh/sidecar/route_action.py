"""What a VirtualService does with a request that matches: destinations, retries, faults, mirrors, CORS, rewrites.

Each model stands beside what it becomes in envoy.config.route.v3. Called by `mesh.sidecar.virtual_service`.
Source: istio/istio pilot/pkg/networking/core/route/route.go and route/retry/retry.go.
"""

from __future__ import annotations

from typing import Literal

from mesh.sidecar.document import Duration, Spec
from mesh.sidecar.route_match import StringMatch


class Percent(Spec):
    """0 to 100."""

    value: float = 0


class PortSelector(Spec):
    """A Service's port."""

    number: int


class Destination(Spec):
    """Where a request goes: a host of the mesh, of it a subset, a port."""

    host: str
    subset: str = ""
    port: PortSelector | None = None


class HeaderOperations(Spec):
    """What happens to the headers of one direction."""

    set: dict[str, str] = {}
    add: dict[str, str] = {}
    remove: tuple[str, ...] = ()


class Headers(Spec):
    """What happens to headers on the way there and back."""

    request: HeaderOperations = HeaderOperations()
    response: HeaderOperations = HeaderOperations()


class RouteDestination(Spec):
    """One of the destinations between which requests are spread by weight."""

    destination: Destination
    weight: int = 0
    headers: Headers = Headers()


class Redirect(Spec):
    """An answer that names another place."""

    uri: str = ""
    authority: str = ""
    port: int = 0
    derive_port: Literal["FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"] | None = None
    scheme: str = ""
    redirect_code: int = 0


class Body(Spec):
    """The body of an answer."""

    string: str


class DirectResponse(Spec):
    """An answer that the proxy gives itself."""

    status: int
    body: Body | None = None


class RegexRewrite(Spec):
    """A path rewritten by its groups."""

    match: str
    rewrite: str


class Rewrite(Spec):
    """What the path and the authority become before the request goes on."""

    uri: str = ""
    authority: str = ""
    uri_regex_rewrite: RegexRewrite | None = None


class Retries(Spec):
    """How often and for what a request is tried again; attempts 0 switches it off."""

    attempts: int = 0
    per_try_timeout: Duration | None = None
    retry_on: str = ""
    retry_remote_localities: bool = False
    retry_ignore_previous_hosts: bool = True
    backoff: Duration | None = None


class Delay(Spec):
    """A wait before the request goes on."""

    fixed_delay: Duration
    percentage: Percent | None = None


class Abort(Spec):
    """An error in place of the request's answer."""

    http_status: int | None = None
    grpc_status: str | None = None
    percentage: Percent | None = None


class Fault(Spec):
    """Faults that are injected."""

    delay: Delay | None = None
    abort: Abort | None = None


class Mirror(Spec):
    """A second destination whose answers nobody waits for."""

    destination: Destination
    percentage: Percent | None = None


class CorsPolicy(Spec):
    """What a browser's page of another origin may do."""

    allow_origins: tuple[StringMatch, ...] = ()
    allow_methods: tuple[str, ...] = ()
    allow_headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    max_age: Duration | None = None
    allow_credentials: bool | None = None
    unmatched_preflights: Literal["FORWARD", "IGNORE"] = "FORWARD"
