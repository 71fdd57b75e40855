"""A grammar of meshes: three services, a client, a gateway, and resources of every Istio kind that we translate.

Each strategy makes the `spec` of one kind as plain data, so that Hypothesis shrinks towards fewer and smaller fields.
What is drawn is what both istiod accepts and the README says is translated. Used by tests/istiod/test_generated.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from mesh.manifests.texts import dump_texts

Spec = dict[str, Any]
SpecStrategy = st.SearchStrategy[Spec]

HOSTS = {"backend": 50051, "web": 8080, "store": 7000}
"""The services' names and ports: gRPC in two versions, HTTP, TCP."""
_PROTOCOLS = {"backend": "grpc", "web": "http", "store": "tcp"}
_OTHER = {"backend": "web", "web": "backend"}
"""Where a VirtualService of a host may lead instead."""
SELECTOR = {"backend": {"app": "backend"}, "web": {"app": "web"}, "store": {"app": "store"}}


def optional(**fields: st.SearchStrategy[Any]) -> SpecStrategy:
    """A mapping with any of these fields."""
    return st.fixed_dictionaries({}, optional=fields)


def _some(values: Sequence[str], least: int = 1) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), min_size=least, max_size=3, unique=True)


def _durations() -> st.SearchStrategy[str]:
    return st.sampled_from(["1s", "250ms", "5s", "2m", "1m30s", "0.25s", "1500000us"])


def _number(value: int) -> st.SearchStrategy[int | str]:
    """A number, or the same as text."""
    return st.sampled_from([value, str(value)])


# --- security ---------------------------------------------------------------------------------------------------------

MODES = st.sampled_from(["STRICT", "PERMISSIVE", "DISABLE", "UNSET"])


@st.composite
def peer_authentications(draw: st.DrawFn, app: str | None) -> Spec:
    """mTLS by mode, for all or for one app; only an app's may differ by port."""
    spec: Spec = {"mtls": {"mode": draw(MODES)}}
    if app is not None:
        spec["selector"] = {"matchLabels": SELECTOR[app]}
        if draw(st.booleans()):
            spec["portLevelMtls"] = {HOSTS[app]: {"mode": draw(MODES)}}
    return spec


_PRINCIPALS = ["cluster.local/ns/shop/sa/client", "*", "cluster.local/ns/shop/*", "*/sa/client"]
_NAMESPACES = ["shop", "sh*", "*op", "elsewhere"]
_ADDRESSES = ["127.0.0.0/8", "10.1.2.3"]
_SOURCE = {
    "principals": _PRINCIPALS,
    "namespaces": _NAMESPACES,
    "requestPrincipals": ["*", "rostrum/alice", "rostrum/*", "*/alice"],
    "ipBlocks": _ADDRESSES,
    "remoteIpBlocks": _ADDRESSES,
}
_OPERATION = {
    "hosts": ["backend", "*.shop", "backend.*"],
    "methods": ["GET", "POST", "P*"],
    "paths": ["/shop.v1.Shop/Buy", "/shop.v1.Shop/*", "*/Buy", "*"],
    "ports": ["50051", "8080", "7000"],
}
_CONDITIONS = {
    "request.headers[x-role]": ["admin", "op*", "*"],
    "source.ip": _ADDRESSES,
    "source.namespace": _NAMESPACES,
    "source.principal": _PRINCIPALS,
    "destination.port": ["50051", "8080"],
    "destination.ip": _ADDRESSES,
    "connection.sni": ["a.example", "*.example"],
    "request.auth.claims[role]": ["viewer", "operator", "op*"],
    "request.auth.audiences": ["rostrum"],
}


def _with_negations(values: dict[str, list[str]]) -> SpecStrategy:
    fields = {name: _some(choices) for name, choices in values.items()}
    negated = {f"not{name[0].upper()}{name[1:]}": _some(choices) for name, choices in values.items()}
    return optional(**fields, **negated).filter(bool)


@st.composite
def _conditions(draw: st.DrawFn) -> Spec:
    key = draw(st.sampled_from(sorted(_CONDITIONS)))
    values = draw(optional(values=_some(_CONDITIONS[key]), notValues=_some(_CONDITIONS[key])).filter(bool))
    return {"key": key, **values}


