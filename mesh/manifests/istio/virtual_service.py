"""VirtualService: which requests go where, and the hosts and gateways that it is for.

What each field becomes of a route is in `mesh.sidecar.routing`. Routes of TCP and TLS, and delegation, are refused.
Source: istio/istio pilot/pkg/model/virtualservice.go.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from mesh.manifests import names
from mesh.manifests.document import Duration, Resource, Spec
from mesh.manifests.istio.fields import Count, DnsLabel, ExportTo, Int, Labels, Number, Port, UInt


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
        """Whether any value will do; so says the regex *, too, which is none of RE2's."""
        return self.exact is None and self.prefix is None and self.regex in {None, "*"}


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
    port: UInt = Field(default=0, le=65535)
    gateways: tuple[str, ...] = ()
    source_labels: Labels = Field(default_factory=dict)
    source_namespace: DnsLabel | Literal[""] = ""


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

    attempts: Int = 0
    per_try_timeout: Duration | None = None
    retry_on: str = ""
    retry_remote_localities: bool = False
    retry_ignore_previous_hosts: bool | None = None
    backoff: Duration | None = None


class Percent(Spec):
    """0 to 100."""

    value: Number = 0


_PERCENT = "is deprecated: write percentage, with value"


class Delay(Spec):
    """A wait before the request goes on; without a percentage for none."""

    instead: ClassVar = {"percent": _PERCENT, "exponentialDelay": "is not supported by istiod: write fixedDelay"}

    fixed_delay: Duration
    percentage: Percent | None = None


class Abort(Spec):
    """An error in place of the request's answer; without a percentage for none, as in istiod."""

    instead: ClassVar = {"percent": _PERCENT, "http2Error": "is not supported by istiod: write httpStatus"}

    http_status: Int | None = None
    grpc_status: str | None = None
    percentage: Percent | None = None


class Fault(Spec):
    """Faults that are injected."""

    delay: Delay | None = None
    abort: Abort | None = None


class CorsPolicy(Spec):
    """What a browser's page of another origin may do."""

    instead: ClassVar = {"allowOrigin": "was replaced: write allowOrigins, a list of exact, prefix or regex"}

    allow_origins: tuple[StringMatch, ...] = ()
    allow_methods: tuple[str, ...] = ()
    allow_headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    max_age: Duration | None = None
    allow_credentials: bool | None = None
    unmatched_preflights: Literal["FORWARD", "IGNORE"] = "FORWARD"


class PortSelector(Spec):
    """A Service's port."""

    instead: ClassVar = {"name": "was removed, a port is named by its number: write number"}

    number: Port


class Destination(Spec):
    """Where a request goes: a host of the mesh, of it a subset, a port."""

    instead: ClassVar = {"name": "was the host in versions before 0.8: write host"}

    host: str
    subset: DnsLabel | Literal[""] = ""
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
    weight: Count = 0
    headers: Headers | None = None


class Redirect(Spec):
    """An answer that names another place."""

    instead: ClassVar = {"prefixRewrite": "is not translated: write uri"}

    uri: str = ""
    authority: str = ""
    port: UInt = Field(default=0, le=65535)
    derive_port: Literal["FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"] | None = None
    scheme: str = ""
    redirect_code: UInt = 301
    """0 is 301, too."""


class Body(Spec):
    """The body of an answer."""

    instead: ClassVar = {"bytes": "is not translated: write string"}

    string: str


class DirectResponse(Spec):
    """An answer that the proxy gives itself."""

    status: UInt
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

    instead: ClassVar = {
        "delegate": "is not translated: write the rules of that VirtualService, the delegate, here",
        "mirrorPercent": "is deprecated: write mirrorPercentage, with value",
        "websocketUpgrade": "was removed, WebSockets are always passed on: remove it",
        "appendHeaders": "was replaced: write headers, with request.add",
        "appendRequestHeaders": "was replaced: write headers, with request.add",
        "removeRequestHeaders": "was replaced: write headers, with request.remove",
        "appendResponseHeaders": "was replaced: write headers, with response.add",
        "removeResponseHeaders": "was replaced: write headers, with response.remove",
    }

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


def _check_hosts(hosts: tuple[str, ...]) -> tuple[str, ...]:
    if not hosts:
        raise ValueError("without hosts it is a delegate, which is not translated: write its rules where it is named")
    return hosts


def _read_gateways(gateways: tuple[str, ...]) -> tuple[str, ...]:
    """An empty list is as none."""
    return gateways or ("mesh",)


class VirtualServiceSpec(Spec):
    """spec of a VirtualService."""

    instead: ClassVar = {
        "tcp": "is not translated, a port of TCP leads to its host: remove it",
        "tls": "is not translated, a port of TLS leads to its host: remove it",
    }

    hosts: Annotated[tuple[str, ...], AfterValidator(_check_hosts)] = Field((), validate_default=True)
    gateways: Annotated[tuple[str, ...], AfterValidator(_read_gateways)] = ("mesh",)
    http: tuple[HttpRoute, ...] = Field(min_length=1)
    export_to: ExportTo = ("*",)


def hosts_of(vs: Resource[VirtualServiceSpec]) -> list[str]:
    """The hosts it speaks of, fully qualified."""
    return [names.resolved(host, vs.namespace) for host in vs.spec.hosts]


def gateways_of(vs: Resource[VirtualServiceSpec]) -> frozenset[str]:
    """The gateways it is bound to, as namespace/name or "mesh"."""
    return frozenset(gateway_name(gateway, vs.namespace) for gateway in vs.spec.gateways)
