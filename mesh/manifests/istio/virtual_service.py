"""VirtualService: which requests go where, and the hosts and gateways that it is for.

What each field becomes of a route is in `mesh.sidecar.routing`. Routes of TCP and TLS, and delegation, are no fields
here, so they are refused. Source: istio/istio pilot/pkg/model/virtualservice.go.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from mesh.manifests import names
from mesh.manifests.document import Duration, Resource, Spec


class StringMatch(Spec):
    """One of exact, prefix, regex; none of them (only on headers and query parameters) asks for presence."""

    exact: str | None = None
    prefix: str | None = None
    regex: str | None = None

    @model_validator(mode="after")
    def _one(self) -> StringMatch:
        if sum(value is not None for value in (self.exact, self.prefix, self.regex)) > 1:
            raise ValueError("only one of exact, prefix, regex can be obeyed: keep one")
        return self

    @property
    def is_presence(self) -> bool:
        """Whether any value will do."""
        return self.exact is None and self.prefix is None and self.regex is None


class Match(Spec):
    """All that is said of one entry must hold; one entry of the list is enough."""

    name: str = ""
    uri: StringMatch | None = None
    ignore_uri_case: bool = False
    scheme: StringMatch | None = None
    method: StringMatch | None = None
    authority: StringMatch | None = None
    headers: dict[str, StringMatch] = Field(default_factory=dict)
    without_headers: dict[str, StringMatch] = Field(default_factory=dict)
    query_params: dict[str, StringMatch] = Field(default_factory=dict)
    port: int = 0
    gateways: tuple[str, ...] = ()
    source_labels: dict[str, str] = Field(default_factory=dict)
    source_namespace: str = ""


def gateway_name(name: str, namespace: str) -> str:
    """A gateway as a VirtualService of that namespace names it, as namespace/name; "mesh" stays.

    Source: istio/istio pilot/pkg/model/virtualservice.go, resolveGatewayName.
    """
    if name == "mesh":
        return name
    if "/" in name:
        said, _, short = name.partition("/")
        return f"{namespace if said == '.' else said}/{short}"
    short, _, rest = name.partition(".")
    return f"{rest.split('.')[0] or namespace}/{short}"


class Retries(Spec):
    """How often and for what a request is tried again; attempts 0 switches it off."""

    attempts: int = 0
    per_try_timeout: Duration | None = None
    retry_on: str = ""
    retry_remote_localities: bool = False
    retry_ignore_previous_hosts: bool | None = None
    backoff: Duration | None = None


class Percent(Spec):
    """0 to 100."""

    value: float = 0


class Delay(Spec):
    """A wait before the request goes on; without a percentage for none."""

    fixed_delay: Duration
    percentage: Percent | None = None


class Abort(Spec):
    """An error in place of the request's answer; without a percentage for none, as in istiod."""

    http_status: int | None = None
    grpc_status: str | None = None
    percentage: Percent | None = None


class Fault(Spec):
    """Faults that are injected."""

    delay: Delay | None = None
    abort: Abort | None = None


class CorsPolicy(Spec):
    """What a browser's page of another origin may do."""

    allow_origins: tuple[StringMatch, ...] = ()
    allow_methods: tuple[str, ...] = ()
    allow_headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    max_age: Duration | None = None
    allow_credentials: bool | None = None
    unmatched_preflights: Literal["FORWARD", "IGNORE"] = "FORWARD"


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

    set: dict[str, str] = Field(default_factory=dict)
    add: dict[str, str] = Field(default_factory=dict)
    remove: tuple[str, ...] = ()


class Headers(Spec):
    """What happens to headers on the way there and back."""

    request: HeaderOperations = HeaderOperations()
    response: HeaderOperations = HeaderOperations()


class RouteDestination(Spec):
    """One of the destinations between which requests are spread by weight."""

    destination: Destination
    weight: int = 0
    headers: Headers | None = None


class Redirect(Spec):
    """An answer that names another place."""

    uri: str = ""
    authority: str = ""
    port: int = 0
    derive_port: Literal["FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"] | None = None
    scheme: str = ""
    redirect_code: int = 301


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


class Mirror(Spec):
    """A second destination whose answers nobody waits for."""

    destination: Destination
    percentage: Percent | None = None


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
    return [names.resolved(host, vs.namespace) for host in vs.spec.hosts]


def gateways_of(vs: Resource[VirtualServiceSpec]) -> frozenset[str]:
    """The gateways it is bound to, as namespace/name or "mesh"."""
    return frozenset(gateway_name(gateway, vs.namespace) for gateway in vs.spec.gateways)