def _rules() -> SpecStrategy:
    return optional(
        **{"from": st.lists(_with_negations(_SOURCE).map(lambda source: {"source": source}), min_size=1, max_size=2)},
        to=st.lists(
            _with_negations(_OPERATION).map(lambda operation: {"operation": operation}), min_size=1, max_size=2
        ),
        when=st.lists(_conditions(), min_size=1, max_size=2),
    )


@st.composite
def authorization_policies(draw: st.DrawFn, app: str | None) -> Spec:
    """ALLOW or DENY, with any rules that there may be; only ALLOW may have none."""
    action = draw(st.sampled_from(["ALLOW", "DENY"]))
    spec: Spec = {"action": action}
    rules = draw(st.lists(_rules(), min_size=1 if action == "DENY" else 0, max_size=2))
    if app is not None:
        spec["selector"] = {"matchLabels": SELECTOR[app]}
    return {**spec, "rules": rules} if rules else spec


_KEYS = '{"keys":[{"kty":"oct","kid":"k","k":"c2VjcmV0c2VjcmV0c2VjcmV0"}]}'


@st.composite
def request_authentications(draw: st.DrawFn, app: str) -> Spec:
    """One or two issuers."""
    issuers = draw(_some(["rostrum", "another", "third"]))
    extras = optional(
        audiences=_some(["rostrum", "api"]),
        forwardOriginalToken=st.just(True),
        fromHeaders=st.just([{"name": "x-token", "prefix": "Token "}]),
        fromParams=st.just(["token"]),
        outputPayloadToHeader=st.just("x-payload"),
        outputClaimToHeaders=st.just([{"header": "x-sub", "claim": "sub"}]),
    )
    rules = [{"issuer": issuer, "jwks": _KEYS, **draw(extras)} for issuer in issuers]
    return {"selector": {"matchLabels": SELECTOR[app]}, "jwtRules": rules}


# --- traffic ----------------------------------------------------------------------------------------------------------

_NUMBERS = st.sampled_from([1, 7, 100, "7"])
_POOL = optional(
    tcp=optional(maxConnections=_NUMBERS, connectTimeout=_durations(), maxConnectionDuration=_durations()).filter(bool),
    http=optional(
        http1MaxPendingRequests=_NUMBERS,
        http2MaxRequests=_NUMBERS,
        maxRetries=_NUMBERS,
        maxRequestsPerConnection=_NUMBERS,
        idleTimeout=_durations(),
    ).filter(bool),
).filter(bool)
_OUTLIER = optional(
    consecutive5xxErrors=st.sampled_from([0, 3]),
    consecutiveGatewayErrors=st.sampled_from([0, 2]),
    interval=_durations(),
    baseEjectionTime=_durations(),
    maxEjectionPercent=st.sampled_from([50, 100]),
    minHealthPercent=st.sampled_from([0, 40]),
).filter(bool)
_BALANCER = st.sampled_from(["LEAST_REQUEST", "ROUND_ROBIN", "RANDOM"]).map(lambda name: {"simple": name})
_TLS = st.sampled_from(["ISTIO_MUTUAL", "DISABLE"]).map(lambda mode: {"mode": mode})
_POLICY: dict[str, st.SearchStrategy[Any]] = {
    "connectionPool": _POOL,
    "outlierDetection": _OUTLIER,
    "loadBalancer": _BALANCER,
    "tls": _TLS,
}


@st.composite
def destination_rules(draw: st.DrawFn, app: str) -> Spec:
    """Policies for all, for a port, for subsets."""
    spec: Spec = {"host": app}
    if draw(st.booleans()):
        number = draw(_number(HOSTS[app]))
        port = optional(**_POLICY).filter(bool).map(lambda policy: [{"port": {"number": number}, **policy}])
        spec["trafficPolicy"] = draw(optional(**_POLICY, portLevelSettings=port).filter(bool))
    if app == "backend":
        subset = optional(trafficPolicy=optional(**_POLICY).filter(bool))
        spec["subsets"] = [{"name": v, "labels": {"version": v}, **draw(subset)} for v in ("v1", "v2")]
    return spec


def _matchers(values: Sequence[str]) -> SpecStrategy:
    kinds = st.sampled_from(["exact", "prefix"])
    return st.tuples(kinds, st.sampled_from(values)).map(lambda pair: {pair[0]: pair[1]})


_EXPRESSIONS = [
    "/v[0-9]+/.*",
    r"\pL+",
    "[[:alpha:]]+",
    "(?P<n>a)b",
    "(?<n>a)b",
    "(?U)a+",
    r"\Qa.b\E",
    r"a\z",
    r"\x{2F}",
    "(?i:GET)",
    "a{1,1000}",
]
"""Of RE2; most are none of Python's."""
_MATCH = optional(
    uri=_matchers(["/one", "/two", ""]) | st.sampled_from(_EXPRESSIONS).map(lambda regex: {"regex": regex}),
    headers=st.dictionaries(
        st.sampled_from(["x-a", "x-b"]),
        _matchers(["a", "b"]) | st.just({}) | st.sampled_from(_EXPRESSIONS).map(lambda regex: {"regex": regex}),
        min_size=1,
        max_size=2,
    ),
    withoutHeaders=st.dictionaries(st.just("x-c"), _matchers(["c"]) | st.just({"regex": "*"}), min_size=1),
    method=_matchers(["GET", "POST"]),
    authority=_matchers(["backend"]),
    queryParams=st.dictionaries(st.just("q"), _matchers(["1"]), min_size=1),
    ignoreUriCase=st.just(True),
    sourceLabels=st.just({"app": "client"}),
).filter(lambda match: bool(match.keys() - {"ignoreUriCase"}))
_RETRIES = st.fixed_dictionaries(
    {"attempts": st.sampled_from([0, 1, 3])},
    optional={
        "perTryTimeout": _durations(),
        "retryOn": st.sampled_from(["unavailable", "connect-failure,5xx", "503,gateway-error"]),
    },
).map(lambda retries: {"attempts": 0} if retries["attempts"] == 0 else retries)
_SHARE = st.sampled_from([0.1, 50, 100]).map(lambda value: {"value": value})
_FAULT = optional(
    delay=st.fixed_dictionaries({"fixedDelay": _durations(), "percentage": _SHARE}),
    abort=st.fixed_dictionaries({"httpStatus": st.sampled_from([500, 503]), "percentage": _SHARE})
    | st.fixed_dictionaries({"grpcStatus": st.just("UNAVAILABLE"), "percentage": _SHARE}),
).filter(bool)
_HEADERS = optional(set=st.just({"x-set": "1"}), add=st.just({"x-add": "2"}), remove=st.just(["x-gone"])).filter(bool)
_ROUTE_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "name": st.sampled_from(["reads", "writes"]),
    "match": st.lists(_MATCH, min_size=1, max_size=2),
    "timeout": _durations(),
    "retries": _RETRIES,
    "fault": _FAULT,
    "headers": optional(request=_HEADERS, response=_HEADERS).filter(bool),
    "rewrite": optional(uri=st.just("/new"), authority=st.just("new.example")).filter(bool),
}


@st.composite
def _http_routes(draw: st.DrawFn, app: str, *, subsets: bool) -> Spec:
    destination = {"host": app, "port": {"number": draw(_number(HOSTS[app]))}}
    kinds = ["one", "elsewhere", "shadow"]  # the last two name a host that the caller's Sidecar may not import
    kind = draw(st.sampled_from([*kinds, "weights", "mirror"] if subsets else kinds))
    other = {"host": _OTHER[app], "port": {"number": HOSTS[_OTHER[app]]}}
    first, second = ({**destination, "subset": v} for v in ("v1", "v2"))
    spec = draw(optional(**_ROUTE_FIELDS))
    match kind:
        case "weights":
            share = draw(st.sampled_from([0, 10, 100]))
            shares = [{"destination": first, "weight": 100 - share}, {"destination": second, "weight": share}]
            return {**spec, "route": shares}
        case "mirror":
            mirrors = [{"destination": second, **draw(optional(percentage=_SHARE))}]
            return {**spec, "route": [{"destination": first}], "mirrors": mirrors}
        case "elsewhere":
            return {**spec, "route": [{"destination": other}]}
        case "shadow":
            return {**spec, "route": [{"destination": destination}], "mirrors": [{"destination": other}]}
        case _:
            return {**spec, "route": [{"destination": destination}]}


@st.composite
def virtual_services(draw: st.DrawFn, app: str, *, subsets: bool, gateways: Sequence[str] = ()) -> Spec:
    """Routes of one host, for the mesh or for gateways."""
    spec: Spec = {"hosts": ["shop.example"] if gateways else [app]}
    if gateways:
        spec["gateways"] = list(gateways)
    return {**spec, "http": draw(st.lists(_http_routes(app, subsets=subsets), min_size=1, max_size=3))}


@st.composite
def service_entries(draw: st.DrawFn) -> Spec:
    """A host outside of the mesh, or one within it that is no Kubernetes Service."""
    location = draw(st.sampled_from(["MESH_EXTERNAL", "MESH_INTERNAL"]))
    endpoint = st.fixed_dictionaries({"address": st.sampled_from(["127.8.0.1", "127.8.0.2"])})
    endpoints = draw(st.lists(endpoint, min_size=1, max_size=2, unique_by=lambda drawn: drawn["address"]))
    ports = [("http", "HTTP", 8080), ("grpc", "Grpc", 50051), ("http", "http", 80), ("main", "GRPC-WEB", 9090)]
    name, protocol, number = draw(st.sampled_from(ports))
    return {
        "hosts": ["entry.example.com"],
        "location": location,
        "resolution": "STATIC",
        "ports": [{"number": draw(_number(number)), "name": name, "protocol": protocol}],
        "endpoints": endpoints,
    }


def sidecars(app: str) -> SpecStrategy:
    """What an app sees, which may be all but the app itself."""
    hosts = ["./backend.shop.svc.cluster.local", "shop/*", "./*", "*/web.shop.svc.cluster.local", "~/*"]
    egress = _some(hosts).map(lambda names: [{"hosts": names if "~/*" not in names else ["~/*"]}])
    return egress.map(lambda listeners: {"workloadSelector": {"labels": {"app": app}}, "egress": listeners})


GATEWAY = {
    "selector": {"app": "gate"},
    "servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}],
}

# --- whole meshes -----------------------------------------------------------------------------------------------------

_NETWORKING, _SECURITY = "networking.istio.io/v1", "security.istio.io/v1"


_NULLABLE: dict[str, list[str]] = {
    "VirtualService": ["gateways", "exportTo", "tls", "tcp"],
    "DestinationRule": ["exportTo", "subsets", "trafficPolicy"],
    "ServiceEntry": ["exportTo", "addresses", "subjectAltNames", "workloadSelector"],
    "Sidecar": ["ingress", "outboundTrafficPolicy"],
    "PeerAuthentication": ["selector", "mtls", "portLevelMtls"],
    "AuthorizationPolicy": ["selector", "provider", "targetRef"],
    "RequestAuthentication": ["targetRefs"],
    "http": ["match", "timeout", "retries", "fault", "mirrors", "corsPolicy", "redirect", "delegate"],
    "match": ["uri", "headers", "withoutHeaders", "gateways", "port", "sourceNamespace"],
    "route": ["headers", "weight"],
}
"""Fields that may be null, which is as absent, by their kind or by the list that they are in."""


@st.composite
def _with_nulls(draw: st.DrawFn, value: Any, name: str) -> Any:
    """The same, with some fields that are absent as nulls."""
    if isinstance(value, list):
        return [draw(_with_nulls(entry, name)) for entry in value]
    if not isinstance(value, dict):
        return value
    inner = {field: draw(_with_nulls(below, field)) if field in _NULLABLE else below for field, below in value.items()}
    absent = [field for field in _NULLABLE[name] if field not in value]
    nulls = draw(st.lists(st.sampled_from(absent), max_size=2, unique=True)) if absent else []
    return {**inner, **dict.fromkeys(nulls)}


def _document(api: str, kind: str, name: str, spec: Spec, namespace: str = "shop") -> Spec:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def _workload(name: str, ports: Spec, version: str = "", replicas: int = 1) -> Spec:
    labels = {"app": name, **({"version": version} if version else {})}
    boxes = [{"name": "app", "image": "app:1", "ports": [{"name": k, "containerPort": v} for k, v in ports.items()]}]
    template = {"metadata": {"labels": labels}, "spec": {"serviceAccountName": name, "containers": boxes}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return _document("apps/v1", "Deployment", name + version, spec)


def _service(name: str, protocol: str, port: int, target: int) -> Spec:
    ports = [{"name": protocol, "port": port, "targetPort": target}]
    return _document("v1", "Service", name, {"selector": {"app": name}, "ports": ports})


def _fixed() -> list[Spec]:
    accounts: list[Spec] = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": "shop"}}
        for name in (*HOSTS, "client", "gate")
    ]
    return [
        *accounts,
        _workload("backend", {"grpc": 50051}, "v1", replicas=2),
        _workload("backend", {"grpc": 50051}, "v2"),
        _workload("web", {"http": 8080}),
        _workload("store", {"tcp": 7000}),
        _workload("client", {}),
        _workload("gate", {"http": 8080}),
        *(_service(name, _PROTOCOLS[name], port, port) for name, port in HOSTS.items()),
        _service("gate", "http", 80, 8080),
    ]


FIXED = tuple(_fixed())
"""What each mesh has: the services' workloads and accounts, a client, a gateway's pods."""
AGES = ("", "", "2026-01-01T00:00:00Z", "2026-02-02T00:00:00Z", "2026-02-02T00:00:01Z")
"""When a resource was made; what does not say is older than all that do. Some are of one age."""


@st.composite
def meshes(draw: st.DrawFn) -> str:
    """A whole mesh as the text of one file; several resources may speak of one host, and are of different ages."""
    found = list(FIXED)

    def maybe(api: str, kind: str, name: str, spec: SpecStrategy, namespace: str = "shop") -> bool:
        drawn = draw(st.none() | spec)
        if drawn is None:
            return False
        document = _document(api, kind, name, draw(_with_nulls(drawn, kind)), namespace)
        if age := draw(st.sampled_from(AGES)):
            document["metadata"]["creationTimestamp"] = age
        found.append(document)
        return True

    maybe(_SECURITY, "PeerAuthentication", "mesh", peer_authentications(None), "istio-system")
    maybe(_SECURITY, "PeerAuthentication", "default", peer_authentications(None))
    maybe(_SECURITY, "AuthorizationPolicy", "all", authorization_policies(None))
    for app in HOSTS:
        maybe(_SECURITY, "PeerAuthentication", app, peer_authentications(app))
        maybe(_SECURITY, "PeerAuthentication", f"{app}-b", peer_authentications(app))
        maybe(_SECURITY, "AuthorizationPolicy", f"{app}-a", authorization_policies(app))
        maybe(_SECURITY, "AuthorizationPolicy", f"{app}-b", authorization_policies(app))
        rules = [maybe(_NETWORKING, "DestinationRule", name, destination_rules(app)) for name in (app, f"{app}-b")]
        subsets = any(rules) and app == "backend"
        if app != "store":
            maybe(_SECURITY, "RequestAuthentication", app, request_authentications(app))
            for name in (app, f"{app}-b"):
                maybe(_NETWORKING, "VirtualService", name, virtual_services(app, subsets=subsets))
    maybe(_NETWORKING, "ServiceEntry", "entry", service_entries())
    for name, app in (("client", "client"), ("client-b", "client"), ("backend", "backend"), ("web", "web")):
        maybe(_NETWORKING, "Sidecar", name, sidecars(app))
    if draw(st.booleans()):
        found.append(_document(_NETWORKING, "Gateway", "gate", GATEWAY))
        for app in ("backend", "web"):
            routes = virtual_services(app, subsets=False, gateways=["gate"])
            maybe(_NETWORKING, "VirtualService", f"gate-{app}", routes)
    return dump_texts(found)
